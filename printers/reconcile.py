"""Acting: bring one printer and our table together. Level-triggered: safe to run at any time, any number of times.

Look, decide (pure, printers/decide.py), at most one outside act, record by compare-and-set; repeat until there is
nothing to do. No transaction is open while a printer is spoken to. Whoever looks assumes a crash after each line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.adapters import files
from api.db import transaction
from api.domain.base import NotFromHere
from api.domain.changes import tell
from api.domain.errors import Stale
from api.domain.jobs import JobStatus
from api.domain.printers import back_off, could_not_reach, fill_plate, get_printer, saw
from api.domain.runs import (
    BEFORE_START,
    LIVE,
    Run,
    RunStatus,
    Wish,
    claim_next,
    finish,
    get_run,
    keep_hold,
    list_unfiled,
    move_run,
    saw_progress,
)
from printers.decide import Act, Decision, Look, Stored, decide
from printers.fleet import open_printer
from printers.port import ACTIVE, Machine, PrinterError, PrinterPort, Seen

log = structlog.get_logger()

#: A healthy dispatch takes nine steps; a printer that needs more is left for the next poke.
MOST_STEPS = 40
#: So many refused acts in one call, and the next poke or tick goes on: no server is hammered.
MOST_REFUSALS = 3
#: Between two looks within the grace of decide.SETTLE_S.
PEEK_S = 0.05
BACK_OFF = timedelta(seconds=60)
#: A plate whose printer does not take it for so long is given back, as long as nothing was started.
GIVE_BACK_AFTER_S = 60.0
#: Asking again will not help before a person did something at the printer's server.
HOPELESS = frozenset({"disk_full", "no_right", "wrong_key"})

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Mine:
    """The live run of a printer, as it was read: what is recorded later must still find it so."""

    run_id: UUID
    stored: Stored
    done_path: str
    gcode_key: str
    lost_at: datetime | None


@dataclass(frozen=True)
class Left:
    """The file of an ended run, to be put away."""

    run_id: UUID
    path: str
    started: bool


@dataclass(frozen=True)
class Task:
    """What one step needs to know, read in one short transaction."""

    printer_id: int
    url: str
    sealed_key: str
    machine: str
    claims: bool
    mine: Mine | None
    #: Ended runs whose file still lies where a late start would find it.
    unfiled: tuple[Left, ...] = ()


class Went(StrEnum):
    """What a step says to the loop."""

    ON = "on"  # there may be more to do
    REFUSED = "refused"  # the printer said no: the world changed, look again, but not for ever
    REST = "rest"  # wait for the next poke


def reconcile(
    printer_id: int, *, clock: Clock = utc_now, opener: Callable[[str, str], PrinterPort] = open_printer
) -> None:
    """Bring the printer as far as it can go now. Raises nothing that a later look would not mend by itself."""
    refusals = 0
    for _ in range(MOST_STEPS):
        try:
            went = _step(printer_id, clock, opener)
        except (Stale, NotFromHere):
            log.info("another worker was faster", printer=printer_id)
            continue
        except OperationalError as error:
            log.warning("database said no, looking again", printer=printer_id, error=str(error.orig))
            continue
        refusals += went == Went.REFUSED
        if went == Went.REST or refusals >= MOST_REFUSALS:
            return


def _step(printer_id: int, clock: Clock, opener: Callable[[str, str], PrinterPort]) -> Went:
    """One look and at most one act."""
    with transaction() as session:
        task = _read(session, printer_id, clock())
    try:
        port = opener(task.url, task.sealed_key)
        seen = port.look()
    except PrinterError as error:
        return _not_reached(task, error, clock())
    if task.mine is None:
        return _without_run(task, seen, port, clock)
    try:
        look = _gather(task.mine, seen, port)
    except PrinterError as error:
        return _not_reached(task, error, clock())
    decision = decide(task.mine.stored, look)
    log.debug("decided", printer=printer_id, run=str(task.mine.run_id), act=decision.act, machine=seen.machine)
    with transaction() as session:
        _note(session, task, seen, clock())
        _note_run(session, task.mine, seen, decision, clock())
    return _act(task, task.mine, decision, look, port, clock)


def _read(session: Session, printer_id: int, now: datetime) -> Task:
    printer = get_printer(session, printer_id)
    claims = printer.plate_clear and not printer.in_maintenance and printer.resource.retired_at is None
    unfiled = list_unfiled(session, printer_id=printer_id)
    mine = next((_mine(run, now) for run in unfiled if run.status in LIVE), None)
    left = tuple(Left(run.id, run.path, run.started_at is not None) for run in unfiled if run.status not in LIVE)
    return Task(printer_id, printer.url, printer.sealed_key, printer.machine, claims, mine, left)


def _mine(run: Run, now: datetime) -> Mine:
    stored = Stored(
        status=run.status,
        path=run.path,
        size=run.slice.size,
        sha1=run.slice.sha1,
        wish=Wish.CANCEL if run.job.status == JobStatus.CANCELLED else run.wish,
        since_s=(now - run.status_at).total_seconds(),
        lost_s=None if run.lost_at is None else (now - run.lost_at).total_seconds(),
    )
    return Mine(run.id, stored, run.done_path, run.slice.gcode_key, run.lost_at)


def _not_reached(task: Task, error: PrinterError, now: datetime) -> Went:
    """Nobody answers, or not to us: say so; a plate that nothing was started of goes back after a while."""
    with transaction() as session:
        could_not_reach(session, printer_id=task.printer_id, now=now, reason=error.reason, message=str(error))
        tell(session, printer=task.printer_id)
    if task.mine is not None and _may_give_back(task.mine):
        _give_back(task, task.mine, error, now)
    return Went.REST


def _may_give_back(mine: Mine) -> bool:
    return mine.stored.status in BEFORE_START and mine.stored.since_s > GIVE_BACK_AFTER_S


def _give_back(task: Task, mine: Mine, error: PrinterError, now: datetime) -> None:
    """End a run that was not started, so that another printer can have its plate; this one rests for a while."""
    with transaction() as session:
        run = get_run(session, mine.run_id)
        if run.status not in BEFORE_START:
            raise Stale()
        finish(session, run=run, outcome=RunStatus.CANCELLED, now=now, reason=error.reason, detail=str(error))
        until = now + BACK_OFF
        back_off(session, printer_id=task.printer_id, until=until, now=now, reason=error.reason, message=str(error))


def _gather(mine: Mine, seen: Seen, port: PrinterPort) -> Look:
    """Only the calls that this status needs: a running print of ours needs no look at files."""
    if mine.stored.status == RunStatus.CLAIMED or (seen.machine in ACTIVE and seen.path == mine.stored.path):
        return Look(seen)
    file = port.find_file(mine.stored.path)
    if file is None and mine.stored.status != RunStatus.UPLOADING:
        return Look(seen, None, port.find_file(mine.done_path))
    return Look(seen, file)


def _note(session: Session, task: Task, seen: Seen, now: datetime) -> None:
    """Record what was seen of the printer."""
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


def _note_run(session: Session, mine: Mine, seen: Seen, decision: Decision, now: datetime) -> None:
    """Record how far our print is, or since when it is missed."""
    if decision.lost:
        session.execute(update(Run).where(Run.id == mine.run_id, Run.lost_at.is_(None)).values(lost_at=now))
    elif seen.path == mine.stored.path and seen.machine in ACTIVE:
        run = get_run(session, mine.run_id)
        if run.status in LIVE:
            saw_progress(session, run=run, progress=seen.progress, left_s=seen.left_s, print_s=seen.elapsed_s)
            keep_hold(session, run=run, now=now)


def _without_run(task: Task, seen: Seen, port: PrinterPort, clock: Clock) -> Went:
    """Nothing of ours runs: notice prints by hand, put old files away, and claim the next plate."""
    filed = all(_file_away(left, port, clock()) for left in task.unfiled)
    now = clock()
    with transaction() as session:
        _note(session, task, seen, now)
        if seen.machine in ACTIVE:
            fill_plate(session, printer=get_printer(session, task.printer_id), now=now)
        claims = filed and task.claims and seen.machine == Machine.IDLE
        run = claim_next(session, printer_id=task.printer_id, now=now) if claims else None
        if run is None:
            return Went.REST
        move_run(session, run, RunStatus.UPLOADING, now=now)
        mine = _mine(run, now)
    try:
        _dispatch(mine, seen, port, clock)
    except PrinterError as error:
        return _act_failed(task, mine, Act.UPLOAD, error, clock())
    return Went.ON


def _dispatch(mine: Mine, seen: Seen, port: PrinterPort, clock: Clock) -> None:
    """The straight way of a fresh claim: the same decisions, without asking again what was seen a moment ago.

    Any surprise leaves the rest to the loop, which looks anew. Raises PrinterError.
    """
    path = mine.stored.path
    with files.as_path(mine.gcode_key) as source:
        port.upload(path, Path(source))
    look = Look(seen, port.find_file(path))
    if decide(mine.stored, look).act != Act.SELECT:
        return
    port.select(path)
    selected = replace(mine.stored, status=RunStatus.SELECTED)
    if decide(selected, replace(look, seen=port.look())).act != Act.START:
        return
    with transaction() as session:
        run = _fresh(session, mine)
        if run.wish == Wish.CANCEL:
            return
        now = clock()
        move_run(session, run, RunStatus.STARTING, now=now, started_at=now)
    port.start(path)


def _file_away(left: Left, port: PrinterPort, now: datetime) -> bool:
    """The fence for ends that had none: an ended run's file leaves the path where a late start would look."""
    try:
        if left.started:
            port.move(left.path, "etabli/done")
        else:
            port.delete(left.path)
    except PrinterError as error:
        if error.reason != "not_found":
            log.warning("cannot put the file away", run=str(left.run_id), error=str(error))
            return False
    with transaction() as session:
        session.execute(update(Run).where(Run.id == left.run_id).values(filed_at=now))
    return True


