"""What may reach a printer, line by line."""

import dataclasses
from pathlib import Path

import pytest

from api.domain.printing.beds import Bed, BedPlace, place_bed
from printers.gcode import (
    END_MARKER,
    GcodeFacts,
    GcodeLimits,
    GcodeUnsafe,
    append_end_marker,
    check_gcode,
)

LIMITS = GcodeLimits(Bed(220, 220), height_mm=250, nozzle_max_c=260, bed_max_c=100)


def check(*lines: str, limits: GcodeLimits = LIMITS) -> GcodeFacts:
    return check_gcode("\n".join(("G1 X1 Y1 Z1", *lines)).encode() + b"\n", limits)


def refusal(*lines: str, limits: GcodeLimits = LIMITS) -> str:
    with pytest.raises(GcodeUnsafe) as caught:
        check(*lines, limits=limits)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    """G0 X10 Y10 F6000|G1 X10 Y10 E.5 ; a comment|G1 E-2 F2400|G2 X3 Y3 I1 J1|G3 X3 Y3 I1 J1|G4 S60|G4 P500|G10|G10 S1
    |G11|G21|G28|G28 X Y|G28 W|G29|G29 P1|G90|G92 E0|M73 P10 R3|M82|M83|M84|M84 X|M104 S215|M104 S215 T0|M106 S128|M107
    |M109 S210|M109 R200|M117 Layer 3/20|M117|M140 S60|M190 S60|M200 D0|M201 X500|M203 X300|M204 P800 T1000|M205 X8
    |M220 S100|M220 B|M221 S95|M400|M486 T3|M486 S-1|M486 Apart|M862.1 P0.4|M862.3 P "MK3S"|M900 K0.05|T0|; text|
    |G1 X1\tY2|  G1 X1|G1 X1 Y2 E3\r|;LAYER_CHANGE""".replace("\n", "").split("|"),
)
def test_a_command_on_the_list_passes(line: str) -> None:
    assert check(line).lines == 2


@pytest.mark.parametrize(
    "line",
    [
        *["M0", "M1", "M20", "M28 x.gco", "M30 x.gco", "M32", "M81", "M108", "M110 N0", "M112", "M112;", "M301 P1"],
        *["M302", "M303", "M304", "M410", "M500", "M501", "M502", "M503", "M504", "M510", "M511", "M512", "M524"],
        *["M118 //action:cancel", "M552", "M554", "M575", "M600", "M851", "M906", "M997", "M999", "M42 P1 S255"],
        *["G20", "G5", "G53", "G0.1"],
    ],
)
def test_a_command_that_is_not_on_the_list_is_refused(line: str) -> None:
    assert refusal(line).startswith("The G-code is refused at line 2: ")


@pytest.mark.parametrize(
    "line",
    [
        "@pause",
        "!!",
        "g1 x1",
        "N1 G1 X1*33",
        "G1 X1e3",
        "G1 Xnan",
        "G1 X 1",
        "(hello)",
        "M117 //action:cancel",
        "M117 hi !!",
        "M117 ça",
        "; \rM112",
        "; \x0bM112",
        "; é",
        "\x00",
        "G1 X1;\x7f",
        "%",
        "/G1 X1",
    ],
)
def test_a_line_that_is_no_plain_command_is_refused(line: str) -> None:
    assert "not a line of G-code" in refusal(line)


@pytest.mark.parametrize(
    "line",
    """M907 E538|M907 E30 ; rest current|M420 S1 ; use the stored mesh|M115 U3.11.0 ; tell printer latest fw version
    |M115|M300 S40 P10|M117 Heating... ; on the LCD|M117 Don't touch!|M702 C|M704 P0
    |G80 ; mesh bed leveling|G34|G33|M413 S0
    |M155 S2|M150 P0 ; turn off led|M141 S60|G1 Z+0.5 X+0.5 F300|M18 S180|M75|M77|M425 Z F0|Tx|Tc|M105|F4000 ; up
    |M566 X480 Y480|G32""".replace("\n    |", "|").split("|"),
)
def test_a_harmless_command_of_stock_profiles_passes(line: str) -> None:
    assert check("G1 X1 Y1 Z1", line).lines == 3


def test_a_closed_machine_is_not_heated_beyond_its_air() -> None:
    assert "M141 asks for 90 °C, more than 70 °C" in refusal("M141 S90")


