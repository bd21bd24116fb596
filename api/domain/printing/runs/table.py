"""The runs table, its status and moves. One live run per printer and one per plate: the database says so."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Numeric,
    String,
    Uuid,
    case,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship
from sqlalchemy.orm.interfaces import ORMOption

from api.domain.core.base import Base, Cents, EnumText, ForbiddenMove, Id, Instant, advance
from api.domain.core.changes import publish, record
from api.domain.core.errors import NotFound
from api.domain.places.timeline import Hold
from api.domain.printing.jobs import Job
from api.domain.printing.printers import Printer, enqueue_reconcile
from api.domain.printing.slices import Slice


class RunStatus(StrEnum):
    CLAIMED = "claimed"
    UPLOADING = "uploading"
    SELECTED = "selected"
    STARTING = "starting"
    PRINTING = "printing"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"


_S = RunStatus
_ENDS = frozenset({_S.DONE, _S.FAILED, _S.CANCELLED, _S.IN_DOUBT})
NEXT: dict[RunStatus, frozenset[RunStatus]] = {
    _S.CLAIMED: frozenset({_S.UPLOADING, _S.PRINTING} | _ENDS),
    # A fresh claim goes straight from the upload to the start, with the same checks (docs/decisions/0002).
    _S.UPLOADING: frozenset({_S.SELECTED, _S.STARTING, _S.PRINTING} | _ENDS),
    _S.SELECTED: frozenset({_S.STARTING, _S.PRINTING} | _ENDS),
    _S.STARTING: frozenset({_S.PRINTING} | _ENDS),
    _S.PRINTING: frozenset({_S.PAUSED} | _ENDS),
    _S.PAUSED: frozenset({_S.PRINTING} | _ENDS),
    _S.IN_DOUBT: frozenset({_S.DONE, _S.FAILED}),
}
LIVE = (_S.CLAIMED, _S.UPLOADING, _S.SELECTED, _S.STARTING, _S.PRINTING, _S.PAUSED)
# Nothing of such a run can have moved the printer: its plate may be given back at any time.
BEFORE_START = frozenset({_S.CLAIMED, _S.UPLOADING, _S.SELECTED})
# From this share of a print on, what its printer says is left counts for more than what the slicer said.
LEAST_PROGRESS = 0.1
# A plate with such a run is not given to another printer.
FENCED = (*LIVE, _S.DONE, _S.IN_DOUBT)


def _status_in(statuses: tuple[RunStatus, ...]) -> str:
    return "status IN (" + ", ".join(f"'{status}'" for status in statuses) + ")"


class RunCommand(StrEnum):
    """What a person wants of a live run; the worker acts."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"


