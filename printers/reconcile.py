"""Bring one printer and our table together. Level-triggered: safe to run at any time, any number of times.

1. Look at the printer.
2. Decide (pure, printers/decide.py).
3. Do at most one thing at the printer, and record it by compare-and-set.
4. Repeat until there is nothing to do.
No transaction is open while a printer is spoken to. Each step allows for a crash of the one before, after any line.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from api.adapters import files
from api.db import is_transient, transaction
from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import publish
from api.domain.core.errors import Stale
from api.domain.printing.printers import fill_plate, get_printer, record_unreachable
from api.domain.printing.runs import BEFORE_START, Run, RunStatus, claim_next, hold_printed, move_run
from api.domain.printing.states import ACTIVE, Machine
from printers.decide import Action, Decision, PrinterView, decide
from printers.fleet import open_printer
from printers.port import Observation, PrinterError, PrinterPort
from printers.record import (
    LiveRun,
    PrinterFacts,
    UnfiledRun,
    commit_start,
    give_back_plate,
    read_facts,
    record_outcome,
    rest,
    save_observation,
    save_progress,
    save_step,
    to_live_run,
)

log = structlog.get_logger()

# A healthy dispatch takes nine steps; a printer that needs many more is left for the next call.
MOST_STEPS = 40
# After so many refusals the rest is left to the next call, so that no server is hammered.
MOST_REFUSALS = 3
# Between two looks within the grace of decide.SETTLE_S.
PEEK_S = 0.05
# A plate whose printer does not take it for so long is given back, as long as nothing was started.
GIVE_BACK_AFTER_S = 60.0
# Where files of runs lie on a printer, and their names.
FOLDERS = ("etabli", "etabli/done")
RUN_FILE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.gcode$")
# Trying again is useless until a person has done something at the printer's server.
NEEDS_PERSON = frozenset({"disk_full", "no_right", "wrong_key"})

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class StepResult(StrEnum):
    """What the loop does after a step."""

    CONTINUE = "continue"  # there may be more to do
    REFUSED = "refused"  # the printer said no: the world changed, look again, but not for ever
    IDLE = "idle"  # wait until something happens


def reconcile(
    printer_id: int, *, clock: Clock = utc_now, opener: Callable[[str, str], PrinterPort] = open_printer
) -> None:
    """Bring the printer as far as it can go now. A lost race or a printer that does not answer raises nothing."""
    refusals = 0
    for _ in range(MOST_STEPS):
        try:
            result = _step(printer_id, clock, opener)
        except (Stale, ForbiddenMove):
            log.info("another worker was faster", printer=printer_id)
            # Its transaction needs a moment; to plan the site again at once would only slow it down.
            time.sleep(PEEK_S)
            continue
        except OperationalError as error:
            why = str(error.orig).partition("\n")[0]
            # After a deadlock, of which PostgreSQL ends one side, the next round reads what the other wrote. Nothing
            # else is better at once: the next tick looks again.
            if not is_transient(error):
                log.warning("the database failed", printer=printer_id, why=why)
                return
            log.warning("another transaction was in the way, looking again", printer=printer_id, why=why)
            continue
        refusals += result == StepResult.REFUSED
        if result == StepResult.IDLE or refusals >= MOST_REFUSALS:
            return


def _step(printer_id: int, clock: Clock, opener: Callable[[str, str], PrinterPort]) -> StepResult:
    """One look and at most one action."""
    with transaction() as session:
        facts = read_facts(session, printer_id, clock())
    live = facts.live
    try:
        port = opener(facts.url, facts.sealed_key)
        observation = port.observe()
        if facts.is_restored:
            _compare_files(facts, port, clock())
        view = _view_files(live, observation, port) if live is not None else None
    except PrinterError as error:
        return _record_unreached(facts, error, clock())
    if live is None or view is None:
        return _without_run(facts, observation, port, clock)
    decision = decide(live.stored, replace(view, fault=facts.fault_in(observation)))
    log.debug("decided", printer=printer_id, run=str(live.run_id), act=decision.action, machine=observation.machine)
    with transaction() as session:
        # The run before its printer, in the order in which `finish` locks them.
        save_progress(session, live, observation, decision, clock())
        save_observation(session, facts, observation, clock())
    return _act(facts, live, decision, view, port, clock)


def _compare_files(facts: PrinterFacts, port: PrinterPort, now: datetime) -> None:
    """After a restore: hold back what this printer has printed, or was given, since the backup. Raises PrinterError."""
    paths = [(file.path, file.sha1) for folder in FOLDERS for file in port.list_files(folder)]
    files = {UUID(name[1]): sha1 for path, sha1 in paths if (name := RUN_FILE.search(path))}
    with transaction() as session:
        jobs = hold_printed(session, printer_id=facts.printer_id, files=files, now=now)
    log.warning("restored copy compared", printer=facts.printer_id, files=len(files), held=[job.id for job in jobs])


def _record_unreached(facts: PrinterFacts, error: PrinterError, now: datetime) -> StepResult:
    """Nobody answers, or not to us: record it. A plate that was not started is given back after a while."""
    with transaction() as session:
        record_unreachable(session, printer_id=facts.printer_id, now=now, reason=error.reason, message=str(error))
        publish(session, printer=facts.printer_id)
    if facts.live is not None and _may_give_back(facts.live):
        give_back_plate(facts, facts.live, error, now)
    return StepResult.IDLE


def _may_give_back(live: LiveRun) -> bool:
    return live.stored.status in BEFORE_START and live.stored.since_s > GIVE_BACK_AFTER_S


def _view_files(live: LiveRun, observation: Observation, port: PrinterPort) -> PrinterView:
    """The observation with our file, by as few calls as this status needs."""
    is_printing = observation.machine in ACTIVE and observation.path == live.stored.path
    if is_printing or live.stored.status == RunStatus.CLAIMED:
        return PrinterView(observation)
    file = port.find_file(live.stored.path)
    if file is None and live.stored.status != RunStatus.UPLOADING:
        return PrinterView(observation, None, port.find_file(live.done_path))
    return PrinterView(observation, file)


def _without_run(facts: PrinterFacts, observation: Observation, port: PrinterPort, clock: Clock) -> StepResult:
    """Nothing of ours runs: notice prints by hand, put old files away, and claim the next plate."""
    # Each is tried: one that cannot be put away must not keep the others where a late start finds them.
    failures = [error for run in facts.unfiled if (error := _file_away(run, port, clock())) is not None]
    now = clock()
    with transaction() as session:
        save_observation(session, facts, observation, now)
        # Somebody prints by hand: their part will lie on the plate until a person says that it is clear.
        if observation.machine in ACTIVE:
            fill_plate(session, printer=get_printer(session, facts.printer_id), now=now)
        # While an old file lies at its upload path, a frozen worker could wake up and start it in the middle of ours.
        claims = not failures and facts.claims and observation.machine == Machine.IDLE
        run = claim_next(session, printer_id=facts.printer_id, now=now) if claims else None
        if run is not None:
            move_run(session, run, RunStatus.UPLOADING, now=now)
        live = to_live_run(run, now) if run is not None else None
    # `busy`: somebody prints that very file; it is put away when that ends.
    if failures and failures[0].reason != "busy":
        rest(facts, failures[0], now)
    if live is None:
        return StepResult.IDLE
    try:
        _dispatch(live, observation, port, clock)
    except PrinterError as error:
        return _action_failed(facts, live, Action.UPLOAD, error, clock())
    return StepResult.CONTINUE


def _dispatch(live: LiveRun, observation: Observation, port: PrinterPort, clock: Clock) -> None:
    """Print a fresh claim by the decisions of the loop, without asking again what was seen a moment ago.

    Any surprise leaves the rest to the loop, which looks anew (docs/decisions/0002). Raises PrinterError, or Stale
    when it was cancelled.
    """
    path = live.stored.path
    with files.as_path(live.gcode_key) as source:
        port.upload(path, Path(source))
    view = PrinterView(observation, port.find_file(path))
    if decide(live.stored, view).action != Action.SELECT:
        return
    port.select(path)
    # The reply of `select` is not believed: a person may have chosen another file since.
    selected = replace(live.stored, status=RunStatus.SELECTED)
    if decide(selected, replace(view, observation=port.observe())).action != Action.START:
        return
    commit_start(live, clock())
    port.start(path)


def _file_away(run: UnfiledRun, port: PrinterPort, now: datetime) -> PrinterError | None:
    """Move or delete an ended run's file, so that a late start finds nothing at its path; why it failed, if it did."""
    try:
        # What may have printed is kept as evidence; what was never started is not worth its room.
        if run.started:
            port.move(run.path, "etabli/done")
        else:
            port.delete(run.path)
    except PrinterError as error:
        if error.reason != "not_found":
            log.warning("cannot put the file away", run=str(run.run_id), error=str(error))
            return error
    with transaction() as session:
        session.execute(update(Run).where(Run.id == run.run_id).values(filed_at=now))
    return None


