"""`/invoices/{id}`: one invoice, for its customer and for who handles the money: what is open, paid and credited."""

from __future__ import annotations

from decimal import Decimal

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge
from api.deps import CurrentUser, DbSession
from api.domain.billing import invoices, payments
from api.domain.billing.facturx import DocumentKind, totals
from api.domain.billing.invoices import Invoice
from api.domain.billing.money_rights import may_handle_money
from api.domain.billing.payments import PaymentMeans
from api.domain.billing.sellers import get_seller, today
from api.domain.core.errors import Invalid, NotFound
from api.domain.people.accounts import Organisation, User
from api.domain.sales import orders
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.price_form import decimal_of
from web.render import PageReader, Reader

router = APIRouter(include_in_schema=False)

KINDS = {
    DocumentKind.INVOICE: N_("Invoice {number}"),
    DocumentKind.CREDIT_NOTE: N_("Credit note {number}"),
    DocumentKind.CORRECTED: N_("Corrected invoice {number}"),
    DocumentKind.DEPOSIT: N_("Deposit invoice {number}"),
}
MEANS = {
    PaymentMeans.TRANSFER: N_("Transfer"),
    PaymentMeans.CASH: N_("Cash"),
    PaymentMeans.CARD: N_("Card"),
    PaymentMeans.CREDIT: N_("Prepaid credit"),
    PaymentMeans.ONLINE: N_("Card, online"),
}


class WholeUnconfirmed(Invalid):
    """Tick the box: a credit note cannot be taken back."""

    field = "whole"


class NothingToCredit(Invalid):
    """Enter at least one quantity to credit."""

    field = "quantity"


class QuantityWrong(Invalid):
    """Enter a quantity above zero, at most the quantity invoiced."""


class ReasonWanted(Invalid):
    """State the reason: it is printed on the credit note."""

    field = "reason"


@router.get("/invoices/{invoice_id}")
def invoice_page(reader: Reader, session: DbSession, user: CurrentUser, invoice_id: int) -> Response:
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    return _draw(reader, session, user, invoice, Form(reader.request))


@router.post("/invoices/{invoice_id}/credit")
def credit(reader: Reader, session: DbSession, user: CurrentUser, invoice_id: int, form: Sent) -> Response:
    """A credit note by who handles the money: of the whole, or of quantities of lines."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    # NotFound for the customer, who may read the invoice but does not handle the seller's money.
    get_seller(session, invoice.seller_id, user=user)
    quantities = None if form["what"] == "whole" else _quantities(form, len(invoice.document.lines))
    if not form["reason"]:
        form.refuse(ReasonWanted())
    if quantities is None and form["whole"] != "yes":
        form.refuse(WholeUnconfirmed())
    if not form.errors:
        with trying(session, form):
            note = invoices.credit(
                session,
                invoice=invoice,
                reason=form["reason"][:500],
                quantities=quantities,
                judge=judge,
                now=reader.now,
                today=today(reader.now),
                actor=user,
            )
    if form.errors:
        return _draw(reader, session, user, invoice, form, status=form.status)
    return reader.to(f"/invoices/{note.id}", N_("Credit note {number} is issued."), number=note.number)


def _quantities(form: Form, lines: int) -> dict[int, Decimal]:
    """Line (from 0) to how much of it; lines left empty are left out."""
    quantities: dict[int, Decimal] = {}
    for index in range(lines):
        if not form[f"quantity-{index}"]:
            continue
        value = decimal_of(form[f"quantity-{index}"])
        # Four decimals are what the line of an invoice may have (French schematron).
        if value is None or value <= 0 or value != round(value, 4):
            form.refuse(QuantityWrong(field=f"quantity-{index}"))
        else:
            quantities[index] = value
    if not quantities and not form.errors:
        form.refuse(NothingToCredit())
    return quantities


@router.post("/invoices/{invoice_id}/payments/{payment_id}/reverse")
def reverse(
    reader: Reader, session: DbSession, user: CurrentUser, invoice_id: int, payment_id: int, form: Sent
) -> Response:
    """Staff take a payment back that was typed wrongly or came back from the bank."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    get_seller(session, invoice.seller_id, user=user)
    # Of this invoice only: a payment of another one is not there for whoever handles this seller's money.
    taken = payments.list_payments(session, invoice_id=invoice.id)
    payment = next((each for each in taken if each.id == payment_id), None)
    if payment is None:
        raise NotFound()
    if not form["reason"]:
        form.refuse(ReasonWanted(field=f"reason-{payment_id}"))
    else:
        with trying(session, form):
            payments.reverse(
                session,
                payment=payment,
                actor=user,
                now=reader.now,
                on=today(reader.now),
                reason=form["reason"],
            )
    if form.errors:
        return _draw(reader, session, user, invoice, form, status=form.status)
    return reader.to(f"/invoices/{invoice.id}", N_("The payment is cancelled."))


def _draw(
    reader: PageReader, session: Session, user: User, invoice: Invoice, form: Form, *, status: int = 200
) -> Response:
    document = invoice.document
    sums = totals(document)
    handles = may_handle_money(session, user=user, seller_id=invoice.seller_id)
    taken = payments.list_payments(session, invoice_id=invoice.id)
    reversed_ids = {each.reverses_id for each in taken}
    return reader.page(
        "billing/invoice.html",
        status=status,
        form=form,
        invoice=invoice,
        heading=reader.text(KINDS[invoice.kind], number=invoice.number),
        document=document,
        lines=list(zip(document.lines, sums.line_net_cents, strict=True)),
        reductions=[(off.reason, -off.amount_cents) for off in document.allowances],
        balance=payments.read_balances(session, bills=[invoice])[invoice.id],
        notes=invoices.list_credit_notes(session, invoice=invoice),
        # What was reversed, and the reversal itself, cannot be taken back again.
        taken=[(each, each.cents > 0 and each.id not in reversed_ids) for each in taken],
        means=MEANS,
        orders=orders.list_orders_on_invoice(session, invoice=invoice),
        handles=handles,
        back="/staff/money" if handles else _own_list(session, invoice),
    )


def _own_list(session: Session, invoice: Invoice) -> str:
    """Where a customer finds all their invoices: on the page of the organisation, or among their own."""
    if invoice.organisation_id is None:
        return "/invoices"
    return f"/org/{session.get_one(Organisation, invoice.organisation_id).slug}#invoices"
