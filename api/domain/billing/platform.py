"""How an issued invoice reaches its buyer: the port of a *plateforme agréée*, and the statuses that come back.

What speaks to one (by hand, by the neutral API AFNOR XP Z12-013, or the fake of the tests) is in `api.adapters.flows`.
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
from api.domain.core.locks import add_unique, lock_row
from api.domain.core.text import one_line
from api.domain.people.accounts import User


class FlowStatus(StrEnum):
    """Life-cycle statuses of the e-invoicing reform; 200, 210, 212 and 213 are mandatory."""

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


# No status follows one of these, so the platform is not polled any more.
FINAL = (FlowStatus.REFUSED, FlowStatus.PAID, FlowStatus.REJECTED)
# After the first failure one minute, and so on; from the fifth on always the last of them.
RETRY_DELAYS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
)
# An older invoice is never sent by itself: when a platform is set up, the past was deposited by hand or not at all.
SEND_WITHIN = timedelta(days=30)
POLL_INTERVAL, POLL_FOR = timedelta(hours=1), timedelta(days=90)


class FlowTrouble(Exception):
    """The platform did not take it or did not answer; `permanent`: sending the same again will not help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class DepositedAlready(Conflict):
    """This invoice has already been sent to the platform."""


class RefusalWithoutReason(Invalid):
    """State the reason for the refusal or dispute."""

    field = "reason"


class Platform(Protocol):
    """What every platform offers us. Both calls are made outside of transactions."""

    name: str

    def send(self, *, number: str, pdf: bytes, sha256: str, public_buyer: bool) -> str:
        """Hand over a Factur-X file; the platform's id of the flow. Raises FlowTrouble.

        The same number again gives the same flow: the answer to the first call may have been lost.
        """
        ...

    def status(self, flow_id: str) -> FlowStatus:
        """The latest status of a flow; raises FlowTrouble."""
        ...


class Flow(Base):
    """One invoice handed over to a platform; `flow_id` is the platform's name of it."""

    __tablename__ = "flows"
    __table_args__ = (UniqueConstraint("invoice_id", "platform"), Index("ix_flows_sent_at", "sent_at"))

    id: Mapped[Id]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    platform: Mapped[str] = mapped_column(String(40))
    flow_id: Mapped[str] = mapped_column(String(120))
    status: Mapped[FlowStatus] = mapped_column(EnumText(FlowStatus))
    sent_at: Mapped[Instant]
    # When the platform was last asked for the status; None until the first time.
    polled_at: Mapped[Instant | None]


class FlowTry(Base):
    """An invoice that a platform did not take: how often, why, and when to try again (None: a person must look)."""

    __tablename__ = "flow_tries"
    __table_args__ = (UniqueConstraint("invoice_id", "platform"),)

    id: Mapped[Id]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    platform: Mapped[str] = mapped_column(String(40))
    tries: Mapped[int]
    trouble: Mapped[str] = mapped_column(String(300))
    next_at: Mapped[Instant | None]


class FlowEvent(Base):
    """One status as it came in, or as a person (`typed_by`) read it on a portal."""

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
    """Record that an invoice was handed over; NotReleased before there is a document, DepositedAlready after it was."""
    require_released(invoice)
    flow = Flow(invoice_id=invoice.id, platform=platform, flow_id=flow_id, status=FlowStatus.DEPOSITED, sent_at=now)
    # The step that sends may run twice, also at once.
    add_unique(session, flow, DepositedAlready())
    note_status(session, flow=flow, status=FlowStatus.DEPOSITED, now=now, actor=actor)
    return flow


def note_status(
    session: Session, *, flow: Flow, status: FlowStatus, now: datetime, reason: str = "", actor: User | None = None
) -> None:
    """Record a status from the platform, or typed by staff; RefusalWithoutReason."""
    if status in {FlowStatus.REFUSED, FlowStatus.DISPUTED} and not reason.strip():
        raise RefusalWithoutReason()
    actor_id = actor.id if actor else None
    lock_row(session, flow)
    flow.status = status
    session.add(FlowEvent(flow_id=flow.id, status=status, reason=one_line(reason)[:300], at=now, typed_by=actor_id))
    session.flush()
    record(session, noun="invoice", noun_id=flow.invoice_id, verb=f"flow_{status}", now=now, actor_id=actor_id)


