"""The tables of orders: an accepted quote, its parts, and which job prints which copies of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, String, Text, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, contains_eager, joinedload, mapped_column, relationship, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from api.domain.billing.invoices import Invoice
from api.domain.billing.sellers import Seller
from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow
from api.domain.people.accounts import Organisation, User
from api.domain.places.sites import Site
from api.domain.printing.jobs import Job, JobStatus
from api.domain.sales.access import get_readable, list_readable
from api.domain.sales.quotes import Quote, QuoteLine


class OrderStatus(StrEnum):
    IN_PRODUCTION = "in_production"
    CHECKED = "checked"
    DELIVERED = "delivered"
    INVOICED = "invoiced"
    CANCELLED = "cancelled"


_S = OrderStatus
NEXT: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.IN_PRODUCTION: frozenset({_S.CHECKED, _S.CANCELLED}),
    _S.CHECKED: frozenset({_S.DELIVERED}),
    _S.DELIVERED: frozenset({_S.INVOICED}),
}
OPEN = (_S.IN_PRODUCTION, _S.CHECKED)
# Jobs of an order whose copies will never come, and those whose copies are there.
LOST = frozenset({JobStatus.REJECTED, JobStatus.CANCELLED})
PRINTED = frozenset({JobStatus.PRINTED, JobStatus.COLLECTED})


class Cause(StrEnum):
    """Why a job prints copies of a part; the customer pays only for the first cause."""

    ORDERED = "ordered"
    CHECK_FAILED = "check_failed"
    REPLACED = "replaced"  # its job was rejected or cancelled


class Order(Base):
    """One accepted quote. `promised_on` may move to later days; `first_promised_on` stays."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("seller_id", "number"),
        Index("ix_orders_organisation_id_id", "organisation_id", "id"),
        Index("ix_orders_site_id_status", "site_id", "status"),
        Index("ix_orders_site_id_id", "site_id", "id"),
        # What can be invoiced: few rows, in a table that holds all orders.
        Index("ix_orders_delivered", "seller_id", "id", postgresql_where=text("status = 'delivered'")),
    )

    id: Mapped[Id]
    number: Mapped[str] = mapped_column(String(35))
    # Unique: a quote is accepted once, whatever the code does.
    quote_id: Mapped[int] = mapped_column(ForeignKey("quotes.id"), unique=True)
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    cost_centre_id: Mapped[int | None] = mapped_column(ForeignKey("cost_centres.id"))
    purchase_order: Mapped[str | None] = mapped_column(String(100))
    status: Mapped[OrderStatus] = mapped_column(EnumText(OrderStatus), default=OrderStatus.IN_PRODUCTION)
    placed_at: Mapped[Instant]
    placed_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    first_promised_on: Mapped[date | None]
    promised_on: Mapped[date | None]
    checked_at: Mapped[Instant | None]
    delivered_on: Mapped[date | None]
    delivered_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    note_number: Mapped[str | None] = mapped_column(String(35))
    # The frozen delivery note.
    note_body: Mapped[str | None] = mapped_column(Text)
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"), index=True)

    quote: Mapped[Quote] = relationship()
    seller: Mapped[Seller] = relationship()
    site: Mapped[Site] = relationship()
    organisation: Mapped[Organisation] = relationship()
    invoice: Mapped[Invoice | None] = relationship()
    parts: Mapped[list[Part]] = relationship(order_by="Part.position", back_populates="order")
    deposits: Mapped[list[OrderDeposit]] = relationship(order_by="OrderDeposit.id")


class Part(Base):
    """One line of the order: `quantity` copies ordered, `passed` of them checked and good."""

    __tablename__ = "order_parts"
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        CheckConstraint("passed BETWEEN 0 AND quantity", name="passed"),
    )

    id: Mapped[Id]
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    quote_line_id: Mapped[int] = mapped_column(ForeignKey("quote_lines.id"), unique=True)
    position: Mapped[int]
    quantity: Mapped[int]
    passed: Mapped[int] = mapped_column(default=0)
    checked_at: Mapped[Instant | None]
    checked_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    order: Mapped[Order] = relationship(back_populates="parts")
    quote_line: Mapped[QuoteLine] = relationship()
    prints: Mapped[list[PartPrint]] = relationship(order_by="PartPrint.id", back_populates="part")


class PartPrint(Base):
    """A job that prints `copies` of a part, and why; `scrapped` of them were not good."""

    __tablename__ = "order_prints"
    __table_args__ = (
        Index("ix_order_prints_part_id", "part_id"),
        CheckConstraint("copies > 0 AND scrapped BETWEEN 0 AND copies", name="copies"),
    )

    id: Mapped[Id]
    part_id: Mapped[int] = mapped_column(ForeignKey("order_parts.id"))
    # Unique: a job prints for one part only, so its copies are counted once.
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), unique=True)
    copies: Mapped[int]
    cause: Mapped[Cause] = mapped_column(EnumText(Cause))
    text: Mapped[str] = mapped_column(String(300), default="")
    scrapped: Mapped[int] = mapped_column(default=0)
    checked_at: Mapped[Instant | None]

    part: Mapped[Part] = relationship(back_populates="prints")
    job: Mapped[Job] = relationship()


