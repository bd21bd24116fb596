"""Recording: what one step at a printer reads and writes, each in one short transaction, by compare-and-set.

Nothing here speaks to a printer: no transaction may stay open while a slow server answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.core.changes import publish
from api.domain.core.errors import Stale
from api.domain.printing.faults import has_fault, record_fault
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
    waits_for_comparison,
)
from api.domain.printing.states import ACTIVE, FaultCode
from printers.decide import Action, Decision, PrinterView, StoredRun
from printers.faults import find_fault
from printers.port import Observation, PrinterError, StoredFile

# A printer that gave a plate back takes no other for so long; meanwhile another printer can take that one.
BACK_OFF = timedelta(seconds=60)


@dataclass(frozen=True)
class LiveRun:
    """The live run of a printer as it was read; what is recorded later is valid only if it has not moved since."""

    run_id: UUID
    stored: StoredRun
    done_path: str
    gcode_key: str
    lost_at: datetime | None


@dataclass(frozen=True)
class UnfiledRun:
    """An ended run whose file still lies on the printer where a late start would find it."""

    run_id: UUID
    path: str
    started: bool


@dataclass(frozen=True)
class PrinterFacts:
    """What one step needs to know. `claims`: whether our table lets this printer take a plate; `fault`: as recorded."""

    printer_id: int
    url: str
    sealed_key: str
    machine: str
    claims: bool
    live: LiveRun | None
    unfiled: tuple[UnfiledRun, ...] = ()
    fault: FaultCode | None = None
    is_restored: bool = False

    @property
    def was_printing(self) -> bool:
        """Whether something printed at the last look, or may have begun since."""
        started = self.live is not None and self.live.stored.status not in BEFORE_START
        return started or self.machine in ACTIVE

    def fault_in(self, observation: Observation) -> FaultCode | None:
        """The fault that stands recorded, or that this look shows."""
        return self.fault or find_fault(observation, was_printing=self.was_printing)


def read_facts(session: Session, printer_id: int, now: datetime) -> PrinterFacts:
    printer = get_printer(session, printer_id)
    fault = FaultCode(printer.fault) if printer.fault else None
    is_in_service = not printer.in_maintenance and printer.resource.retired_at is None
    is_resting = printer.not_before is not None and now < printer.not_before
    claims = printer.plate_clear and is_in_service and fault is None and not is_resting
    claims = claims and not waits_for_comparison(session, site_id=printer.site_id)
    runs = list_unfiled(session, printer_id=printer_id)
    live = next((to_live_run(run, now) for run in runs if run.status in LIVE), None)
    unfiled = tuple(UnfiledRun(run.id, run.path, run.started_at is not None) for run in runs if run.status not in LIVE)
    is_restored = printer.restored_at is not None
    return PrinterFacts(
        printer_id, printer.url, printer.sealed_key, printer.machine, claims, live, unfiled, fault, is_restored
    )


def to_live_run(run: Run, now: datetime) -> LiveRun:
    stored = StoredRun(
        status=run.status,
        path=run.path,
        size=run.slice.size,
        sha1=run.slice.sha1,
        # A cancelled job must not print, whatever command stands on its run.
        command=RunCommand.CANCEL if run.job.status == JobStatus.CANCELLED else run.command,
        since_s=(now - run.status_at).total_seconds(),
        lost_s=None if run.lost_at is None else (now - run.lost_at).total_seconds(),
    )
    return LiveRun(run.id, stored, run.done_path, run.slice.gcode_key, run.lost_at)


def save_observation(session: Session, facts: PrinterFacts, observation: Observation, now: datetime) -> None:
    record_observation(
        session,
        printer_id=facts.printer_id,
        now=now,
        machine=observation.machine,
        path=observation.path,
        error=observation.error,
        progress=observation.progress,
        left_s=observation.left_s,
    )
    fault = find_fault(observation, was_printing=facts.was_printing)
    if fault is not None and facts.fault is None:
        record_fault(session, printer_id=facts.printer_id, fault=fault, text=observation.error, now=now)
    if observation.machine != facts.machine:
        publish(session, printer=facts.printer_id)


def save_progress(session: Session, live: LiveRun, observation: Observation, decision: Decision, now: datetime) -> None:
    """Record how far our print is, or since when it is missing."""
    if decision.lost:
        # Only the first look that misses it counts: the grace of decide.SETTLE_S runs from there.
        session.execute(update(Run).where(Run.id == live.run_id, Run.lost_at.is_(None)).values(lost_at=now))
    elif observation.path == live.stored.path and observation.machine in ACTIVE:
        run = get_run(session, live.run_id)
        if run.status in LIVE:
            record_progress(
                session,
                run=run,
                progress=observation.progress,
                left_s=observation.left_s,
                print_s=observation.elapsed_s,
                filepos=observation.filepos,
                now=now,
            )
            keep_hold(session, run=run, now=now)


def get_unchanged(session: Session, live: LiveRun) -> Run:
    """The run, if it still stands as it did when we looked; raises Stale when another worker took it further."""
    run = get_run(session, live.run_id)
    if run.status != live.stored.status:
        raise Stale()
    return run


def save_step(live: LiveRun, status: RunStatus, now: datetime) -> None:
    """Record a step before the start; a step that is repeated records nothing. Raises Stale."""
    with transaction() as session:
        run = get_unchanged(session, live)
        if run.status != status:
            move_run(session, run, status, now=now)


def commit_start(live: LiveRun, now: datetime) -> None:
    """Record that we are about to start: of all workers that decided to, only one gets past here. Raises Stale.

    It commits before the printer is told, so that a crash between the two leaves a run that is looked at, not one
    that is started a second time.
    """
    with transaction() as session:
        run = get_unchanged(session, live)
        # A cancel or a fault may have come after we decided. This is the last moment at which it prevents the start.
        if run.command == RunCommand.CANCEL or has_fault(session, printer_id=run.printer_id):
            raise Stale()
        if run.status != RunStatus.STARTING:
            move_run(session, run, RunStatus.STARTING, now=now, started_at=now)
            return
        # The first start was lost and the status does not change, so the compare-and-set is on `lost_at`: of the
        # workers that saw the same loss, the one that clears it may start again.
        again = update(Run).where(Run.id == run.id, Run.status == run.status, Run.lost_at == live.lost_at)
        if session.execute(again.values(lost_at=None, status_at=now).returning(Run.id)).scalar() is None:
            raise Stale()


def record_outcome(live: LiveRun, decision: Decision, view: PrinterView, now: datetime) -> None:
    """Record what was seen: a running print, or an end with all its consequences (hold, plate, charge)."""
    assert decision.status is not None  # noqa: S101  # BELIEVE and END carry one
    with transaction() as session:
        run = get_unchanged(session, live)
        if decision.action == Action.BELIEVE:
            _clear_command(session, run)
            move_run(session, run, decision.status, now=now, started_at=run.started_at or now)
            return
        history = view.history
        finish(
            session,
            run=run,
            outcome=decision.status,
            now=now,
            reason=decision.reason,
            detail=view.observation.error,
            print_s=history.last_print_s if history else None,
            began=history is not None,
        )
        if decision.reason == "bad_upload" and view.file is not None:
            _set_aside(session, run, view.file, now)
        # The file lies in done/ already: no later step has to put it away.
        if view.done is not None and view.file is None:
            run.filed_at = now


def _set_aside(session: Session, run: Run, file: StoredFile, now: datetime) -> None:
    """A printer whose server stored another file than it was sent gets no more plates that it would damage."""
    text = f"{run.slice.size} B → {file.size} B"
    # A file cut short may be a full disk, which staff free without coming here. One that is changed in any other way,
    # or cut a second time in a row, is the work of a plug-in, and the next one will be damaged as well.
    if file.size >= run.slice.size or _was_cut_before(session, run):
        record_fault(session, printer_id=run.printer_id, fault=FaultCode.FILES_CHANGED, text=text, now=now)
    else:
        until = now + BACK_OFF
        back_off(session, printer_id=run.printer_id, until=until, now=now, reason="bad_upload", message=text)


def _was_cut_before(session: Session, run: Run) -> bool:
    earlier = select(Run.reason).where(Run.printer_id == run.printer_id, Run.id != run.id)
    return session.scalar(earlier.order_by(Run.claimed_at.desc()).limit(1)) == "bad_upload"


def _clear_command(session: Session, run: Run) -> None:
    """A pause or resume is done once its effect is seen. One that came before the print began is still to do."""
    if run.status in (RunStatus.PRINTING, RunStatus.PAUSED):
        # The condition stands in the statement because a cancel may come after we read the row; it must not be lost.
        clearing = update(Run).where(Run.id == run.id, Run.command != RunCommand.CANCEL)
        session.execute(clearing.values(command=None))


def rest(facts: PrinterFacts, error: PrinterError, now: datetime) -> None:
    """Give this printer no plate for a while, and keep the reason where staff read it."""
    with transaction() as session:
        _back_off(session, facts.printer_id, error, now)


def give_back_plate(facts: PrinterFacts, live: LiveRun, error: PrinterError, now: datetime) -> None:
    """End a run that was not started, so that another printer can have its plate; this one rests for a while."""
    with transaction() as session:
        run = get_run(session, live.run_id)
        # Another worker may have started it since we looked; its plate is then not free.
        if run.status not in BEFORE_START:
            raise Stale()
        finish(session, run=run, outcome=RunStatus.CANCELLED, now=now, reason=error.reason, detail=str(error))
        _back_off(session, facts.printer_id, error, now)


def _back_off(session: Session, printer_id: int, error: PrinterError, now: datetime) -> None:
    until = now + BACK_OFF
    back_off(session, printer_id=printer_id, until=until, now=now, reason=error.reason, message=str(error))
