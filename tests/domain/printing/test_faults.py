"""Faults: what stands until a named person says that it is mended, and what does not clear it."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.core.changes import list_changes
from api.domain.people.roles import StaffOnly
from api.domain.printing import faults, runs
from api.domain.printing.faults import FaultRemains
from api.domain.printing.printers import Printer, record_observation, state_of
from api.domain.printing.runs import claim_next, plan_site
from api.domain.printing.states import FaultCode, PrinterState
from tests.world import NOW, World, make_sliced

LATER = NOW + timedelta(minutes=1)


def break_down(session: Session, printer: Printer, fault: FaultCode = FaultCode.FIRMWARE) -> None:
    faults.record_fault(session, printer_id=printer.id, fault=fault, text="Thermal Runaway", now=NOW)


def test_a_clear_plate_and_a_printer_that_looks_well_do_not_end_a_fault(session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    break_down(session, world.printer)
    record_observation(session, printer_id=world.printer.id, now=NOW, machine="idle", path=None)
    runs.clear_plate(session, printer=world.printer, actor=world.bob, now=NOW)
    assert state_of(world.printer, has_run=False, now=NOW) == PrinterState.NEEDS_ATTENTION
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is None
    assert [why.params[1] for why in plan_site(session, site=world.site, now=NOW).jobs[0].why] == [
        ("state", "needs_attention")
    ]


def test_it_ends_with_the_word_of_a_named_person_and_the_work_goes_on(session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    break_down(session, world.printer)
    session.info.pop("steps")
    faults.mend(session, printer=world.printer, actor=world.bob, now=LATER)
    found, mended = list_changes(session, noun="printer", noun_id=world.printer.id)[-2:]
    facts = {"fault": "firmware", "text": "Thermal Runaway"}
    assert (found.verb, found.actor_id, found.facts) == ("fault_found", None, facts)
    assert (mended.verb, mended.actor_id, mended.at, mended.facts) == ("fault_mended", world.bob.id, LATER, facts)
    assert ("reconcile", f"printer:{world.printer.id}", {"printer_id": world.printer.id}) in session.info["steps"]
    assert claim_next(session, printer_id=world.printer.id, now=NOW)


def test_only_staff_of_the_place_say_so(session: Session, world: World) -> None:
    break_down(session, world.printer)
    for actor in (world.alice, world.charlie):
        with pytest.raises(StaffOnly):
            faults.mend(session, printer=world.printer, actor=actor, now=NOW)
    assert world.printer.fault == FaultCode.FIRMWARE


def test_nobody_can_say_so_while_the_printer_still_reports_it(session: Session, world: World) -> None:
    break_down(session, world.printer)
    record_observation(session, printer_id=world.printer.id, now=NOW, machine="error", path=None, error="Halted")
    with pytest.raises(FaultRemains):
        faults.mend(session, printer=world.printer, actor=world.bob, now=NOW)


def test_a_fault_keeps_its_first_cause_and_each_end_is_recorded_once(session: Session, world: World) -> None:
    break_down(session, world.printer, FaultCode.EMERGENCY_STOP)
    break_down(session, world.printer, FaultCode.FIRMWARE)
    assert world.printer.fault == FaultCode.EMERGENCY_STOP
    for _ in range(2):
        faults.mend(session, printer=world.printer, actor=world.bob, now=NOW)
    changes = list_changes(session, noun="printer", noun_id=world.printer.id)
    assert [change.verb for change in changes if change.verb.startswith("fault")] == ["fault_found", "fault_mended"]