ANSWERED = dataclasses.replace(
    LIMITS, extra_lines=("PRINT_START BED=[first_layer_bed_temperature] EXTRUDER={t[0] + 5}", "M500", "M92 E140")
)


@pytest.mark.parametrize("line", ["PRINT_START BED=60 EXTRUDER=215.5", "M500", "M500 ; keep it", "M92 E140"])
def test_a_line_that_a_person_answers_for_passes_as_the_slicer_fills_it(line: str) -> None:
    assert check(line, limits=ANSWERED).lines == 2
    assert "nobody has taken responsibility" in refusal(line)


@pytest.mark.parametrize(
    "line", ["PRINT_START BED=60", "PRINT_START BED=60 EXTRUDER=1 X=1", "M501", "M500 S1", "M92 E280", "PRINT_END"]
)
def test_an_answer_is_for_that_very_line(line: str) -> None:
    assert "nobody has taken responsibility" in refusal(line, limits=ANSWERED)


@pytest.mark.parametrize(
    "line",
    """M112|M0112|M112.0|M999|M997|M28 x.gco|M29|M30 x.gco|M23 x.gco|M24|M32|M928|M110 N0|M118 hello|M81|M410
    |M524|M552|@pause
    |EMERGENCY_STOP|firmware_restart|RESTART|SAVE_CONFIG|RUN_SHELL_COMMAND CMD=x|RESPOND TYPE=command MSG=cancel
    |m112|n1|CANCEL_PRINT
    |M600 M112|PRINT_START A=$(x)|SET_TEXT MSG=a b|PRINT_START BED=60 M112""".replace("\n    |", "|").split("|"),
)
def test_for_what_can_harm_nobody_can_answer(line: str) -> None:
    limits = dataclasses.replace(LIMITS, extra_lines=(line,))
    assert "nobody has taken" not in refusal(line, limits=limits)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("G1 X220.1", "X 220.1 mm is outside the machine"),
        ("G1 Y-1", "Y -1 mm is outside the machine"),
        ("G1 Z250.5", "Z 250.5 mm is outside the machine"),
        ("G1 Z-.1", "Z -0.1 mm is outside the machine"),
        ("G1 X1 F99999", "a speed of 99999 mm/min is more than 36000"),
        ("G1 F99999 X1", "a speed of 99999 mm/min is more than 36000"),
        ("G1 F1 X999", "X 999 mm is outside the machine"),
        ("G2 X1 Y1 F99999 I1", "a speed"),
        ("M104 S261", "M104 asks for 261 °C, more than 260 °C"),
        ("M109 R400", "M109 asks for 400 °C"),
        ("M140 S101", "M140 asks for 101 °C, more than 100 °C"),
        ("M190 R130", "M190 asks for 130 °C"),
        ("G4 S61", "a pause of 61 s is more than 60 s"),
        ("G4 P60001", "a pause of 60.001 s"),
        ("G4 S-1", "a pause of -1 s"),
        ("G92 X0", "G92 may not carry X here"),
        ("G92", "G92 may only set E"),
        ("G10 P0", "G10 may not carry P here"),
        ("G10 S2", "may only carry S0 or S1"),
        ("G1 Y1 X1 X2", "X stands twice in one G1"),
        ("G1 X1 M112", "G1 may not carry M here"),
        ("G1 X1 G1 Y2", "G1 may not carry G here"),
        ("G1 Y X1", "G1 Y has no value"),
        ("G2 X1 Y1 R5", "G2 may not carry R here"),
        ("M220 S500", "M220 may not ask for 500 %"),
        ("M221 S0", "M221 may not ask for 0 %"),
        ("T1", "there is no tool T1"),
        ("T0 S1", "there is no tool T0"),
        ("G1 X1 ;" + "a" * 300, "the line is longer than 256 characters"),
        (";" + "a" * 20_000, "the line is longer than 256 characters"),
        (" " * 300 + "\x01", "the line is longer than 256 characters"),
    ],
)
def test_a_value_beyond_the_machine_is_refused_with_its_reason(line: str, why: str) -> None:
    assert why in refusal(line)


def test_the_line_number_is_that_of_an_editor() -> None:
    assert "at line 4:" in refusal("G1 X2", "", "M112", "G1 X3")


