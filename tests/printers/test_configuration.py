"""What of a configuration that staff exported is refused, and what it tells of the machine."""

import math
from decimal import Decimal

import pytest

from api.domain.printing.beds import Bed, BedForm, MachineFacts
from api.domain.printing.kinds import SizeWrong
from printers.configuration import (
    AnotherSlicersFile,
    ConfigurationBundle,
    ConfigurationGcodeRefused,
    ConfigurationKeyRefused,
    ConfigurationMovesTooFar,
    ConfigurationTooLong,
    NotASlicerConfiguration,
    parse_settings,
    read_configuration,
    read_margins,
)
from tests.printers.parts import configuration, exported


def test_a_usual_export_of_a_newer_slicer_passes() -> None:
    read_configuration(
        exported(
            binary_gcode="0",
            printhost_apikey="",
            print_settings_id="0.20mm QUALITY @MK3",
            compatible_printers_condition="nozzle_diameter[0]!=0.6 and num_extruders==1",
            start_gcode='"M862.3 P \\"[printer_model]\\"\\nM221 S{if layer_height<0.075}100{else}95{endif}\\nG28 W\\n"',
            end_gcode=r"{if max_layer_z < 200}G1 Z{z_offset+min(max_layer_z+2, 200)} F720{endif}\nM104 S0\nG91\nG1 Z-1",
            start_filament_gcode='"M900 K0.05";"M900 K{if nozzle_diameter[0]==0.6}0.1{else}0.2{endif}"',
            color_change_gcode="M600",
        )
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("post_process", "/bin/sh evil"),
        ("gcode_substitutions", '"G28";"M112";"";""'),
        ("post_process_scripts", "x"),
        ("printer_technology", "SLA"),
        ("gcode_flavor", "klipper"),
        ("nozzle_diameter", "0.4,0.4"),
        ("filament_diameter", "17.5"),
        ("max_print_height", "99999"),
        ("bed_shape", "everywhere"),
    ],
)
def test_a_dangerous_or_impossible_setting_is_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(ConfigurationKeyRefused, match=f"“{key}”"):
        read_configuration(exported(**{key: value}))


@pytest.mark.parametrize("line", ["M112", "M118 //action:cancel", "M104 S400", "@pause", "G28 é", "M997", "M28"])
@pytest.mark.parametrize("key", ["start_gcode", "layer_gcode", "end_gcode"])
def test_gcode_off_the_list_is_refused_with_its_place(key: str, line: str) -> None:
    with pytest.raises(ConfigurationGcodeRefused, match=f"in “{key}” is refused at line 2: "):
        read_configuration(exported(**{key: f'"G28\\n{line}\\nG1 X1"'}))


