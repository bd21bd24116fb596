"""The jobs table, its status and moves, and how one is found."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, Text, UniqueConstraint, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship
from sqlalchemy.orm.interfaces import ORMOption

from api.domain.core.base import Base, Cents, EnumText, Id, Instant, advance
from api.domain.core.changes import enqueue, publish, record
from api.domain.core.errors import NotAllowed, NotFound
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import Membership, User, may_buy_for
from api.domain.people.roles import may_staff
from api.domain.places.sites import Site
from api.domain.pricing.materials import Colour, Material, Quality
from api.domain.printing.library import Model
from api.domain.printing.slices import Slice


class JobStatus(StrEnum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    QUEUED = "queued"
    ON_HOLD = "on_hold"
    PRINTING = "printing"
    PRINTED = "printed"
    COLLECTED = "collected"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


_S = JobStatus
NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    _S.DRAFT: frozenset({_S.SUBMITTED, _S.CANCELLED}),
    _S.SUBMITTED: frozenset({_S.QUEUED, _S.REJECTED, _S.CANCELLED}),
    # Its last plate may come out well after staff held it back, or while it waits again.
    _S.QUEUED: frozenset({_S.PRINTING, _S.ON_HOLD, _S.PRINTED, _S.CANCELLED}),
    _S.ON_HOLD: frozenset({_S.QUEUED, _S.PRINTED, _S.CANCELLED}),
    _S.PRINTING: frozenset({_S.QUEUED, _S.ON_HOLD, _S.PRINTED, _S.CANCELLED}),
    _S.PRINTED: frozenset({_S.COLLECTED}),
}
# Nothing more will happen to these by itself.
ENDED = frozenset({_S.PRINTED, _S.COLLECTED, _S.REJECTED, _S.CANCELLED})
# The owner gets a letter about these.
MAILED_STATUSES = frozenset({_S.PRINTED, _S.REJECTED, _S.ON_HOLD})


class Job(Base):
    """What a customer wants printed. Prices are integer cents; `net` is before VAT; exact once sliced."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_owner_id_id", "owner_id", "id"),
        Index("ix_jobs_site_id_status", "site_id", "status"),
        CheckConstraint("copies > 0 AND copies_per_plate > 0", name="copies"),
        CheckConstraint("scale > 0", name="scale"),
    )

    id: Mapped[Id]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    material_id: Mapped[int] = mapped_column(ForeignKey("materials.id"))
    # None: any colour will do.
    colour_id: Mapped[int | None] = mapped_column(ForeignKey("colours.id"))
    quality: Mapped[Quality] = mapped_column(EnumText(Quality))
    copies: Mapped[int]
    copies_per_plate: Mapped[int] = mapped_column(default=1)
    scale: Mapped[Decimal] = mapped_column(Numeric(8, 4), default=1)
    note: Mapped[str] = mapped_column(Text, default="")
    priority: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[Instant | None]
    confidential: Mapped[bool] = mapped_column(default=False)

    status: Mapped[JobStatus] = mapped_column(EnumText(JobStatus), default=JobStatus.DRAFT)
    # Why it is rejected or on hold: {"code": .., "params": {..}} of a domain error, or {"text": ..} by a person.
    reason: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[Instant]
    submitted_at: Mapped[Instant | None]
    approved_at: Mapped[Instant | None]
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    sliced_at: Mapped[Instant | None]
    queued_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]

    tariff_id: Mapped[int | None] = mapped_column(ForeignKey("tariffs.id"))
    net_cents: Mapped[Cents] = mapped_column(default=0)
    vat_cents: Mapped[Cents] = mapped_column(default=0)
    price_exact: Mapped[bool] = mapped_column(default=False)
    price_trace: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    # Of one piece, by estimate or by slice.
    grams_each: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=0)
    seconds_each: Mapped[int] = mapped_column(default=0)

    owner: Mapped[User] = relationship(foreign_keys=[owner_id])
    site: Mapped[Site] = relationship()
    model: Mapped[Model] = relationship()
    material: Mapped[Material] = relationship()
    colour: Mapped[Colour | None] = relationship()
    slices: Mapped[list[JobSlice]] = relationship(order_by="JobSlice.id", back_populates="job")

    @property
    def price_cents(self) -> int:
        """What is to pay, VAT included."""
        return self.net_cents + self.vat_cents


