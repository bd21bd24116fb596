"""Printers: the one state that people see, whose hand is behind a plate, and what a look leaves in the table."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from api.domain.printing import printers, runs
from api.domain.printing.beds import Bed, MachineFacts
from api.domain.printing.kinds import PrinterKind, SizeWrong, get_or_create_kind
from api.domain.printing.maintenance import set_maintenance
from api.domain.printing.printers import SILENT_AFTER, PlateBusy, Printer, state_of
from api.domain.printing.states import ACTIVE, PrinterState
from tests.world import NOW, World, make_material, make_printer, make_run, make_site, make_sliced

S = PrinterState


def verbs(session: Session, printer: Printer) -> list[str]:
    return [change.verb for change in list_changes(session, noun="printer", noun_id=printer.id)]


@pytest.mark.parametrize(
    ("facts", "has_run", "state"),
    [
        ({}, False, S.READY),
        ({}, True, S.BUSY),
        ({"plate_clear": False}, False, S.NEEDS_CLEARING),
        ({"machine": "printing"}, True, S.BUSY),
        ({"machine": "paused"}, True, S.PAUSED),
        ({"machine": "paused"}, False, S.IN_USE_BY_HAND),
        ({"machine": "printing"}, False, S.IN_USE_BY_HAND),
        ({"machine": "error"}, True, S.NEEDS_ATTENTION),
        ({"machine": "offline"}, True, S.OFFLINE),
        ({"machine": "connecting"}, False, S.OFFLINE),
        ({"machine": ""}, False, S.OFFLINE),
        ({"reached_at": None}, False, S.OFFLINE),
        ({"reached_at": NOW - SILENT_AFTER}, False, S.READY),
        ({"reached_at": NOW - SILENT_AFTER - timedelta(seconds=1)}, False, S.OFFLINE),
        ({"fault": "firmware"}, False, S.NEEDS_ATTENTION),
        ({"fault": "firmware", "reached_at": None}, False, S.NEEDS_ATTENTION),
        ({"fault": "firmware", "in_maintenance": True}, False, S.MAINTENANCE),
        ({"trouble_reason": "wrong_key"}, False, S.OFFLINE),
        ({"trouble_reason": "wrong_key", "in_maintenance": True}, True, S.MAINTENANCE),
    ],
)
def test_people_see_one_state_the_worst(
    session: Session, world: World, facts: dict[str, Any], has_run: bool, state: PrinterState
) -> None:
    printer = make_printer(session, world.site, **facts)
    assert state_of(printer, has_run=has_run, now=NOW) == state


def test_a_new_printer_waits_for_somebody_to_look_at_its_plate(session: Session, world: World) -> None:
    printer = printers.add_printer(
        session, site=world.site, name="New", kind=world.printer.kind, url="http://127.0.0.1:9/", sealed_key="s",
        now=NOW, actor=world.bob,
    )  # fmt: skip
    assert (printer.plate_clear, printer.url, printer.name, printer.site_id) == (
        False, "http://127.0.0.1:9", "New", world.site.id,
    )  # fmt: skip
    assert state_of(printer, has_run=False, now=NOW) == S.OFFLINE
    assert ("reconcile", f"printer:{printer.id}", {"printer_id": printer.id}) in session.info["steps"]


def test_a_printer_out_of_service_is_not_listed(session: Session, world: World) -> None:
    elsewhere = make_printer(session, make_site(session))
    assert printers.list_printers(session) == [world.printer, elsewhere]
    assert printers.list_printers(session, site_ids=[world.site.id]) == [world.printer]
    world.printer.resource.retired_at = NOW
    session.flush()
    assert printers.list_printers(session) == [elsewhere]


def test_an_unknown_printer_is_not_found(session: Session, world: World) -> None:
    assert printers.get_printer(session, world.printer.id) is world.printer
    with pytest.raises(NotFound):
        printers.get_printer(session, 0)


def test_a_named_person_clears_the_plate(session: Session, world: World) -> None:
    printer = make_printer(session, world.site, plate_clear=False)
    runs.clear_plate(session, printer=printer, actor=world.bob, now=NOW)
    assert (printer.plate_clear, printer.plate_changed_by, printer.plate_changed_at) == (True, world.bob.id, NOW)
    assert verbs(session, printer) == ["added", "plate_cleared"]


@pytest.mark.parametrize("machine", [*sorted(ACTIVE), "idle"])
def test_no_plate_is_cleared_while_something_prints(session: Session, world: World, machine: str) -> None:
    printer = world.printer
    if machine == "idle":
        make_sliced(session, world.site, world.alice)
        make_run(session, printer)
    printer.plate_clear, printer.machine = False, machine
    session.flush()
    with pytest.raises(PlateBusy):
        runs.clear_plate(session, printer=printer, actor=world.bob, now=NOW)
    assert not printer.plate_clear


def test_a_plate_fills_once(session: Session, world: World) -> None:
    for _ in range(2):
        printers.fill_plate(session, printer=world.printer, now=NOW)
    assert (world.printer.plate_clear, world.printer.plate_changed_by) == (False, None)
    assert verbs(session, world.printer) == ["added", "plate_filled"]


def test_maintenance_says_why_while_it_lasts(session: Session, world: World) -> None:
    set_maintenance(session, printer=world.printer, on=True, note=" New nozzle ", actor=world.bob, now=NOW)
    assert (world.printer.in_maintenance, world.printer.maintenance_note) == (True, "New nozzle")
    set_maintenance(session, printer=world.printer, on=False, note="x", actor=world.bob, now=NOW)
    assert (world.printer.in_maintenance, world.printer.maintenance_note) == (False, "")
    assert verbs(session, world.printer)[1:] == ["maintenance_on", "maintenance_off"]


@pytest.mark.parametrize("named", [True, False])
def test_what_is_loaded_is_what_a_person_says(session: Session, world: World, named: bool) -> None:
    petg = make_material(session, "PETG")
    actor = world.bob if named else None
    printers.load_filament(session, printer=world.printer, material=petg, colour=petg.colours[1], actor=actor, now=NOW)
    assert (world.printer.material, world.printer.colour) == (petg, petg.colours[1])
    change = list_changes(session, noun="printer", noun_id=world.printer.id)[-1]
    assert (change.actor_id, change.facts) == (actor and actor.id, {"material": "PETG", "colour": "black"})


def saw(session: Session, printer: Printer, **facts: Any) -> None:
    printers.record_observation(session, printer_id=printer.id, now=NOW, **{"machine": "idle", "path": None, **facts})
    session.refresh(printer)


def test_a_look_that_succeeds_forgets_the_trouble_of_the_last(session: Session, world: World) -> None:
    printer = make_printer(session, world.site, trouble="refused", trouble_reason="unreachable", reached_at=None)
    saw(session, printer, machine="printing", path="etabli/x.gcode", progress=0.5, left_s=90.0)
    assert (printer.trouble, printer.trouble_reason, printer.reached_at) == ("", "", NOW)
    assert (printer.machine, printer.seen_path, printer.progress, printer.left_s) == (
        "printing", "etabli/x.gcode", 0.5, 90.0,
    )  # fmt: skip
    assert verbs(session, printer) == ["added"]


def test_why_a_printer_was_backed_off_stays_to_be_read_until_it_is_over(session: Session, world: World) -> None:
    until = NOW + timedelta(minutes=5)
    printers.back_off(session, printer_id=world.printer.id, until=until, now=NOW, reason="disk_full", message="Full")
    saw(session, world.printer)
    assert (world.printer.trouble, world.printer.not_before) == ("Full", until)
    saw(session, world.printer, error="Thermal runaway")
    assert world.printer.trouble == "Thermal runaway"
    world.printer.not_before = NOW
    session.flush()
    saw(session, world.printer)
    assert world.printer.trouble == ""


def test_a_printer_that_did_not_answer_keeps_what_was_last_seen(session: Session, world: World) -> None:
    saw(session, world.printer, machine="printing", path="a.gcode")
    later = NOW + timedelta(seconds=9)
    printers.record_unreachable(session, printer_id=world.printer.id, now=later, reason="timeout", message="x" * 400)
    session.refresh(world.printer)
    assert (world.printer.machine, world.printer.seen_path, world.printer.reached_at) == ("printing", "a.gcode", NOW)
    assert (world.printer.looked_at, world.printer.trouble_reason, len(world.printer.trouble)) == (
        later,
        "timeout",
        300,
    )


def kind_of(
    session: Session,
    *,
    volume_mm: tuple[float, float, float] = (220.0, 220.0, 250.0),
    nozzle_mm: Decimal = Decimal("0.4"),
    config_ini: str = "",
) -> PrinterKind:
    machine = MachineFacts(Bed(*volume_mm[:2]), volume_mm[2], nozzle_mm)
    return get_or_create_kind(session, machine=machine, config_ini=config_ini)


def test_printers_of_one_volume_nozzle_and_configuration_are_one_kind(session: Session, world: World) -> None:
    kind = kind_of(session)
    assert kind_of(session, nozzle_mm=Decimal("0.40")) is kind
    others = [
        kind_of(session, volume_mm=(300.0, 220.0, 250.0)),
        kind_of(session, nozzle_mm=Decimal("0.6")),
        kind_of(session, config_ini="perimeters = 7"),
    ]
    names = [each.name for each in (kind, *others)]
    assert len(set(names)) == 4
    assert names[1] == "300 × 220 × 250 mm, 0.4 mm"


@pytest.mark.parametrize(
    "facts",
    [
        {"volume_mm": (19, 220, 250)},
        {"volume_mm": (220, 220, 2001)},
        {"volume_mm": (float("nan"), 220, 250)},
        {"nozzle_mm": Decimal("0.05")},
        {"nozzle_mm": Decimal("2.1")},
    ],
)
def test_a_kind_that_no_printer_is_is_refused(session: Session, facts: dict[str, Any]) -> None:
    with pytest.raises(SizeWrong):
        kind_of(session, **facts)


def test_a_plate_is_said_not_to_be_clear_by_name_and_once(session: Session, world: World) -> None:
    for _ in range(2):
        runs.unclear_plate(session, printer=world.printer, actor=world.bob, now=NOW)
    assert not world.printer.plate_clear
    assert world.printer.plate_changed_by == world.bob.id
    assert verbs(session, world.printer).count("plate_filled") == 1
