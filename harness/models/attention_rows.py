"""Watch where a few rows of a text decoder attend, without changing what it computes.

Attention under sdpa is never written down, and asking for it (`output_attentions`) gives empty tuples. An attention
function of our own takes sdpa's place in the text decoder alone: it returns sdpa's output, and beside it computes the
softmax of the wanted rows over all keys, of which it keeps the mean over rows and heads. A forward of 1,550 tokens
through 36 layers of 16 heads keeps 6 kB a span that way; eager attention would keep 2.8 GB.

A row is the place of a token in the sequence. The row that predicts token i is i - 1: whoever asks about what was
written asks about the rows before it.
"""

# transformers' attention functions are typed in part only.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, cast

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from harness.errors import ConfigError

FAMILIES: Final = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava")
"""Families whose text decoder was held equal to eager attention, and whose image tokens are a grid that is known."""

_NAME: Final = "satori_rows"
_MOST_SCORES: Final = 2**24
"""Numbers of one piece of the softmax, 64 MiB in float32: more rows are looked at in pieces."""


@dataclass(slots=True)
class WatchedRows:
    """The rows of one batch, and what was seen of them."""

    rows: torch.Tensor
    """Their places in the sequence, (samples, rows); where a sample has fewer, any place with weight 0."""
    weights: torch.Tensor
    """What each row adds to each span, (samples, spans, rows): 1 over the rows of the span, or 0."""
    layers: list[int] = field(default_factory=list[int])
    """Layers that were seen, in order."""
    passed_over: set[int] = field(default_factory=set[int])
    """Layers with a sliding window: what their rows do not attend to was out of reach."""
    _sum: torch.Tensor | None = None

    @property
    def attention(self) -> torch.Tensor:
        """Attention of each span to each key, the mean over its rows, all heads and all layers seen.

        Of shape (samples, spans, keys), float32 on the CPU; what it sums to over the keys is 1, or 0 for a span without
        rows.

        Raises:
            RuntimeError: No layer was seen.
        """
        if self._sum is None:
            raise RuntimeError("no layer of the text decoder was seen: its attention does not go through transformers'")
        return (self._sum / len(self.layers)).cpu()

    def add(self, layer: int, attention: torch.Tensor) -> None:
        """Add what a layer's rows attend to, (samples, spans, keys)."""
        self.layers.append(layer)
        self._sum = attention if self._sum is None else self._sum + attention


_WATCHED: ContextVar[WatchedRows | None] = ContextVar("watched rows", default=None)


def check_watchable(model_type: str) -> None:
    """Refuse a family whose attention cannot be told from outside.

    Raises:
        ConfigError: It is none of `FAMILIES`.
    """
    if model_type not in FAMILIES:
        raise ConfigError(
            f"attention of model_type {model_type or 'unknown'} cannot be read: only {', '.join(FAMILIES)} were held "
            "equal to eager attention. Families that cut pictures into tiles or whose code comes with the checkpoint "
            "are none of them; `satori-bench probe` needs no attention and takes any model"
        )


@contextmanager
def watched(model: torch.nn.Module, rows: torch.Tensor, weights: torch.Tensor) -> Generator[WatchedRows]:
    """Watch rows during the forwards inside of the block, one batch at a time.

    Args:
        model: A transformers model of one of `FAMILIES`.
        rows: As in `WatchedRows`, on the model's device.
        weights: As in `WatchedRows`, float32 on the model's device.

    Yields:
        What was seen, complete after the forward.
    """
    AttentionInterface.register(_NAME, _sdpa_watching)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    settable = cast("Any", model)
    before = settable.config.get_text_config()._attn_implementation  # noqa: SLF001 - transformers tells it nowhere else
    settable.set_attn_implementation({"text_config": _NAME})
    seen = WatchedRows(rows, weights)
    token = _WATCHED.set(seen)
    try:
        yield seen
    finally:
        _WATCHED.reset(token)
        settable.set_attn_implementation({"text_config": before})


def _sdpa_watching(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Return what sdpa returns, and keep what the watched rows attend to; shapes (samples, heads, tokens, width)."""
    seen = _WATCHED.get()
    layer = cast("int | None", getattr(module, "layer_idx", None))
    if seen is not None and layer is not None and query.shape[2] > 1:
        if getattr(module, "sliding_window", None):
            seen.passed_over.add(layer)
        else:
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            seen.add(layer, _attention_of_rows(query, key, attention_mask, seen, scale))
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)


def _attention_of_rows(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, seen: WatchedRows, scale: float
) -> torch.Tensor:
    """Return the attention of each span to each key, (samples, spans, keys), the mean over its rows and all heads."""
    samples, heads, _, width = query.shape
    groups, keys = key.shape[1], key.shape[2]
    per_piece = max(1, _MOST_SCORES // max(1, samples * heads * keys))
    found = query.new_zeros((samples, seen.weights.shape[1], keys), dtype=torch.float32)
    keys_of_groups = key.transpose(2, 3).unsqueeze(2)  # (samples, groups, 1, width, keys)
    for first in range(0, seen.rows.shape[1], per_piece):
        rows = seen.rows[:, first : first + per_piece]
        at = rows[:, None, :, None].expand(samples, heads, -1, width)
        asked = query.gather(2, at).view(samples, groups, heads // groups, rows.shape[1], width)
        scores = (asked @ keys_of_groups).float() * scale
        scores = scores.view(samples, heads, rows.shape[1], keys)
        # Where there is no mask all keys before a row are seen; where there is one, it says it as well.
        behind = torch.arange(keys, device=rows.device) > rows[:, :, None]
        scores = scores.masked_fill(behind[:, None], float("-inf"))
        if mask is not None:
            scores = _masked(scores, mask, rows)
        # A row of padding sees nothing at all; its weight is 0, and NaN times 0 would be NaN.
        attention = torch.nan_to_num(scores.softmax(dim=-1)).mean(dim=1)
        found += seen.weights[:, :, first : first + per_piece] @ attention
    return found


def _masked(scores: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return scores (samples, heads, rows, keys) without what a mask (samples or 1, heads or 1, tokens, keys) hides."""
    whole = mask.expand(scores.shape[0], mask.shape[1], mask.shape[2], mask.shape[3])[..., : scores.shape[-1]]
    picked = whole.gather(2, rows[:, None, :, None].expand(-1, whole.shape[1], -1, whole.shape[3]))
    if picked.dtype == torch.bool:
        return scores.masked_fill(~picked, float("-inf"))
    return scores + picked.float()


def rows_of_spans(spans: Sequence[Sequence[Sequence[int]]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay the rows of samples' spans out as `watched` takes them.

    Args:
        spans: For each sample, for each span (as many for every sample) its rows; none where it lacks the span.
        device: Where the model is.

    Returns:
        The rows (samples, rows) and their weights (samples, spans, rows).
    """
    listed = [sorted({row for span in sample for row in span}) for sample in spans]
    widest = max(1, *map(len, listed)) if listed else 1
    rows = torch.zeros((len(spans), widest), dtype=torch.long)
    weights = torch.zeros((len(spans), len(spans[0]) if spans else 0, widest))
    for number, (sample, places) in enumerate(zip(spans, listed, strict=True)):
        rows[number, : len(places)] = torch.tensor(places, dtype=torch.long)
        at = {row: place for place, row in enumerate(places)}
        for kind, span in enumerate(sample):
            for row in span:
                weights[number, kind, at[row]] = 1 / len(span)
    return rows.to(device), weights.to(device)