def _act(  # one call, all its facts
    facts: PrinterFacts, live: LiveRun, decision: Decision, view: PrinterView, port: PrinterPort, clock: Clock
) -> StepResult:
    """The one action of this step. A lost reply is ignored; the next look shows the state."""
    if decision.action == Action.WAIT:
        return StepResult.IDLE
    if decision.action == Action.LOOK_AGAIN:
        time.sleep(PEEK_S)
        return StepResult.CONTINUE
    if decision.action in (Action.BELIEVE, Action.END):
        record_outcome(live, decision, view, clock())
        return StepResult.CONTINUE
    try:
        return _call_printer(live, decision.action, port, clock)
    except PrinterError as error:
        return _action_failed(facts, live, decision.action, error, clock())


def _call_printer(live: LiveRun, action: Action, port: PrinterPort, clock: Clock) -> StepResult:
    """Raises PrinterError, or Stale when another worker took this run further."""
    path = live.stored.path
    if action == Action.UPLOAD:
        save_step(live, RunStatus.UPLOADING, clock())
        with files.as_path(live.gcode_key) as source:
            port.upload(path, Path(source))
    elif action == Action.SELECT:
        port.select(path)
        save_step(live, RunStatus.SELECTED, clock())
    elif action == Action.START:
        commit_start(live, clock())
        port.start(path)
    elif action == Action.FILE:
        port.move(path, "etabli/done")
    else:
        {Action.CANCEL: port.cancel, Action.PAUSE: port.pause, Action.RESUME: port.resume}[action]()
        # The effect takes a moment, and its push wakes us again.
        return StepResult.IDLE
    return StepResult.CONTINUE


def _action_failed(
    facts: PrinterFacts, live: LiveRun, action: Action, error: PrinterError, now: datetime
) -> StepResult:
    """Before the start, give the plate back and leave the printer alone for a while; after it, only looking helps."""
    log.warning(
        "the printer did not do it", printer=facts.printer_id, act=action, reason=error.reason, error=str(error)
    )
    if action in (Action.UPLOAD, Action.SELECT) and (error.reason in NEEDS_PERSON or _may_give_back(live)):
        give_back_plate(facts, live, error, now)
        return StepResult.IDLE
    if error.reason in ("unreachable", "timeout", "wrong_key", "no_right", "forbidden"):
        with transaction() as session:
            record_unreachable(session, printer_id=facts.printer_id, now=now, reason=error.reason, message=str(error))
        return StepResult.IDLE
    # `refused`, `busy` and `not_found` mean that the printer's state changed since we looked: look again at once.
    return StepResult.REFUSED
