"""`/staff/money`: invoices, what is open and late, the bank's movements to be matched, quotes to be looked at."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.adapters.bank import MOST_BYTES, NotAStatement, read_statement
from api.deps import CurrentUser, DbSession, Paging
from api.domain.billing import invoices, payments
from api.domain.billing.invoices import Invoice
from api.domain.billing.payments import MatchQuality, PaymentMeans
from api.domain.billing.sellers import Seller, get_seller, list_sellers, today
from api.domain.core.errors import Invalid, NotFound
from api.domain.core.paging import FIRST_PAGE, PageWindow
from api.domain.people.accounts import User
from api.domain.sales import quotes
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import MoneyReader, site_ids
from web.paging import links_of
from web.price_form import read_cents
from web.render import PageReader
from web.states import State

router = APIRouter(include_in_schema=False)

# Unpaid invoices on this page, the first to fall due first; all are in the list of invoices.
SHOWN_OPEN = 30

# How sure a proposal is, as a badge.
FITS = {
    MatchQuality.EXACT: State("good", N_("Number and amount match")),
    MatchQuality.AMOUNT_DIFFERS: State("needs", N_("Amount differs")),
    MatchQuality.AMOUNT_ONLY: State("waiting", N_("Only the amount matches")),
}
# The means that staff can note here: prepaid credit is used at the till, and only the gateway says that a card paid
# online.
DESK = {PaymentMeans.TRANSFER: N_("Transfer"), PaymentMeans.CASH: N_("Cash"), PaymentMeans.CARD: N_("Card")}


class NumberUnknown(Invalid):
    """No invoice has this number."""

    field = "number"


@router.get("/staff/money")
def money_page(
    reader: MoneyReader, session: DbSession, user: CurrentUser, window: Paging, seller: int | None = None
) -> Response:
    return _draw(reader, session, user, Form(reader.request), seller_id=seller, window=window)


def _draw(
    reader: PageReader,
    session: Session,
    user: CurrentUser,
    form: Form,
    *,
    seller_id: int | None = None,
    window: PageWindow = FIRST_PAGE,
    status: int = 200,
) -> Response:
    """All sellers with their first bank lines; with `seller_id`, one with those in this window."""
    sellers = [each for each in list_sellers(session, user=user) if seller_id in (None, each.id)]
    return reader.page(
        "billing/payments.html",
        status=status,
        form=form,
        books=[_read_books(session, seller, reader, window) for seller in sellers],
        has_seller=bool(sellers) or bool(list_sellers(session)),
        waiting=quotes.count_waiting(session, site_ids=site_ids(reader), now=reader.now),
        fits=FITS,
        desk=DESK,
    )


def _read_books(session: Session, seller: Seller, reader: PageReader, window: PageWindow) -> dict[str, object]:
    """What the section of one seller shows; `late` are days by the id of the invoice."""
    open_invoices = payments.list_open(session, seller_id=seller.id, limit=SHOWN_OPEN)
    lines = payments.list_new_bank_lines(session, seller_id=seller.id, window=window)
    proposals = payments.propose_matches(session, seller=seller, lines=lines)
    proposed, on = {each.line.id for each in proposals}, today(reader.now)
    return {
        "seller": seller,
        "open": [(bill, cents, bill.document.buyer.name) for bill, cents in open_invoices],
        "open_count": payments.count_open(session, seller_id=seller.id),
        "late": {bill.id: (on - bill.due_on).days for bill, _ in open_invoices if bill.due_on < on},
        "recent": invoices.list_invoices(session, seller_id=seller.id, window=PageWindow(10)).rows,
        "proposals": proposals,
        # For which we have no guess: a person finds the invoice.
        "unmatched": [line for line in lines if line.id not in proposed],
        "links": links_of(reader, lines, "/staff/money", seller=seller.id),
        "chain": invoices.find_chain_check(session, seller_id=seller.id),
    }


@router.post("/staff/money/{seller_id}/statement")
def import_statement(
    reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, form: Sent
) -> Response:
    seller, file, added = get_seller(session, seller_id, user=user), form.file("statement"), []
    with trying(session, form):
        if file is None:
            raise NotAStatement(why=N_("choose a file first"), field="statement")
        # One byte more than the reader takes, so that it can say that the file is too large.
        movements = read_statement(file.file.read(MOST_BYTES + 1))
        added = payments.import_lines(session, seller=seller, lines=movements, actor=user, now=reader.now)
    if form.errors:
        return _draw(reader, session, user, form, status=form.status)
    return reader.to("/staff/money", N_("New bank lines: {count}."), count=len(added))


@router.post("/staff/money/{seller_id}/lines/{line_id}/{verb}")
def match(
    reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, line_id: int, verb: str, form: Sent
) -> Response:
    """Take a bank line as the payment of an invoice (`confirm`), or set it aside (`ignore`)."""
    seller = get_seller(session, seller_id, user=user)
    line = payments.get_bank_line(session, line_id, seller=seller)
    message, number = N_("Bank line ignored."), ""
    with trying(session, form):
        if verb == "confirm":
            invoice = _read_invoice(session, seller, user, form)
            payments.confirm_match(session, line=line, invoice=invoice, actor=user, now=reader.now)
            message, number = N_("Payment of {number} saved."), invoice.number
        elif verb == "ignore":
            payments.ignore_line(session, line=line, actor=user, now=reader.now)
        else:
            raise NotFound()
    if form.errors:
        return _draw(reader, session, user, form, status=form.status)
    return reader.to("/staff/money", message, number=number)


def _read_invoice(session: Session, seller: Seller, user: User, form: Form) -> Invoice:
    """The one that was proposed, by its id, or the one whose number was typed."""
    if not form["number"]:
        return invoices.get_invoice(session, form.int("invoice_id"), user=user)
    invoice = invoices.find_invoice(session, seller_id=seller.id, number=form["number"])
    if invoice is None:
        raise NumberUnknown()
    return invoice


@router.post("/staff/money/invoices/{invoice_id}/pay")
def take(reader: MoneyReader, session: DbSession, user: CurrentUser, invoice_id: int, form: Sent) -> Response:
    """A payment that staff take at the desk, or see on the account."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    get_seller(session, invoice.seller_id, user=user)
    with trying(session, form):
        payments.pay(
            session,
            invoice=invoice,
            means=next((means for means in DESK if means == form["means"]), PaymentMeans.TRANSFER),
            cents=read_cents(form, "amount"),
            received_on=today(reader.now),
            # The form carries the cents that were paid when it was drawn: sent twice, it takes the money once, and two
            # clerks with the same page do not both take it.
            key=f"desk:{invoice.id}:{form.int('payments')}",
            actor=user,
            now=reader.now,
        )
    if form.errors:
        return _draw(reader, session, user, form, status=form.status)
    return reader.to("/staff/money", N_("Payment of {number} saved."), number=invoice.number)
