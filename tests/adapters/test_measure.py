"""The gate in its own process: same answers, same errors, and its death is only TooComplex."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from api.adapters.measure import LIMITS, MeasureLimits, measure_untrusted
from api.domain.printing import mesh
from api.domain.printing.mesh.gate import measure
from tests import corpus


@pytest.fixture
def upload(tmp_path: Path) -> Callable[[bytes], tuple[Path, Path]]:
    def write(content: bytes) -> tuple[Path, Path]:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return path, tmp_path / "clean.stl"

    return write


Upload = Callable[[bytes], tuple[Path, Path]]


@pytest.mark.parametrize("make", [corpus.cube, corpus.ascii_cube], ids=["binary", "text"])
def test_the_process_answers_what_the_gate_answers(upload: Upload, make: Callable[[], bytes]) -> None:
    path, out = upload(make())
    assert measure_untrusted(path, out) == measure(make())
    assert measure(out).volume_mm3 == 8000


def test_an_inverted_body_comes_out_right_but_is_told(upload: Upload) -> None:
    path, out = upload(corpus.binary(corpus.inverted()))
    assert measure_untrusted(path, out).inverted
    assert not measure(out).inverted


@pytest.mark.parametrize(
    "name", ["empty", "a 3MF", "binary cut in a triangle", "two micrometres", "100,000 random triangles"]
)
def test_a_refusal_crosses_the_process_with_its_words(upload: Upload, name: str) -> None:
    make, error = corpus.REFUSED[name]
    path, out = upload(make())
    with pytest.raises(mesh.MeshRefused) as inside:
        measure(path)
    with pytest.raises(mesh.MeshRefused) as outside:
        measure_untrusted(path, out)
    assert type(outside.value).__name__ == error
    assert str(outside.value) == str(inside.value)
    assert not out.exists()


def test_the_limit_on_triangles_is_handed_over(upload: Upload) -> None:
    with pytest.raises(mesh.TooManyTriangles):
        measure_untrusted(*upload(corpus.cube()), limits=replace(LIMITS, max_triangles=11))


@pytest.mark.parametrize(
    "limits",
    [
        MeasureLimits(wall_s=0.01),
        MeasureLimits(file_bytes=100),
        MeasureLimits(memory_bytes=64 << 20),
        MeasureLimits(cpu_s=0),
    ],
    ids=["time", "disk", "memory", "processor"],
)
def test_a_process_that_goes_over_a_limit_is_too_complex_and_leaves_nothing(
    upload: Upload, limits: MeasureLimits
) -> None:
    path, out = upload(corpus.big(200_000))
    with pytest.raises(mesh.TooComplex):
        measure_untrusted(path, out, limits=limits)
    assert not out.exists()


def test_a_missing_file_is_our_fault_and_still_named(tmp_path: Path) -> None:
    with pytest.raises(mesh.TooComplex):
        measure_untrusted(tmp_path / "missing", tmp_path / "clean.stl")


def test_the_process_sees_none_of_our_environment(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # an interpreter that saw it could not start
    assert measure_untrusted(*upload(corpus.cube())).closed
