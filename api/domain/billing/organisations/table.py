"""What is kept of an organisation besides its keys: billing profile, cost centres, invitations, limits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.people.accounts import BuyingRight


class BillingProfile(Base):
    """The rest of what stands on an invoice; SIREN, SIRET and VAT number stand in `organisations`."""

    __tablename__ = "billing_profiles"
    __table_args__ = (CheckConstraint("terms_days BETWEEN 0 AND 60", name="terms"),)

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    legal_form: Mapped[str] = mapped_column(String(200), default="")
    address: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # {"name": .., "address": ..} when goods go elsewhere.
    deliver_to: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(30))
    electronic_address: Mapped[str | None] = mapped_column(String(120))
    is_public: Mapped[bool] = mapped_column(default=False)
    service_code: Mapped[str | None] = mapped_column(String(100))
    needs_service_code: Mapped[bool] = mapped_column(default=False)
    needs_engagement: Mapped[bool] = mapped_column(default=False)
    terms_days: Mapped[int] = mapped_column(default=30)
    # One invoice a month for all its orders, instead of one each.
    monthly: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[Instant]


class CostCentre(Base):
    """To whom inside the organisation a purchase is charged."""

    __tablename__ = "cost_centres"
    __table_args__ = (UniqueConstraint("organisation_id", "code"),)

    id: Mapped[Id]
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    code: Mapped[str] = mapped_column(String(30))
    name: Mapped[str] = mapped_column(String(120))
    closed_at: Mapped[Instant | None]


class Invitation(Base):
    """An offer of membership, by e-mail; only the hash of its token is kept."""

    __tablename__ = "invitations"
    __table_args__ = (Index("ix_invitations_organisation_id", "organisation_id"),)

    id: Mapped[Id]
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    email: Mapped[str] = mapped_column(String(254))
    buying: Mapped[BuyingRight] = mapped_column(EnumText(BuyingRight))
    monthly_cents: Mapped[Cents | None]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    invited_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Instant]
    expires_at: Mapped[Instant]
    accepted_at: Mapped[Instant | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class SpendingLimit(Base):
    """How many cents, VAT included, this member may accept in a calendar month; no row: no limit."""

    __tablename__ = "spending_limits"
    __table_args__ = (CheckConstraint("monthly_cents >= 0", name="not_negative"),)

    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id", ondelete="CASCADE"), primary_key=True)
    monthly_cents: Mapped[Cents]
