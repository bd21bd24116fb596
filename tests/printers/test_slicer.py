"""The real PrusaSlicer: every quality and material, plates of copies, and files that mean it harm."""

import dataclasses
import itertools
import re
import shutil
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import psutil
import pytest

from api.domain.core.errors import DomainError
from api.domain.pricing.materials import Quality
from api.domain.printing.beds import Bed, BedPlace, place_bed
from api.domain.printing.mesh import MeshRefused
from api.domain.printing.mesh.gate import measure
from api.domain.printing.plates import copies_per_plate
from printers import slicer
from printers.gcode import END_MARKER, GcodeUnsafe, check_gcode
from printers.profile import MachineSpec, gcode_limits, render_profile
from printers.sandbox import EndReason, SandboxLimits, SandboxResult
from printers.slicer import (
    EstimateMissing,
    NothingToPrint,
    PlateOverfull,
    SlicedPlate,
    SliceOutOfMemory,
    SlicerCrashed,
    SlicerFigures,
    SlicerMissing,
    SlicerRefused,
    SliceTooComplex,
    UnreadableForSlicer,
    parse_estimate,
    slice_model,
    whole_message,
)
from tests import corpus
from tests.printers.parts import GENERIC_220, MATERIALS, PETG, PLA, ball, box, configuration, prism, regular, write_stl

real = pytest.mark.real
PROFILE = render_profile(GENERIC_220, PLA, Quality.STANDARD)


def sliced(
    stl: Path, profile: str = PROFILE, *, scale: float = 1.0, copies: int = 1, turned: bool = False,
    machine: MachineSpec = GENERIC_220, limits: SandboxLimits | None = None,
) -> SlicedPlate:  # fmt: skip
    return slice_model(
        stl, profile, machine=gcode_limits(machine), out_dir=stl.parent, scale=scale, copies=copies, turned=turned,
        limits=limits or SandboxLimits(wall_s=120),
    )  # fmt: skip


@real
@pytest.mark.parametrize("quality", Quality)
@pytest.mark.parametrize("code", MATERIALS)
def test_each_material_and_quality_gives_a_plate_that_we_can_price(tmp_path: Path, code: str, quality: Quality) -> None:
    material = MATERIALS[code]
    plate = sliced(box(tmp_path / "cube.stl", 20, 20, 20), render_profile(GENERIC_220, material, quality))
    facts = check_gcode(plate.gcode, gcode_limits(GENERIC_220))
    layers = {Quality.DRAFT: 71, Quality.STANDARD: 100, Quality.FINE: 166}[quality]
    assert abs(plate.layers - layers) <= 1
    assert float(plate.grams / material.density_g_cm3) == pytest.approx(2.9, rel=0.25)
    assert 600 < plate.seconds < 6000
    assert facts.nozzle_c == max(material.nozzle_c, material.first_nozzle_c)
    assert plate.gcode.read_bytes().endswith(END_MARKER)
    assert (plate.size, plate.gcode.name) == (plate.gcode.stat().st_size, "part.gcode")


@real
def test_petg_fine_on_a_configuration_of_pla_is_petg_and_fine(tmp_path: Path) -> None:
    plate = sliced(
        box(tmp_path / "cube.stl", 10, 10, 5), render_profile(GENERIC_220, PETG, Quality.FINE, configuration())
    )
    text = plate.gcode.read_text()
    assert set(re.findall(r"^M109 S(\d+)", text, re.M)) == {"235"}
    assert set(re.findall(r"^M104 S(\d+)", text, re.M)) == {"235", "240", "0"}
    tops = [float(z) for z in re.findall(r"^;Z:([\d.]+)", text, re.M)]
    assert {round(high - low, 3) for low, high in itertools.pairwise([0, *tops])} == {0.2, 0.12}
    assert "; filament_type = PETG" in text