class Run(Base):
    """One attempt at one plate. Its file on the printer is `etabli/<id>.gcode`: nobody else's, never reused."""

    __tablename__ = "runs"
    __table_args__ = (
        # Two workers may both decide to claim; of two rows for one printer, or one plate, the second is refused here.
        Index("uq_runs_live_printer", "printer_id", unique=True, postgresql_where=text(_status_in(LIVE))),
        Index("uq_runs_live_plate", "job_id", "plate_no", unique=True, postgresql_where=text(_status_in(FENCED))),
        Index("ix_runs_job_id", "job_id"),
        Index("ix_runs_hold_id", "hold_id"),
        Index("ix_runs_in_doubt", "job_id", postgresql_where=text("status = 'in_doubt'")),
        Index("ix_runs_printer_id_claimed_at", "printer_id", "claimed_at"),
        Index("ix_runs_unfiled", "printer_id", postgresql_where=text("filed_at IS NULL")),
        CheckConstraint("plate_no > 0 AND copies > 0", name="plate"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    plate_no: Mapped[int]
    copies: Mapped[int]
    printer_id: Mapped[int] = mapped_column(ForeignKey("printers.id"))
    slice_id: Mapped[int] = mapped_column(ForeignKey("slices.id"))
    hold_id: Mapped[int | None] = mapped_column(ForeignKey("holds.id"))
    status: Mapped[RunStatus] = mapped_column(EnumText(RunStatus), default=RunStatus.CLAIMED)
    command: Mapped[RunCommand | None] = mapped_column(EnumText(RunCommand))
    commanded_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # Why it ended as it did: a short code (reasons in printers/decide.py) and the printer's own text.
    reason: Mapped[str] = mapped_column(String(40), default="")
    detail: Mapped[str] = mapped_column(String(300), default="")
    claimed_at: Mapped[Instant]
    status_at: Mapped[Instant]
    # Since when its print is not seen although it should be there; the grace before a doubt.
    lost_at: Mapped[Instant | None]
    started_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]
    # When its file was moved to etabli/done/ (or removed): no late start can find it any more.
    filed_at: Mapped[Instant | None]
    progress: Mapped[float | None] = mapped_column(Float)
    left_s: Mapped[float | None] = mapped_column(Float)
    print_s: Mapped[float | None] = mapped_column(Float)
    # Bytes of G-code sent, and when that number last changed: a print that hangs still reads "printing".
    filepos: Mapped[int | None] = mapped_column(BigInteger)
    moved_at: Mapped[Instant | None]
    resolved_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    resolution: Mapped[str] = mapped_column(String(300), default="")

    job: Mapped[Job] = relationship()
    printer: Mapped[Printer] = relationship()
    slice: Mapped[Slice] = relationship()
    hold: Mapped[Hold | None] = relationship()

    @property
    def time_left(self) -> timedelta | None:
        """What the printer says is left, once it can know: at first it only guesses from the size of the file."""
        if self.left_s is None or (self.progress or 0) < LEAST_PROGRESS:
            return None
        return timedelta(seconds=self.left_s)

    @property
    def path(self) -> str:
        return f"etabli/{self.id}.gcode"

    @property
    def done_path(self) -> str:
        return f"etabli/done/{self.id}.gcode"


class Charge(Base):
    """What a finished run cost its customer: booked in the transaction of its end, once per run."""

    __tablename__ = "charges"

    id: Mapped[Id]
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"), unique=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    net_cents: Mapped[Cents]
    vat_cents: Mapped[Cents]
    grams: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    booked_at: Mapped[Instant]
    trace: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)


def charged_cents(session: Session, *, job_id: int) -> int:
    """What the plates that were printed cost, VAT included: of a job that was stopped, this is what is owed."""
    total = func.coalesce(func.sum(Charge.net_cents + Charge.vat_cents), 0)
    return int(session.scalar(select(total).where(Charge.job_id == job_id)) or 0)


def move_run(
    session: Session, run: Run, new: RunStatus, *, now: datetime, actor_id: int | None = None, **values: Any
) -> None:
    """The only way to another status. Raises ForbiddenMove or Stale; wakes the pages."""
    old = run.status
    advance(session, run, new, moves=NEXT, status=Run.status, **{"status_at": now, "lost_at": None, **values})
    facts = {key: values[key] for key in ("reason", "detail") if values.get(key)}
    record(
        session,
        noun="run",
        noun_id=run.id,
        verb=new,
        now=now,
        actor_id=actor_id,
        site_id=run.job.site_id,
        old=old,
        job=run.job_id,
        printer=run.printer_id,
        **facts,
    )
    publish(session, job=run.job_id, printer=run.printer_id)


def find_live_run(session: Session, *, printer_id: int) -> Run | None:
    return session.scalar(select(Run).where(Run.printer_id == printer_id, Run.status.in_(LIVE)))


def list_unfiled(session: Session, *, printer_id: int) -> list[Run]:
    """The printer's live run first, if any, then ended ones whose file was not put away yet.

    At most 20: each costs a call to the printer, and the next look goes on with the rest.
    """
    query = select(Run).where(Run.printer_id == printer_id, Run.filed_at.is_(None))
    return list(session.scalars(query.order_by(Run.status.in_(LIVE).desc(), Run.claimed_at).limit(20)))


def get_run(session: Session, run_id: UUID, *, job_id: int | None = None) -> Run:
    """By id, and of this job when one is given; raises NotFound."""
    run = session.get(Run, run_id)
    if run is None or (job_id is not None and run.job_id != job_id):
        raise NotFound()
    return run


