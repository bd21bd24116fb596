"""Printers and places by JSON: what members see, what staff do, and what nobody is shown."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.core.changes import list_changes
from api.domain.printing import faults
from api.domain.printing.runs import RunStatus
from api.domain.printing.states import FaultCode
from tests.world import NOW, World, make_run, make_sliced
from tests.world.programs import Program


def test_members_see_the_fleet_without_keys_addresses_or_troubles(
    session: Session, alice: Program, bob: Program, world: World
) -> None:
    world.printer.trouble = "secret words of a server"
    session.flush()
    seen = next(p for p in alice("GET", "/printers").json() if p["id"] == world.printer.id)
    assert (seen["state"], seen["plate_clear"], seen["trouble"]) == ("ready", True, "")
    assert not {"url", "sealed_key", "key"} & seen.keys()
    assert bob("GET", f"/printers/{world.printer.id}").json()["trouble"] == "secret words of a server"


def test_who_prints_what_is_for_staff_and_the_owner(
    session: Session, alice: Program, bob: Program, charlie: Program, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice)
    make_run(session, world.printer, progress=0.25)
    shown = [who("GET", f"/printers/{world.printer.id}").json() for who in (alice, bob, charlie)]
    assert [one["job_id"] for one in shown] == [job.id, job.id, None]
    assert {(one["state"], one["progress"]) for one in shown} == {("busy", 0.25)}


VERBS: dict[str, dict[str, Any]] = {
    "clear": {},
    "mend": {},
    "load": {"json": {"material": "pla", "colour": "BLACK"}},
    "maintenance": {"json": {"on": True, "note": "Nozzle"}},
}


@pytest.mark.parametrize("verb", VERBS)
def test_only_its_staff_touch_a_printer(alice: Program, charlie: Program, world: World, verb: str) -> None:
    for who in (alice, charlie):
        assert who("POST", f"/printers/{world.printer.id}/{verb}", **VERBS[verb]).status_code == 403
        assert who("POST", f"/printers/0/{verb}", **VERBS[verb]).status_code == 404


def test_staff_clear_load_and_maintain(session: Session, bob: Program, world: World) -> None:
    world.printer.plate_clear = False
    session.flush()
    path = f"/printers/{world.printer.id}"
    assert bob("POST", f"{path}/clear").json()["state"] == "ready"
    assert bob("POST", f"{path}/load", **VERBS["load"]).json()["colour"] == "black"
    assert bob("POST", f"{path}/maintenance", **VERBS["maintenance"]).json()["state"] == "maintenance"
    assert bob("POST", f"{path}/maintenance", json={"on": False}).json()["state"] == "ready"
    assert world.printer.plate_changed_by == world.bob.id


def test_a_paused_print_is_said(session: Session, alice: Program, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    make_run(session, world.printer, status=RunStatus.PAUSED)
    world.printer.machine = "paused"
    session.flush()
    seen = alice("GET", f"/printers/{world.printer.id}").json()
    assert (seen["state"], seen["stall"]) == ("paused", "paused")


def test_a_fault_is_shown_and_ends_by_the_word_of_staff(
    session: Session, alice: Program, bob: Program, world: World
) -> None:
    fault, path = FaultCode.EMERGENCY_STOP, f"/printers/{world.printer.id}"
    faults.record_fault(session, printer_id=world.printer.id, fault=fault, text="Closing: M112", now=NOW)
    seen = alice("GET", path).json()
    assert (seen["state"], seen["fault"], seen["fault_at"][:10]) == ("needs_attention", "emergency_stop", "2026-11-23")
    assert bob("POST", f"{path}/clear").json()["state"] == "needs_attention"
    world.printer.machine = "error"
    session.flush()
    assert bob("POST", f"{path}/mend").status_code == 409
    world.printer.machine = "idle"
    session.flush()
    seen = bob("POST", f"{path}/mend").json()
    assert (seen["state"], seen["fault"], seen["fault_at"]) == ("ready", None, None)
    assert list_changes(session, noun="printer", noun_id=world.printer.id)[-1].actor_id == world.bob.id


def test_a_plate_is_not_cleared_while_something_prints(session: Session, bob: Program, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    make_run(session, world.printer)
    answer = bob("POST", f"/printers/{world.printer.id}/clear")
    assert (answer.status_code, answer.json()["code"]) == (409, "plate-busy")


@pytest.mark.parametrize("wrong", [{"material": "WOOD", "colour": "black"}, {"material": "PLA", "colour": "plaid"}, {}])
def test_what_is_not_known_cannot_be_loaded(bob: Program, world: World, wrong: dict[str, str]) -> None:
    assert bob("POST", f"/printers/{world.printer.id}/load", json=wrong).status_code == 422