class JobSlice(Base):
    """That a job may print `slice` (for one printer kind and one number of copies on the plate)."""

    __tablename__ = "job_slices"
    __table_args__ = (UniqueConstraint("job_id", "slice_id"),)

    id: Mapped[Id]
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    slice_id: Mapped[int] = mapped_column(ForeignKey("slices.id"), index=True)

    job: Mapped[Job] = relationship(back_populates="slices")
    slice: Mapped[Slice] = relationship(lazy="joined")


def move_job(
    session: Session, job: Job, new: JobStatus, *, now: datetime, actor_id: int | None = None, **values: Any
) -> None:
    """The only way to another status; records the change and wakes the pages. Raises ForbiddenMove or Stale."""
    old = job.status
    if new in ENDED and job.ended_at is None:
        values["ended_at"] = now
    advance(session, job, new, moves=NEXT, status=Job.status, **values)
    facts = {"old": old, "new": new, **({"reason": values["reason"]} if values.get("reason") else {})}
    record(session, noun="job", noun_id=job.id, verb=new, now=now, actor_id=actor_id, site_id=job.site_id, **facts)
    publish(session, job=job.id)
    if new in MAILED_STATUSES:
        # By the time of the move: a job that is put on hold twice is told twice.
        enqueue(session, "notify_job", job_id=job.id, verb=new.value, since=now.isoformat())


def lock_job(session: Session, job_id: int) -> Job:
    """The job as it is now, locked until the transaction ends. A verb that decides by what it reads begins here."""
    # Always the job first, then its runs and printers: in one order, no two transactions can deadlock.
    query = select(Job).where(Job.id == job_id).with_for_update(of=Job).execution_options(populate_existing=True)
    return session.scalars(query).one()


def get_job(session: Session, job_id: int, *, user: User) -> Job:
    """One's own job, one of an organisation that one belongs to, or one at a site that one staffs; else NotFound."""
    job = session.get(Job, job_id)
    if job is None:
        raise NotFound()
    if job.owner_id == user.id or may_staff(session, user=user, site_id=job.site_id):
        return job
    # What is confidential is for its owner and those who print it: not for the colleagues of the owner.
    if job.organisation_id is not None and not job.confidential:
        query = select(Membership.id).where(
            Membership.user_id == user.id, Membership.organisation_id == job.organisation_id
        )
        if session.scalar(query) is not None:
            return job
    raise NotFound()


class JobOfAnother(NotAllowed):
    """Only the person who sent this print, a buyer of its organisation or staff can do this."""


def require_may_change(session: Session, *, job: Job, user: User) -> None:
    """Raises JobOfAnother: who may see a job may not always change it, an organisation's other members only look."""
    if job.owner_id == user.id or may_staff(session, user=user, site_id=job.site_id):
        return
    if job.organisation_id is None or not may_buy_for(session, user=user, organisation_id=job.organisation_id):
        raise JobOfAnother()


def _shown() -> list[ORMOption]:
    """What a row of a list shows beside the job itself: read with it, not row by row."""
    return [joinedload(each) for each in (Job.model, Job.material, Job.colour, Job.site, Job.owner)]


def list_jobs(session: Session, *, user: User, window: PageWindow = FIRST_PAGE) -> Page[Job]:
    """One's own and one's organisations' jobs, newest first."""
    organisations = select(Membership.organisation_id).where(Membership.user_id == user.id)
    shared = Job.organisation_id.in_(organisations) & Job.confidential.is_(False)
    query = select(Job).where(or_(Job.owner_id == user.id, shared)).options(*_shown())
    return read_page(session, query, window=window, id=Job.id)


def count_earlier(session: Session, *, job: Job) -> dict[JobStatus, int]:
    """How many jobs its owner handed in at this site before it, by what became of them; statuses without any miss."""
    query = select(Job.status, func.count()).where(
        Job.owner_id == job.owner_id, Job.site_id == job.site_id, Job.id < job.id, Job.status != JobStatus.DRAFT
    )
    return dict(session.execute(query.group_by(Job.status)).all())


def list_site_jobs(session: Session, *, site_ids: list[int], statuses: list[JobStatus]) -> list[Job]:
    """What staff see: the jobs of their sites in these statuses, oldest first."""
    query = select(Job).where(Job.site_id.in_(site_ids), Job.status.in_(statuses)).options(*_shown()).order_by(Job.id)
    return list(session.scalars(query))