def list_runs(session: Session, *, job_id: int) -> list[Run]:
    """All attempts for a job, oldest first."""
    return list(session.scalars(select(Run).where(Run.job_id == job_id).order_by(Run.claimed_at, Run.id)))


def list_runs_of(session: Session, *, job_ids: Sequence[int]) -> dict[int, list[Run]]:
    """job id -> its attempts, oldest first, with their printers; a job without any is left out."""
    query = select(Run).where(Run.job_id.in_(job_ids)).options(joinedload(Run.printer).joinedload(Printer.resource))
    attempts: dict[int, list[Run]] = {}
    for run in session.scalars(query.order_by(Run.claimed_at, Run.id)):
        attempts.setdefault(run.job_id, []).append(run)
    return attempts


def progress_of(job: Job, attempts: list[Run]) -> float:
    """0..1 over all plates of a job, each by its copies: printed ones whole, running ones as far as seen."""
    done = sum(run.copies for run in attempts if run.status == RunStatus.DONE)
    running = sum(run.copies * (run.progress or 0.0) for run in attempts if run.status in LIVE)
    return min(1.0, (done + running) / job.copies)


def map_hold_runs(session: Session, *, hold_ids: Set[int]) -> dict[int, Run]:
    """The runs for which these holds stand, by the id of the hold."""
    query = select(Run).where(Run.hold_id.in_(hold_ids)).options(*_shown())
    return {run.hold_id: run for run in session.scalars(query) if run.hold_id is not None}


def _shown() -> list[ORMOption]:
    """What a tile or a row shows beside the run itself: its job, with the model and the owner."""
    return [joinedload(Run.job).joinedload(each) for each in (Job.model, Job.owner)]


def list_live_runs(session: Session, *, printer_ids: list[int]) -> dict[int, Run]:
    """printer id -> its live run."""
    query = select(Run).where(Run.printer_id.in_(printer_ids), Run.status.in_(LIVE)).options(*_shown())
    return {run.printer_id: run for run in session.scalars(query)}


def list_doubts(session: Session, *, site_ids: list[int]) -> list[Run]:
    """Runs that only a person can decide, oldest first."""
    query = select(Run).join(Job).where(Run.status == RunStatus.IN_DOUBT, Job.site_id.in_(site_ids))
    query = query.options(*_shown(), joinedload(Run.printer))
    return list(session.scalars(query.order_by(Run.claimed_at)))


def record_progress(
    session: Session,
    *,
    run: Run,
    progress: float | None,
    left_s: float | None,
    print_s: float | None,
    filepos: int | None = None,
    now: datetime,
) -> None:
    """Keep the last figures seen of a print that is there (so it is not lost)."""
    old = run.progress
    moved_at = case((Run.filepos.is_not_distinct_from(filepos), Run.moved_at), else_=now)
    figures = {"progress": progress, "left_s": left_s, "print_s": print_s, "filepos": filepos, "moved_at": moved_at}
    session.execute(update(Run).where(Run.id == run.id).values(lost_at=None, **figures))
    # Pages show whole percents: a look that changes none must not wake every browser.
    if progress is not None and (old is None or int(progress * 100) != int(old * 100)):
        publish(session, job=run.job_id, printer=run.printer_id)


def request_command(session: Session, *, run: Run, command: RunCommand, actor_id: int, now: datetime) -> None:
    """Note what a person wants; the worker acts within a second. A cancel is not taken back by a later pause."""
    # The conditions stand in the statement: a cancel of somebody else may come after this session read the run, and
    # it may be the one that keeps the printer from printing into a full plate.
    changing = update(Run).where(
        Run.id == run.id, Run.status.in_(LIVE), Run.command.is_distinct_from(RunCommand.CANCEL)
    )
    values = {"command": command, "commanded_by": actor_id}
    is_changed = session.scalar(changing.values(values).returning(Run.id)) is not None
    session.refresh(run)
    if run.status not in LIVE:
        raise ForbiddenMove(old=run.status, new=command)
    if not is_changed:
        return
    record(
        session,
        noun="run",
        noun_id=run.id,
        verb=f"{command}_requested",
        now=now,
        actor_id=actor_id,
        site_id=run.job.site_id,
    )
    enqueue_reconcile(session, run.printer_id)
