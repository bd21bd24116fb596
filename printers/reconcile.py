"""Acting: bring one printer and our table together. Level-triggered: safe to run at any time, any number of times.

Look, decide (pure, printers/decide.py), at most one outside act, record by compare-and-set; repeat until there is
nothing to do. No transaction is open while a printer is spoken to. Whoever looks assumes a crash after each line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.adapters import files
from api.db import transaction
from api.domain.base import NotFromHere
from api.domain.changes import tell
from api.domain.errors import Stale
from api.domain.printers import back_off, could_not_reach, fill_plate, get_printer, saw
from api.domain.runs import (
    LIVE,
    Run,
    RunStatus,
    Wish,
    claim_next,
    find_live_run,
    finish,
    get_run,
    keep_hold,
    move_run,
    saw_progress,
)
from printers.decide import Act, Decision, Look, Stored, decide
from printers.fleet import open_printer
from printers.port import ACTIVE, Machine, PrinterError, PrinterPort, Seen

log = structlog.get_logger()

#: A healthy dispatch takes nine steps; a printer that needs more is left for the next poke.
MOST_STEPS = 40
#: Between two looks within the grace of decide.SETTLE_S.
PEEK_S = 0.05
BACK_OFF = timedelta(seconds=60)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Task:
    """What one step needs to know, read in one short transaction."""

    printer_id: int
    url: str
    sealed_key: str
    machine: str
    claims: bool
    run_id: UUID | None = None
    stored: Stored | None = None
    done_path: str = ""
    gcode_key: str = ""


def reconcile(
    printer_id: int, *, clock: Clock = utc_now, opener: Callable[[str, str], PrinterPort] = open_printer
) -> None:
    """Bring the printer as far as it can go now. Raises nothing that a later look would not mend by itself."""
    for _ in range(MOST_STEPS):
        try:
            if not _step(printer_id, clock, opener):
                return
        except (Stale, NotFromHere):
            log.info("another worker was faster", printer=printer_id)
        except OperationalError as error:
            log.warning("database said no, looking again", printer=printer_id, error=str(error.orig))


def _step(printer_id: int, clock: Clock, opener: Callable[[str, str], PrinterPort]) -> bool:
    """One look and at most one act; True when there may be more to do."""
    with transaction() as session:
        task = _read(session, printer_id, clock())
    try:
        port = opener(task.url, task.sealed_key)
        seen = port.look()
    except PrinterError as error:
        with transaction() as session:
            could_not_reach(session, printer_id=printer_id, now=clock(), reason=error.reason, message=str(error))
            if task.machine:
                tell(session, printer=printer_id)
        return False
    if task.stored is None or task.run_id is None:
        return _without_run(task, seen, port, clock)
    try:
        look = _gather(task, task.stored, seen, port)
    except PrinterError as error:
        log.warning("cannot look at the file", printer=printer_id, error=str(error))
        return False
    decision = decide(task.stored, look)
    log.debug("decided", printer=printer_id, run=str(task.run_id), act=decision.act, machine=seen.machine)
    with transaction() as session:
        _note(session, task, seen, decision, clock())
    return _act(task, task.run_id, decision, look, port, clock)


def _read(session: Session, printer_id: int, now: datetime) -> Task:
    printer = get_printer(session, printer_id)
    run = find_live_run(session, printer_id=printer_id)
    claims = printer.plate_clear and not printer.in_maintenance and printer.resource.retired_at is None
    task = Task(printer_id, printer.url, printer.sealed_key, printer.machine, claims)
    if run is None:
        return task
    stored = Stored(
        status=run.status,
        path=run.path,
        size=run.slice.size,
        sha1=run.slice.sha1,
        wish=run.wish,
        since_s=(now - run.status_at).total_seconds(),
        lost_s=None if run.lost_at is None else (now - run.lost_at).total_seconds(),
    )
    return Task(
        printer_id,
        printer.url,
        printer.sealed_key,
        printer.machine,
        claims,
        run.id,
        stored,
        run.done_path,
        run.slice.gcode_key,
    )


def _gather(task: Task, stored: Stored, seen: Seen, port: PrinterPort) -> Look:
    """Only the calls that this status needs: a running print of ours needs no look at files."""
    if stored.status == RunStatus.CLAIMED or (seen.machine in ACTIVE and seen.path == stored.path):
        return Look(seen)
    file = port.find_file(stored.path)
    if file is None and stored.status not in (RunStatus.UPLOADING,):
        return Look(seen, None, port.find_file(task.done_path))
    return Look(seen, file)


def _note(session: Session, task: Task, seen: Seen, decision: Decision, now: datetime) -> None:
    """Record what was seen, and since when a print is missed."""
    saw(
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
        tell(session, printer=task.printer_id)
    if decision.lost and task.stored is not None and task.stored.lost_s is None:
        session.execute(update(Run).where(Run.id == task.run_id, Run.lost_at.is_(None)).values(lost_at=now))
    elif task.stored is not None and seen.path == task.stored.path and seen.machine in ACTIVE:
        run = find_live_run(session, printer_id=task.printer_id)
        if run is not None and run.id == task.run_id:
            saw_progress(session, run=run, progress=seen.progress, left_s=seen.left_s, print_s=seen.elapsed_s)
            keep_hold(session, run=run, now=now)


def _without_run(task: Task, seen: Seen, port: PrinterPort, clock: Clock) -> bool:
    """Nothing of ours runs: put old files away, notice prints by hand, and claim the next plate."""
    for run_id, path, started in _unfiled(task.printer_id):
        if not _file_away(run_id, path, started, port, clock()):
            return False
    with transaction() as session:
        _note(session, task, seen, Decision(Act.WAIT), clock())
        printer = get_printer(session, task.printer_id)
        if seen.machine in ACTIVE:
            fill_plate(session, printer=printer, now=clock())
            return False
        if seen.machine != Machine.IDLE or not task.claims:
            return False
        session.flush()
        session.refresh(printer)
        return claim_next(session, printer=printer, now=clock()) is not None


def _unfiled(printer_id: int) -> list[tuple[UUID, str, bool]]:
    with transaction() as session:
        query = select(Run).where(Run.printer_id == printer_id, Run.filed_at.is_(None), Run.status.not_in(LIVE))
        return [(run.id, run.path, run.started_at is not None) for run in session.scalars(query.limit(20))]


def _file_away(run_id: UUID, path: str, started: bool, port: PrinterPort, now: datetime) -> bool:
    """The fence for ends that had none: an ended run's file leaves the path where a late start would look."""
    try:
        if started:
            port.move(path, "etabli/done")
        else:
            port.delete(path)
    except PrinterError as error:
        if error.reason != "not_found":
            log.warning("cannot put the file away", run=str(run_id), error=str(error))
            return False
    with transaction() as session:
        session.execute(update(Run).where(Run.id == run_id).values(filed_at=now))
    return True


