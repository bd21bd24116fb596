"""What the slicer is told: whole, ours, and without a door for a program."""

import dataclasses
import math
from decimal import Decimal

import pytest

from api.domain.pricing.materials import Quality
from api.domain.printing.beds import Bed, BedPlace, place_bed
from printers.configuration import read_configuration
from printers.profile import MachineSpec, MaterialSpec, gcode_limits, render_profile
from tests.printers.parts import GENERIC_220, MATERIALS, PETG, PLA, exported, settings


@pytest.mark.parametrize("quality", Quality)
@pytest.mark.parametrize("material", MATERIALS.values(), ids=MATERIALS)
def test_a_profile_of_ours_passes_its_own_check(material: MaterialSpec, quality: Quality) -> None:
    profile = render_profile(GENERIC_220, material, quality)
    read_configuration(profile)
    assert settings(profile)["filament_type"] == material.code


def test_material_quality_and_machine_are_set() -> None:
    machine = MachineSpec(Bed(180, 200), height_mm=150, nozzle_mm=0.6)
    profile = settings(render_profile(machine, PETG, Quality.DRAFT))
    assert profile["layer_height"] == profile["first_layer_height"] == "0.28"
    assert (profile["temperature"], profile["bed_temperature"]) == ("240", "80")
    assert (profile["first_layer_temperature"], profile["first_layer_bed_temperature"]) == ("235", "80")
    assert (profile["filament_density"], profile["filament_cost"]) == ("1.27", "25")
    assert profile["filament_max_volumetric_speed"] == "8"
    assert profile["bed_shape"] == "-0.01x-0.01,180.01x-0.01,180.01x200.01,-0.01x200.01"
    assert (profile["max_print_height"], profile["nozzle_diameter"]) == ("150", "0.6")


def test_a_fine_layer_starts_on_a_thicker_first_one() -> None:
    profile = settings(render_profile(GENERIC_220, PLA, Quality.FINE))
    assert (profile["layer_height"], profile["first_layer_height"]) == ("0.12", "0.2")


def test_no_layer_is_too_thick_for_a_small_nozzle() -> None:
    machine = dataclasses.replace(GENERIC_220, nozzle_mm=0.25)
    assert settings(render_profile(machine, PLA, Quality.DRAFT))["layer_height"] == "0.175"


def test_a_profile_holds_every_key_of_the_slicer_and_runs_nothing() -> None:
    profile = settings(render_profile(GENERIC_220, PLA, Quality.STANDARD))
    assert len(profile) >= 260
    assert profile["post_process"] == profile["thumbnails"] == profile["gcode_substitutions"] == ""


def test_what_staff_exported_tells_of_the_machine_wins_over_ours() -> None:
    own = exported(start_gcode="G28\\nG1 Z5\\n", retract_length="6.5", gcode_flavor="marlin2", filament_diameter="2.85")
    profile = settings(render_profile(GENERIC_220, PLA, Quality.STANDARD, own))
    assert (profile["start_gcode"], profile["retract_length"]) == ("G28\\nG1 Z5\\n", "6.5")
    assert (profile["gcode_flavor"], profile["filament_diameter"]) == ("marlin2", "2.85")


def test_what_staff_exported_tells_of_material_and_quality_is_not_taken() -> None:
    """One configuration serves every material and quality of its printers: members choose and pay for these."""
    own = exported(
        temperature="205", bed_temperature="60", filament_type="PLA", filament_density="1", layer_height="0.2",
        filament_max_volumetric_speed="15", max_fan_speed="100", fill_density="40%", perimeters="5", infill_speed="200",
        support_material="0", start_filament_gcode='"M900 K0.05"', first_layer_height="0.3", extrusion_width="0.7",
    )  # fmt: skip
    ours = render_profile(GENERIC_220, PETG, Quality.FINE)
    assert render_profile(GENERIC_220, PETG, Quality.FINE, own) == ours


def test_a_machine_that_counts_filament_absolutely_is_not_reset_at_each_layer() -> None:
    profile = settings(render_profile(GENERIC_220, PLA, Quality.STANDARD, "use_relative_e_distances = 0\n"))
    assert profile["before_layer_gcode"] == ""


def test_what_protects_us_wins_over_what_staff_exported() -> None:
    own = exported(
        post_process="/bin/sh x", bed_shape="0x0,9x0,9x9", filament_density="9", notes="secret", max_print_height="999",
        printhost_apikey="secret", unknown_key="1",
    )  # fmt: skip
    text = render_profile(GENERIC_220, PLA, Quality.STANDARD, own)
    profile = settings(text)
    assert (profile["post_process"], profile["max_print_height"]) == ("", "250")
    assert profile["filament_density"] == "1.24"
    assert "220.01" in profile["bed_shape"]
    assert "secret" not in text
    assert "unknown_key" not in profile


def test_the_limits_of_the_gcode_are_those_of_the_machine() -> None:
    limits = gcode_limits(MachineSpec(Bed(180, 220), height_mm=150, nozzle_max_c=285))
    assert (limits.bed, limits.height_mm, limits.nozzle_max_c) == (Bed(180, 220), 150.5, 285)


def test_the_price_of_a_kilogram_reaches_the_slicer_exactly() -> None:
    dear = dataclasses.replace(PLA, cost_per_kg=Decimal("27.90"))
    assert settings(render_profile(GENERIC_220, dear, Quality.STANDARD))["filament_cost"] == "27.90"


def outline(profile: str) -> list[tuple[float, float]]:
    corners = (corner.split("x") for corner in settings(profile)["bed_shape"].split(","))
    return [(float(x), float(y)) for x, y in corners]


def test_the_bed_lies_where_the_machine_has_it() -> None:
    middle = MachineSpec(Bed(220, 220, -110, -110))
    assert outline(render_profile(middle, PLA, Quality.STANDARD))[0] == (-110.01, -110.01)
    round_bed = outline(render_profile(MachineSpec(place_bed(260, 260, BedPlace.ROUND)), PLA, Quality.STANDARD))
    assert {round(math.hypot(x, y), 2) for x, y in round_bed} == {130.01}
