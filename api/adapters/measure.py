"""Measures an uploaded file in a process of its own, with limits: `python -m api.adapters.measure`."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import api
from api.domain.printing import mesh
from api.domain.printing.mesh import refusals

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MeasureLimits:
    """What the measuring of one file may cost."""

    # Two million triangles need 2 s of processor and 0.5 GB of address space (measured).

    memory_bytes: int = 2 << 30
    cpu_s: int = 20
    wall_s: float = 30
    file_bytes: int = 256 << 20
    max_triangles: int = mesh.MAX_TRIANGLES


LIMITS = MeasureLimits()


def measure_untrusted(
    path: Path, out: Path, *, turn: mesh.Matrix | None = None, limits: MeasureLimits = LIMITS
) -> mesh.Measures:
    """Measure the file at `path`, and write a clean copy with its faces outwards to `out`: slice and show only that.

    `turn` multiplies its corners before it is measured. Raises the MeshRefused that the gate raised, or TooComplex if
    its process died or took too long; `out` is gone then.
    """
    try:
        return _result(_run(path, out, turn, limits))
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _run(path: Path, out: Path, turn: mesh.Matrix | None, limits: MeasureLimits) -> str:
    command = [sys.executable, "-m", __name__, str(path.resolve()), str(out.resolve())]
    command += [json.dumps(turn), json.dumps(asdict(limits))]
    try:
        # A bug in a parser must not hurt the worker, nor find the secrets and the address of the database in an
        # environment: the process gets limits, and an environment of its own.
        process = subprocess.run(  # noqa: S603  # our own module, no shell
            command, env=_environment(), capture_output=True, text=True, timeout=limits.wall_s, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise mesh.TooComplex from e
    if process.returncode:
        log.warning("gate ended with %s on %s: %s", process.returncode, path.name, process.stderr[-300:])
        raise mesh.TooComplex
    return process.stdout


def _environment() -> dict[str, str]:
    # OpenBLAS would reserve address space for a thread per core, which counts against the limit; we use none of it.
    return {"PYTHONPATH": str(Path(api.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}


def _result(text: str) -> mesh.Measures:
    answer: dict[str, Any] = json.loads(text)
    if "refused" in answer:
        raise _refusal(answer["refused"], answer["params"])
    figures = answer["measures"]
    for name in ("size_mm", "min_corner_mm"):
        figures[name] = tuple(figures[name])
    return mesh.Measures(**figures)


def _refusal(name: str, params: dict[str, Any]) -> mesh.MeshRefused:
    kind = getattr(refusals, name, None)
    if isinstance(kind, type) and issubclass(kind, mesh.MeshRefused):
        return kind(**params)
    raise ValueError(f"the gate refused with an unknown name: {name}")


def _measure_limited(path: Path, out: Path, turn: mesh.Matrix | None, limits: MeasureLimits) -> dict[str, Any]:
    """The work of the child process; its answer is printed as JSON."""
    _limit(limits)
    # Only the process that measures loads numpy: the web processes import this file too.
    from api.domain.printing.mesh.gate import measure  # noqa: PLC0415
    from api.domain.printing.mesh.writing import write_binary  # noqa: PLC0415

    try:
        if turn is not None:
            # Beside `out`, in a folder that its caller removes.
            drawn, path = path, out.with_suffix(".turned")
            write_binary(drawn, path, turn=turn, max_triangles=limits.max_triangles)
        measures = measure(path, max_triangles=limits.max_triangles)
        flip = measures.closed and measures.inverted
        write_binary(path, out, flip=flip, max_triangles=limits.max_triangles)
    except mesh.MeshRefused as e:
        return {"refused": type(e).__name__, "params": e.params}
    return {"measures": asdict(measures)}


def _limit(limits: MeasureLimits) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    turn, limits = json.loads(sys.argv[3]), MeasureLimits(**json.loads(sys.argv[4]))
    answer = _measure_limited(Path(sys.argv[1]), Path(sys.argv[2]), turn, limits)
    sys.stdout.write(json.dumps(answer))
