"""Letters about money and promises: an overdue invoice, with penalty and indemnity, and a promise that moved.

The penalty is not computed: the law wants its formula named on the paper. The indemnity is a fixed sum.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.invoices import Invoice, enqueue_document, list_unreleased
from api.domain.billing.payments import list_open
from api.domain.billing.sellers import Seller, today
from api.domain.core.base import Base, Cents, Id, Instant
from api.domain.core.changes import record
from api.domain.messages.notifications import LETTERS, Letter, date_text, money_text, write_letter
from api.domain.people.accounts import BuyingRight, Locale, Membership, User
from api.domain.pricing.legal import CustomerType, mentions
from api.domain.printing.runs import SitePlans
from api.domain.sales.orders import MoveCause, Order, OrderStatus, list_moves, list_open_orders, move_promise

# Days after the due date of the first, second and last reminder.
AFTER_DAYS = (1, 15, 30)
# C. com. art. D. 441-5: a professional owes it from the first day of delay.
INDEMNITY_CENTS = 4000

_L = Locale
LETTERS.update(
    {
        "invoice_overdue": {
            _L.FR: Letter(
                "Facture {number} en attente de paiement",
                "Bonjour {name},\n\nSauf erreur de notre part, la facture {number} du {issued_on}, échue le "
                "{due_on}, reste à payer : {open}.\n{penalty}\n{indemnity}\n\n"
                "Si votre paiement est déjà parti, merci de ne pas tenir compte de ce message.\n",
            ),
            _L.EN: Letter(
                "Invoice {number} is waiting to be paid",
                "Hello {name},\n\nInvoice {number} of {issued_on}, due on {due_on}, is still unpaid: {open}.\n"
                "{penalty}\n{indemnity}\n\nIf your payment is on its way, you can ignore this message.\n",
            ),
        },
        "promise_moved": {
            _L.FR: Letter(
                "Commande {number} : nouvelle date de livraison",
                "Bonjour {name},\n\n{why} La nouvelle date de livraison de votre commande {number} est le "
                "{promised_on}.\n",
            ),
            _L.EN: Letter(
                "Order {number}: new delivery date",
                "Hello {name},\n\n{why} The new delivery date of your order {number} is {promised_on}.\n",
            ),
        },
    }
)
MOVE_CAUSES = {
    MoveCause.REPRINT: {
        _L.FR: "Une impression est à refaire, à nos frais.",
        _L.EN: "A print has to be made again, at our expense.",
    },
    MoveCause.DELAY: {
        _L.FR: "La production prend plus de temps que prévu.",
        _L.EN: "Production takes longer than planned.",
    },
}


class Reminder(Base):
    """One reminder of an overdue invoice; each step is sent once."""

    __tablename__ = "reminders"
    __table_args__ = (UniqueConstraint("invoice_id", "step"),)

    id: Mapped[Id]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    step: Mapped[int]
    open_cents: Mapped[Cents]
    indemnity_cents: Mapped[Cents]
    sent_at: Mapped[Instant]


def enqueue_lost_documents(session: Session, *, now: datetime) -> None:
    """Documents that were never drawn: their step was lost or refused. Drawing one again changes nothing."""
    for invoice_id in list_unreleased(session, now=now):
        enqueue_document(session, invoice_id)


def remind_all(session: Session, *, now: datetime) -> None:
    """The reminders of every seller; repeating it writes none twice."""
    for seller in session.scalars(select(Seller).order_by(Seller.id)):
        remind(session, seller=seller, now=now)


def list_overdue(session: Session, *, seller: Seller, on: date) -> list[tuple[Invoice, int, int]]:
    """(invoice, open cents, days overdue), oldest first."""
    late = list_open(session, seller_id=seller.id, due_before=on)
    return [(invoice, cents, (on - invoice.due_on).days) for invoice, cents in late]


def remind(session: Session, *, seller: Seller, now: datetime) -> list[Reminder]:
    """Write the reminders that are due today; running it twice writes none twice."""
    late, reminders = list_overdue(session, seller=seller, on=today(now)), []
    last_steps = _map_last_steps(session, [invoice.id for invoice, _, _ in late])
    for invoice, cents, days in late:
        # The latest step whose day has come; earlier ones that were missed are left out.
        step = sum(days >= after for after in AFTER_DAYS)
        if step > last_steps.get(invoice.id, 0):
            reminders += _remind(session, invoice, cents, step, now)
    return reminders


def _map_last_steps(session: Session, invoice_ids: list[int]) -> dict[int, int]:
    """The last step that was sent, by the id of the invoice."""
    query = select(Reminder.invoice_id, func.max(Reminder.step)).where(Reminder.invoice_id.in_(invoice_ids))
    return {row[0]: row[1] for row in session.execute(query.group_by(Reminder.invoice_id))}


def _remind(session: Session, invoice: Invoice, cents: int, step: int, now: datetime) -> list[Reminder]:
    """The reminder, or nothing when another worker writes it at this moment."""
    customer = invoice.document.buyer.customer
    # A consumer owes none.
    indemnity = 0 if customer is CustomerType.CONSUMER else INDEMNITY_CENTS
    values = {"open_cents": cents, "indemnity_cents": indemnity, "sent_at": now}
    writing = insert(Reminder).values(invoice_id=invoice.id, step=step, **values).on_conflict_do_nothing()
    reminder = session.scalar(writing.returning(Reminder))
    if reminder is None:
        return []
    texts = mentions(invoice.issued_on, invoice.document.regime, customer)
    for person in _recipients(session, invoice):
        write_letter(
            session,
            user=person,
            kind="invoice_overdue",
            about=f"invoice:{invoice.id}:{step}",
            now=now,
            number=invoice.number,
            issued_on=date_text(invoice.issued_on, person.locale),
            due_on=date_text(invoice.due_on, person.locale),
            open=money_text(cents, person.locale),
            penalty=texts.penalty or "",
            indemnity=texts.indemnity or "",
        )
    record(session, noun="invoice", noun_id=invoice.id, verb="reminded", now=now, step=step, open_cents=cents)
    return [reminder]


def _recipients(session: Session, invoice: Invoice) -> list[User]:
    """The buyers of the organisation, or the person."""
    if invoice.organisation_id is None:
        return [session.get_one(User, invoice.user_id)] if invoice.user_id else []
    query = (
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.organisation_id == invoice.organisation_id, Membership.buying == BuyingRight.BUYER)
    )
    return list(session.scalars(query.order_by(User.id)))


def move_promises(session: Session, *, now: datetime) -> list[Order]:
    """Compare the promises of all open orders with the plan; those that had to move. Their buyers are written to."""
    plans, open_orders = SitePlans(session, now=now), list_open_orders(session)
    # All plans before the first lock, so that no clerk waits for them.
    for site in {order.site for order in open_orders if order.status is OrderStatus.IN_PRODUCTION}:
        plans.jobs_at(site)
    return [o for o in open_orders if move_promise(session, order=o, now=now, plans=plans)]


def notify_promise(session: Session, *, order_id: int, promised_on: str, now: datetime) -> None:
    """Write to the buyer that the order is promised for another day (ISO 8601), and why."""
    order = session.get_one(Order, order_id)
    move = next((each for each in list_moves(session, order=order) if each.facts["new"] == promised_on), None)
    buyer = session.get_one(User, order.placed_by)
    cause = MoveCause(move.facts.get("cause", MoveCause.DELAY)) if move else MoveCause.DELAY
    write_letter(
        session,
        user=buyer,
        kind="promise_moved",
        about=f"order:{order.id}:{promised_on}",
        now=now,
        site=order.site,
        number=order.number,
        why=MOVE_CAUSES[cause][buyer.locale],
        promised_on=date_text(date.fromisoformat(promised_on), buyer.locale),
    )
