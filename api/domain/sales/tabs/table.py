"""The tables of billing what was used: which booking or print stands on which invoice, and the monthly bills.

`owed` lists what is still to be paid, `bill` invoices it, `month` does so every month, `till` takes a person's money.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from api.domain.core.base import Base, Cents, Id, Instant


class BilledItem(Base):
    """A booking (its price or its fee), or a print without an order, that stands on an invoice."""

    __tablename__ = "billed_items"
    __table_args__ = (
        CheckConstraint("num_nonnulls(booking_id, job_id) = 1", name="one_thing"),
        Index("ix_billed_items_invoice_id", "invoice_id"),
    )

    id: Mapped[Id]
    # Unique: the database itself refuses to bill one thing twice.
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("bookings.id"), unique=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"), unique=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    net_cents: Mapped[Cents]
    made_at: Mapped[Instant]


class UnbilledItem(Base):
    """A booking or a print that costs something and stands on no invoice yet; a booking from the moment it is made.

    The counterpart of `BilledItem`, kept by triggers (migration 0098): what adds and moves bookings and prints lies in
    groups that know of no invoices. Whether one of these can be billed already, `list_owed` asks of itself.
    """

    __tablename__ = "unbilled_items"
    __table_args__ = (
        CheckConstraint("num_nonnulls(booking_id, job_id) = 1", name="one_thing"),
        Index("ix_unbilled_items_organisation_id", "organisation_id"),
        Index("ix_unbilled_items_user_id", "user_id"),
    )

    id: Mapped[Id]
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("bookings.id"), unique=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"), unique=True)
    # Of the booking or the print, where none of them ever changes.
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    # When it can be billed at the earliest: a booking at its end, a print when its first plate is charged.
    due_at: Mapped[Instant]


class BookingCostCentre(Base):
    """The cost centre that bears a booking of an organisation; a booking without a row has none."""

    __tablename__ = "booking_cost_centres"

    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.id"), primary_key=True)
    cost_centre_id: Mapped[int] = mapped_column(ForeignKey("cost_centres.id"))


class ConsumerAddress(Base):
    """The address of a person who paid at the till: every invoice must name it, so it is kept for the next one."""

    __tablename__ = "consumer_addresses"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    address: Mapped[dict[str, Any]] = mapped_column(JSONB)
    updated_at: Mapped[Instant]


class MonthlyBill(Base):
    """The invoice of one cost centre of an organisation for a month (its first day), or why there is none yet."""

    __tablename__ = "monthly_bills"
    __table_args__ = (
        # Without "nulls not distinct" a tab without a cost centre could be billed twice.
        UniqueConstraint("seller_id", "organisation_id", "cost_centre_id", "month", postgresql_nulls_not_distinct=True),
        CheckConstraint("(invoice_id IS NULL) = (refusal <> '')", name="outcome"),
        CheckConstraint("extract(day FROM month) = 1", name="month"),
        Index("ix_monthly_bills_refused", "seller_id", "id", postgresql_where=text("invoice_id IS NULL")),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    cost_centre_id: Mapped[int | None] = mapped_column(ForeignKey("cost_centres.id"))
    month: Mapped[date]
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    # Name and text of the error, for staff.
    refusal: Mapped[str] = mapped_column(String(500), default="")
    tried_at: Mapped[Instant]