def _act(  # one call, all its facts
    task: Task, mine: Mine, decision: Decision, look: Look, port: PrinterPort, clock: Clock
) -> Went:
    """The one act of this step. Lost replies are no news: the next look tells."""
    if decision.act == Act.WAIT:
        return Went.REST
    if decision.act == Act.LOOK_AGAIN:
        time.sleep(PEEK_S)
        return Went.ON
    if decision.act in (Act.BELIEVE, Act.END):
        _record(mine, decision, look, clock())
        return Went.ON
    try:
        return _ask_printer(mine, decision.act, port, clock)
    except PrinterError as error:
        return _act_failed(task, mine, decision.act, error, clock())


def _ask_printer(mine: Mine, act: Act, port: PrinterPort, clock: Clock) -> Went:
    """Raises PrinterError, or Stale when another worker took this run further."""
    path = mine.stored.path
    if act == Act.UPLOAD:
        _move(mine, RunStatus.UPLOADING, clock())
        with files.as_path(mine.gcode_key) as source:
            port.upload(path, Path(source))
    elif act == Act.SELECT:
        port.select(path)
        _move(mine, RunStatus.SELECTED, clock())
    elif act == Act.START:
        _commit_start(mine, clock())
        port.start(path)
    elif act == Act.FILE:
        port.move(path, "etabli/done")
    else:
        {Act.CANCEL: port.cancel, Act.PAUSE: port.pause, Act.RESUME: port.resume}[act]()
        return Went.REST
    return Went.ON


