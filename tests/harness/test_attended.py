"""Attention laid over regions, on attention made by hand."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from harness.images.cells import CellGrid, cell_boxes, covered_shares, grid_of_middle, grid_of_whole_image
from harness.probes.attended import region_attended
from harness.values import Size

GRID = grid_of_whole_image(3, 5, Size(100, 30))
"""Cells of 20 x 10 pixels."""

coordinates = st.floats(-20, 130).map(lambda value: round(value, 2))


def hot(*cells):
    attention = np.zeros((3, 5))
    for row, column in cells:
        attention[row, column] = 1
    return attention


@pytest.mark.parametrize(
    ("name", "attention", "boxes", "density", "pointed"),
    [
        ("all of it in one cell", hot((1, 2)), [(40, 10, 60, 20)], 15.0, True),
        ("all of it in two cells", hot((1, 2), (1, 3)), [(40, 10, 80, 20)], 7.5, True),
        ("even", np.ones((3, 5)), [(40, 10, 60, 20)], 1.0, False),
        ("even, of any sum", np.full((3, 5), 1e-9), [(0, 0, 40, 20)], 1.0, False),
        ("none in it", hot((0, 0)), [(40, 10, 60, 20)], 0.0, False),
        ("half of the cell", hot((1, 2)), [(40, 10, 50, 20)], 15.0, True),
        ("the same box twice", hot((1, 2)), [(40, 10, 60, 20)] * 2, 15.0, True),
        ("a box over a part of another", hot((1, 2)), [(40, 10, 60, 20), (45, 12, 55, 18)], 15.0, True),
        ("the whole picture", hot((1, 2)), [(0, 0, 100, 30)], None, None),
        ("more than the picture", hot((1, 2)), [(-5, -5, 200, 300)], None, None),
        ("no box", hot((1, 2)), [], None, None),
        ("a box without area", hot((1, 2)), [(50, 15, 50, 15)], None, None),
        ("a box outside", hot((1, 2)), [(200, 200, 220, 210)], None, None),
        ("no attention to the picture", np.zeros((3, 5)), [(40, 10, 60, 20)], None, None),
        ("attention that is no number", np.full((3, 5), np.nan), [(40, 10, 60, 20)], None, None),
    ],
)
def test_density(name, attention, boxes, density, pointed):
    found = region_attended(attention, GRID, boxes)

    assert found.density == (None if density is None else pytest.approx(density))
    assert found.is_pointed_at == pointed


def test_a_box_below_one_cell_is_said_to_be():
    inside = region_attended(hot((1, 2)), GRID, [(49, 14, 51, 16)])

    assert inside.is_below_one_cell
    assert inside.is_pointed_at
    assert inside.chance_of_pointing == pytest.approx(1 / 15)
    assert inside.density == pytest.approx(15.0)
    assert not region_attended(hot((1, 2)), GRID, [(40, 10, 60, 20)]).is_below_one_cell


def test_attention_of_another_grid_is_refused():
    with pytest.raises(ValueError, match="3 x 5 cells"):
        region_attended(np.ones((5, 3)), GRID, [(0, 0, 1, 1)])


def test_the_middle_of_a_picture_leaves_its_border_out():
    grid = grid_of_middle(4, 4, Size(200, 100), shortest_edge=50, crop=Size(50, 50))

    assert grid.area_image_px == (50, 0, 150, 100)
    assert covered_shares(grid, [(0, 0, 50, 100)]).sum() == 0
    assert covered_shares(grid, [(0, 0, 75, 25)])[0].tolist() == [1, 0, 0, 0]


@given(
    boxes=st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=5),
    rows=st.integers(1, 7),
    columns=st.integers(1, 7),
)
def test_shares_are_those_of_shapely(boxes, rows, columns):
    grid = CellGrid(rows, columns, (0.0, 0.0, 100.0, 60.0))
    union = shapely.union_all([shapely.box(*box) for box in boxes if box[0] < box[2] and box[1] < box[3]])

    shares = covered_shares(grid, boxes)

    expected = [shapely.box(*cell).intersection(union).area / shapely.box(*cell).area for cell in cell_boxes(grid)]
    assert shares.ravel().tolist() == pytest.approx(expected, abs=1e-9)


@given(
    box=st.tuples(st.floats(0, 60), st.floats(0, 20), st.floats(1, 40), st.floats(1, 10)),
    masses=st.lists(st.floats(0, 1), min_size=15, max_size=15),
)
def test_a_density_lies_between_none_and_all(box, masses):
    x, y, width, height = box
    found = region_attended(np.array(masses).reshape(3, 5), GRID, [(x, y, x + width, y + height)])

    if found.density is not None:
        assert -1e-9 <= found.density <= 1 / found.area_share * (1 + 1e-9)