def find_flow(session: Session, *, invoice_id: int, platform: str) -> Flow | None:
    return session.scalar(select(Flow).where(Flow.invoice_id == invoice_id, Flow.platform == platform))


def list_flows(session: Session, *, invoice_id: int) -> list[Flow]:
    return list(session.scalars(select(Flow).where(Flow.invoice_id == invoice_id).order_by(Flow.id)))


def enqueue_flows(session: Session, *, platform: str, now: datetime) -> None:
    """Enqueue the steps that send what waits and poll what was sent; a step that waits already is not added again."""
    for invoice_id in list_to_send(session, platform=platform, now=now):
        enqueue(session, "send_invoice", once=f"flow:{invoice_id}", invoice_id=invoice_id)
    for flow_id in list_to_poll(session, platform=platform, now=now):
        enqueue(session, "poll_flow", once=f"poll:{flow_id}", flow_id=flow_id)


def list_to_send(session: Session, *, platform: str, now: datetime, limit: int = 50) -> list[int]:
    """Ids of invoices to organisations, released lately, not handed over, and not waiting for a later try."""
    tries = select(FlowTry.id).where(FlowTry.invoice_id == Invoice.id, FlowTry.platform == platform)
    query = select(Invoice.id).where(
        Invoice.pdf_key.is_not(None),
        # Sales to consumers are not sent, but reported in sums (flux 10).
        Invoice.organisation_id.is_not(None),
        Invoice.released_at > now - SEND_WITHIN,
        # A flow of any platform: what was deposited by hand is never sent.
        ~exists().where(Flow.invoice_id == Invoice.id),
        or_(~tries.exists(), tries.where(FlowTry.next_at <= now).exists()),
    )
    return list(session.scalars(query.order_by(Invoice.id).limit(limit)))


def note_trouble(
    session: Session, *, invoice: Invoice, platform: str, trouble: str, permanent: bool, now: datetime
) -> FlowTry:
    """Record a failed deposit: tried again later and later or, if permanent, left to a person and never sent again."""
    row = session.scalar(select(FlowTry).where(FlowTry.invoice_id == invoice.id, FlowTry.platform == platform))
    tries = (row.tries if row else 0) + 1
    next_at = None if permanent else now + RETRY_DELAYS[min(tries, len(RETRY_DELAYS)) - 1]
    facts = {"tries": tries, "trouble": trouble[:300], "next_at": next_at}
    # Of two steps that fail at once, the second one updates the row of the first.
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
    """Invoices that a platform did not take yet, for staff; the newest 50 first."""
    query = select(Invoice, FlowTry).join(FlowTry, FlowTry.invoice_id == Invoice.id)
    waiting = query.where(Invoice.seller_id == seller_id, ~exists().where(Flow.invoice_id == Invoice.id))
    return [(invoice, row) for invoice, row in session.execute(waiting.order_by(Invoice.id.desc()).limit(50))]


def list_to_poll(session: Session, *, platform: str, now: datetime, limit: int = 50) -> list[int]:
    """Ids of flows without a final status, each once an hour."""
    query = select(Flow.id).where(
        Flow.platform == platform,
        Flow.status.not_in(FINAL),
        Flow.sent_at > now - POLL_FOR,
        or_(Flow.polled_at.is_(None), Flow.polled_at <= now - POLL_INTERVAL),
    )
    return list(session.scalars(query.order_by(Flow.id).limit(limit)))


def note_polled_status(session: Session, *, flow: Flow, status: FlowStatus, now: datetime) -> None:
    """Record what the platform answered to a poll; only a status further on than the known one counts."""
    # Read again: a person may have typed a status while the platform was asked.
    lock_row(session, flow)
    flow.polled_at = now
    # The codes grow along the life of a flow. A lower one is old news: a person typed a later one from the portal.
    if status.value > flow.status.value:
        note_status(session, flow=flow, status=status, now=now, reason=f"{flow.platform} {status.value}")
    session.flush()
