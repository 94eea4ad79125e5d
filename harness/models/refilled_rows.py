"""Rows that a model writes together, of which any may leave and others join at any step.

`generate` of transformers begins a row: its `custom_generate` hands over what it has prepared (positions, masks, cache,
the features of pictures). From then on rows stand flush right: the keys and values of shorter ones are padded on the
left, as processors pad prompts, and what is padding in every row is cut off. A row sees nothing of the others, so what
it writes is what it would write alone, up to rounding.

Only models whose whole memory is a plain cache of keys and values can be served, and only where `generate` gives each
row its positions; `RefilledRows.begin` says why another cannot.
"""

# transformers passes keyword arguments about that are as many as there are families.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, cast

import torch
from torch.nn.functional import pad
from transformers import LogitsProcessorList, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.generation.stopping_criteria import StopStringCriteria

from harness.models.base import Prompt
from harness.models.decoding import Decoding
from harness.models.roomy_cache import RoomyLayer
from harness.models.token_choice import ALL_THE_SAME, NOT_FINITE, all_the_same, not_finite, shaping, with_noise
from harness.values import Size

_MASK: Final = "attention_mask"
_POSITIONS: Final = "position_ids"
_CARRIED: Final = frozenset(
    {_MASK, _POSITIONS, "use_cache", "logits_to_keep", "token_type_ids", "mm_token_type_ids", "moe_mm_token_type_ids"}
)
"""What `generate` carries from step to step beside the cache, and a row can bring along."""
_OF_A_STEP: Final = frozenset({"input_ids", "inputs_embeds", "cache_position"})
"""What it makes anew at each step."""


class NotRefillableError(Exception):
    """Why rows of a model cannot join others."""


