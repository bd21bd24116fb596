"""How an issued invoice reaches its buyer: the port of a *plateforme agréée*, and the statuses that come back.

Refuses to know any vendor: deposited by hand, by the neutral API (AFNOR XP Z12-013), or by the fake of the tests.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.invoices import Invoice, require_released
from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid
from api.domain.people.accounts import User


class FlowStatus(StrEnum):
    """Life-cycle statuses of the reform; 200, 210, 212 and 213 are mandatory."""

    DEPOSITED = "200"
    RECEIVED = "202"
    AVAILABLE = "203"
    TAKEN = "204"
    APPROVED = "205"
    DISPUTED = "207"
    REFUSED = "210"
    PAYMENT_SENT = "211"
    PAID = "212"
    REJECTED = "213"


# After these nothing more comes.
FINAL = (FlowStatus.REFUSED, FlowStatus.PAID, FlowStatus.REJECTED)
# How long after a failed try the next one comes; then always the last of them.
WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6))
# What lies longer is not sent behind anybody's back: it was deposited by hand, or nobody wanted it sent.
SENT_WITHIN = timedelta(days=30)
POLL_EACH, POLL_FOR = timedelta(hours=1), timedelta(days=90)


class FlowTrouble(Exception):
    """The platform did not take it; `permanent` says that sending the same again will not help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class DepositedAlready(Conflict):
    """This invoice was handed to the platform already."""


class RefusalWithoutReason(Invalid):
    """A refusal or dispute needs its reason."""

    field = "reason"


class Platform(Protocol):
    """What we want of any platform."""

    name: str

    def send(self, *, number: str, pdf: bytes, sha256: str, public_buyer: bool) -> str:
        """Hand over a Factur-X file, of one number once; the platform's id of the flow. Raises FlowTrouble."""
        ...

    def status(self, flow_id: str) -> FlowStatus:
        """What became of it; raises FlowTrouble."""
        ...


class Flow(Base):
    """That an invoice was handed over, once per platform."""

    __tablename__ = "flows"
    __table_args__ = (UniqueConstraint("invoice_id", "platform"),)

    id: Mapped[Id]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    platform: Mapped[str] = mapped_column(String(40))
    flow_id: Mapped[str] = mapped_column(String(120))
    status: Mapped[FlowStatus] = mapped_column(EnumText(FlowStatus))
    sent_at: Mapped[Instant]
    # When the platform was last asked what became of it.
    polled_at: Mapped[Instant | None]


class FlowTry(Base):
    """That a platform did not take an invoice: how often, why, and when to try again (None: a person must look)."""

    __tablename__ = "flow_tries"
    __table_args__ = (UniqueConstraint("invoice_id", "platform"),)

    id: Mapped[Id]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    platform: Mapped[str] = mapped_column(String(40))
    tries: Mapped[int]
    trouble: Mapped[str] = mapped_column(String(300))
    next_at: Mapped[Instant | None]


class FlowEvent(Base):
    """One status as it came in, or as a person typed it from a portal."""

    __tablename__ = "flow_events"
    __table_args__ = (Index("ix_flow_events_flow_id", "flow_id"),)

    id: Mapped[Id]
    flow_id: Mapped[int] = mapped_column(ForeignKey("flows.id"))
    status: Mapped[FlowStatus] = mapped_column(EnumText(FlowStatus))
    reason: Mapped[str] = mapped_column(String(300), default="")
    at: Mapped[Instant]
    typed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


def note_deposit(
    session: Session, *, invoice: Invoice, platform: str, flow_id: str, now: datetime, actor: User | None = None
) -> Flow:
    """Remember that it was handed over; NotReleased before there is a document, DepositedAlready the second time."""
    require_released(invoice)
    if find_flow(session, invoice_id=invoice.id, platform=platform):
        raise DepositedAlready()
    flow = Flow(invoice_id=invoice.id, platform=platform, flow_id=flow_id, status=FlowStatus.DEPOSITED, sent_at=now)
    session.add(flow)
    session.flush()
    note_status(session, flow=flow, status=FlowStatus.DEPOSITED, now=now, actor=actor)
    return flow


