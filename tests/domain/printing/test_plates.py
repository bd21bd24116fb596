"""Copies on plates: rows of bounding boxes; tests/printers/test_slicer.py tries the same rule on the real slicer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.printing.mesh import fits
from api.domain.printing.plates import MOST_PER_PLATE, SPACING_MM, copies_per_plate, cut_into_plates


@pytest.mark.parametrize(
    ("size", "copies"),
    [((30, 30), 36), ((40, 40), 16), ((70, 70), 4), ((107, 107), 1), ((220, 220), 1), ((220.005, 220), 1),
     ((150, 60), 3), ((200, 20), 8), ((200, 20, 5), 8)],
)  # fmt: skip
def test_copies_are_counted_in_rows(size: tuple[float, ...], copies: int) -> None:
    assert copies_per_plate(size, (220, 220, 250)) == copies


def test_a_part_that_fits_only_when_turned_is_counted_turned() -> None:
    assert copies_per_plate((200, 20), (100, 220)) == 4


def test_a_plate_never_carries_more_than_one_failure_may_spoil() -> None:
    assert copies_per_plate((5, 5), (220, 220)) == MOST_PER_PLATE


def test_what_fits_no_way_still_counts_as_one_for_another_rule_refuses_it() -> None:
    assert copies_per_plate((221, 221), (220, 220)) == 1


sides = st.floats(1, 400)


@given(sides, sides, sides, sides)
def test_several_parts_lie_within_the_bed_in_the_way_in_which_one_is_sliced(
    x: float, y: float, width: float, depth: float
) -> None:
    copies = copies_per_plate((x, y), (width, depth))
    if fits((x, y, 1), {0: (width, depth, 1)}).printers.get(0):
        x, y = y, x
    columns = next((n for n in range(copies, 0, -1) if n * (x + SPACING_MM) - SPACING_MM <= width), 1)
    rows = next((n for n in range(copies, 0, -1) if n * (y + SPACING_MM) - SPACING_MM <= depth), 1)
    assert 1 <= copies <= columns * rows


@pytest.mark.parametrize(
    ("copies", "per_plate", "plates"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (1, 36, [1]), (2, 1, [1, 1])]
)
def test_full_plates_come_first_and_the_rest_last(copies: int, per_plate: int, plates: list[int]) -> None:
    assert cut_into_plates(copies, per_plate) == plates