def _act_failed(task: Task, mine: Mine, act: Act, error: PrinterError, now: datetime) -> Went:
    """Before the start a failure costs nothing: give the plate back and leave the printer alone for a while.

    After it, only looking helps; `refused`, `busy` and `not_found` mean that the world changed, so look at once.
    """
    log.warning("the printer did not do it", printer=task.printer_id, act=act, reason=error.reason, error=str(error))
    if act in (Act.UPLOAD, Act.SELECT) and (error.reason in HOPELESS or _may_give_back(mine)):
        _give_back(task, mine, error, now)
        return Went.REST
    if error.reason in ("unreachable", "timeout", "wrong_key", "no_right"):
        with transaction() as session:
            could_not_reach(session, printer_id=task.printer_id, now=now, reason=error.reason, message=str(error))
        return Went.REST
    return Went.REFUSED


def _fresh(session: Session, mine: Mine) -> Run:
    """The run, if it still stands as it did when we looked; raises Stale when another worker took it further."""
    run = get_run(session, mine.run_id)
    if run.status != mine.stored.status:
        raise Stale()
    return run


def _move(mine: Mine, status: RunStatus, now: datetime) -> None:
    """Record a step before the start; a step that is done again records nothing."""
    with transaction() as session:
        run = _fresh(session, mine)
        if run.status != status:
            move_run(session, run, status, now=now)


def _commit_start(mine: Mine, now: datetime) -> None:
    """The intent, before the act: of all workers that decided to start, only one gets past here. Raises Stale.

    To start again (the first start was lost), the winner is who ends the loss that both have seen.
    """
    with transaction() as session:
        run = _fresh(session, mine)
        if run.wish == Wish.CANCEL:
            raise Stale()
        if run.status != RunStatus.STARTING:
            move_run(session, run, RunStatus.STARTING, now=now, started_at=now)
            return
        again = update(Run).where(Run.id == run.id, Run.status == run.status, Run.lost_at == mine.lost_at)
        if session.execute(again.values(lost_at=None, status_at=now).returning(Run.id)).scalar() is None:
            raise Stale()


def _record(mine: Mine, decision: Decision, look: Look, now: datetime) -> None:
    """Write down what was seen: a running print, or an end with all its consequences."""
    assert decision.status is not None  # noqa: S101  # BELIEVE and END carry one
    with transaction() as session:
        run = _fresh(session, mine)
        if decision.act == Act.BELIEVE:
            _answer_wish(session, run)
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


def _answer_wish(session: Session, run: Run) -> None:
    """What is seen answers a pause or resume, unless it was asked before the print began. A cancel stays, also one that
    came after we read the row: hence the condition in the statement."""
    if run.status in (RunStatus.PRINTING, RunStatus.PAUSED):
        answered = update(Run).where(Run.id == run.id, Run.wish != Wish.CANCEL)
        session.execute(answered.values(wish=None))
