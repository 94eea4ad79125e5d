"""A model's memory of its text with room behind it: a token's key and value are written where they belong.

transformers' own layer makes a new tensor of all keys at every token: at 8 rows of 450 tokens that copying is a fifth
of a small model's step on a CPU, part of it in the kernel, which clears each new page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self, cast

import torch
from transformers.cache_utils import DynamicLayer

ROOM_TOKENS: Final = 64
"""What is made ready at once: an eighth of a usual prompt, and one copy in so many tokens."""


class RoomyLayer(DynamicLayer):
    """Keys and values of a layer, (rows, heads, width, head width), as views of tensors that are wider.

    `keys` and `values` may be replaced by others; the next token then makes room anew.
    """

    _buffers: tuple[torch.Tensor, ...] = ()
    """What the views are of."""
    _views: tuple[torch.Tensor, ...] = ()
    """What `keys` and `values` were after the last token."""

    @classmethod
    def of(cls, layer: DynamicLayer) -> Self:
        """Return a layer that goes on where another stands."""
        roomy = cls()
        roomy.lazy_initialization(cast("torch.Tensor", layer.keys), cast("torch.Tensor", layer.values))
        roomy.keys, roomy.values = layer.keys, layer.values
        return roomy

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ARG002 - transformers' signature
        **kwargs: Any,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in the next tokens; return all keys and all values."""
        held = cast("Sequence[torch.Tensor]", (self.keys, self.values))
        new = key_states, value_states
        width = held[0].shape[-2]
        wanted = width + key_states.shape[-2]
        if not self._goes_on(held) or wanted > self._buffers[0].shape[-2]:
            self._buffers = tuple(_widened(half, wanted + ROOM_TOKENS) for half in held)
        for buffer, states in zip(self._buffers, new, strict=True):
            buffer[:, :, width:wanted] = states
        self._views = tuple(buffer[:, :, :wanted] for buffer in self._buffers)
        self.keys, self.values = self._views
        return self._views[0], self._views[1]

    def _goes_on(self, held: Sequence[torch.Tensor]) -> bool:
        """Whether what is held are the views of the last token, and nobody has replaced them."""
        return bool(self._views) and all(half is view for half, view in zip(held, self._views, strict=True))


def _widened(half: torch.Tensor, width: int) -> torch.Tensor:
    """Return a tensor of that width that begins with what a half holds; the rest is unset."""
    rows, heads, held, head_width = half.shape
    wide = half.new_empty(rows, heads, width, head_width)
    wide[:, :, :held] = half
    return wide
