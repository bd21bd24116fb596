"""`/api/v1/payments` and the gateways' webhooks: desk, bank statement, prepaid credit, card."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Depends, Request, UploadFile, status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.adapters.bank import MOST_BYTES, read_statement
from api.adapters.gateways import FakeGateway, StripeGateway
from api.addresses import address_of
from api.bodies import Body
from api.bounds import Day
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of, is_form
from api.domain.billing import invoices, payments
from api.domain.billing.payments import (
    BankLine,
    LineStatus,
    MatchQuality,
    Payment,
    PaymentGateway,
    PaymentMeans,
    Proposal,
)
from api.domain.billing.sellers import Seller, get_seller, today
from api.domain.core.errors import Busy, NotFound
from api.domain.core.paging import Page
from api.domain.people import accounts
from api.settings import settings

router = APIRouter(prefix="/api/v1", tags=["payments"])
# A bound for what anybody may send us before its signature is checked.
MOST_WEBHOOK_BYTES = 256_000


@lru_cache
def find_gateway() -> PaymentGateway | None:
    """What this installation takes cards by; None where none is set up, or only half."""
    config = settings()
    # Without the secret no message that somebody has paid could be believed, so nobody is asked to pay.
    if config.stripe_key and config.stripe_webhook_secret:
        return StripeGateway(key=config.stripe_key, webhook_secret=config.stripe_webhook_secret)
    return FakeGateway(webhook_secret=config.secret("fake_gateway")) if config.demo else None


def get_gateway() -> PaymentGateway:
    """NotFound where card payments are not set up: their routes do not exist then."""
    if (gateway := find_gateway()) is None:
        raise NotFound()
    return gateway


Gateway = Annotated[PaymentGateway, Depends(get_gateway)]


class GatewayAway(Busy):
    """Card payments are not available right now: pay by transfer, or try again later."""


class PaymentIn(Body):
    means: PaymentMeans
    cents: int
    received_on: Day | None = Field(default=None, description="Without it: today.")
    reference: str = Field(default="", max_length=200)


class TopUpIn(Body):
    user_id: int
    means: PaymentMeans
    cents: int


class ReversalIn(Body):
    reason: str = Field(min_length=1, max_length=200)


class MatchIn(Body):
    invoice_id: int


class PaymentOut(BaseModel):
    id: int
    invoice_id: int | None
    user_id: int | None
    means: PaymentMeans
    cents: int
    received_on: date
    reference: str
    reverses_id: int | None

    @classmethod
    def of(cls, payment: Payment) -> PaymentOut:
        return cls(**{name: getattr(payment, name) for name in cls.model_fields})


class BankLineOut(BaseModel):
    id: int
    booked_on: date
    cents: int
    text: str
    counterparty: str
    status: LineStatus

    @classmethod
    def of(cls, line: BankLine) -> BankLineOut:
        return cls(**{name: getattr(line, name) for name in cls.model_fields})


class ProposalOut(BaseModel):
    line: BankLineOut
    invoice_id: int
    number: str
    open_cents: int
    fit: MatchQuality

    @classmethod
    def of(cls, proposal: Proposal) -> ProposalOut:
        return cls(
            line=BankLineOut.of(proposal.line),
            invoice_id=proposal.invoice.id,
            number=proposal.invoice.number,
            open_cents=proposal.open_cents,
            fit=proposal.fit,
        )


class BankLinePage(BaseModel):
    items: list[BankLineOut]
    next: str | None = None


class ProposalPage(BaseModel):
    items: list[ProposalOut]
    next: str | None = None


class ImportOut(BaseModel):
    new: int = Field(description="Movements that were not known yet.")
    read: int
    proposals: list[ProposalOut]


class CheckoutOut(BaseModel):
    url: str


class OutcomeOut(BaseModel):
    outcome: str


@router.post("/invoices/{invoice_id}/payments", status_code=status.HTTP_201_CREATED)
def take(
    invoice_id: int, body: PaymentIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> PaymentOut:
    """Staff take money for an invoice: at the desk, seen on the account, or from prepaid credit."""

    def make() -> PaymentOut:
        invoice = invoices.get_invoice(session, invoice_id, user=user)
        get_seller(session, invoice.seller_id, user=user)
        # Without an Idempotency-Key two clicks at once count the same payments, and the second one is refused.
        count = len(payments.list_payments(session, invoice_id=invoice.id))
        payment = payments.pay(
            session,
            invoice=invoice,
            means=body.means,
            cents=body.cents,
            received_on=body.received_on or today(now),
            reference=body.reference,
            key=f"desk:{idempotent.key or ''}:{invoice.id}:{count}"[:120],
            actor=user,
            now=now,
        )
        return PaymentOut.of(payment)

    return idempotent(PaymentOut, make, content=body)


@router.get("/invoices/{invoice_id}/payments/list")
def list_taken(invoice_id: int, session: DbSession, user: CurrentUser) -> list[PaymentOut]:
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    return [PaymentOut.of(payment) for payment in payments.list_payments(session, invoice_id=invoice.id)]


@router.post("/payments/{payment_id}/reverse", status_code=status.HTTP_201_CREATED)
def reverse(payment_id: int, body: ReversalIn, session: DbSession, user: CurrentUser, now: Now) -> PaymentOut:
    """Staff take back a payment that was none."""
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise NotFound()
    # A payment has no reader of its own: whoever handles the seller's money may reverse it.
    get_seller(session, payment.seller_id, user=user)
    reversal = payments.reverse(session, payment=payment, actor=user, now=now, on=today(now), reason=body.reason)
    return PaymentOut.of(reversal)


@router.post("/sellers/{seller_id}/top-ups", status_code=status.HTTP_201_CREATED)
def top_up(
    seller_id: int, body: TopUpIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> PaymentOut:
    """Staff take money from a member for later; send an Idempotency-Key, so that it is taken once."""

    def make() -> PaymentOut:
        seller = get_seller(session, seller_id, user=user)
        payment = payments.top_up(
            session,
            seller=seller,
            user=accounts.get_user(session, body.user_id),
            means=body.means,
            cents=body.cents,
            received_on=today(now),
            key=f"topup:{user.id}:{idempotent.key or now.timestamp()}"[:120],
            actor=user,
            now=now,
        )
        return PaymentOut.of(payment)

    return idempotent(PaymentOut, make, content=body)


@router.post("/sellers/{seller_id}/bank-statements")
def import_statement(seller_id: int, file: UploadFile, session: DbSession, user: CurrentUser, now: Now) -> ImportOut:
    """Read a CSV or CAMT.053 statement; movements that are known are left out, matches are only proposed."""
    seller = get_seller(session, seller_id, user=user)
    # One byte more than the reader takes, so that it can say that the file is too large.
    movements = read_statement(file.file.read(MOST_BYTES + 1))
    added = payments.import_lines(session, seller=seller, lines=movements, actor=user, now=now)
    proposals = _propose(session, seller, payments.list_new_bank_lines(session, seller_id=seller.id))
    return ImportOut(new=len(added), read=len(movements), proposals=proposals.items)


@router.get("/sellers/{seller_id}/bank-lines")
def list_lines(seller_id: int, session: DbSession, user: CurrentUser, window: Paging) -> BankLinePage:
    """Movements that wait for a person, the oldest first."""
    seller = get_seller(session, seller_id, user=user)
    page = payments.list_new_bank_lines(session, seller_id=seller.id, window=window)
    return BankLinePage(items=[BankLineOut.of(line) for line in page], next=cursor_of(page.next))


@router.get("/sellers/{seller_id}/proposals")
def list_proposals(seller_id: int, session: DbSession, user: CurrentUser, window: Paging) -> ProposalPage:
    """The invoices that movements may pay. `limit` counts movements: those without a guess have no item."""
    seller = get_seller(session, seller_id, user=user)
    return _propose(session, seller, payments.list_new_bank_lines(session, seller_id=seller.id, window=window))


def _propose(session: Session, seller: Seller, page: Page[BankLine]) -> ProposalPage:
    proposals = payments.propose_matches(session, seller=seller, lines=page)
    return ProposalPage(items=[ProposalOut.of(each) for each in proposals], next=cursor_of(page.next))


@router.post("/sellers/{seller_id}/bank-lines/{line_id}/confirm", status_code=status.HTTP_201_CREATED)
def confirm(seller_id: int, line_id: int, body: MatchIn, session: DbSession, user: CurrentUser, now: Now) -> PaymentOut:
    """A person says that this movement pays this invoice."""
    seller = get_seller(session, seller_id, user=user)
    line = payments.get_bank_line(session, line_id, seller=seller)
    invoice = invoices.get_invoice(session, body.invoice_id, user=user)
    return PaymentOut.of(payments.confirm_match(session, line=line, invoice=invoice, actor=user, now=now))


@router.post("/sellers/{seller_id}/bank-lines/{line_id}/ignore")
def ignore(seller_id: int, line_id: int, session: DbSession, user: CurrentUser, now: Now) -> BankLineOut:
    seller = get_seller(session, seller_id, user=user)
    line = payments.get_bank_line(session, line_id, seller=seller)
    payments.ignore_line(session, line=line, actor=user, now=now)
    return BankLineOut.of(line)


@router.post("/invoices/{invoice_id}/checkout", status_code=status.HTTP_201_CREATED)
def checkout(
    invoice_id: int, request: Request, session: DbSession, user: CurrentUser, now: Now, gateway: Gateway
) -> CheckoutOut:
    """Where to pay what is open by card. Nothing is paid until the gateway's signed message comes."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    cents = payments.require_open(session, invoice=invoice)
    # The gateway is called with this transaction open, but before any row was locked or written.
    try:
        begun = gateway.create_checkout(
            number=invoice.number,
            cents=cents,
            email=user.email,
            # A second click is the same checkout; after a part was paid, the rest is another one.
            key=f"invoice-{invoice.id}-{cents}",
            back_url=address_of(f"/invoices/{invoice.id}", origin=request.base_url),
        )
    except payments.GatewayTrouble as e:
        raise GatewayAway() from e
    payments.save_checkout(session, gateway=gateway.name, checkout=begun, invoice=invoice, cents=cents, now=now)
    return CheckoutOut(url=begun.url)


async def raw_body(request: Request) -> bytes:
    """What was signed, byte by byte; WebhookForged for what no gateway sends."""
    if int(request.headers.get("content-length") or 0) > MOST_WEBHOOK_BYTES or is_form(request):
        raise payments.WebhookForged()
    return await request.body()


@router.post("/gateways/{name}/webhook", include_in_schema=False)
def receive(
    name: str,
    request: Request,
    session: DbSession,
    now: Now,
    gateway: Gateway,
    body: Annotated[bytes, Depends(raw_body)],
) -> OutcomeOut:
    """A gateway's message: forged or stale is refused, a replay changes nothing, a wrong amount is flagged."""
    if name != gateway.name:
        raise NotFound()
    event = gateway.read_webhook(body, request.headers, now=now)
    return OutcomeOut(outcome=payments.receive_event(session, gateway=gateway.name, event=event, now=now).value)
