"""A layer with room behind it holds what transformers' own layer holds, whatever happens to it in between."""

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from harness.models.roomy_cache import ROOM_TOKENS, RoomyLayer


def states(rows: int, tokens: int, seed: int, key_width: int = 6, value_width: int = 6):
    drawn = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, 2, tokens, width, generator=drawn) for width in (key_width, value_width))


def begun(rows: int, tokens: int, **widths) -> DynamicLayer:
    layer = DynamicLayer()
    layer.update(*states(rows, tokens, 0, **widths))
    return layer


def both(layer: DynamicLayer):
    return layer.keys, layer.values


@pytest.mark.parametrize("widths", [{}, {"key_width": 8, "value_width": 3}])
@pytest.mark.parametrize("steps", [1, 2, ROOM_TOKENS, ROOM_TOKENS + 2, 3 * ROOM_TOKENS])
@pytest.mark.parametrize(("rows", "tokens"), [(1, 1), (3, 7)])
def test_tokens_are_held_as_by_transformers_own_layer(rows, tokens, steps, widths):
    plain = begun(rows, tokens, **widths)
    roomy = RoomyLayer.of(begun(rows, tokens, **widths))

    for step in range(steps):
        new = states(rows, 1 + step % 2, 1 + step, **widths)
        returned = roomy.update(*new)
        for expected, found in zip(plain.update(*new), returned, strict=True):
            assert torch.equal(expected, found)
    assert all(map(torch.equal, both(plain), both(roomy)))
    assert plain.get_seq_length() == roomy.get_seq_length()
    assert plain.get_mask_sizes(1) == roomy.get_mask_sizes(1)


def leave(layer):
    layer.keys, layer.values = (half[torch.tensor([0, 2]), :, 2:] for half in both(layer))


def join(layer):
    layer.keys, layer.values = (torch.cat([half, half + 1]) for half in both(layer))


def cut(layer):
    layer.crop(-3)


def same_shape(layer):
    layer.keys, layer.values = (half.flip(0) for half in both(layer))


@pytest.mark.parametrize("change", [leave, join, cut, same_shape])
@pytest.mark.parametrize("steps_before", [0, 1, 5])
def test_what_replaces_its_halves_goes_on(change, steps_before):
    plain, roomy = begun(3, 9), RoomyLayer.of(begun(3, 9))
    for layer in (plain, roomy):
        for step in range(steps_before):
            layer.update(*states(3, 1, 1 + step))
        change(layer)
        for step in range(5):
            layer.update(*states(len(layer.keys), 1, 100 + step))

    assert all(map(torch.equal, both(plain), both(roomy)))


def test_a_token_copies_only_where_there_is_no_room():
    roomy = RoomyLayer.of(begun(2, 9))
    places = []
    for step in range(2 * ROOM_TOKENS):
        roomy.update(*states(2, 1, step))
        places.append(roomy.keys.data_ptr())

    assert len(set(places)) == 2


def test_what_an_earlier_token_returned_stays_as_it_was():
    roomy = RoomyLayer.of(begun(2, 9))
    earlier = roomy.update(*states(2, 1, 1))
    kept = [half.clone() for half in earlier]

    for step in range(5):
        roomy.update(*states(2, 1, 2 + step))

    assert all(map(torch.equal, kept, earlier))
