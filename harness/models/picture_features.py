"""Keep what a vision tower made of a picture, so that each picture goes through it once.

MMBench asks four times about a picture, MME twice; on a CPU the tower is half of the time. `generate` of transformers
asks the model for the features of a batch's pictures (`get_image_features`); here that call takes from memory what it
made before, and makes the rest picture by picture on a CPU, where a long sequence of several pictures costs more than
each alone.

Only families that say a picture's rows by `image_grid_thw` are served (Qwen-VL, GLM-V and those built like them): there
is no doubt which features are whose. All others compute as before.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from PIL import Image

MOST_BYTES: Final = 2**29
"""Features that are kept: about 300 pictures of a 3-billion-parameter model, a few thousand of a small one."""

_TOLD: Final = ("pixel_values", "image_grid_thw")
"""What a family is told of its pictures where they can be taken apart: rows of patches, and how many are whose."""
_DEEPSTACK: Final = "deepstack_features"
"""Qwen3-VL hands features of some layers on as well: a list of layers, each a list of pictures."""


@dataclass(frozen=True, slots=True)
class _Features:
    """What a tower made of one picture."""

    tokens: torch.Tensor
    """Its embeddings, (tokens, width)."""
    layers: tuple[torch.Tensor, ...]
    """The same of the layers that are handed on beside them."""

    @property
    def size_bytes(self) -> int:
        """Memory that they take."""
        return sum(tensor.nelement() * tensor.element_size() for tensor in (self.tokens, *self.layers))


class PictureFeatures:
    """A model's memory of pictures, least recently asked out first."""

    def __init__(self, model: torch.nn.Module, *, most_bytes: int = MOST_BYTES) -> None:
        """Take the place of the model's own `get_image_features`, where the family is one of those served.

        Args:
            model: A transformers model.
            most_bytes: Features that are kept at most.
        """
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, _Features] = OrderedDict()
        self._kept_bytes = 0
        self._asked: tuple[bytes, ...] = ()
        self._weights_version = -1
        self._kind: Callable[..., Any] | None = None
        base = cast("Any", model).base_model
        own: Callable[..., Any] | None = getattr(base, "get_image_features", None)
        self.serves = False
        if own is not None and tuple(name for name in inspect.signature(own).parameters if name != "kwargs") == _TOLD:
            self.serves = True
            self._parameters = list(base.parameters())
            base.get_image_features = self._remembering(own)

    def names_of(self, pictures: Sequence[Image.Image]) -> tuple[bytes, ...]:
        """Return what tells pictures apart, by their pixels; nothing for a family that is not served.

        It takes 2 ms for 640x480, and may be asked in any thread. One picture that is there several times is read once.
        """
        if not self.serves:
            return ()
        names = {id(picture): _key(picture) for picture in {id(picture): picture for picture in pictures}.values()}
        return tuple(names[id(picture)] for picture in pictures)

    @contextmanager
    def asked_about(self, names: tuple[bytes, ...]) -> Generator[None]:
        """Say which pictures the next features are of, in their order in the batch; outside of this nothing is kept.

        Args:
            names: As `names_of` returns them.
        """
        self._asked = names
        try:
            yield
        finally:
            self._asked = ()

    def forget(self) -> None:
        """Give all memory back."""
        self._kept.clear()
        self._kept_bytes = 0

    def _remembering(self, own: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of the same arguments that asks the tower only for pictures that are not known."""

        @functools.wraps(own)  # transformers reads its parameters to know what to hand over
        def get_image_features(pixel_values: torch.Tensor, image_grid_thw: torch.Tensor, **others: Any) -> Any:
            keys = self._asked
            if len(keys) != len(image_grid_thw) or torch.is_grad_enabled():
                return own(pixel_values, image_grid_thw, **others)
            self._forget_after_training()
            rows = torch.split(pixel_values, [int(count) for count in image_grid_thw.prod(-1)])
            batch: dict[bytes, _Features] = {key: self._kept[key] for key in keys if key in self._kept}
            new = {key: place for place, key in reversed(list(enumerate(keys))) if key not in batch}
            for places in _together(sorted(new.values()), pixel_values.device):
                made = own(torch.cat([rows[place] for place in places]), image_grid_thw[places], **others)
                self._kind = type(made)
                layers: Sequence[Sequence[torch.Tensor]] = getattr(made, _DEEPSTACK, None) or []
                for number, place in enumerate(places):
                    # copies, as a piece of a batch's tensor would keep all of it
                    alone = [piece[number].clone() for piece in (made.pooler_output, *layers)]
                    batch[keys[place]] = _Features(alone[0], tuple(alone[1:]))
            for key in keys:
                self._keep(key, batch[key])
            return self._batch([batch[key] for key in keys])

        return get_image_features

    def _batch(self, pictures: Sequence[_Features]) -> Any:
        """Return pictures' features as the family's own output holds them."""
        layers = [list(layer) for layer in zip(*(picture.layers for picture in pictures), strict=True)]
        more = {_DEEPSTACK: layers} if layers else {}
        assert self._kind is not None, "nothing is kept that was not made"
        return self._kind(pooler_output=[picture.tokens for picture in pictures], **more)

    def _keep(self, key: bytes, features: _Features) -> None:
        """Remember features, and let go of those that nobody asked for longest."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return
        self._kept[key] = features
        self._kept_bytes += features.size_bytes
        while self._kept_bytes > self._most_bytes:
            _, old = self._kept.popitem(last=False)
            self._kept_bytes -= old.size_bytes

    def _forget_after_training(self) -> None:
        """Forget what other weights made: torch counts how often a tensor was written to."""
        version = sum(parameter._version for parameter in self._parameters)  # noqa: SLF001 - torch's only counter
        if version != self._weights_version:
            self.forget()
            self._weights_version = version


def _together(places: Sequence[int], device: torch.device) -> list[list[int]]:
    """Return which pictures go through the tower at once: each alone on a CPU, all on a GPU."""
    if device.type == "cpu":
        return [[place] for place in places]
    return [list(places)] if places else []


def _key(picture: Image.Image) -> bytes:
    """Return what tells a picture from others: its pixels and its size."""
    digest = hashlib.blake2b(f"{picture.mode} {picture.size}".encode(), digest_size=16)
    digest.update(picture.tobytes())
    return digest.digest()
