"""Tables of an organisation's purchases: billing profile, cost centres, invitations, spending limits.

The organisation itself and its members are in `people.accounts`, with SIREN, SIRET and VAT number.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.people.accounts import BuyingRight

# The longest term of payment between professionals: C. com. L441-10, I.
MOST_TERMS_DAYS = 60


class BillingProfile(Base):
    """What stands on an invoice besides name, SIREN, SIRET and VAT number."""

    __tablename__ = "billing_profiles"
    __table_args__ = (CheckConstraint(f"terms_days BETWEEN 0 AND {MOST_TERMS_DAYS}", name="terms"),)

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    legal_form: Mapped[str] = mapped_column(String(200), default="")
    address: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # {"name": .., "address": ..} where goods go to another address than the billing address.
    deliver_to: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(30))
    electronic_address: Mapped[str | None] = mapped_column(String(120))
    is_public: Mapped[bool] = mapped_column(default=False)
    service_code: Mapped[str | None] = mapped_column(String(100))
    # Some public buyers refuse an invoice without their *code service* or *numéro d'engagement* (Chorus Pro): where
    # one of these is set, nothing is issued without it.
    needs_service_code: Mapped[bool] = mapped_column(default=False)
    needs_engagement: Mapped[bool] = mapped_column(default=False)
    terms_days: Mapped[int] = mapped_column(default=30)
    # One invoice a month for all its orders, instead of one each.
    monthly: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[Instant]


class CostCentre(Base):
    """A budget of the organisation that purchases are charged to; once closed, nothing new is."""

    __tablename__ = "cost_centres"
    __table_args__ = (UniqueConstraint("organisation_id", "code"),)

    id: Mapped[Id]
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    code: Mapped[str] = mapped_column(String(30))
    name: Mapped[str] = mapped_column(String(120))
    closed_at: Mapped[Instant | None]


class Invitation(Base):
    """An offer of membership to whoever has this e-mail address and the token."""

    __tablename__ = "invitations"
    __table_args__ = (Index("ix_invitations_organisation_id", "organisation_id"),)

    id: Mapped[Id]
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    email: Mapped[str] = mapped_column(String(254))
    buying: Mapped[BuyingRight] = mapped_column(EnumText(BuyingRight))
    monthly_cents: Mapped[Cents | None]
    # SHA-256: whoever reads the table cannot use the invitation.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    invited_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Instant]
    expires_at: Mapped[Instant]
    accepted_at: Mapped[Instant | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class SpendingLimit(Base):
    """How many cents, VAT included, this member may order in a calendar month; without a row there is no limit."""

    __tablename__ = "spending_limits"
    __table_args__ = (CheckConstraint("monthly_cents >= 0", name="not_negative"),)

    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id", ondelete="CASCADE"), primary_key=True)
    monthly_cents: Mapped[Cents]
