"""The vendors' profiles in PrusaSlicer's own resources can be taught, or are refused for a true reason."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from api.domain.core.errors import DomainError
from api.domain.pricing.materials import Quality
from printers.configuration import parse_settings, read_configuration
from printers.drawing import draw_plate
from printers.gcode import check_gcode
from printers.profile import gcode_limits, render_profile
from printers.slicer import slice_model
from printers.slicing import machine_spec
from printers.trials import write_cube
from tests.printers import stock
from tests.printers.parts import PLA

KINDS = [
    ("PrusaResearch", "Original Prusa i3 MK3"),
    ("PrusaResearch", "Original Prusa i3 MK3S & MK3S+"),
    ("PrusaResearch", "Original Prusa i3 MK3S & MK3S+ 0.6 nozzle"),
    ("PrusaResearch", "Original Prusa i3 MK3S & MK3S+ MMU2S Single"),
    ("PrusaResearch", "Original Prusa MINI & MINI+"),
    ("Creality", "Creality Ender-3 (0.4 mm nozzle)"),
    ("Creality", "Creality Ender-3 BLTouch (0.4 mm nozzle)"),
    ("Creality", "Creality CR-10 (0.4 mm nozzle)"),
    ("Anycubic", "Anycubic i3 Mega S"),
    ("Artillery", "Artillery Sidewinder X1"),
    ("FLSun", "FLSun QQS Pro"),
    ("TriLAB", "DeltiQ L"),
    ("Ultimaker", "Ultimaker 2"),
    ("BIBO", "BIBO2 Touch E1 right only extrusion"),
    ("LulzBot", "Mini Aero 0.5mm"),
    ("Voron", "Voron_v2_300 0.4 nozzle"),
    ("RatRig", "RatRig V-Core-3-300"),
]
# What no printer may be given, or does on no bed: the others of the 17 must be accepted.
TRUE_REASONS = re.compile(r"Z -0\.5 mm is outside the machine")


@dataclass(frozen=True)
class Outcome:
    """`answered` are the lines that a person had to take responsibility for; `refusal` is "" when it was sliced."""

    answered: tuple[str, ...] = ()
    refusal: str = ""


def teach(folder: Path, vendor: str, name: str) -> Outcome:
    """As staff do it on the page, with a person who answers for each line that may be answered for."""
    text = stock.exported(vendor, name)
    try:
        facts = read_configuration(text)
        answered = tuple(dict.fromkeys(line.text for line in facts.unlisted))
        machine = machine_spec(facts.machine, text, answered)
        limits = gcode_limits(machine)
        profile = render_profile(machine, PLA, Quality.STANDARD, text)
        plate = slice_model(write_cube(folder / "cube.stl"), profile, machine=limits, out_dir=folder)
    except DomainError as error:
        return Outcome(refusal=str(error))
    seen = check_gcode(plate.gcode, limits)
    assert seen.layers > 40
    assert seen.nozzle_c <= PLA.first_nozzle_c
    x, y, right, back = draw_plate(plate.gcode)["part"]
    assert ((x + right) / 2, (y + back) / 2) == pytest.approx(facts.machine.bed.middle_mm, abs=1)
    return Outcome(answered)


@pytest.mark.real
def test_nearly_all_usual_kinds_are_accepted_and_sliced_within_their_bed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = {name: teach(tmp_path, vendor, name) for vendor, name in KINDS}
    refused = {name: outcome.refusal for name, outcome in outcomes.items() if outcome.refusal}
    answered = {name: outcome.answered for name, outcome in outcomes.items() if outcome.answered}
    accepted = len(KINDS) - len(refused)
    with capsys.disabled():
        print(json.dumps({"kinds": len(KINDS), "accepted": accepted, "answered": answered, "refused": refused}))
    assert accepted >= 15
    assert all(TRUE_REASONS.search(reason) for reason in refused.values())
    # Macros of the firmware only: what they do stands in no G-code.
    assert all(re.fullmatch(r"\w+(?: \w+=\S+)*", line) for lines in answered.values() for line in lines)


def test_of_all_stock_profiles_those_that_are_not_read_have_a_true_reason(capsys: pytest.CaptureFixture[str]) -> None:
    true_reasons = re.compile(
        r"only printers with one nozzle|there is no tool T\d|“@BEDLEVEL\w+” is not|“Start GCode begin” is not|“M109 0 "
    )
    read, total, reasons = 0, 0, list[str]()
    for vendor, name in stock.all_printers():
        total += 1
        try:
            read_configuration(stock.exported(vendor, name))
            read += 1
        except DomainError as error:
            reasons.append(f"{name}: {error}")
    with capsys.disabled():
        print(json.dumps({"stock_profiles": total, "read": read}))
    assert [reason for reason in reasons if not true_reasons.search(reason)] == []
    assert read / total > 0.85


def test_a_flattened_profile_is_what_export_config_writes() -> None:
    settings = parse_settings(stock.exported("PrusaResearch", "Original Prusa MINI & MINI+"))
    assert (settings["gcode_flavor"], settings["retract_length"]) == ("marlin2", "3.2")
    assert Decimal(settings["nozzle_diameter"]) == Decimal("0.4")
    assert "inherits" not in settings