@real
@pytest.mark.parametrize("bed", [Bed(220, 220, -110, -110), place_bed(200, 200, BedPlace.ROUND), Bed(220, 180, 5, 7)])
def test_a_part_lies_in_the_middle_of_the_bed_wherever_that_is(tmp_path: Path, bed: Bed) -> None:
    machine = dataclasses.replace(GENERIC_220, bed=bed)
    plate = sliced(
        box(tmp_path / "cube.stl", 20, 20, 2), render_profile(machine, PLA, Quality.STANDARD), machine=machine
    )
    body = plate.gcode.read_text().partition(";LAYER_CHANGE")[2].partition("; printing object")[0]
    walls = re.findall(r"^G1 X(-?[\d.]+) Y(-?[\d.]+) E[\d.]", body, re.M)
    xs, ys = [float(x) for x, _ in walls], [float(y) for _, y in walls]
    assert ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2) == pytest.approx(bed.middle_mm, abs=0.1)


@real
def test_a_part_as_large_as_the_square_in_a_round_bed_is_sliced(tmp_path: Path) -> None:
    machine = dataclasses.replace(GENERIC_220, bed=place_bed(100, 100, BedPlace.ROUND))
    side = machine.bed.usable_mm[0]
    part = box(tmp_path / "plate.stl", side - 0.1, side - 0.1, 0.6)
    assert sliced(part, render_profile(machine, PLA, Quality.STANDARD), machine=machine).layers == 3


@real
@pytest.mark.parametrize("at", [(0, 0, -40), (3000, 0, 0), (-3000, 3000, -5000), (0, 0, 60)])
def test_a_part_is_sliced_alike_wherever_it_was_drawn(tmp_path: Path, at: tuple[float, float, float]) -> None:
    (tmp_path / "drawn.stl").write_bytes(corpus.binary(corpus.box(30, 20, 17, at=at)))
    drawn, placed = sliced(tmp_path / "drawn.stl"), sliced(box(tmp_path / "placed.stl", 30, 20, 17))
    assert (drawn.layers, drawn.seconds, drawn.grams) == (placed.layers, placed.seconds, placed.grams)


@real
def test_finer_layers_take_longer(tmp_path: Path) -> None:
    part = box(tmp_path / "cube.stl", 10, 10, 5)
    seconds = [sliced(part, render_profile(GENERIC_220, PLA, quality)).seconds for quality in Quality]
    assert seconds == sorted(seconds)


@real
def test_double_size_takes_much_more_material(tmp_path: Path) -> None:
    part = box(tmp_path / "cube.stl", 20, 20, 20)
    once, twice = sliced(part), sliced(part, scale=2.0)
    assert twice.layers == pytest.approx(2 * once.layers, abs=1)
    assert 4 < twice.grams / once.grams < 8


@real
def test_copies_lie_on_one_plate_and_weigh_as_many(tmp_path: Path) -> None:
    part = box(tmp_path / "cube.stl", 20, 30, 4)
    one, nine = sliced(part), sliced(part, copies=9)
    assert float(nine.grams / one.grams) == pytest.approx(9, rel=0.05)
    assert nine.layers == one.layers


@real
def test_two_slices_of_one_model_agree_within_a_hundredth(tmp_path: Path) -> None:
    part = ball(tmp_path / "ball.stl", 5)
    one, two = sliced(part), sliced(part)
    assert float(one.grams) == pytest.approx(float(two.grams), rel=0.01)
    assert one.seconds == pytest.approx(two.seconds, rel=0.01)


def test_the_model_can_never_be_taken_for_text(tmp_path: Path) -> None:
    """PrusaSlicer reads a binary file without a byte over 127 near its start as text, and fails."""
    (tmp_path / "in").mkdir()
    slicer._write_inputs(tmp_path, box(tmp_path / "plate.stl", 220, 220, 2), PROFILE)
    assert (tmp_path / "in" / "model.stl").read_bytes()[84 + 48 : 84 + 50] == b"\xff\xff"


@real
def test_a_model_as_large_as_the_bed_is_sliced(tmp_path: Path) -> None:
    assert sliced(box(tmp_path / "plate.stl", 220, 220, 0.6)).layers == 3


@real
def test_a_long_part_fits_when_turned(tmp_path: Path) -> None:
    machine = dataclasses.replace(GENERIC_220, bed=Bed(100, 220))
    part, profile = box(tmp_path / "bar.stl", 200, 20, 1), render_profile(machine, PLA, Quality.STANDARD)
    with pytest.raises(PlateOverfull):
        sliced(part, profile, machine=machine)
    assert sliced(part, profile, machine=machine, turned=True).layers == 5


