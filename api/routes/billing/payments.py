"""`/api/v1/payments` and the gateways' webhooks: desk, bank statement, prepaid credit, card."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Depends, Request, UploadFile, status
from pydantic import BaseModel, ConfigDict, Field

from api.adapters.bank import read_statement
from api.adapters.gateways import FakeGateway, StripeGateway
from api.deps import CurrentUser, DbSession, Idempotent, Now
from api.domain.billing import invoices, payments
from api.domain.billing.payments import LineStatus, MatchQuality, Payment, PaymentGateway, PaymentMeans
from api.domain.billing.sellers import get_seller, today
from api.domain.core.errors import Busy, NotFound
from api.domain.people import accounts
from api.settings import settings

router = APIRouter(prefix="/api/v1", tags=["payments"])
MOST_WEBHOOK_BYTES = 256_000


@lru_cache
def gateway() -> PaymentGateway | None:
    """What this installation takes cards by; None where none is set up."""
    chosen = settings()
    if chosen.stripe_key:
        return StripeGateway(key=chosen.stripe_key, webhook_secret=chosen.stripe_webhook_secret)
    return FakeGateway(webhook_secret=chosen.secret("fake_gateway")) if chosen.demo else None


def get_gateway() -> PaymentGateway:
    if (chosen := gateway()) is None:
        raise NotFound()
    return chosen


Gateway = Annotated[PaymentGateway, Depends(get_gateway)]


class GatewayAway(Busy):
    """Card payments do not work at the moment; please pay by transfer, or try again later."""


class PaymentIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    means: PaymentMeans
    cents: int
    received_on: date | None = Field(default=None, description="Without it: today.")
    reference: str = Field(default="", max_length=200)


class TopUpIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: int
    means: PaymentMeans
    cents: int


class ReversalIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=200)


class MatchIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

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
    def of(cls, row: Payment) -> PaymentOut:
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class BankLineOut(BaseModel):
    id: int
    booked_on: date
    cents: int
    text: str
    counterparty: str
    status: LineStatus


class ProposalOut(BaseModel):
    line: BankLineOut
    invoice_id: int
    number: str
    open_cents: int
    fit: MatchQuality


class ImportOut(BaseModel):
    new: int = Field(description="Movements that were not known yet.")
    read: int
    proposals: list[ProposalOut]


class CheckoutOut(BaseModel):
    url: str


class OutcomeOut(BaseModel):
    outcome: str


def _line_out(line: payments.BankLine) -> BankLineOut:
    return BankLineOut(**{name: getattr(line, name) for name in BankLineOut.model_fields})


@router.post("/invoices/{invoice_id}/payments", status_code=status.HTTP_201_CREATED)
def take(
    invoice_id: int, said: PaymentIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> PaymentOut:
    """Staff take money for an invoice: at the desk, seen on the account, or from prepaid credit."""

    def make() -> PaymentOut:
        invoice = invoices.get_invoice(session, invoice_id, user=user)
        get_seller(session, invoice.seller_id, user=user)
        count = len(payments.list_payments(session, invoice_id=invoice.id))
        row = payments.pay(
            session,
            invoice=invoice,
            means=said.means,
            cents=said.cents,
            received_on=said.received_on or today(now),
            reference=said.reference,
            key=f"desk:{idempotent.key or ''}:{invoice.id}:{count}"[:120],
            actor=user,
            now=now,
        )
        return PaymentOut.of(row)

    return idempotent(PaymentOut, make, content=said)


@router.get("/invoices/{invoice_id}/payments/list")
def list_taken(invoice_id: int, session: DbSession, user: CurrentUser) -> list[PaymentOut]:
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    return [PaymentOut.of(row) for row in payments.list_payments(session, invoice_id=invoice.id)]


@router.post("/payments/{payment_id}/reverse", status_code=status.HTTP_201_CREATED)
def reverse(payment_id: int, said: ReversalIn, session: DbSession, user: CurrentUser, now: Now) -> PaymentOut:
    """Staff take back a payment that was none."""
    row = session.get(Payment, payment_id)
    if row is None:
        raise NotFound()
    get_seller(session, row.seller_id, user=user)
    made = payments.reverse(session, payment=row, actor=user, now=now, on=today(now), reason=said.reason)
    return PaymentOut.of(made)


@router.post("/sellers/{seller_id}/top-ups", status_code=status.HTTP_201_CREATED)
def top_up(
    seller_id: int, said: TopUpIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> PaymentOut:
    """Staff take money from a member for later; send an Idempotency-Key, so that it is taken once."""

    def make() -> PaymentOut:
        seller = get_seller(session, seller_id, user=user)
        row = payments.top_up(
            session,
            seller=seller,
            user=accounts.get_user(session, said.user_id),
            means=said.means,
            cents=said.cents,
            received_on=today(now),
            key=f"topup:{user.id}:{idempotent.key or now.timestamp()}"[:120],
            actor=user,
            now=now,
        )
        return PaymentOut.of(row)

    return idempotent(PaymentOut, make, content=said)


@router.post("/sellers/{seller_id}/bank-statements")
def import_statement(seller_id: int, file: UploadFile, session: DbSession, user: CurrentUser, now: Now) -> ImportOut:
    """Read a CSV or CAMT.053 statement; movements that are known are left out, matches are only proposed."""
    seller = get_seller(session, seller_id, user=user)
    read = read_statement(file.file.read(5_000_001))
    added = payments.import_lines(session, seller=seller, lines=read, actor=user, now=now)
    found = payments.propose_matches(session, seller=seller)
    return ImportOut(new=len(added), read=len(read), proposals=[_proposal_out(each) for each in found])


@router.get("/sellers/{seller_id}/bank-lines")
def list_lines(seller_id: int, session: DbSession, user: CurrentUser) -> list[BankLineOut]:
    """Movements that wait for a person."""
    seller = get_seller(session, seller_id, user=user)
    return [_line_out(line) for line in payments.list_new_bank_lines(session, seller_id=seller.id)]


@router.get("/sellers/{seller_id}/proposals")
def list_proposals(seller_id: int, session: DbSession, user: CurrentUser) -> list[ProposalOut]:
    seller = get_seller(session, seller_id, user=user)
    return [_proposal_out(each) for each in payments.propose_matches(session, seller=seller)]


def _proposal_out(found: payments.Proposal) -> ProposalOut:
    return ProposalOut(
        line=_line_out(found.line),
        invoice_id=found.invoice.id,
        number=found.invoice.number,
        open_cents=found.open_cents,
        fit=found.fit,
    )


@router.post("/sellers/{seller_id}/bank-lines/{line_id}/confirm", status_code=status.HTTP_201_CREATED)
def confirm(seller_id: int, line_id: int, said: MatchIn, session: DbSession, user: CurrentUser, now: Now) -> PaymentOut:
    """A person says that this movement pays this invoice."""
    seller = get_seller(session, seller_id, user=user)
    line = payments.get_bank_line(session, line_id, seller=seller)
    invoice = invoices.get_invoice(session, said.invoice_id, user=user)
    return PaymentOut.of(payments.confirm_match(session, line=line, invoice=invoice, actor=user, now=now))


@router.post("/sellers/{seller_id}/bank-lines/{line_id}/ignore")
def ignore(seller_id: int, line_id: int, session: DbSession, user: CurrentUser, now: Now) -> BankLineOut:
    seller = get_seller(session, seller_id, user=user)
    line = payments.get_bank_line(session, line_id, seller=seller)
    payments.ignore_line(session, line=line, actor=user, now=now)
    return _line_out(line)


@router.post("/invoices/{invoice_id}/checkout", status_code=status.HTTP_201_CREATED)
def checkout(invoice_id: int, session: DbSession, user: CurrentUser, now: Now, chosen: Gateway) -> CheckoutOut:
    """Where to pay what is open by card. Nothing is paid until the gateway's signed message comes."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    cents = payments.require_open(session, invoice=invoice)
    # The gateway is called with this transaction open, but before any row was locked or written.
    try:
        made = chosen.create_checkout(
            number=invoice.number,
            cents=cents,
            email=user.email,
            key=f"invoice-{invoice.id}-{cents}",
            back_url=f"{settings().base_url}/invoices/{invoice.id}",
        )
    except payments.GatewayTrouble as e:
        raise GatewayAway() from e
    payments.save_checkout(session, gateway=chosen.name, checkout=made, invoice=invoice, cents=cents, now=now)
    return CheckoutOut(url=made.url)


async def raw_body(request: Request) -> bytes:
    """What was signed, byte by byte."""
    if int(request.headers.get("content-length") or 0) > MOST_WEBHOOK_BYTES:
        raise payments.WebhookForged()
    return await request.body()


@router.post("/gateways/{name}/webhook", include_in_schema=False)
def receive(
    name: str,
    request: Request,
    session: DbSession,
    now: Now,
    chosen: Gateway,
    body: Annotated[bytes, Depends(raw_body)],
) -> OutcomeOut:
    """A gateway's message: forged or stale is refused, a replay changes nothing, a wrong amount is flagged."""
    if name != chosen.name:
        raise NotFound()
    event = chosen.read_webhook(body, request.headers, now=now)
    return OutcomeOut(outcome=payments.receive_event(session, gateway=chosen.name, event=event, now=now).value)
