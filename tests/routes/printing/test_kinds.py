"""Printer kinds by JSON: staff read them, give configurations, and answer for lines."""

from sqlalchemy.orm import Session

from api.domain.printing import configurations
from api.domain.printing.configurations import ConfigurationStatus
from tests.printers.parts import configuration
from tests.world import NOW, World
from tests.world.programs import Program

MACRO = "PRINT_START BED=[first_layer_bed_temperature]"


def test_staff_give_a_configuration_answer_for_its_line_and_withdraw(
    bob: Program, session: Session, world: World
) -> None:
    path = f"/kinds/{world.printer.kind_id}"
    body = {"text": configuration(start_gcode=f"G28\\n{MACRO}", bed_shape="-110x-110,110x-110,110x110,-110x110")}
    held = bob("PUT", f"{path}/configuration", json=body)
    assert (held.status_code, held.json()["latest"]["status"]) == (202, "held")
    assert held.json()["latest"]["unlisted"] == [{"script": "start_gcode", "number": 2, "text": MACRO}]
    allowed = bob("POST", f"{path}/lines", json={"line": MACRO})
    [line] = allowed.json()["allowed_lines"]
    assert (allowed.status_code, line["allowed_by"], allowed.json()["latest"]["status"]) == (201, "Bob", "trying")
    trying = configurations.find_configuration(session, world.printer.kind, ConfigurationStatus.TRYING)
    assert trying is not None
    configurations.finish_trial(session, configuration=trying, tries=[{"seconds": 1}], drawing={}, now=NOW)
    known = bob("GET", path).json()
    assert (known["in_use"]["status"], known["latest"], known["bed_corner_mm"]) == ("in_use", None, [-110, -110])
    assert bob("DELETE", f"{path}/lines/{line['id']}").status_code == 409
    assert bob("DELETE", f"{path}/configuration").json()["is_configured"] is False
    assert bob("DELETE", f"{path}/lines/{line['id']}").json()["allowed_lines"] == []


def test_a_wrong_configuration_and_a_wrong_line_are_told_at_their_field(
    bob: Program, session: Session, world: World
) -> None:
    path = f"/kinds/{world.printer.kind_id}"
    for method, where, body, field in (
        ("PUT", "configuration", {"text": "hello"}, "file"),
        ("POST", "lines", {"line": "M500"}, "line"),
    ):
        answer = bob(method, f"{path}/{where}", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_others_see_no_kind(alice: Program, charlie: Program, session: Session, world: World) -> None:
    path = f"/kinds/{world.printer.kind_id}"
    calls = (("GET", "", None), ("PUT", "/configuration", {"text": "x"}), ("POST", "/lines", {"line": "x"}))
    calls += (("DELETE", "/configuration", None), ("DELETE", "/lines/1", None))
    for method, where, body in calls:
        assert [who(method, path + where, json=body).status_code for who in (alice, charlie)] == [404, 404]


def test_a_printer_names_its_kind(bob: Program, session: Session, world: World) -> None:
    assert bob("GET", f"/printers/{world.printer.id}").json()["kind_id"] == world.printer.kind_id
