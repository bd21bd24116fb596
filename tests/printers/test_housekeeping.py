"""Old prints leave the printer by age; never the newest, never what is not ours."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from api import tasks
from api.db import transaction
from api.domain.printing.runs import RunStatus
from printers import housekeeping
from printers.housekeeping import FOLDER, KEEP, KEEP_FOR, LOW_BYTES, list_old, tidy, tidy_all
from printers.lab import OctoPrintServer
from printers.simulator import Mode, SimulatedOctoPrint
from tests.octoprints import wait_until
from tests.world import NOW
from tests.world.workshop import Workshop

LATER = NOW + KEEP_FOR + timedelta(days=1)


def ended(count: int, *, days_ago: float) -> dict[str, datetime]:
    return {f"{n:03}": NOW - timedelta(days=days_ago, minutes=count - n) for n in range(count)}


@pytest.mark.parametrize(
    ("count", "days_ago", "free_bytes", "going"),
    [
        (KEEP + 3, 20, LOW_BYTES, 3),
        (KEEP + 3, 20, None, 3),
        (KEEP + 3, 1, LOW_BYTES, 0),
        (KEEP + 3, 1, LOW_BYTES - 1, 3),
        (KEEP, 400, 0, 0),
        (0, 0, 0, 0),
    ],
)
def test_what_may_go_is_old_and_not_of_the_newest(
    count: int, days_ago: float, free_bytes: int | None, going: int
) -> None:
    old = list_old(ended(count, days_ago=days_ago), now=NOW, free_bytes=free_bytes)
    assert old == [f"{n:03}" for n in range(going)]


def print_one(workshop: Workshop) -> str:
    """One part printed and put away; its path in the folder of what is done."""
    job_id = workshop.queue()

    def is_done() -> bool:
        workshop.reconcile()
        if workshop.sim.printer.is_active:
            workshop.sim.printer.finish()
        return bool(workshop.runs(job_id)) and workshop.run(job_id).filed_at is not None

    wait_until(is_done)
    return workshop.run(job_id).done_path


def folder(workshop: Workshop, sim: SimulatedOctoPrint) -> set[str]:
    return {file.path for file in workshop.open(sim.url, sim.key).list_files(FOLDER)}


def test_of_three_old_prints_the_oldest_goes_and_a_strangers_file_stays(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "KEEP", 2)
    made = []
    for _ in range(3):
        made.append(print_one(workshop))
        workshop.clear()
    workshop.sim.printer.store(f"{FOLDER}/by-hand.gcode", b"G28\n")
    assert tidy_all(now=NOW + timedelta(hours=1), opener=workshop.open) == 0
    assert tidy_all(now=LATER, opener=workshop.open) == 1
    assert tidy_all(now=LATER, opener=workshop.open) == 0
    assert folder(workshop, workshop.sim) == {*made[1:], f"{FOLDER}/by-hand.gcode"}


def test_what_prints_is_not_touched(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "KEEP", 0)
    job_id = workshop.printing()
    assert tidy(workshop.printer_id, now=LATER, opener=workshop.open) == 0
    workshop.reconcile()
    assert workshop.run(job_id).status == RunStatus.PRINTING


def test_a_printer_that_does_not_answer_keeps_no_other_from_being_tidied(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "KEEP", 0)
    print_one(workshop)
    with SimulatedOctoPrint() as silent:
        workshop.add_printer(silent)
        with silent.behaving(Mode.OFFLINE):
            assert tidy_all(now=LATER, opener=workshop.open) == 1


@pytest.mark.real
def test_a_real_octoprint_is_tidied(
    workshop: Workshop, octoprint: OctoPrintServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(housekeeping, "KEEP", 1)
    with transaction() as session:
        printer = session.get_one(type(workshop.printer()), workshop.printer_id)
        printer.url, printer.sealed_key = octoprint.url, octoprint.key
    made = []
    for _ in range(2):
        made.append(print_one(workshop))
        workshop.clear()
    assert tidy(workshop.printer_id, now=LATER, opener=workshop.open) == 1
    port = workshop.open(octoprint.url, octoprint.key)
    assert [file.path for file in port.list_files(FOLDER)] == made[1:]


def test_the_engine_tidies_every_night(installation: Path) -> None:
    app = tasks.make_app("")
    assert [task.task.name for task in app.periodic_registry.periodic_tasks.values()] == ["tidy_printers"]
    housekeeping.tidy_printers(0)  # no printer, nothing to do