@real
def test_the_scripts_and_limits_of_staffs_configuration_are_what_is_printed(tmp_path: Path) -> None:
    own = configuration(
        end_gcode="M117 That was all\\nM84", retract_length="6.5", wipe="0", machine_limits_usage="emit_to_gcode",
        machine_max_feedrate_x="123,123",
    )  # fmt: skip
    plate = sliced(box(tmp_path / "cube.stl", 10, 10, 5), render_profile(GENERIC_220, PLA, Quality.STANDARD, own))
    text = plate.gcode.read_text()
    assert "M117 That was all" in text
    assert "M203 X123 " in text
    assert "G1 E-6.5 " in text


@real
def test_a_part_taller_than_the_machine_is_refused_though_the_slicer_is_content(tmp_path: Path) -> None:
    with pytest.raises(GcodeUnsafe, match=r"Z 250.* mm is outside the machine"):
        sliced(box(tmp_path / "tower.stl", 20, 20, 600))
    assert not (tmp_path / "part.gcode").exists()


@real
def test_a_part_as_tall_as_the_machine_is_sliced(tmp_path: Path) -> None:
    assert sliced(box(tmp_path / "tower.stl", 12, 12, 250)).layers == 1250


@real
def test_too_many_copies_are_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(PlateOverfull, match="5 ×"):
        sliced(box(tmp_path / "cube.stl", 100, 100, 1), copies=5)


@real
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_numbers_that_are_none_are_refused_before_the_slicer(tmp_path: Path, value: float) -> None:
    triangles = np.ones((4, 3, 3), np.float32)
    triangles[2, 1, 0] = value
    with pytest.raises(MeshRefused):
        sliced(write_stl(tmp_path / "bad.stl", triangles))


@real
@pytest.mark.parametrize(("scale", "error"), [(1e-4, NothingToPrint), (100.0, PlateOverfull)])
def test_a_size_that_cannot_be_printed_is_refused_in_words(
    tmp_path: Path, scale: float, error: type[DomainError]
) -> None:
    with pytest.raises(error):
        sliced(box(tmp_path / "cube.stl", 10, 10, 10), scale=scale)


def slicers_of(start_at: float) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "create_time", "status"]):
        info = process.info
        if "prusa" in info["name"] and info["create_time"] >= start_at and info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def soup(path: Path, count: int) -> Path:
    """Shells of four random points within 100 mm, each closed: the gate's own business, and a slow one for a slicer."""
    random = np.random.default_rng(7)
    points = random.uniform(0, 100, (count, 1, 3)) + random.uniform(-20, 20, (count, 4, 3))
    faces = np.array([(0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)])
    return write_stl(path, points[:, faces].reshape(-1, 3, 3).astype(np.float32))


@real
@pytest.mark.parametrize("bomb", ["tower", "soup"])
def test_a_slicer_bomb_is_ended_in_time_and_leaves_no_process(tmp_path: Path, bomb: str) -> None:
    part = box(tmp_path / "b.stl", 20, 20, 10_000) if bomb == "tower" else soup(tmp_path / "b.stl", 2_000)
    profile = PROFILE + f"# {tmp_path}\n"
    start_at, start_s = time.time(), time.monotonic()
    with pytest.raises(SliceTooComplex):
        sliced(part, profile, limits=SandboxLimits(wall_s=3))
    assert time.monotonic() - start_s < 15
    mine = [process for process in slicers_of(start_at) if process.create_time() < start_at + 3]
    psutil.wait_procs(mine, timeout=30)  # those of other tests, on other workers, end by themselves
    assert not [process for process in mine if process.is_running()]


@real
def test_too_little_memory_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(SliceOutOfMemory):
        sliced(box(tmp_path / "cube.stl", 20, 20, 20), limits=SandboxLimits(wall_s=60, memory_bytes=60 << 20))


@real
def test_gcode_that_grows_beyond_the_limit_is_told_as_too_complex(tmp_path: Path) -> None:
    with pytest.raises(SliceTooComplex):
        sliced(box(tmp_path / "cube.stl", 20, 20, 20), limits=SandboxLimits(wall_s=60, file_bytes=20_000))


