"""What time brings: each duty at its own pace, none stopped by another, and its failures where people see them."""

import errno
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api import duties, tasks
from api.db import transaction
from api.domain.core.duties import DutyRecord, FailureCause, list_failing
from api.domain.core.errors import NotFound
from api.domain.people.accounts import SESSION_IDLE, SESSION_LIFE, LoginSession, purge_sessions
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.printers import enqueue_reconcile
from api.domain.printing.slices import Slice, mark_ready
from api.duties import Duty, background_duties, cause_of, detail_of, look_at_printers, perform
from api.steps import STEPS
from tests.world import NOW, World, make_printer, make_site, make_submitted, make_world
from web.duties import NAMES


def queued() -> list[str]:
    with transaction() as session:
        query = "SELECT task_name, queueing_lock FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id"
        return [f"{name}:{lock}" for name, lock in session.connection().exec_driver_sql(query)]


def failing() -> list[tuple[str, FailureCause | None]]:
    with transaction() as session:
        return [(duty.name, duty.cause) for duty in list_failing(session)]


def duty(name: str) -> Duty:
    return next(each for each in background_duties() if each.name == name)


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    duties._noted.cache_clear()


def fail() -> None:
    raise RuntimeError("broken order\nwith its secrets")


def test_a_duty_that_fails_is_recorded_and_stops_no_other(installation: Path) -> None:
    done = []
    for each in (Duty("months", fail, 1), Duty("models", lambda: done.append(1), 1)):
        perform(each)
    assert (failing(), done) == ([("months", FailureCause.PROGRAM)], [1])
    with transaction() as session:
        assert session.get_one(DutyRecord, "months").detail == "RuntimeError: broken order"


def test_a_good_run_ends_the_failure_at_once(installation: Path) -> None:
    good, bad = Duty("months", lambda: None, 1), Duty("months", fail, 1)
    for duty, count in ((good, 0), (bad, 1), (good, 0), (bad, 1), (bad, 1), (good, 0)):
        perform(duty)
        assert len(failing()) == count


def test_a_duty_of_every_second_is_no_write_of_every_second(installation: Path) -> None:
    duty = Duty("printers", lambda: None, 1)
    perform(duty)
    with transaction() as session:
        session.execute(update(DutyRecord).values(good_at=NOW))
    perform(duty)
    with transaction() as session:
        assert session.get_one(DutyRecord, "printers").good_at == NOW


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OperationalError("SELECT", {}, psycopg.OperationalError("connection is closed")), FailureCause.DATABASE),
        (OperationalError("INSERT", {}, psycopg.errors.DiskFull("no space")), FailureCause.DISK_FULL),
        (OSError(errno.ENOSPC, "No space left on device"), FailureCause.DISK_FULL),
        (socket.gaierror("unknown host"), FailureCause.NETWORK),
        (TimeoutError(), FailureCause.NETWORK),
        (NotFound(), FailureCause.REFUSED),
        (KeyError("x"), FailureCause.PROGRAM),
    ],
)
def test_the_cause_is_what_a_person_can_do_something_about(error: Exception, cause: FailureCause) -> None:
    assert cause_of(error) is cause


def test_the_detail_holds_neither_sql_nor_values() -> None:
    error = OperationalError("SELECT secret", {"token": "etb_x"}, psycopg.OperationalError("gone\nDETAIL: etb_x"))
    assert detail_of(error) == "OperationalError: gone"


@pytest.mark.parametrize("duty", [*background_duties(), *duties.printer_duties()], ids=lambda duty: duty.name)
def test_every_duty_runs_twice_on_an_empty_installation_and_has_a_name(installation: Path, duty: Duty) -> None:
    duty.perform()
    duty.perform()
    assert duty.name in NAMES


def test_names_are_of_duties_that_there_are() -> None:
    assert {duty.name for duty in (*background_duties(), *duties.printer_duties())} == set(NAMES)


def test_logins_that_are_over_are_deleted(session: Session, world: World) -> None:
    ages = [
        (SESSION_IDLE + timedelta(days=1), SESSION_IDLE + timedelta(days=1)),
        (SESSION_LIFE + timedelta(days=1), timedelta(0)),
        (timedelta(days=20), timedelta(days=1)),
    ]
    for number, (created, seen) in enumerate(ages):
        login = LoginSession(
            user_id=world.alice.id, token_hash=str(number), created_at=NOW - created, seen_at=NOW - seen
        )
        session.add(login)
    session.flush()
    purge_sessions(session, now=NOW)
    assert session.scalars(select(LoginSession.token_hash)).all() == ["2"]


def test_steps_that_ended_long_ago_are_forgotten(installation: Path) -> None:
    with transaction() as session:
        enqueue_reconcile(session, 1)
        enqueue_reconcile(session, 2)
    with transaction() as session:
        run = session.connection().exec_driver_sql
        run("UPDATE procrastinate_jobs SET status = 'failed' WHERE queueing_lock = 'printer:1'")
        run("UPDATE procrastinate_events SET at = at - interval '3 days'")
    duties.delete_ended_steps()
    assert queued() == ["reconcile:printer:2"]
    with transaction() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM procrastinate_jobs").scalar() == 1


def test_the_tick_looks_at_every_printer_in_service(installation: Path) -> None:
    with transaction() as session:
        site = make_site(session)
        kept, gone = make_printer(session, site), make_printer(session, site)
        gone.resource.retired_at = NOW
        session.info.pop("steps")
    look_at_printers()
    look_at_printers()
    assert queued() == [f"reconcile:printer:{kept.id}"]


@pytest.mark.parametrize(("age_s", "again"), [(10, False), (10_000, True)])
def test_a_slice_whose_step_was_lost_is_asked_for_again(installation: Path, age_s: int, again: bool) -> None:
    with transaction() as session:
        world = make_world(session)
        make_submitted(session, world.site, world.alice)
        session.execute(update(Slice).values(created_at=datetime.now(UTC) - timedelta(seconds=age_s)))
        session.info.pop("steps")
    duty("slices").perform()
    assert len([step for step in queued() if step.startswith("slice:")]) == again


def test_a_job_whose_slices_ended_while_nobody_looked_is_settled_by_a_step_of_its_own(installation: Path) -> None:
    with transaction() as session:
        world = make_world(session)
        forgotten = make_submitted(session, world.site, world.alice)
        make_submitted(session, world.site, world.alice)  # its slice is being made: nothing to settle
        facts = {"gcode_key": "gcode/x", "size": 9, "sha1": "0" * 40, "grams": Decimal(5), "seconds": 60}
        mark_ready(session, slice_=forgotten.slices[0].slice, now=NOW, **facts)  # type: ignore[arg-type]
        session.info.pop("steps")
    duty("settling").perform()
    assert [step for step in queued() if step.startswith("settle")] == [f"settle_job:job:{forgotten.id}"]
    tasks.run_step(STEPS["settle_job"], job_id=forgotten.id)
    with transaction() as session:
        assert session.get_one(Job, forgotten.id).status == JobStatus.QUEUED
    with transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM procrastinate_jobs")
    duty("settling").perform()
    assert [step for step in queued() if step.startswith("settle")] == []
