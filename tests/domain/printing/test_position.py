"""Laying a part on another side: each turn is one, and those that are offered really fit."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.printing.mesh import MATRICES, Position, list_fitting, size_in
from api.domain.printing.mesh.gate import measure
from api.domain.printing.mesh.measures import Vector
from api.domain.printing.mesh.writing import write_binary
from tests import corpus

P = Position


@pytest.mark.parametrize("position", Position)
def test_a_turn_keeps_the_part_and_mirrors_nothing(position: Position) -> None:
    matrix = np.array(MATRICES[position])
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize(
    ("position", "down"),
    [
        (P.ON_FRONT, (0, -1, 0)),
        (P.ON_BACK, (0, 1, 0)),
        (P.ON_LEFT, (-1, 0, 0)),
        (P.ON_RIGHT, (1, 0, 0)),
        (P.UPSIDE_DOWN, (0, 0, 1)),
        (P.DIAGONAL, (0, 0, -1)),
    ],
)
def test_the_side_that_gives_the_position_its_name_is_down(position: Position, down: tuple[int, int, int]) -> None:
    assert (np.array(MATRICES[position]) @ down).tolist() == pytest.approx([0, 0, -1])


@pytest.mark.parametrize(
    ("size", "volume", "positions"),
    [
        # A rod that stands too high: on each side it takes the same room, so one of two is offered.
        ((10, 10, 300), (310, 310, 250), [P.ON_FRONT, P.ON_LEFT]),
        ((230, 10, 10), (220, 220, 250), [P.ON_LEFT, P.DIAGONAL]),
        ((230, 10, 10), (220, 220, 200), [P.DIAGONAL]),
        ((300, 300, 300), (220, 220, 250), []),
        ((20, 20, 20), (220, 220, 250), [P.ON_FRONT, P.DIAGONAL]),
    ],
)
def test_only_what_fits_is_offered(size: Vector, volume: Vector, positions: list[Position]) -> None:
    assert list_fitting(size, [volume]) == positions
    assert list_fitting(size, []) == []


@given(st.tuples(*[st.floats(1, 400)] * 3), st.sampled_from(Position))
def test_the_box_holds_every_corner_of_the_turned_part(size: tuple[float, float, float], position: Position) -> None:
    corners = np.array(list(product(*[(0, side) for side in size]))) @ np.array(MATRICES[position]).T
    assert size_in(position, size) == pytest.approx(corners.max(axis=0) - corners.min(axis=0))


@pytest.mark.parametrize("position", Position)
def test_a_written_part_is_turned_and_has_its_volume(tmp_path: Path, position: Position) -> None:
    drawn, out = tmp_path / "drawn.stl", tmp_path / "turned.stl"
    drawn.write_bytes(corpus.binary(corpus.box(10, 20, 30)))
    written = write_binary(drawn, out, turn=MATRICES[position])
    before, after = measure(drawn), measure(out)
    assert after.size_mm == pytest.approx(size_in(position, before.size_mm), rel=1e-5)
    assert after.volume_mm3 == pytest.approx(before.volume_mm3, rel=1e-5)
    assert (after.closed, after.inverted, written) == (True, False, before.triangles)