def note_status(
    session: Session, *, flow: Flow, status: FlowStatus, now: datetime, reason: str = "", actor: User | None = None
) -> None:
    """A status from the platform, or typed by staff; a refusal says why."""
    if status in {FlowStatus.REFUSED, FlowStatus.DISPUTED} and not reason.strip():
        raise RefusalWithoutReason()
    actor_id = actor.id if actor else None
    flow.status = status
    session.add(FlowEvent(flow_id=flow.id, status=status, reason=reason.strip()[:300], at=now, typed_by=actor_id))
    session.flush()
    record(session, noun="invoice", noun_id=flow.invoice_id, verb=f"flow_{status}", now=now, actor_id=actor_id)


def find_flow(session: Session, *, invoice_id: int, platform: str) -> Flow | None:
    return session.scalar(select(Flow).where(Flow.invoice_id == invoice_id, Flow.platform == platform))


def list_flows(session: Session, *, invoice_id: int) -> list[Flow]:
    return list(session.scalars(select(Flow).where(Flow.invoice_id == invoice_id).order_by(Flow.id)))


def enqueue_flows(session: Session, *, platform: str, now: datetime) -> None:
    """Let background steps send what waits, and ask what became of what was sent. Asking twice adds none."""
    for invoice_id in list_to_send(session, platform=platform, now=now):
        enqueue(session, "send_invoice", once=f"flow:{invoice_id}", invoice_id=invoice_id)
    for flow_id in list_to_poll(session, platform=platform, now=now):
        enqueue(session, "poll_flow", once=f"poll:{flow_id}", flow_id=flow_id)


def list_to_send(session: Session, *, platform: str, now: datetime, limit: int = 50) -> list[int]:
    """Documents to organisations that went out lately, that nobody deposited, and whose (next) try has come."""
    waits = select(FlowTry.id).where(FlowTry.invoice_id == Invoice.id, FlowTry.platform == platform)
    query = select(Invoice.id).where(
        Invoice.pdf_key.is_not(None),
        Invoice.organisation_id.is_not(None),
        Invoice.released_at > now - SENT_WITHIN,
        ~exists().where(Flow.invoice_id == Invoice.id),
        or_(~waits.exists(), waits.where(FlowTry.next_at <= now).exists()),
    )
    return list(session.scalars(query.order_by(Invoice.id).limit(limit)))


def note_trouble(
    session: Session, *, invoice: Invoice, platform: str, trouble: str, permanent: bool, now: datetime
) -> FlowTry:
    """It was not taken: tried again later and later, or (permanent) laid before a person and never sent again."""
    row = session.scalar(select(FlowTry).where(FlowTry.invoice_id == invoice.id, FlowTry.platform == platform))
    tries = (row.tries if row else 0) + 1
    next_at = None if permanent else now + WAITS[min(tries, len(WAITS)) - 1]
    facts = {"tries": tries, "trouble": trouble[:300], "next_at": next_at}
    query = insert(FlowTry).values(invoice_id=invoice.id, platform=platform, **facts)
    row = session.scalars(
        query.on_conflict_do_update(index_elements=[FlowTry.invoice_id, FlowTry.platform], set_=facts).returning(
            FlowTry
        ),
        execution_options={"populate_existing": True},
    ).one()
    if permanent:
        record(session, noun="invoice", noun_id=invoice.id, verb="flow_blocked", now=now, trouble=trouble[:300])
    return row


def list_troubles(session: Session, *, seller_id: int) -> list[tuple[Invoice, FlowTry]]:
    """What the platform did not take yet, for staff; the newest first."""
    query = select(Invoice, FlowTry).join(FlowTry, FlowTry.invoice_id == Invoice.id)
    waiting = query.where(Invoice.seller_id == seller_id, ~exists().where(Flow.invoice_id == Invoice.id))
    return [(invoice, row) for invoice, row in session.execute(waiting.order_by(Invoice.id.desc()).limit(50))]


def list_to_poll(session: Session, *, platform: str, now: datetime, limit: int = 50) -> list[int]:
    """Flows that are not at their end, each once an hour."""
    query = select(Flow.id).where(
        Flow.platform == platform,
        Flow.status.not_in(FINAL),
        Flow.sent_at > now - POLL_FOR,
        or_(Flow.polled_at.is_(None), Flow.polled_at <= now - POLL_EACH),
    )
    return list(session.scalars(query.order_by(Flow.id).limit(limit)))


def note_answer(session: Session, *, flow: Flow, status: FlowStatus, now: datetime) -> None:
    """What the platform says now; only a change is a status. Typed statuses that are further on stay."""
    flow.polled_at = now
    if status.value > flow.status.value:
        note_status(session, flow=flow, status=status, now=now, reason=f"{flow.platform} {status.value}")
    session.flush()