@dataclass(frozen=True, slots=True)
class Ends:
    """When a row is complete, and what its tokens are chosen by."""

    decoding: Decoding
    """How text is generated."""
    end_ids: frozenset[int]
    """Tokens that end a text."""
    stops: StopStringCriteria | None
    """Finds stop strings as `generate` does; None where there are none."""

    @classmethod
    def of(cls, decoding: Decoding, end_ids: frozenset[int], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the ends of a decoding."""
        stops = StopStringCriteria(tokenizer, list(decoding.until)) if decoding.until else None
        return cls(decoding, end_ids, stops)


@dataclass(slots=True)
class Row:
    """What is written to one prompt."""

    prompt: Prompt
    """What was asked."""
    input_size: Size | None
    """Size of its first image as the model sees it; None where the processor does not tell."""
    input_tokens: int
    """Length of the prompt."""
    generator: torch.Generator | None
    """What its tokens are drawn by; None for the most likely ones."""
    tokens: list[int] = field(default_factory=list[int])
    """What was written so far, the end token included."""
    device_s: float = 0.0
    """Its share of the seconds on the device."""
    has_ended: bool = False
    """Whether nothing more is written to it."""
    broken: str | None = None
    """What was wrong with its logits; None for nothing."""

    @property
    def length(self) -> int:
        """Tokens of prompt and answer together."""
        return self.input_tokens + len(self.tokens)


class RefilledRows:
    """Rows in the middle of being written, and the model's memory of them."""

    def __init__(
        self,
        model: torch.nn.Module,
        rows: list[Row],
        ids: torch.Tensor,
        kept: dict[str, Any],
        processors: LogitsProcessorList,
        ends: Ends,
    ) -> None:
        """Take over what `begin` has prepared.

        Args:
            model: A transformers model.
            rows: What is written.
            ids: Tokens of prompts, (rows, width), padded on the left with a token of the row's own.
            kept: What `generate` hands from step to step.
            processors: What `generate` does to logits, such as suppressing tokens.
            ends: When a row is complete.
        """
        self.rows = rows
        """In the order of the tensors."""
        self._model = cast("Any", model)
        self._ids = ids
        self._kept = kept
        self._processors = processors
        self._ends = ends
        self._shaping = LogitsProcessorList(shaping(ends.decoding))

    @classmethod
    @torch.inference_mode()
    def begin(
        cls,
        model: torch.nn.Module,
        rows: list[Row],
        inputs: Mapping[str, torch.Tensor],
        arguments: Mapping[str, object],
        ends: Ends,
    ) -> Self:
        """Read prompts and write the first token of each row.

        Args:
            model: A transformers model.
            rows: What was asked; nothing is written yet.
            inputs: The prompts, padded on the left, on the model's device.
            arguments: What `generate` is told, beside stop strings.
            ends: When a row is complete.

        Raises:
            NotRefillableError: rows of this model cannot join others.
        """
        started = time.perf_counter()
        handed: list[tuple[torch.Tensor, torch.Tensor, dict[str, Any], LogitsProcessorList]] = []

        def first_step(model: Any, input_ids: torch.Tensor, logits_processor: LogitsProcessorList, **given: Any) -> Any:
            for name in ("stopping_criteria", "generation_config", "synced_gpus", "streamer"):
                given.pop(name, None)
            prepared = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **given)
            outputs = model(**prepared, return_dict=True)
            kept = model._update_model_kwargs_for_generation(outputs, given, is_encoder_decoder=False)  # noqa: SLF001
            handed.append((outputs.logits[:, -1], input_ids, kept, logits_processor))
            return input_ids

        cast("Any", model).generate(**inputs, **arguments, **_whole_cache(model), custom_generate=first_step)
        logits, ids, kept, processors = handed[0]
        mask = inputs[_MASK]
        kept[_MASK] = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)  # `generate` drops one that is all ones
        _check(model, ids, kept)
        # In place of padding a token that the row holds anyway: a repetition penalty is then the row's own.
        begun = cls(model, rows, torch.where(mask.bool(), ids, ids[:, -1:]), _narrowed(kept), processors, ends)
        for cache in begun._kept.values():
            if isinstance(cache, DynamicCache):
                cache.layers[:] = [RoomyLayer.of(layer) for layer in _layers(cache)]
        begun._choose(logits, first=True)
        begun._share(started)
        return begun

    @torch.inference_mode()
    def step(self) -> None:
        """Write one more token of each row."""
        started = time.perf_counter()
        prepared = self._model.prepare_inputs_for_generation(self._ids[:, -1:], **self._kept)
        outputs = self._model(**prepared, return_dict=True)
        update = self._model._update_model_kwargs_for_generation  # noqa: SLF001 - its families override it
        self._kept = _narrowed(update(outputs, self._kept, is_encoder_decoder=False))
        self._choose(outputs.logits[:, -1], first=False)
        self._share(started)

    @torch.inference_mode()
    def take_ended(self) -> list[Row]:
        """Return the rows that are complete, and let go of what the model remembers of them."""
        ended = [row for row in self.rows if row.has_ended]
        if not ended:
            return []
        staying = [place for place, row in enumerate(self.rows) if not row.has_ended]
        self.rows = [self.rows[place] for place in staying]
        if not staying:
            self._kept = {}
            return ended
        places = torch.tensor(staying, device=self._ids.device)
        padding = self._ids.shape[1] - max(row.length for row in self.rows)
        self._ids = self._ids[places, padding:]
        for name, value in self._kept.items():
            if isinstance(value, DynamicCache):
                for layer in _layers(value):
                    layer.keys, layer.values = (half[places, :, padding:] for half in _halves(layer))
            elif name == _MASK:
                self._kept[name] = value[places, padding:]
            elif isinstance(value, torch.Tensor):
                self._kept[name] = value.index_select(-2, places)
        return ended

    @torch.inference_mode()
    def join(self, others: RefilledRows) -> None:
        """Take others in; they must not be used any more."""
        self.rows += others.rows
        self._ids = _below(self._ids, others._ids, own_first=True)
        for name, value in self._kept.items():
            other = others._kept[name]
            if isinstance(value, DynamicCache):
                for mine, theirs in zip(_layers(value), _layers(other), strict=True):
                    pairs = zip(_halves(mine), _halves(theirs), strict=True)
                    mine.keys, mine.values = (_below(half, more, dim=-2) for half, more in pairs)
            elif name == _MASK:
                self._kept[name] = _below(value, other)
            elif isinstance(value, torch.Tensor):
                self._kept[name] = torch.cat([value, other], dim=-2)

    def _choose(self, logits: torch.Tensor, *, first: bool) -> None:
        """Choose the next token of each row by `logits` (rows, vocabulary) and find the rows that end by it."""
        decoding = self._ends.decoding
        scores = self._processors(self._ids, logits.to(copy=True, dtype=torch.float32))
        infinite = not_finite(scores)
        constant = all_the_same(scores) if first else torch.zeros_like(infinite)
        if decoding.sampled:
            scores = with_noise(self._shaping(self._ids, scores), [cast("Any", row.generator) for row in self.rows])
        chosen = scores.argmax(dim=-1)
        self._ids = torch.cat([self._ids, chosen[:, None]], dim=-1)
        stops = cast("Any", self._ends.stops)  # its types are stricter than its code
        stopped = torch.zeros_like(infinite) if stops is None else stops(self._ids, scores)
        told = torch.stack([chosen, infinite, constant, stopped.to(chosen.device)])
        # One copy to the host, which waits for the device.
        for row, (token, is_infinite, is_constant, is_stopped) in zip(self.rows, told.T.tolist(), strict=True):
            row.tokens.append(token)
            row.broken = row.broken or (NOT_FINITE if is_infinite else ALL_THE_SAME if is_constant else None)
            row.has_ended = bool(
                row.broken or is_stopped or token in self._ends.end_ids or len(row.tokens) >= decoding.max_new_tokens
            )

    def _share(self, started: float) -> None:
        """Share the seconds since then among the rows."""
        share_s = (time.perf_counter() - started) / len(self.rows)
        for row in self.rows:
            row.device_s += share_s