def test_a_long_comment_passes_where_a_long_command_does_not() -> None:
    assert check("; start_gcode = " + "G1 X1 " * 200).lines == 2
    assert "at line 2:" in refusal("G1 X1 " * 200)


def test_relative_moves_add_up() -> None:
    assert check("G91", "G1 X100", "G1 X100", "G90", "G1 X5").high[0] == 201
    assert "X 221 mm" in refusal("G91", "G1 X110", "G1 X110")


def test_homing_forgets_the_place() -> None:
    assert check("G1 X200", "G28", "G91", "G1 X50 Y50", "G90").high[0] == 200
    assert "X 250 mm" in refusal("G1 X200", "G28 Y", "G91", "G1 X50")


def test_an_arc_is_measured_where_it_bulges() -> None:
    facts = check("G1 X10 Y50", "G2 X50 Y50 I20 J0")
    assert (facts.low[0], facts.high[1]) == (1, 70)
    assert check("G1 X10 Y50", "G3 X50 Y50 I20 J0").high[1] == 50


def test_an_arc_that_leaves_the_bed_between_its_ends_is_refused() -> None:
    assert "Y -10 mm" in refusal("G1 X10 Y10", "G3 X50 Y10 I20 J0")


def test_a_whole_circle_counts_with_all_its_sides() -> None:
    facts = check("G1 X50 Y50", "G2 X50 Y50 I20 J0")
    assert (facts.high[0], facts.high[1]) == (90, 70)
    assert "Y -1 mm" in refusal("G1 X50 Y19", "G2 X50 Y19 I20 J0")


def test_the_facts_tell_what_the_file_does() -> None:
    facts = check(";LAYER_CHANGE", "M104 S200", "M109 S215", "M140 S60", "G0 X200 Y100 Z20", ";LAYER_CHANGE", "M104 S0")
    assert facts == GcodeFacts(8, 2, (1, 1, 1), (200, 100, 20), 215, 60)


def test_a_margin_widens_the_bed_but_not_the_height() -> None:
    wide = dataclasses.replace(LIMITS, margins_mm=(3, 0, 0, 4))
    check("G1 X-3 Y224", limits=wide)
    assert "Y -1 mm" in refusal("G1 Y-1", limits=wide)
    assert "X 221 mm" in refusal("G1 X221", limits=wide)
    assert "Z 251" in refusal("G1 Z251", limits=wide)


def test_a_bed_with_its_origin_in_the_middle_ends_at_half_its_width() -> None:
    middle = dataclasses.replace(LIMITS, bed=Bed(220, 220, -110, -110))
    check("G1 X-110 Y110", limits=middle)
    assert "X 120 mm" in refusal("G1 X120", limits=middle)


def test_the_corners_around_a_round_bed_are_outside() -> None:
    delta = dataclasses.replace(LIMITS, bed=place_bed(200, 200, BedPlace.ROUND))
    check("G1 X-98 Y0", "G3 X0 Y-98 I98 Z1", limits=delta)
    for corner in ("G1 X80 Y80", "G1 Y80 X80", "G2 X1 Y1 I40 J40"):
        assert "outside the round bed" in refusal(corner, limits=delta)


def test_more_tools_are_a_matter_of_the_machine() -> None:
    assert check("T1", limits=dataclasses.replace(LIMITS, tools=2)).lines == 2
    assert "at line 2:" in refusal("T1")


@pytest.mark.parametrize("data", [b"", b"; nothing\n", b"M104 S200\n"])
def test_a_file_that_moves_nothing_is_refused(data: bytes) -> None:
    with pytest.raises(GcodeUnsafe, match="moves nothing"):
        check_gcode(data, LIMITS)


def test_the_end_marker_is_the_last_line_and_may_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "part.gcode"
    path.write_bytes(b"G1 X1 Y1 Z1\n")
    append_end_marker(path)
    assert path.read_bytes() == b"G1 X1 Y1 Z1\n" + END_MARKER
    check_gcode(path, LIMITS)


def test_a_long_file_is_read_to_its_last_line() -> None:
    data = b"G1 X100.832 Y100.832 E.62065\n" * (5_000_000 // 29)
    check_gcode(data + b"G1 Z1\n", LIMITS)
    with pytest.raises(GcodeUnsafe, match="M112"):
        check_gcode(data + b"M112\n", LIMITS)
