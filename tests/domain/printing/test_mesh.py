"""The gate for uploaded models: what it lets through, what it measures, and the clean file that it writes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain.printing import mesh
from api.domain.printing.mesh import edges, fit, gate, reading, text
from api.domain.printing.mesh.gate import measure
from api.domain.printing.mesh.writing import write_binary
from tests import corpus


def measured(triangles: corpus.Triangles) -> mesh.Measures:
    return measure(corpus.binary(triangles))


@pytest.mark.parametrize("make", corpus.ACCEPTED.values(), ids=corpus.ACCEPTED)
def test_what_can_be_printed_is_let_through_in_time(make: Callable[[], bytes]) -> None:
    content = make()
    start = time.process_time()
    measures = measure(content)
    assert measures.triangles >= 11
    assert time.process_time() - start < corpus.DEADLINE_S


@pytest.mark.parametrize("make", corpus.HARMLESS.values(), ids=corpus.HARMLESS)
def test_what_harms_no_triangle_is_measured_like_the_whole(make: Callable[[], bytes]) -> None:
    measures, whole = measure(make()), measure(corpus.ascii_cube())
    assert (measures.triangles, measures.volume_mm3, measures.closed) == (12, whole.volume_mm3, True)
    assert measures.size_mm == whole.size_mm


@pytest.mark.parametrize(
    "at", [(0, 0, -40), (3000, 0, 0), (-5, 7, 90_000), (-90_000, -90_000, -90_000), (0.1, 0.2, 0.3)]
)
def test_the_clean_file_lies_at_the_origin_wherever_the_model_was_drawn(
    tmp_path: Path, at: tuple[float, float, float]
) -> None:
    out = tmp_path / "clean.stl"
    assert write_binary(corpus.binary(corpus.box(at=at)), out, to_origin=True) == 12
    measures, drawn = measure(out), measured(corpus.box(at=at))
    assert measures.min_corner_mm == (0, 0, 0)
    assert measures.size_mm == pytest.approx(drawn.size_mm, abs=1e-6)
    assert (measures.closed, measures.volume_mm3) == (drawn.closed, pytest.approx(drawn.volume_mm3))


def test_a_path_is_read_like_bytes(tmp_path: Path) -> None:
    for name, content in (("binary", corpus.cube()), ("text", corpus.ascii_cube())):
        path = tmp_path / name
        path.write_bytes(content)
        assert measure(path) == measure(content)


def test_two_million_triangles_are_measured_in_time(tmp_path: Path) -> None:
    path = tmp_path / "big.stl"
    path.write_bytes(corpus.big(2_000_000))
    start = time.process_time()
    measures = measure(path)
    assert measures.triangles == 2_000_000
    assert measures.closed
    assert time.process_time() - start < corpus.DEADLINE_S


def test_text_is_read_alike_however_it_falls_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(corpus.ascii_cube())
    for size in (7, 100, 1001):
        monkeypatch.setattr(text, "BLOCK_BYTES", size)
        assert measure(corpus.ascii_cube()) == whole


def test_text_with_many_solid_lines_is_read_in_time() -> None:
    content = b"solid a\n" * 500_000 + corpus.ascii_cube()
    start = time.process_time()
    assert measure(content).triangles == 12
    assert time.process_time() - start < corpus.DEADLINE_S


def test_a_cube_is_measured_exactly() -> None:
    assert measured(corpus.box(at=(1, 2, 3))) == mesh.Measures(
        triangles=12,
        size_mm=(20, 20, 20),
        min_corner_mm=(1, 2, 3),
        volume_mm3=8000,
        area_mm2=2400,
        shells=1,
        closed=True,
        inverted=False,
        open_edges=0,
        overshared_edges=0,
        misoriented_edges=0,
        degenerate=0,
        is_ascii=False,
    )


@pytest.mark.parametrize(
    ("triangles", "closed", "open_edges", "overshared", "misoriented", "shells"),
    [
        (corpus.open_box(), False, 3, 0, 0, 1),
        (corpus.flipped_face(), False, 0, 0, 3, 1),
        (corpus.duplicate_face(), False, 0, 3, 0, 1),
        (corpus.shared_edge(), False, 0, 1, 0, 1),
        (corpus.two_shells(), True, 0, 0, 0, 2),
        (corpus.cavity(), True, 0, 0, 0, 2),
        (corpus.inverted(), True, 0, 0, 0, 1),
        (corpus.with_collapsed(), True, 0, 0, 0, 1),
        (corpus.soup(900), False, 2700, 0, 0, 900),
        (corpus.confetti(2000), True, 0, 0, 0, 2000),
    ],
    ids=["open", "flipped", "duplicate", "shared", "two", "cavity", "inverted", "collapsed", "soup", "confetti"],
)
def test_what_is_wrong_with_edges_is_counted(
    triangles: corpus.Triangles, closed: bool, open_edges: int, overshared: int, misoriented: int, shells: int
) -> None:
    it = measured(triangles)
    assert (it.closed, it.open_edges, it.overshared_edges, it.misoriented_edges, it.shells) == (
        closed,
        open_edges,
        overshared,
        misoriented,
        shells,
    )


def test_a_cavity_is_subtracted_and_an_inverted_body_is_marked() -> None:
    assert measured(corpus.cavity()).volume_mm3 == pytest.approx(7488)
    assert measured(corpus.inverted()).volume_mm3 == pytest.approx(8000)
    assert measured(corpus.inverted()).inverted


def test_the_volume_of_an_open_body_depends_neither_on_its_place_nor_on_the_order_of_its_triangles() -> None:
    here, there = corpus.open_box(), corpus.open_box()[::-1] + np.float32(1000)
    assert measured(there).volume_mm3 == pytest.approx(measured(here).volume_mm3)


def test_boxes_in_one_another_have_no_more_volume_than_their_box() -> None:
    assert measured(np.concatenate([corpus.box()] * 1000)).volume_mm3 == 8000


def test_collapsed_triangles_are_counted_and_left_out() -> None:
    stray = np.full((1, 3, 3), 500, np.float32)
    it = measured(np.concatenate((corpus.with_collapsed(3), stray)))
    assert (it.degenerate, it.triangles, it.size_mm) == (4, 16, (20, 20, 20))


def test_minus_zero_is_zero() -> None:
    triangles = corpus.box()
    triangles[::2] = np.where(triangles[::2] == 0, np.float32(-0.0), triangles[::2])
    assert measured(triangles).closed


def test_corners_that_differ_in_the_last_bit_are_two() -> None:
    triangles = corpus.box()
    triangles[0, 0, 0] = np.nextafter(np.float32(0), np.float32(1))
    assert not measured(triangles).closed


def test_edges_whose_short_hashes_fall_together_are_told_apart_by_the_whole_ones() -> None:
    one, other = 0x1234567800000002, 0x1234567800000004  # alike in all bits that are sorted by
    rows = [(one, other), (1 << 40, 2 << 40), (3 << 40, 4 << 40)]
    sums = np.array([[a, a | 1, b, b | 1] for a, b in rows], np.uint64)  # two pairs of triangles, back to back
    counts = edges.count_edges(sums)
    assert (counts.open_edges, counts.closed, counts.pieces.tolist()) == (0, True, [0, 0, 2, 2])
    sums[0, 3] ^= np.uint64(8)
    counts = edges.count_edges(sums)
    assert (counts.open_edges, counts.shells) == (2, 2)


@pytest.mark.parametrize(
    "make",
    [corpus.torus, corpus.sphere, corpus.cavity, corpus.inverted, corpus.two_shells, lambda: corpus.torus(40_000)],
    ids=["torus", "sphere", "cavity", "inverted", "two", "four chunks"],
)
def test_figures_equal_those_of_trimesh(make: Callable[[], corpus.Triangles]) -> None:
    content = corpus.binary(make())
    ours, theirs = measure(content), trimesh.load_mesh(BytesIO(content), file_type="stl")
    assert ours.volume_mm3 == pytest.approx(abs(theirs.volume), rel=1e-4)
    assert ours.area_mm2 == pytest.approx(theirs.area, rel=1e-4)
    assert ours.size_mm == pytest.approx(tuple(theirs.extents), rel=1e-4)
    assert ours.closed == (theirs.is_watertight and theirs.is_winding_consistent)
    assert ours.shells == _count_pieces(len(theirs.faces), theirs.face_adjacency.tolist())


def _count_pieces(count: int, links: list[tuple[int, int]]) -> int:
    """Union-find, the slow and plain way (trimesh's own count needs scipy)."""
    root = list(range(count))

    def find(face: int) -> int:
        while root[face] != face:
            root[face] = face = root[root[face]]
        return face

    for one, other in links:
        root[find(one)] = find(other)
    return sum(root[face] == face for face in range(count))


@pytest.mark.parametrize("seed", range(5))
def test_shells_are_counted_in_any_order_of_triangles(seed: int) -> None:
    bodies = [corpus.sphere(2) + np.float32(100 * i) for i in range(7)]
    triangles = np.random.default_rng(seed).permutation(np.concatenate(bodies))
    assert measured(triangles).shells == 7


@settings(max_examples=60, deadline=None)
@given(
    move=st.tuples(*[st.integers(-500, 500)] * 3),
    turn=st.tuples(*[st.floats(-math.pi, math.pi)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_volume_and_closedness_survive_moving_turning_and_shuffling(
    move: tuple[int, int, int], turn: tuple[float, float, float], seed: int
) -> None:
    body = corpus.torus(800)
    rotation = trimesh.transformations.euler_matrix(*turn)[:3, :3]  # type: ignore[no-untyped-call]  # trimesh
    moved = np.random.default_rng(seed).permutation((body @ rotation.T + move).astype(np.float32))
    before, after = measured(body), measured(moved)
    assert after.closed
    assert after.shells == 1
    assert after.volume_mm3 == pytest.approx(before.volume_mm3, rel=1e-4)
    assert after.area_mm2 == pytest.approx(before.area_mm2, rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(missing=st.integers(0, 511))
def test_any_triangle_removed_opens_the_body(missing: int) -> None:
    it = measured(np.delete(corpus.sphere(), missing, axis=0))
    assert not it.closed
    assert it.open_edges == 3


@pytest.mark.parametrize(
    ("triangles", "unit", "as_mm"),
    [
        (corpus.box(), mesh.Unit.MM, 20.0),
        (corpus.inch_sized(), mesh.Unit.INCH, 50.8),
        (corpus.metre_sized(), mesh.Unit.METRE, 200.0),
    ],
    ids=["mm", "inch", "metre"],
)
def test_the_unit_is_guessed_from_the_largest_side(triangles: corpus.Triangles, unit: mesh.Unit, as_mm: float) -> None:
    it = measured(triangles)
    assert it.likely_unit is unit
    assert max(it.size_mm) * unit.in_mm == pytest.approx(as_mm)


PLATE = corpus.box(30, 20, 5)


@pytest.mark.parametrize(
    ("pieces", "floating"),
    [
        ([PLATE], 0),
        ([PLATE, corpus.box(5, 5, 5, at=(10, 5, 31))], 1),
        ([PLATE, corpus.box(5, 5, 5, at=(10, 5, 5))], 0),
        ([PLATE, corpus.box(5, 5, 5, at=(10, 5, 5.09))], 0),
        ([PLATE, corpus.box(5, 5, 5, at=(10, 5, 5.2))], 1),
        ([PLATE, corpus.box(5, 5, 5, at=(40, 5, 0))], 0),
        ([PLATE, corpus.box(5, 5, 5, at=(40, 5, 3))], 1),
        # A stack that stands on the plate, in any order, and one that floats as a whole.
        ([corpus.box(5, 5, 5, at=(0, 0, 10)), PLATE, corpus.box(5, 5, 5, at=(0, 0, 5))], 0),
        ([PLATE, corpus.box(5, 5, 5, at=(0, 0, 20)), corpus.box(5, 5, 5, at=(1, 1, 25))], 2),
        # Drawn below the plate, which moves nothing against each other.
        ([corpus.box(30, 20, 5, at=(0, 0, -50)), corpus.box(5, 5, 5, at=(10, 5, -20))], 1),
    ],
)
def test_pieces_that_begin_in_mid_air_are_counted(pieces: list[corpus.Triangles], floating: int) -> None:
    assert measured(np.concatenate(pieces)).floating == floating


def test_a_model_of_very_many_pieces_is_not_compared_piece_by_piece() -> None:
    confetti = np.concatenate([corpus.box(1, 1, 1, at=(0, 0, 3 * n)) for n in range(600)])
    assert (measured(confetti).shells, measured(confetti).floating) == (600, 0)


VOLUMES = {"mini": (180.0, 180.0, 180.0), "long": (200.0, 300.0, 250.0)}


def test_a_model_fits_as_drawn_where_it_can_and_turned_where_it_must() -> None:
    assert mesh.fits((20, 20, 20), VOLUMES).printers == {"mini": False, "long": False}
    assert mesh.fits((290, 190, 20), VOLUMES).printers == {"long": True}
    assert mesh.fits((180.004, 20, 20), VOLUMES).printers == {"mini": False, "long": False}


def test_a_model_too_large_is_told_which_dimension_and_what_scale() -> None:
    answer = mesh.fits((20, 20, 10_000), VOLUMES)
    assert not answer
    assert answer.too_large == (mesh.Excess("z", 10_000, 250),)
    assert answer.scale_percent == 2
    with pytest.raises(mesh.FitsNoPrinter, match=r"Z 10000 mm, maximum 250.0 mm.* at 2%"):
        mesh.require_fit((20, 20, 10_000), VOLUMES)


@pytest.mark.parametrize(
    ("size", "error"),
    [
        ((10, 10, 300), mesh.FitsLyingDown),  # corner to corner, too
        ((10, 10, 251), mesh.FitsLyingDown),
        ((200, 150, 290), mesh.FitsLyingDown),
        ((310, 10, 20), mesh.FitsAtAnAngle),
        ((250, 200, 260), mesh.FitsLyingDown),
        ((310, 200, 20), mesh.FitsLyingDown),
        ((310, 200, 260), mesh.FitsNoPrinter),
        ((400, 400, 400), mesh.FitsNoPrinter),
        ((10, 10, 361), mesh.FitsNoPrinter),
    ],
)
def test_a_model_that_fits_in_another_position_is_told_which(
    size: tuple[float, float, float], error: type[mesh.FitsNoPrinter]
) -> None:
    with pytest.raises(mesh.FitsNoPrinter) as refusal:
        mesh.require_fit(size, VOLUMES)
    assert type(refusal.value) is error


@given(size=st.tuples(*[st.floats(1, 400)] * 2), degrees=st.floats(0, 90))
def test_no_angle_at_which_a_part_fits_is_denied(size: tuple[float, float], degrees: float) -> None:
    (x, y), angle = size, math.radians(degrees)
    wide = x * math.cos(angle) + y * math.sin(angle)
    deep = x * math.sin(angle) + y * math.cos(angle)
    if wide <= 199.999 and deep <= 299.999:
        assert fit._fits_at_an_angle((x, y), 20, (200.0, 300.0, 250.0))


@given(size=st.tuples(*[st.floats(1, 2000)] * 3))
def test_the_scale_told_is_one_at_which_it_fits(size: tuple[float, float, float]) -> None:
    scale = mesh.fits(size, VOLUMES).scale_percent / 100
    x, y, z = (length * scale for length in size)
    assert mesh.fits((x, y, z), VOLUMES)


def test_a_fitting_model_passes_and_without_printers_nothing_fits() -> None:
    assert mesh.require_fit((20, 20, 20), VOLUMES).printers
    assert mesh.fits((20, 20, 20), {}).scale_percent == 0
    with pytest.raises(mesh.FitsNoPrinter):
        mesh.require_fit((20, 20, 20), {})


@pytest.mark.parametrize("make", corpus.ACCEPTED.values(), ids=corpus.ACCEPTED)
def test_the_clean_file_measures_like_the_uploaded_one(make: Callable[[], bytes], tmp_path: Path) -> None:
    content, out = make(), tmp_path / "clean.stl"
    before = measure(content)
    written = write_binary(content, out)
    after = measure(out)
    assert (written, after.degenerate, after.is_ascii) == (before.triangles - before.degenerate, 0, False)
    assert after.volume_mm3 == pytest.approx(before.volume_mm3)
    assert (after.size_mm, after.closed, after.shells) == (before.size_mm, before.closed, before.shells)


def test_the_clean_file_carries_nothing_of_the_uploaded_header(tmp_path: Path) -> None:
    content = bytearray(corpus.binary(corpus.box(), header=b"solid COLOR=secret"))
    content[84:96], content[132:134] = b"\xff" * 12, b"\x42\x42"
    out = tmp_path / "clean.stl"
    write_binary(bytes(content), out)
    facets = np.frombuffer(out.read_bytes()[84:], reading.FACET)
    assert b"secret" not in out.read_bytes()
    assert not out.read_bytes().startswith(b"solid")
    assert not facets["attribute"].any()
    assert np.allclose(np.linalg.norm(facets["normal"], axis=1), 1)


def test_an_inverted_body_is_turned_right_side_out_when_asked(tmp_path: Path) -> None:
    write_binary(corpus.binary(corpus.inverted()), tmp_path / "clean.stl", flip=True)
    assert not measure(tmp_path / "clean.stl").inverted


def test_a_triangle_without_area_gets_no_normal_and_stays(tmp_path: Path) -> None:
    needle = np.array([[[0, 0, 0], [10, 0, 0], [20, 0, 0]]], np.float32)
    write_binary(corpus.binary(np.concatenate((corpus.box(), needle))), tmp_path / "clean.stl")
    facets = np.frombuffer((tmp_path / "clean.stl").read_bytes()[84:], reading.FACET)
    assert len(facets) == 13
    assert not facets["normal"][-1].any()


def test_chunks_do_not_change_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured(corpus.torus())
    monkeypatch.setattr(reading, "CHUNK", 777)
    parts = measured(corpus.torus())
    assert parts.volume_mm3 == pytest.approx(whole.volume_mm3, rel=1e-12)
    assert (parts.closed, parts.shells, parts.size_mm) == (whole.closed, whole.shells, whole.size_mm)
    assert gate.MAX_TRIANGLES >= 2_000_000
