"""Acting: bring one printer and our table together. Level-triggered: safe to run at any time, any number of times.

Look, decide (pure, printers/decide.py), at most one outside act, record by compare-and-set; repeat until there is
nothing to do. No transaction is open while a printer is spoken to. Whoever looks assumes a crash after each line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import structlog
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from api.adapters import files
from api.db import transaction
from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import publish
from api.domain.core.errors import Stale
from api.domain.printing.printers import fill_plate, get_printer, record_unreachable
from api.domain.printing.runs import BEFORE_START, Run, RunStatus, claim_next, move_run
from api.domain.printing.states import ACTIVE, Machine
from printers.decide import Action, Decision, PrinterView, decide
from printers.fleet import open_printer
from printers.port import Observation, PrinterError, PrinterPort
from printers.record import (
    LiveRun,
    PrinterFacts,
    UnfiledRun,
    commit_start,
    give_back,
    live_run_of,
    move,
    note,
    note_run,
    read_facts,
    record_outcome,
)

log = structlog.get_logger()

# A healthy dispatch takes nine steps; a printer that needs more is left for the next poke.
MOST_STEPS = 40
# So many refused acts in one call, and the next poke or tick goes on: no server is hammered.
MOST_REFUSALS = 3
# Between two looks within the grace of decide.SETTLE_S.
PEEK_S = 0.05
# A plate whose printer does not take it for so long is given back, as long as nothing was started.
GIVE_BACK_AFTER_S = 60.0
# Asking again will not help before a person did something at the printer's server.
HOPELESS = frozenset({"disk_full", "no_right", "wrong_key"})

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class StepResult(StrEnum):
    """What a step says to the loop."""

    CONTINUE = "continue"  # there may be more to do
    REFUSED = "refused"  # the printer said no: the world changed, look again, but not for ever
    IDLE = "idle"  # wait for the next poke


def reconcile(
    printer_id: int, *, clock: Clock = utc_now, opener: Callable[[str, str], PrinterPort] = open_printer
) -> None:
    """Bring the printer as far as it can go now. Raises nothing that a later look would not mend by itself."""
    refusals = 0
    for _ in range(MOST_STEPS):
        try:
            went = _step(printer_id, clock, opener)
        except (Stale, ForbiddenMove):
            log.info("another worker was faster", printer=printer_id)
            continue
        except OperationalError as error:
            log.warning("database said no, looking again", printer=printer_id, error=str(error.orig))
            continue
        refusals += went == StepResult.REFUSED
        if went == StepResult.IDLE or refusals >= MOST_REFUSALS:
            return


def _step(printer_id: int, clock: Clock, opener: Callable[[str, str], PrinterPort]) -> StepResult:
    """One look and at most one act."""
    with transaction() as session:
        task = read_facts(session, printer_id, clock())
    try:
        port = opener(task.url, task.sealed_key)
        seen = port.observe()
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
        note(session, task, seen, clock())
        note_run(session, task.mine, seen, decision, clock())
    return _act(task, task.mine, decision, look, port, clock)


def _not_reached(task: PrinterFacts, error: PrinterError, now: datetime) -> StepResult:
    """Nobody answers, or not to us: say so; a plate that nothing was started of goes back after a while."""
    with transaction() as session:
        record_unreachable(session, printer_id=task.printer_id, now=now, reason=error.reason, message=str(error))
        publish(session, printer=task.printer_id)
    if task.mine is not None and _may_give_back(task.mine):
        give_back(task, task.mine, error, now)
    return StepResult.IDLE


def _may_give_back(mine: LiveRun) -> bool:
    return mine.stored.status in BEFORE_START and mine.stored.since_s > GIVE_BACK_AFTER_S


def _gather(mine: LiveRun, seen: Observation, port: PrinterPort) -> PrinterView:
    """Only the calls that this status needs: a running print of ours needs no look at files."""
    if mine.stored.status == RunStatus.CLAIMED or (seen.machine in ACTIVE and seen.path == mine.stored.path):
        return PrinterView(seen)
    file = port.find_file(mine.stored.path)
    if file is None and mine.stored.status != RunStatus.UPLOADING:
        return PrinterView(seen, None, port.find_file(mine.done_path))
    return PrinterView(seen, file)


def _without_run(task: PrinterFacts, seen: Observation, port: PrinterPort, clock: Clock) -> StepResult:
    """Nothing of ours runs: notice prints by hand, put old files away, and claim the next plate."""
    filed = all(_file_away(left, port, clock()) for left in task.unfiled)
    now = clock()
    with transaction() as session:
        note(session, task, seen, now)
        if seen.machine in ACTIVE:
            fill_plate(session, printer=get_printer(session, task.printer_id), now=now)
        claims = filed and task.claims and seen.machine == Machine.IDLE
        run = claim_next(session, printer_id=task.printer_id, now=now) if claims else None
        if run is None:
            return StepResult.IDLE
        move_run(session, run, RunStatus.UPLOADING, now=now)
        mine = live_run_of(run, now)
    try:
        _dispatch(mine, seen, port, clock)
    except PrinterError as error:
        return _act_failed(task, mine, Action.UPLOAD, error, clock())
    return StepResult.CONTINUE


def _dispatch(mine: LiveRun, seen: Observation, port: PrinterPort, clock: Clock) -> None:
    """The straight way of a fresh claim: the same decisions, without asking again what was seen a moment ago.

    Any surprise leaves the rest to the loop, which looks anew. Raises PrinterError, or Stale when it was cancelled.
    """
    path = mine.stored.path
    with files.as_path(mine.gcode_key) as source:
        port.upload(path, Path(source))
    look = PrinterView(seen, port.find_file(path))
    if decide(mine.stored, look).act != Action.SELECT:
        return
    port.select(path)
    selected = replace(mine.stored, status=RunStatus.SELECTED)
    if decide(selected, replace(look, seen=port.observe())).act != Action.START:
        return
    commit_start(mine, clock())
    port.start(path)


def _file_away(left: UnfiledRun, port: PrinterPort, now: datetime) -> bool:
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
    task: PrinterFacts, mine: LiveRun, decision: Decision, look: PrinterView, port: PrinterPort, clock: Clock
) -> StepResult:
    """The one act of this step. Lost replies are no news: the next look tells."""
    if decision.act == Action.WAIT:
        return StepResult.IDLE
    if decision.act == Action.LOOK_AGAIN:
        time.sleep(PEEK_S)
        return StepResult.CONTINUE
    if decision.act in (Action.BELIEVE, Action.END):
        record_outcome(mine, decision, look, clock())
        return StepResult.CONTINUE
    try:
        return _ask_printer(mine, decision.act, port, clock)
    except PrinterError as error:
        return _act_failed(task, mine, decision.act, error, clock())


def _ask_printer(mine: LiveRun, act: Action, port: PrinterPort, clock: Clock) -> StepResult:
    """Raises PrinterError, or Stale when another worker took this run further."""
    path = mine.stored.path
    if act == Action.UPLOAD:
        move(mine, RunStatus.UPLOADING, clock())
        with files.as_path(mine.gcode_key) as source:
            port.upload(path, Path(source))
    elif act == Action.SELECT:
        port.select(path)
        move(mine, RunStatus.SELECTED, clock())
    elif act == Action.START:
        commit_start(mine, clock())
        port.start(path)
    elif act == Action.FILE:
        port.move(path, "etabli/done")
    else:
        {Action.CANCEL: port.cancel, Action.PAUSE: port.pause, Action.RESUME: port.resume}[act]()
        return StepResult.IDLE
    return StepResult.CONTINUE


def _act_failed(task: PrinterFacts, mine: LiveRun, act: Action, error: PrinterError, now: datetime) -> StepResult:
    """Before the start a failure costs nothing: give the plate back and leave the printer alone for a while.

    After it, only looking helps; `refused`, `busy` and `not_found` mean that the world changed, so look at once.
    """
    log.warning("the printer did not do it", printer=task.printer_id, act=act, reason=error.reason, error=str(error))
    if act in (Action.UPLOAD, Action.SELECT) and (error.reason in HOPELESS or _may_give_back(mine)):
        give_back(task, mine, error, now)
        return StepResult.IDLE
    if error.reason in ("unreachable", "timeout", "wrong_key", "no_right"):
        with transaction() as session:
            record_unreachable(session, printer_id=task.printer_id, now=now, reason=error.reason, message=str(error))
        return StepResult.IDLE
    return StepResult.REFUSED