def test_a_missing_slicer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "prusa-slicer" else which(name))
    with pytest.raises(SlicerMissing):
        sliced(box(tmp_path / "cube.stl", 20, 20, 20))


def test_a_slicer_that_exits_well_without_gcode_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicer, "_find_program", lambda: "/bin/true")
    with pytest.raises(SlicerCrashed):
        sliced(box(tmp_path / "cube.stl", 20, 20, 20))


TRACE = "[2026-01-02 03:04:05.678] [0x00007f] [trace]   Initializing StaticPrintConfigs\n"


@pytest.mark.parametrize(
    ("kind", "status", "said", "error"),
    [
        (
            EndReason.FAILED,
            1,
            "The print is empty. The model is not printable with current print settings.\n",
            NothingToPrint,
        ),
        (EndReason.FAILED, 1, "No layers were detected. You might want to repair your STL file(s)\n", NothingToPrint),
        (EndReason.FAILED, 1, "The file /tmp/x/in/model.stl has the wrong size.\n", UnreadableForSlicer),
        (EndReason.FAILED, 134, "terminate called\n  what():  Objects could not fit on the bed\n", PlateOverfull),
        (EndReason.FAILED, 139, "", SlicerCrashed),
        (EndReason.FAILED, 134, "terminate called\n  what():  Unable to create convex hull\n", SlicerCrashed),
        (EndReason.FAILED, 1, "", SlicerCrashed),
        (EndReason.FAILED, 1, "error: Something new about /tmp/x/in/model.stl\n" + TRACE, SlicerRefused),
        (EndReason.KILLED, 137, "", SliceTooComplex),
    ],
)
def test_each_end_of_the_slicer_has_its_words(
    kind: EndReason, status: int, said: str, error: type[DomainError]
) -> None:
    with pytest.raises(error) as caught:
        slicer._refuse(SandboxResult(kind, status, TRACE + said), copies=1)
    assert "/tmp" not in str(caught.value)
    assert "trace" not in str(caught.value)


def test_the_whole_message_holds_neither_trace_nor_path_nor_control_characters() -> None:
    text = f"old\n10 => Processing\nerror: bad \x1b[31m/etc/secret/model.stl: no\x07 {'x' * 300}\n{TRACE}\n"
    assert whole_message(text).startswith("old bad model.stl: no x")
    assert whole_message(TRACE) == ""
    assert len(whole_message("x" * 5000)) == 1500


@pytest.mark.parametrize(
    ("time_said", "seconds"), [("1d 2h 3m 4s", 93_784), ("16m 44s", 1_004), ("7s", 7), ("0s", 1), ("2h 5s", 7_205)]
)
def test_an_estimate_is_read_from_the_end_of_the_file(time_said: str, seconds: int) -> None:
    tail = (
        "; filament used [g] = 1.00\n; total filament used [g] = 12.34\n"
        f"; estimated printing time (normal mode) = {time_said}\n; a = b\n"
    )
    assert parse_estimate(tail) == SlicerFigures(seconds, Decimal("12.34"))


@pytest.mark.parametrize(
    "tail", ["", "; total filament used [g] = 1.0\n", "; estimated printing time (normal mode) = 5s\n"]
)
def test_a_file_without_an_estimate_is_refused(tail: str) -> None:
    with pytest.raises(EstimateMissing):
        parse_estimate(tail)


CORNERS = {"triangle": 3, "hexagon": 6, "disc": 40}


@real
@pytest.mark.parametrize(("shape", "size_mm"), list(itertools.product(["box", *CORNERS], [31.0, 52.5, 90.0])))
def test_as_many_copies_as_we_say_are_really_arranged(tmp_path: Path, shape: str, size_mm: float) -> None:
    path = tmp_path / "part.stl"
    if shape == "box":
        box(path, size_mm, size_mm * 0.6, 0.4)
    else:
        prism(path, regular(CORNERS[shape], size_mm / 2), 0.4)
    count = copies_per_plate(measure(path).size_mm, (220, 220))
    assert sliced(path, render_profile(GENERIC_220, PLA, Quality.DRAFT), copies=count).layers > 0
