"""Billed: which booking or print stands on which invoice. One thing is billed once: the database decides.

Refuses to compute: what is owed is found in `owed`, put on an invoice in `bill`, paid at once in `desk`.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from api.domain.core.base import Base, Cents, Id, Instant


class BilledItem(Base):
    """That this booking (its price or its fee), or this print without an order, stands on this invoice."""

    __tablename__ = "billed_items"
    __table_args__ = (
        CheckConstraint("num_nonnulls(booking_id, job_id) = 1", name="one_thing"),
        Index("ix_billed_items_invoice_id", "invoice_id"),
    )

    id: Mapped[Id]
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("bookings.id"), unique=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"), unique=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    net_cents: Mapped[Cents]
    made_at: Mapped[Instant]


class BookingCostCentre(Base):
    """To whom inside its organisation a booking is charged; without a row to nobody in particular."""

    __tablename__ = "booking_cost_centres"

    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.id"), primary_key=True)
    cost_centre_id: Mapped[int] = mapped_column(ForeignKey("cost_centres.id"))


class ConsumerAddress(Base):
    """Where a person lives who bought at the desk: an invoice must say it, so it is asked once."""

    __tablename__ = "consumer_addresses"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    address: Mapped[dict[str, Any]] = mapped_column(JSONB)
    updated_at: Mapped[Instant]


class MonthlyBill(Base):
    """The one invoice of an organisation's cost centre for a month (its first day), or why there is none yet."""

    __tablename__ = "monthly_bills"
    __table_args__ = (
        UniqueConstraint("seller_id", "organisation_id", "cost_centre_id", "month", postgresql_nulls_not_distinct=True),
        CheckConstraint("(invoice_id IS NULL) = (refusal <> '')", name="outcome"),
        CheckConstraint("extract(day FROM month) = 1", name="month"),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    cost_centre_id: Mapped[int | None] = mapped_column(ForeignKey("cost_centres.id"))
    month: Mapped[date]
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    # Name of the error and what it says, for staff.
    refusal: Mapped[str] = mapped_column(String(500), default="")
    tried_at: Mapped[Instant]