def _act(  # noqa: PLR0917  # one call, all its facts
    task: Task, run_id: UUID, decision: Decision, look: Look, port: PrinterPort, clock: Clock
) -> bool:
    """The one act of this step. Lost replies are no news: the next look tells."""
    if decision.act == Act.WAIT:
        return False
    if decision.act == Act.LOOK_AGAIN:
        time.sleep(PEEK_S)
        return True
    if decision.act in (Act.BELIEVE, Act.END):
        return _record(run_id, decision, look, clock())
    try:
        if decision.act == Act.UPLOAD:
            _upload(task, run_id, port, clock)
        elif decision.act == Act.SELECT:
            port.select(task.stored.path)  # type: ignore[union-attr]  # only called with a run
            _move(run_id, RunStatus.SELECTED, clock())
        elif decision.act == Act.START:
            _move(run_id, RunStatus.STARTING, clock())
            port.start(task.stored.path)  # type: ignore[union-attr]
        else:
            _steer(task, decision.act, port)
    except PrinterError as error:
        return _act_failed(task, run_id, decision.act, error, clock())
    return decision.act not in (Act.CANCEL, Act.PAUSE, Act.RESUME)


def _steer(task: Task, act: Act, port: PrinterPort) -> None:
    if act == Act.FILE:
        port.move(task.stored.path, "etabli/done")  # type: ignore[union-attr]
    elif act == Act.CANCEL:
        port.cancel()
    elif act == Act.PAUSE:
        port.pause()
    elif act == Act.RESUME:
        port.resume()


def _upload(task: Task, run_id: UUID, port: PrinterPort, clock: Clock) -> None:
    if task.stored is not None and task.stored.status == RunStatus.CLAIMED:
        _move(run_id, RunStatus.UPLOADING, clock())
    with files.as_path(task.gcode_key) as source:
        port.upload(task.stored.path, Path(source))  # type: ignore[union-attr]


def _act_failed(task: Task, run_id: UUID, act: Act, error: PrinterError, now: datetime) -> bool:
    """Before the start a failure costs nothing: give the plate back and leave the printer alone for a while.

    After it, only looking helps; `refused`, `busy` and `not_found` mean that the world changed, so look at once.
    """
    log.warning("the printer did not do it", printer=task.printer_id, act=act, reason=error.reason, error=str(error))
    if act == Act.UPLOAD and error.reason in ("disk_full", "no_right", "wrong_key"):
        with transaction() as session:
            finish(
                session,
                run=get_run(session, run_id),
                outcome=RunStatus.CANCELLED,
                now=now,
                reason=error.reason,
                detail=str(error),
            )
            back_off(session, printer_id=task.printer_id, until=now + BACK_OFF, reason=error.reason, message=str(error))
        return False
    if error.reason in ("unreachable", "timeout", "wrong_key", "no_right"):
        with transaction() as session:
            could_not_reach(session, printer_id=task.printer_id, now=now, reason=error.reason, message=str(error))
        return False
    return True


def _move(run_id: UUID, status: RunStatus, now: datetime) -> None:
    """Record a step; a second worker that does the same step hears Stale. Starting again stays `starting`."""
    with transaction() as session:
        run = get_run(session, run_id)
        if run.status == status:
            session.execute(update(Run).where(Run.id == run_id).values(lost_at=None))
        else:
            move_run(session, run, status, now=now)


def _record(run_id: UUID, decision: Decision, look: Look, now: datetime) -> bool:
    """Write down what was seen: a running print, or an end with all its consequences."""
    assert decision.status is not None  # noqa: S101  # BELIEVE and END carry one
    with transaction() as session:
        run = get_run(session, run_id)
        if decision.act == Act.BELIEVE:
            wish = run.wish if run.wish == Wish.CANCEL else None
            move_run(session, run, decision.status, now=now, wish=wish, started_at=run.started_at or now)
            return True
        history = look.history
        finish(
            session,
            run=run,
            outcome=decision.status,
            now=now,
            reason=decision.reason,
            detail=look.seen.error,
            print_s=history.last_print_s if history else None,
        )
        if look.done is not None and look.file is None:
            run.filed_at = now
    return True