def _whole_cache(model: torch.nn.Module) -> dict[str, DynamicCache]:
    """Return what makes `generate` keep all keys and values of a model whose layers look at a window of them.

    A layer that forgets holds fewer of a long row than of a short one; the window is the mask's affair in any case.
    """
    config = cast("Any", model).config.get_text_config(decoder=True)
    kinds = set(cast("Sequence[str]", getattr(config, "layer_types", None) or ()))
    layers = {type(layer) for layer in DynamicCache(config=config).layers}
    if DynamicSlidingWindowLayer not in layers or not layers <= {DynamicLayer, DynamicSlidingWindowLayer}:
        return {}
    if kinds - {"full_attention", "sliding_attention"}:
        return {}
    named = inspect.signature(cast("Any", model).forward).parameters
    return {"cache" if "cache" in named else "past_key_values": DynamicCache()}


def _check(model: torch.nn.Module, ids: torch.Tensor, kept: Mapping[str, Any]) -> None:
    """Raise NotRefillableError where rows of a model have more to them than a cache of keys and values.

    Args:
        model: A transformers model.
        ids: Tokens of prompts, (rows, width).
        kept: What `generate` hands to the next step.
    """
    if type(model).__module__.startswith("transformers_modules"):
        raise NotRefillableError("its code comes with the checkpoint")
    count, width = ids.shape
    caches = {name: value for name, value in kept.items() if isinstance(value, DynamicCache)}
    if len(caches) != 1 or type(cache := next(iter(caches.values()))) is not DynamicCache:
        raise NotRefillableError("its memory is no plain cache of keys and values")
    for layer in cache.layers:
        if type(layer) is not DynamicLayer or not layer.is_initialized:
            raise NotRefillableError(f"its cache has layers of another kind ({type(layer).__name__})")
        if any(half.ndim != 4 or (len(half), half.shape[-2]) != (count, width) for half in _halves(layer)):
            raise NotRefillableError("its cache holds other lengths than its prompts have")
    positions = kept.get(_POSITIONS)
    if positions is None or positions.shape[-2:] != (count, width + 1):
        raise NotRefillableError("it is given no positions of its tokens")
    needed = cast("Any", model).prepare_inputs_for_generation(ids[:, -1:], **_narrowed(kept, all_of_it=True))
    if needed.get(_POSITIONS) is None:
        # Counted from the cache, they would change with the padding that others bring.
        raise NotRefillableError("it counts positions by itself")
    more = {name for name, value in needed.items() if value is not None} - _CARRIED - _OF_A_STEP - caches.keys()
    if more:
        raise NotRefillableError(f"it is told more than tokens at every step ({', '.join(sorted(more))})")


def _narrowed(kept: Mapping[str, Any], *, all_of_it: bool = False) -> dict[str, Any]:
    """Return what `generate` hands on, by the last token alone; all of the mask and the cache."""
    return {
        name: value[..., -1:] if isinstance(value, torch.Tensor) and name in _CARRIED - {_MASK} else value
        for name, value in kept.items()
        if all_of_it or name in _CARRIED or isinstance(value, DynamicCache)
    }


def _layers(cache: DynamicCache) -> Sequence[DynamicLayer]:
    return cast("Sequence[DynamicLayer]", cache.layers)


def _halves(layer: DynamicLayer) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a layer's keys and values, each (rows, heads, width, head width)."""
    return cast("torch.Tensor", layer.keys), cast("torch.Tensor", layer.values)


def _below(upper: torch.Tensor, lower: torch.Tensor, *, dim: int = -1, own_first: bool = False) -> torch.Tensor:
    """Return rows below others, flush right along a dimension; padded with zeros, or with each row's own first."""
    width = max(upper.shape[dim], lower.shape[dim])

    def widened(rows: torch.Tensor) -> torch.Tensor:
        missing = width - rows.shape[dim]
        if own_first:
            return torch.cat([rows[:, :1].expand(-1, missing), rows], dim=1)
        return pad(rows, (*(0, 0) * (-1 - dim), missing, 0)) if missing else rows

    return torch.cat([widened(upper), widened(lower)])