class OrderDeposit(Base):
    """A deposit invoice (386) of an order, to be deducted from the final one."""

    __tablename__ = "order_deposits"

    id: Mapped[Id]
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), unique=True)

    invoice: Mapped[Invoice] = relationship()


def _shown() -> list[ORMOption]:
    """What a list shows of an order: its organisation, price and parts, with the jobs that print them."""
    parts = selectinload(Order.parts)
    return [
        *(joinedload(each) for each in (Order.organisation, Order.quote, Order.site, Order.seller)),
        parts.selectinload(Part.prints).joinedload(PartPrint.job).joinedload(Job.site),
        parts.joinedload(Part.quote_line).joinedload(QuoteLine.model),
    ]


def get_order(session: Session, order_id: int, *, user: User) -> Order:
    return get_readable(session, Order, order_id, user=user)


def list_orders(
    session: Session,
    *,
    user: User,
    organisation_id: int | None = None,
    site_ids: list[int] | None = None,
    window: PageWindow = FIRST_PAGE,
) -> Page[Order]:
    """As `list_readable`."""
    return list_readable(
        session,
        Order,
        user=user,
        organisation_id=organisation_id,
        site_ids=site_ids,
        window=window,
        shown=_shown(),
    )


def list_open_orders(session: Session, *, site_id: int | None = None) -> list[Order]:
    query = select(Order).where(Order.status.in_(OPEN)).order_by(Order.id)
    return list(session.scalars(query.where(Order.site_id == site_id) if site_id is not None else query))


def list_promised(session: Session, *, site_ids: list[int], until: date) -> list[Order]:
    """Not delivered yet and promised for this day or before, the earliest first."""
    query = select(Order).where(Order.site_id.in_(site_ids), Order.status.in_(OPEN), Order.promised_on <= until)
    return list(session.scalars(query.options(joinedload(Order.organisation)).order_by(Order.promised_on, Order.id)))


def list_unchecked(session: Session, *, site_ids: list[int]) -> list[PartPrint]:
    """What is printed of the orders in production, and not checked yet, by order."""
    query = (
        select(PartPrint)
        .join(PartPrint.part)
        .join(Part.order)
        .join(PartPrint.job)
        .where(
            Order.site_id.in_(site_ids),
            Order.status == OrderStatus.IN_PRODUCTION,
            Job.status.in_(PRINTED),
            PartPrint.checked_at.is_(None),
        )
        .options(
            contains_eager(PartPrint.part).contains_eager(Part.order).joinedload(Order.organisation),
            contains_eager(PartPrint.job).joinedload(Job.model),
        )
    )
    return list(session.scalars(query.order_by(Order.id, Part.position, PartPrint.id)))


def list_ordered_jobs(session: Session, *, job_ids: list[int]) -> set[int]:
    """Those of these jobs that print parts of an order."""
    return set(session.scalars(select(PartPrint.job_id).where(PartPrint.job_id.in_(job_ids))))


def list_delivered(
    session: Session,
    *,
    seller_id: int,
    until: date | None = None,
    organisation_ids: Sequence[int] | None = None,
    site_ids: Collection[int] | None = None,
) -> list[Order]:
    """Delivered up to and including a day, and on no invoice yet; of some sites, without them of all."""
    query = select_delivered(seller_id=seller_id, site_ids=site_ids)
    if until is not None:
        query = query.where(Order.delivered_on <= until)
    if organisation_ids is not None:
        query = query.where(Order.organisation_id.in_(organisation_ids))
    return list(session.scalars(query.options(joinedload(Order.quote)).order_by(Order.id)))


def select_delivered(*, seller_id: int, site_ids: Collection[int] | None) -> Select[Order]:
    """The query of `list_delivered`, for who asks for a part of it."""
    query = select(Order).where(Order.seller_id == seller_id, Order.status == OrderStatus.DELIVERED)
    return query if site_ids is None else query.where(Order.site_id.in_(site_ids))


def lock_order(session: Session, order: Order) -> None:
    """Take the row until the end of the transaction and read it anew: one clerk at a time decides about an order."""
    session.refresh(order, with_for_update={"key_share": True})
    # Refreshing the order leaves its parts as they were read before; another clerk may have checked them meanwhile.
    parts = select(Part).where(Part.order_id == order.id).options(selectinload(Part.prints))
    session.scalars(parts.execution_options(populate_existing=True)).all()


def find_order(session: Session, *, quote_id: int) -> Order | None:
    """The order of an accepted quote."""
    return session.scalar(select(Order).where(Order.quote_id == quote_id))
