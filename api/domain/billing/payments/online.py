"""Card payments through a gateway: the port, and what its webhook events do.

Only a webhook marks an invoice paid: the page that a payer comes back to can be opened by anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.invoices import Invoice
from api.domain.billing.payments.table import MoreThanOpen, NothingOpen, PaymentMeans, open_cents, pay
from api.domain.billing.sellers import today
from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Invalid


class WebhookForged(Invalid):
    """The signature of this message is missing, wrong or too old."""


class GatewayTrouble(Exception):
    """The gateway did not do it or did not answer; `permanent`: trying again will not help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class NewCheckout:
    """A checkout just made: `reference` is the gateway's name of it, `url` where the payer goes."""

    reference: str
    url: str


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A signed message. `reference` names the checkout; `paid_cents` is None where it is not about a payment."""

    id: str
    reference: str
    paid_cents: int | None
    currency: str = "eur"


class PaymentGateway(Protocol):
    """What every gateway offers us. Failures raise GatewayTrouble."""

    name: str

    def create_checkout(self, *, number: str, cents: int, email: str | None, key: str, back_url: str) -> NewCheckout:
        """A page where `cents` are paid for invoice `number`; the same `key` again gives the same checkout."""
        ...

    def read_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> WebhookEvent:
        """The event of a raw body; raises WebhookForged when the signature is missing, wrong or too old."""
        ...

    def refund(self, *, reference: str, cents: int, key: str) -> str:
        """Give money back; the gateway's name of the refund."""
        ...


class Checkout(Base):
    """A payer who was sent to a gateway with an amount."""

    __tablename__ = "checkouts"
    __table_args__ = (UniqueConstraint("gateway", "reference"), Index("ix_checkouts_invoice_id", "invoice_id"))

    id: Mapped[Id]
    gateway: Mapped[str] = mapped_column(String(30))
    reference: Mapped[str] = mapped_column(String(120))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    cents: Mapped[Cents]
    made_at: Mapped[Instant]


class WebhookOutcome(StrEnum):
    PAID = "paid"
    FLAGGED = "flagged"  # another amount or currency, or nothing open: a person must look
    IGNORED = "ignored"  # not about a payment of ours
    REPLAYED = "replayed"  # came before; never stored


class GatewayEvent(Base):
    """One message of a gateway; its id is unique, because gateways send a message again until it is answered."""

    __tablename__ = "gateway_events"
    __table_args__ = (UniqueConstraint("gateway", "event_id"),)

    id: Mapped[Id]
    gateway: Mapped[str] = mapped_column(String(30))
    event_id: Mapped[str] = mapped_column(String(120))
    reference: Mapped[str] = mapped_column(String(120))
    cents: Mapped[Cents | None]
    outcome: Mapped[WebhookOutcome] = mapped_column(EnumText(WebhookOutcome))
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    received_at: Mapped[Instant]


def save_checkout(
    session: Session, *, gateway: str, checkout: NewCheckout, invoice: Invoice, cents: int, now: datetime
) -> Checkout:
    """Remember what a checkout is for; a second click on the button finds the row of the first."""
    key = {"gateway": gateway, "reference": checkout.reference}
    # The second click may come while the first one is being written.
    session.execute(
        insert(Checkout)
        .values(**key, invoice_id=invoice.id, cents=cents, made_at=now)
        .on_conflict_do_nothing(index_elements=list(key))
    )
    return session.scalars(select(Checkout).filter_by(**key)).one()


def receive_event(session: Session, *, gateway: str, event: WebhookEvent, now: datetime) -> WebhookOutcome:
    """Book the payment that an event is about. A replay does nothing; a wrong amount is flagged, and books nothing."""
    # The insert decides which of two deliveries of one event is the first, also when they come at once.
    row = session.scalar(
        insert(GatewayEvent)
        .values(
            gateway=gateway,
            event_id=event.id,
            reference=event.reference,
            cents=event.paid_cents,
            outcome=WebhookOutcome.IGNORED,
            received_at=now,
        )
        .on_conflict_do_nothing(index_elements=[GatewayEvent.gateway, GatewayEvent.event_id])
        .returning(GatewayEvent)
    )
    if row is None:
        return WebhookOutcome.REPLAYED
    # The account at the gateway may serve other shops too: their checkouts are unknown here.
    checkout = session.scalar(
        select(Checkout).where(Checkout.gateway == gateway, Checkout.reference == event.reference)
    )
    if checkout is None or event.paid_cents is None:
        return WebhookOutcome.IGNORED
    row.invoice_id = checkout.invoice_id
    row.outcome = outcome = _book_payment(session, checkout, event, now)
    session.flush()
    return outcome


def _book_payment(session: Session, checkout: Checkout, event: WebhookEvent, now: datetime) -> WebhookOutcome:
    """Book it, or flag it for a person: another amount or currency, or less open than it pays."""
    invoice = session.get_one(Invoice, checkout.invoice_id)
    is_expected = event.paid_cents == checkout.cents and event.currency == "eur"
    if is_expected and open_cents(session, invoice=invoice) >= checkout.cents:
        try:
            pay(
                session,
                invoice=invoice,
                means=PaymentMeans.ONLINE,
                cents=checkout.cents,
                received_on=today(now),
                key=f"{checkout.gateway}:{event.id}",
                reference=checkout.reference,
                now=now,
            )
        # Another payment came between the look above and the lock that `pay` takes. An error would only make the
        # gateway send the event again.
        except (NothingOpen, MoreThanOpen):
            return _flag(session, invoice, event, checkout, now)
        return WebhookOutcome.PAID
    return _flag(session, invoice, event, checkout, now)


def _flag(session: Session, invoice: Invoice, event: WebhookEvent, checkout: Checkout, now: datetime) -> WebhookOutcome:
    record(
        session,
        noun="invoice",
        noun_id=invoice.id,
        verb="payment_flagged",
        now=now,
        site_id=invoice.seller.site_id,
        asked_cents=checkout.cents,
        paid_cents=event.paid_cents,
        event=event.id,
    )
    return WebhookOutcome.FLAGGED