@pytest.mark.parametrize("text", ["", "hello", "layer_height = 0.2\n", "\x89PNG\r\n", "a = b\nc", "<html>"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(NotASlicerConfiguration):
        read_configuration(text)


def test_a_bundle_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigurationBundle, match="Export Config"):
        read_configuration("[print:0.2mm]\nlayer_height = 0.2\n")


def test_a_very_long_text_is_refused() -> None:
    with pytest.raises(ConfigurationTooLong, match="256 kB"):
        read_configuration("# " + "x" * 300_000)


@pytest.mark.parametrize(
    ("text", "slicer"),
    [
        ("[general]\nversion = 4\nname = Mine\ndefinition = custom\n\n[metadata]\ntype = quality_changes\n", "Cura"),
        (
            '<?xml version="1.0"?>\n<profile name="Mine" app="S3D-Software">',
            "Simplify3D",
        ),
        ('{\n  "type": "machine",\n  "from": "User",\n  "name": "Mine"\n}', "OrcaSlicer"),
    ],
)
def test_a_file_of_another_slicer_is_called_by_its_name(text: str, slicer: str) -> None:
    with pytest.raises(AnotherSlicersFile, match=f"a file of {slicer}"):
        read_configuration(text)


def round_shape(radius: float, corners: int = 72) -> str:
    """As vendors write it: 6 digits, and 1e-14 for the nought of a cosine."""
    turns = [math.tau * corner / corners for corner in range(corners)]
    return ",".join(f"{radius * math.cos(turn):.6g}x{radius * math.sin(turn):.6g}" for turn in turns)


@pytest.mark.parametrize(
    ("shape", "bed"),
    [
        ("0x0,220x0,220x220,0x220", Bed(220, 220)),
        ("-110x-110,110x-110,110x110,-110x110", Bed(220, 220, -110, -110)),
        ("3x3,228x3,228x228,3x228", Bed(225, 225, 3, 3)),
        ("0x220,0x0,220x0,220x220", Bed(220, 220)),
        (round_shape(130), Bed(260, 260, -130, -130, BedForm.ROUND)),
        (round_shape(125, 60), Bed(250, 250, -125, -125, BedForm.ROUND)),
    ],
)
def test_origin_form_and_size_of_the_bed_are_read(shape: str, bed: Bed) -> None:
    machine = read_configuration(configuration(bed_shape=shape, nozzle_diameter="0.6", max_print_height="300"))
    assert machine.machine == MachineFacts(bed, 300, Decimal("0.6"))


def test_the_round_outlines_of_vendors_hold_tiny_numbers() -> None:
    assert "e-1" in round_shape(130)


@pytest.mark.parametrize(
    "shape", ["0x0,100x0,50x80", f"0x0,{'9' * 400}x0,9x9,0x9", "0x0,200x0,200x200,100x200,100x100,0x100"]
)
def test_a_bed_of_another_form_is_refused(shape: str) -> None:
    with pytest.raises(ConfigurationKeyRefused, match="rectangular or round"):
        read_configuration(configuration(bed_shape=shape))


@pytest.mark.parametrize(
    ("start", "end", "margins"),
    [
        ("G28\\nG1 Y-3 F1000\\nG1 X60 E9", "M84", (0, 3, 0, 0)),
        ("G28\\nG1 Y-2 X222.5", "M84", (0, 2, 2.5, 0)),
        ("G28", "G91\\nG1 Z+15 X-10 Y-10 E-7\\nG90", (10, 10, 0, 0)),
        ("{if layer_height < 0.1}\\nG1 Y-3\\n{else}\\nG1 X-4\\n{endif}", "M84", (4, 3, 0, 0)),
        ("G1 X{print_bed_max[0] + 50} Y[y]", "M84", (0, 0, 0, 0)),
        ("; G1 Y-30", "G1 E5 F-3", (0, 0, 0, 0)),
    ],
)
def test_the_scripts_tell_how_far_they_go_beside_the_bed(start: str, end: str, margins: tuple[float, ...]) -> None:
    settings = parse_settings(configuration(start_gcode=start, end_gcode=end))
    assert read_margins(settings, Bed(220, 220)) == margins


def test_beside_a_round_bed_it_is_the_way_from_its_rim() -> None:
    bed = Bed(200, 200, -100, -100, BedForm.ROUND)
    assert read_margins({"start_gcode": "G1 X-98 Y0\\nG1 X-60 Y-80.5"}, bed)[0] == pytest.approx(0.4, abs=0.01)


def test_scripts_that_go_far_beside_the_bed_are_refused() -> None:
    with pytest.raises(ConfigurationMovesTooFar, match="move 80 mm beside the bed; at most 40 mm"):
        read_configuration(configuration(end_gcode="G1 X300"))


INLINE = "{if nozzle_diameter[0]==0.4}0.05{elsif nozzle_diameter[0]==0.6}0.03{else}0.02{endif}"


@pytest.mark.parametrize(
    "line",
    [
        f"M900 K{INLINE} ; filament",
        "{if layer_z < max_print_height}G1 Z{z_offset+min(layer_z+100, max_print_height)}{endif} F4000 ; up",
        "M221 S{if layer_height<0.075}100{else}95{endif}",
        ";{if layer_num == 2 }SET_FILAMENT_SENSOR SENSOR=x ENABLE=1{endif}",
        "{if a}{if b}M107{else}M106 S{c}{endif}{else}M84{endif}",
        "G1 X{print_bed_max[0]/2} Y[a[b]]",
        "[start_filament_gcode]",
    ],
)
def test_conditions_and_placeholders_inside_a_line_are_understood(line: str) -> None:
    assert read_configuration(configuration(start_gcode=f"G28\\n{line}\\nG1 Z5")).unlisted == ()


def test_each_branch_of_a_condition_is_read_with_its_line_in_the_script() -> None:
    start = r"G28\n{if a}\nM106 S1\nM0112 S1\n{elsif b}M107{else}\nM84\n{endif}\nG1 Z5"
    with pytest.raises(ConfigurationGcodeRefused, match="at line 4: the command M0112"):
        read_configuration(configuration(start_gcode=start))


def test_lines_that_a_person_may_answer_for_are_told_with_their_place() -> None:
    start = r"G28\nprint_start BED=[bed[initial_tool]] ; macro\n{if a}M500{endif}"
    unlisted = read_configuration(configuration(start_gcode=start, end_gcode="PRINT_END")).unlisted
    assert [(line.script, line.number, line.text) for line in unlisted] == [
        ("end_gcode", 1, "PRINT_END"),
        ("start_gcode", 2, "print_start BED=[bed[initial_tool]]"),
        ("start_gcode", 3, "M500"),
    ]


@pytest.mark.parametrize("script", ["M107\\n" * 5000, "{if a}" * 5000, "{if a}M107{endif}" * 150])
def test_a_script_that_no_machine_has_is_refused_before_its_branches_are_tried(script: str) -> None:
    with pytest.raises(ConfigurationKeyRefused, match="too long"):
        read_configuration(configuration(start_gcode=script))


@pytest.mark.parametrize(
    "changes",
    [
        {"bed_shape": "0x0,99999x0,99999x99999,0x99999"},
        {"bed_shape": "0x0,5x0,5x5,0x5"},
        {"max_print_height": "9999"},
        {"nozzle_diameter": "7"},
    ],
)
def test_a_machine_of_impossible_size_is_refused_beside_the_file(changes: dict[str, str]) -> None:
    with pytest.raises(SizeWrong) as caught:
        read_configuration(configuration(**changes))
    assert caught.value.field == "file"
