"""How an issued invoice reaches its buyer: the port of a *plateforme agréée*, and the statuses that come back.

Refuses to know any vendor: deposited by hand, by the neutral API (AFNOR XP Z12-013), or by the fake of the tests.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.accounts import User
from api.domain.base import Base, Id, Instant, Word
from api.domain.changes import record, tell
from api.domain.errors import Conflict, Invalid
from api.domain.invoices import Invoice, require_released


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
        """Hand over a Factur-X file; the platform's id of the flow. Raises FlowTrouble."""
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
    status: Mapped[FlowStatus] = mapped_column(Word(FlowStatus))
    sent_at: Mapped[Instant]


class FlowEvent(Base):
    """One status as it came in, or as a person typed it from a portal."""

    __tablename__ = "flow_events"
    __table_args__ = (Index("ix_flow_events_flow_id", "flow_id"),)

    id: Mapped[Id]
    flow_id: Mapped[int] = mapped_column(ForeignKey("flows.id"))
    status: Mapped[FlowStatus] = mapped_column(Word(FlowStatus))
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
    tell(session, invoice=flow.invoice_id)


def find_flow(session: Session, *, invoice_id: int, platform: str) -> Flow | None:
    return session.scalar(select(Flow).where(Flow.invoice_id == invoice_id, Flow.platform == platform))


def list_flows(session: Session, *, invoice_id: int) -> list[Flow]:
    return list(session.scalars(select(Flow).where(Flow.invoice_id == invoice_id).order_by(Flow.id)))
