"""Recording: what one step at a printer reads and writes down, each in one short transaction, by compare-and-set.

Refuses to speak to a printer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.core.changes import publish
from api.domain.core.errors import Stale
from api.domain.printing.jobs import JobStatus
from api.domain.printing.printers import back_off, get_printer, record_observation
from api.domain.printing.runs import (
    BEFORE_START,
    LIVE,
    Run,
    RunCommand,
    RunStatus,
    finish,
    get_run,
    keep_hold,
    list_unfiled,
    move_run,
    record_progress,
)
from api.domain.printing.states import ACTIVE
from printers.decide import Action, Decision, PrinterView, Stored
from printers.port import Observation, PrinterError

BACK_OFF = timedelta(seconds=60)


@dataclass(frozen=True)
class LiveRun:
    """The live run of a printer, as it was read: what is recorded later must still find it so."""

    run_id: UUID
    stored: Stored
    done_path: str
    gcode_key: str
    lost_at: datetime | None


@dataclass(frozen=True)
class UnfiledRun:
    """The file of an ended run, to be put away."""

    run_id: UUID
    path: str
    started: bool


@dataclass(frozen=True)
class PrinterFacts:
    """What one step needs to know, read in one short transaction."""

    printer_id: int
    url: str
    sealed_key: str
    machine: str
    claims: bool
    mine: LiveRun | None
    # Ended runs whose file still lies where a late start would find it.
    unfiled: tuple[UnfiledRun, ...] = ()


def read_facts(session: Session, printer_id: int, now: datetime) -> PrinterFacts:
    printer = get_printer(session, printer_id)
    claims = printer.plate_clear and not printer.in_maintenance and printer.resource.retired_at is None
    unfiled = list_unfiled(session, printer_id=printer_id)
    mine = next((live_run_of(run, now) for run in unfiled if run.status in LIVE), None)
    left = tuple(UnfiledRun(run.id, run.path, run.started_at is not None) for run in unfiled if run.status not in LIVE)
    return PrinterFacts(printer_id, printer.url, printer.sealed_key, printer.machine, claims, mine, left)


def live_run_of(run: Run, now: datetime) -> LiveRun:
    stored = Stored(
        status=run.status,
        path=run.path,
        size=run.slice.size,
        sha1=run.slice.sha1,
        command=RunCommand.CANCEL if run.job.status == JobStatus.CANCELLED else run.command,
        since_s=(now - run.status_at).total_seconds(),
        lost_s=None if run.lost_at is None else (now - run.lost_at).total_seconds(),
    )
    return LiveRun(run.id, stored, run.done_path, run.slice.gcode_key, run.lost_at)


def note(session: Session, task: PrinterFacts, seen: Observation, now: datetime) -> None:
    """Record what was seen of the printer."""
    record_observation(
        session,
        printer_id=task.printer_id,
        now=now,
        machine=seen.machine,
        path=seen.path,
        error=seen.error,
        progress=seen.progress,
        left_s=seen.left_s,
    )
    if seen.machine != task.machine:
        publish(session, printer=task.printer_id)


def note_run(session: Session, mine: LiveRun, seen: Observation, decision: Decision, now: datetime) -> None:
    """Record how far our print is, or since when it is missed."""
    if decision.lost:
        session.execute(update(Run).where(Run.id == mine.run_id, Run.lost_at.is_(None)).values(lost_at=now))
    elif seen.path == mine.stored.path and seen.machine in ACTIVE:
        run = get_run(session, mine.run_id)
        if run.status in LIVE:
            record_progress(session, run=run, progress=seen.progress, left_s=seen.left_s, print_s=seen.elapsed_s)
            keep_hold(session, run=run, now=now)


def fresh(session: Session, mine: LiveRun) -> Run:
    """The run, if it still stands as it did when we looked; raises Stale when another worker took it further."""
    run = get_run(session, mine.run_id)
    if run.status != mine.stored.status:
        raise Stale()
    return run


def move(mine: LiveRun, status: RunStatus, now: datetime) -> None:
    """Record a step before the start; a step that is done again records nothing."""
    with transaction() as session:
        run = fresh(session, mine)
        if run.status != status:
            move_run(session, run, status, now=now)


def commit_start(mine: LiveRun, now: datetime) -> None:
    """The intent, before the act: of all workers that decided to start, only one gets past here. Raises Stale.

    To start again (the first start was lost), the winner is who ends the loss that both have seen.
    """
    with transaction() as session:
        run = fresh(session, mine)
        if run.command == RunCommand.CANCEL:
            raise Stale()
        if run.status != RunStatus.STARTING:
            move_run(session, run, RunStatus.STARTING, now=now, started_at=now)
            return
        again = update(Run).where(Run.id == run.id, Run.status == run.status, Run.lost_at == mine.lost_at)
        if session.execute(again.values(lost_at=None, status_at=now).returning(Run.id)).scalar() is None:
            raise Stale()


def record_outcome(mine: LiveRun, decision: Decision, look: PrinterView, now: datetime) -> None:
    """Write down what was seen: a running print, or an end with all its consequences."""
    assert decision.status is not None  # noqa: S101  # BELIEVE and END carry one
    with transaction() as session:
        run = fresh(session, mine)
        if decision.act == Action.BELIEVE:
            _clear_command(session, run)
            move_run(session, run, decision.status, now=now, started_at=run.started_at or now)
            return
        history = look.history
        finish(
            session,
            run=run,
            outcome=decision.status,
            now=now,
            reason=decision.reason,
            detail=look.seen.error,
            print_s=history.last_print_s if history else None,
            began=history is not None,
        )
        if look.done is not None and look.file is None:
            run.filed_at = now


def _clear_command(session: Session, run: Run) -> None:
    """What is seen answers a pause or resume, unless it was asked before the print began. A cancel stays, also one that
    came after we read the row: hence the condition in the statement."""
    if run.status in (RunStatus.PRINTING, RunStatus.PAUSED):
        answered = update(Run).where(Run.id == run.id, Run.command != RunCommand.CANCEL)
        session.execute(answered.values(command=None))


def give_back(task: PrinterFacts, mine: LiveRun, error: PrinterError, now: datetime) -> None:
    """End a run that was not started, so that another printer can have its plate; this one rests for a while."""
    with transaction() as session:
        run = get_run(session, mine.run_id)
        if run.status not in BEFORE_START:
            raise Stale()
        finish(session, run=run, outcome=RunStatus.CANCELLED, now=now, reason=error.reason, detail=str(error))
        until = now + BACK_OFF
        back_off(session, printer_id=task.printer_id, until=until, now=now, reason=error.reason, message=str(error))
