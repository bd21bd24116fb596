"""Makes G-code of a model with PrusaSlicer, in the sandbox, and checks the G-code itself before it is used.

An exit status proves nothing: a part of 600 mm on a printer of 250 mm is sliced with status 0.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from api.domain.core.errors import Busy, Invalid
from printers.gcode import GcodeLimits, append_end_marker, check_gcode
from printers.sandbox import EndReason, SandboxLimits, SandboxResult, open_workdir, run_sandboxed

_PROGRAM = "prusa-slicer"
# Time and weight stand in comments near the end of the file: within its last 40 kB (measured).
_ESTIMATE_BYTES = 65_536
# It quotes the script that it could not read, which tells staff what to mend.
_LONGEST_MESSAGE = 1500


class SlicerMissing(Busy):
    """The slicer (PrusaSlicer) is not installed on this server: tell the staff."""


class SlicingInterrupted(Busy):
    """Slicing was interrupted on this server: it will be tried again."""


class SlicerRefused(Invalid):
    """The slicer could not slice this model: {reason}"""


class SlicerCrashed(Invalid):
    """The slicer crashed on this model: repair it in 3D software and send it again."""


class UnreadableForSlicer(Invalid):
    """The slicer cannot read this model: export it again as STL."""


class NothingToPrint(Invalid):
    """The slicer found nothing to print: the part is thinner than one layer, or it is not closed."""


class PlateOverfull(Invalid):
    """The slicer could not fit {copies} × the part on the plate: print fewer at once, or smaller."""


class SliceTooComplex(Invalid):
    """Slicing took too long and was stopped: simplify the model (fewer triangles) or print it smaller."""


class SliceOutOfMemory(Invalid):
    """Slicing took too much memory and was stopped: simplify the model (fewer triangles) or print it smaller."""


class EstimateMissing(Invalid):
    """The slicer gave neither time nor weight for this model, so it cannot be priced. Tell the staff."""


@dataclass(frozen=True)
class SlicerFigures:
    """What the slicer states for one plate: `grams` of filament, purge line included."""

    seconds: int
    grams: Decimal


@dataclass(frozen=True)
class SlicedPlate:
    """One plate, ready to print: `gcode` ends with our end marker; `size` in bytes and `sha1` are of the whole file."""

    gcode: Path
    seconds: int
    grams: Decimal
    layers: int
    size: int
    sha1: str


def slice_model(
    stl: Path,
    profile_ini: str,
    *,
    machine: GcodeLimits,
    out_dir: Path,
    scale: float = 1.0,
    copies: int = 1,
    turned: bool = False,
    limits: SandboxLimits | None = None,
) -> SlicedPlate:
    """Slice `copies` of a model onto one plate of `machine`, into `out_dir/part.gcode`.

    1. Write the model anew, as a clean file with a name of ours, at the origin. Raises a MeshRefused.
    2. Let the slicer make G-code of it, in the sandbox and under `limits`. Raises the errors of this file.
    3. Read time, weight and every line of the result (GcodeUnsafe), and append the end marker.
    `scale` is a factor; `turned` turns the model by 90° about the vertical axis first.
    """
    with open_workdir("etabli-slice-") as workdir:
        _write_inputs(workdir, stl, profile_ini)
        argv = [_find_program(), "--export-gcode", "--load", "in/profile.ini", "--scale", f"{scale * 100:.6f}%"]
        argv += ["--rotate", "90"] if turned else []
        argv += ["--duplicate", str(copies), "--output", "out/part.gcode", "in/model.stl"]
        outcome = run_sandboxed(argv, workdir=workdir, limits=limits or SandboxLimits())
        gcode = workdir / "out" / "part.gcode"
        # A link could point at any file that we may read: the program in the sandbox is not trusted.
        if outcome.kind is not EndReason.OK or not gcode.is_file() or gcode.is_symlink():
            _refuse(outcome, copies=copies)
        return _accept(gcode, machine=machine, out=out_dir / "part.gcode")


def _find_program() -> str:
    path = shutil.which(_PROGRAM)
    if path is None:
        raise SlicerMissing
    return path


def _write_inputs(workdir: Path, stl: Path, profile_ini: str) -> None:
    (workdir / "in" / "profile.ini").write_text(profile_ini, encoding="utf-8")
    model = workdir / "in" / "model.stl"
    # Loads numpy, which not every process that knows the errors of this file should pay for.
    from api.domain.printing.mesh.writing import write_binary  # noqa: PLC0415

    # PrusaSlicer 2.5 places nothing that lies wholly below z = 0 or metres away from the origin.
    write_binary(stl, model, to_origin=True)
    # PrusaSlicer reads a file as text if none of the 128 bytes after its header is above 127. The attribute of the
    # first triangle, which nothing else reads, prevents that.
    with model.open("r+b") as file:
        file.seek(84 + 48)
        file.write(b"\xff\xff")


def _accept(gcode: Path, *, machine: GcodeLimits, out: Path) -> SlicedPlate:
    estimate = parse_estimate(_tail(gcode))
    facts = check_gcode(gcode, machine)
    shutil.copyfile(gcode, out)
    append_end_marker(out)
    with out.open("rb") as file:
        sha1 = hashlib.file_digest(file, "sha1").hexdigest()
    return SlicedPlate(
        gcode=out,
        seconds=estimate.seconds,
        grams=estimate.grams,
        layers=facts.layers,
        size=out.stat().st_size,
        sha1=sha1,
    )


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ESTIMATE_BYTES))
        return file.read().decode("ascii", "replace")


_TIME = re.compile(r"^; estimated printing time \(normal mode\) = (.+)$", re.MULTILINE)
_GRAMS = re.compile(r"^; total filament used \[g\] = ([\d.]+)$", re.MULTILINE)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_estimate(tail: str) -> SlicerFigures:
    """Time and weight from the end of a file of PrusaSlicer: "1d 2h 3m 4s" and grams. Raises EstimateMissing."""
    time, grams = _TIME.search(tail), _GRAMS.search(tail)
    if time is None or grams is None:
        raise EstimateMissing
    seconds = sum(int(count) * _SECONDS[unit] for count, unit in re.findall(r"(\d+)([dhms])", time[1]))
    # A tiny part may be stated as 0 s, which a slice may not have (CHECK constraint "ready").
    return SlicerFigures(seconds=max(1, seconds), grams=Decimal(grams[1]))


_COMPLAINTS: list[tuple[re.Pattern[str], type[Invalid]]] = [
    (
        re.compile(r"No layers were detected|(?:model|print) is empty|no extrusions|empty first layer", re.I),
        NothingToPrint,
    ),
    (
        re.compile(r"wrong size|syntactically very wrong|empty file|Loading of a model file failed", re.I),
        UnreadableForSlicer,
    ),
]


def _refuse(outcome: SandboxResult, *, copies: int) -> NoReturn:
    """Raise the error that tells a hobbyist why there is no G-code."""
    if outcome.kind is EndReason.OUT_OF_MEMORY:
        raise SliceOutOfMemory
    if outcome.kind in {EndReason.TIMEOUT, EndReason.KILLED}:
        raise SliceTooComplex
    # Before the status is looked at: PrusaSlicer aborts (134) when copies do not fit, which is no crash.
    if re.search("could not fit on the bed|outside of the print volume", outcome.stderr_tail):
        raise PlateOverfull(copies=copies)
    for form, error in _COMPLAINTS:
        if form.search(outcome.stderr_tail):
            raise error
    reason = whole_message(outcome.stderr_tail)
    if outcome.status > 128 or not reason:
        raise SlicerCrashed
    raise SlicerRefused(reason=reason)


def whole_message(text: str) -> str:
    """What a program wrote for people, on one line: no trace, progress, path or unprintable character."""
    lines = []
    for raw in text.splitlines():
        line = re.sub(r"\S*/(\S+)", r"\1", raw).strip()
        line = "".join(c for c in line if c.isprintable()).removeprefix("error: ")
        if line and "[trace]" not in line and not re.match(r"\d+ => |terminate called", line):
            lines.append(line.removeprefix("what(): ").strip())
    return " ".join(dict.fromkeys(lines))[:_LONGEST_MESSAGE]
