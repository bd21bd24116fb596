"""What an invoice must know of an organisation, who may buy for it, and how much: keys checked when entered.

Refuses strangers: to them it does not exist.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.accounts import Buying, Membership, Organisation, User, clean_email
from api.domain.base import Base, Cents, Id, Instant, Word
from api.domain.changes import record
from api.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from api.domain.facturx import Address, DeliverTo, Party, party_faults
from api.domain.facturx import faults as wrong
from api.domain.legal import Customer, longest_term_days
from api.domain.sellers import pack_address, read_address, today

INVITATION_LIFE = timedelta(days=14)


class BuyersOnly(NotAllowed):
    """Only a buyer of this organisation may do this."""


class AlreadyMember(Conflict):
    """This person belongs to the organisation already."""

    field = "email"


class InvitationWrong(NotFound):
    """This invitation is not valid: it was used, is too old, or is for another e-mail address."""


class TermWrong(Invalid):
    """Payment is due within 0 to {most} days."""

    field = "terms_days"


class LimitWrong(Invalid):
    """The monthly limit cannot be negative."""

    field = "monthly_cents"


class LastBuyer(Conflict):
    """An organisation keeps at least one buyer."""


class CostCentreWrong(Invalid):
    """A cost centre has a code of 1 to 30 letters, digits, dots or hyphens, and a name."""

    field = "code"


class NameWrong(Invalid):
    """An organisation needs a name of at most 200 characters."""

    field = "name"


class NotBillable(Invalid):
    """The billing details of this organisation are not complete yet: {missing}."""


class BillingProfile(Base):
    """The rest of what stands on an invoice; SIREN, SIRET and VAT number stand in `organisations`."""

    __tablename__ = "billing_profiles"
    __table_args__ = (CheckConstraint("terms_days BETWEEN 0 AND 60", name="terms"),)

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    legal_form: Mapped[str] = mapped_column(String(200), default="")
    address: Mapped[dict[str, Any]] = mapped_column(JSONB)
    #: {"name": .., "address": ..} when goods go elsewhere.
    deliver_to: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(30))
    electronic_address: Mapped[str | None] = mapped_column(String(120))
    is_public: Mapped[bool] = mapped_column(default=False)
    service_code: Mapped[str | None] = mapped_column(String(100))
    needs_service_code: Mapped[bool] = mapped_column(default=False)
    needs_engagement: Mapped[bool] = mapped_column(default=False)
    terms_days: Mapped[int] = mapped_column(default=30)
    #: One invoice a month for all its orders, instead of one each.
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
    buying: Mapped[Buying] = mapped_column(Word(Buying))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a buyer types; checked as a whole before anything is kept."""

    name: str
    address: Address
    siren: str | None = None
    siret: str | None = None
    vat_number: str | None = None
    legal_form: str = ""
    deliver_to: DeliverTo | None = None
    email: str | None = None
    phone: str | None = None
    electronic_address: str | None = None
    is_public: bool = False
    service_code: str | None = None
    needs_service_code: bool = False
    needs_engagement: bool = False
    terms_days: int = 30
    monthly: bool = False

    def cleaned(self) -> Details:
        """Spaces out of the keys, as people copy them from a letterhead."""
        return replace(
            self,
            name=self.name.strip(),
            siren=_bare(self.siren),
            siret=_bare(self.siret),
            vat_number=_bare(self.vat_number),
        )

    @property
    def party(self) -> Party:
        return Party(
            name=self.name,
            address=self.address,
            siren=self.siren,
            siret=self.siret,
            vat_number=self.vat_number,
            legal_form=self.legal_form or None,
            electronic_address=self.electronic_address,
            email=self.email,
            phone=self.phone,
            is_public=self.is_public,
            service_code=self.service_code,
            needs_service_code=self.needs_service_code,
            needs_engagement=self.needs_engagement,
        )


def _bare(key: str | None) -> str | None:
    return re.sub(r"[\s.]", "", key).upper() or None if key else None


def check_details(details: Details, *, now: datetime) -> None:
    """Raises the first fault, named, at its field: WrongSiren, SiretOfAnother, WrongVatNumber, IncompleteAddress, .."""
    if not 1 <= len(details.name) <= 200:
        raise NameWrong()
    for fault in party_faults(details.party):
        raise fault
    if details.deliver_to is not None:
        elsewhere = Party(name=details.deliver_to.name or details.name, address=details.deliver_to.address)
        for fault in party_faults(elsewhere):
            raise type(fault)(**fault.params, field="deliver_to")
    if details.is_public:
        if not details.siret:
            raise wrong.MissingIdentifier(party=details.name, what="SIRET", field="siret")
        if details.needs_service_code and not details.service_code:
            raise wrong.MissingServiceCode()
    most = longest_term_days(today(now), details.party.customer)
    if not 0 <= details.terms_days <= (60 if most is None else most):
        raise TermWrong(most=60 if most is None else most)


def found(session: Session, *, owner: User, details: Details, now: datetime) -> Organisation:
    """A new organisation with its billing details; `owner` is its first buyer."""
    details = details.cleaned()
    check_details(details, now=now)
    organisation = Organisation(name=details.name, slug=_free_slug(session, details.name), created_at=now)
    session.add(organisation)
    session.flush()
    session.add(Membership(organisation_id=organisation.id, user_id=owner.id, buying=Buying.BUYER, since=now))
    session.flush()
    _keep(session, organisation, details, now)
    record(session, noun="organisation", noun_id=organisation.id, verb="founded", now=now, actor_id=owner.id)
    return organisation


def change_details(
    session: Session, *, organisation: Organisation, actor: User, details: Details, now: datetime
) -> BillingProfile:
    """By a buyer; issued invoices keep what they printed."""
    require_buyer(session, user=actor, organisation=organisation)
    details = details.cleaned()
    check_details(details, now=now)
    profile = _keep(session, organisation, details, now)
    record(session, noun="organisation", noun_id=organisation.id, verb="details_changed", now=now, actor_id=actor.id)
    return profile


def _keep(session: Session, organisation: Organisation, details: Details, now: datetime) -> BillingProfile:
    organisation.name, organisation.siren = details.name, details.siren
    organisation.siret, organisation.vat_number = details.siret, details.vat_number
    profile = session.get(BillingProfile, organisation.id) or BillingProfile(organisation_id=organisation.id)
    profile.address, profile.updated_at = pack_address(details.address), now
    place = details.deliver_to
    profile.deliver_to = {"name": place.name, "address": pack_address(place.address)} if place else None
    plain = ("legal_form", "email", "phone", "electronic_address", "is_public", "service_code", "needs_service_code")
    for name in (*plain, "needs_engagement", "terms_days", "monthly"):
        setattr(profile, name, getattr(details, name))
    session.add(profile)
    session.flush()
    return profile


def _free_slug(session: Session, name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "organisation"
    taken = set(session.scalars(select(Organisation.slug).where(Organisation.slug.startswith(stem))))
    return next(slug for n in range(1, len(taken) + 2) if (slug := stem if n == 1 else f"{stem}-{n}") not in taken)


def read_details(session: Session, *, organisation: Organisation) -> Details | None:
    """What was entered; None before."""
    profile = session.get(BillingProfile, organisation.id)
    if profile is None:
        return None
    place = profile.deliver_to
    names = ("legal_form", "email", "phone", "electronic_address", "is_public", "service_code", "needs_service_code")
    return Details(
        name=organisation.name,
        siren=organisation.siren,
        siret=organisation.siret,
        vat_number=organisation.vat_number,
        address=read_address(profile.address),
        deliver_to=DeliverTo(name=place["name"], address=read_address(place["address"])) if place else None,
        **{name: getattr(profile, name) for name in (*names, "needs_engagement", "terms_days", "monthly")},
    )


def get_billable(session: Session, *, organisation_id: int) -> Details:
    """What an invoice or quote to this organisation needs; NotBillable while it is not all there."""
    organisation = session.get_one(Organisation, organisation_id)
    details = read_details(session, organisation=organisation)
    if details is None:
        raise NotBillable(missing="address")
    if details.party.customer is Customer.CONSUMER:
        raise NotBillable(missing="SIREN")
    return details


def get_organisation(session: Session, slug: str, *, user: User) -> Organisation:
    """For its members (and administrators); NotFound to everybody else. Staff read quotes and invoices instead."""
    organisation = session.scalar(select(Organisation).where(Organisation.slug == slug))
    if organisation is None or not may_see(session, user=user, organisation_id=organisation.id):
        raise NotFound()
    return organisation


def may_see(session: Session, *, user: User, organisation_id: int) -> bool:
    return user.is_admin or find_membership(session, user=user, organisation_id=organisation_id) is not None


def find_membership(session: Session, *, user: User, organisation_id: int) -> Membership | None:
    return session.scalar(
        select(Membership).where(Membership.user_id == user.id, Membership.organisation_id == organisation_id)
    )


def require_buyer(session: Session, *, user: User, organisation: Organisation) -> Membership:
    """NotFound to a stranger, BuyersOnly to a viewer."""
    membership = find_membership(session, user=user, organisation_id=organisation.id)
    if membership is None:
        raise NotFound()
    if membership.buying is not Buying.BUYER:
        raise BuyersOnly()
    return membership


def list_members(session: Session, *, organisation: Organisation) -> list[tuple[Membership, User, int | None]]:
    """(membership, person, monthly limit in cents), first come first."""
    query = (
        select(Membership, User, SpendingLimit.monthly_cents)
        .join(User, User.id == Membership.user_id)
        .outerjoin(SpendingLimit, SpendingLimit.membership_id == Membership.id)
        .where(Membership.organisation_id == organisation.id)
        .order_by(Membership.id)
    )
    return [(member, person, limit) for member, person, limit in session.execute(query)]


def invite(
    session: Session,
    *,
    organisation: Organisation,
    actor: User,
    email: str,
    buying: Buying,
    now: datetime,
    monthly_cents: int | None = None,
) -> str:
    """The token of the invitation, shown only now (it goes into a letter)."""
    require_buyer(session, user=actor, organisation=organisation)
    email = clean_email(email)
    if monthly_cents is not None and monthly_cents < 0:
        raise LimitWrong()
    members = select(User.id).join(Membership, Membership.user_id == User.id)
    known = members.where(Membership.organisation_id == organisation.id, func.lower(User.email) == email.lower())
    if session.scalar(known) is not None:
        raise AlreadyMember()
    token = secrets.token_urlsafe(32)
    session.add(
        Invitation(
            organisation_id=organisation.id,
            email=email,
            buying=buying,
            monthly_cents=monthly_cents,
            token_hash=_hash(token),
            invited_by=actor.id,
            created_at=now,
            expires_at=now + INVITATION_LIFE,
        )
    )
    record(
        session,
        noun="organisation",
        noun_id=organisation.id,
        verb="invited",
        now=now,
        actor_id=actor.id,
        email=email,
        buying=buying.value,
    )
    return token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def accept_invitation(session: Session, *, user: User, token: str, now: datetime) -> Membership:
    """Once, in time, and only by the person whose address it was sent to; else InvitationWrong."""
    found = session.scalar(
        select(Invitation)
        .where(Invitation.token_hash == _hash(token), Invitation.accepted_at.is_(None), Invitation.expires_at > now)
        .with_for_update()
    )
    if found is None or found.email.lower() != user.email.lower():
        raise InvitationWrong()
    if find_membership(session, user=user, organisation_id=found.organisation_id):
        raise AlreadyMember()
    membership = Membership(organisation_id=found.organisation_id, user_id=user.id, buying=found.buying, since=now)
    session.add(membership)
    session.flush()
    if found.monthly_cents is not None:
        session.add(SpendingLimit(membership_id=membership.id, monthly_cents=found.monthly_cents))
    found.accepted_at, found.accepted_by = now, user.id
    session.flush()
    record(session, noun="organisation", noun_id=found.organisation_id, verb="joined", now=now, actor_id=user.id)
    return membership


def set_limit(
    session: Session, *, organisation: Organisation, actor: User, user_id: int, monthly_cents: int | None, now: datetime
) -> None:
    """How much a member may accept in a month; None takes the limit away."""
    require_buyer(session, user=actor, organisation=organisation)
    membership = _get_member(session, organisation, user_id)
    if monthly_cents is not None and monthly_cents < 0:
        raise LimitWrong()
    row = session.get(SpendingLimit, membership.id)
    if monthly_cents is None:
        if row:
            session.delete(row)
    elif row:
        row.monthly_cents = monthly_cents
    else:
        session.add(SpendingLimit(membership_id=membership.id, monthly_cents=monthly_cents))
    session.flush()
    record(
        session,
        noun="organisation",
        noun_id=organisation.id,
        verb="limit_set",
        now=now,
        actor_id=actor.id,
        user=user_id,
        monthly_cents=monthly_cents,
    )


def remove_member(session: Session, *, organisation: Organisation, actor: User, user_id: int, now: datetime) -> None:
    require_buyer(session, user=actor, organisation=organisation)
    membership = _get_member(session, organisation, user_id)
    buyers = session.scalars(
        select(Membership.user_id).where(
            Membership.organisation_id == organisation.id, Membership.buying == Buying.BUYER
        )
    ).all()
    if list(buyers) == [user_id]:
        raise LastBuyer()
    session.delete(membership)
    session.flush()
    record(session, noun="organisation", noun_id=organisation.id, verb="left", now=now, actor_id=actor.id, user=user_id)


def _get_member(session: Session, organisation: Organisation, user_id: int) -> Membership:
    membership = session.scalar(
        select(Membership).where(Membership.organisation_id == organisation.id, Membership.user_id == user_id)
    )
    if membership is None:
        raise NotFound()
    return membership


def add_cost_centre(session: Session, *, organisation: Organisation, actor: User, code: str, name: str) -> CostCentre:
    require_buyer(session, user=actor, organisation=organisation)
    if not re.fullmatch(r"[\w.\-]{1,30}", code) or not name.strip():
        raise CostCentreWrong()
    centre = CostCentre(organisation_id=organisation.id, code=code, name=name.strip()[:120])
    session.add(centre)
    session.flush()
    return centre


def list_cost_centres(session: Session, *, organisation: Organisation) -> list[CostCentre]:
    query = select(CostCentre).where(CostCentre.organisation_id == organisation.id, CostCentre.closed_at.is_(None))
    return list(session.scalars(query.order_by(CostCentre.code)))


def get_cost_centre(session: Session, centre_id: int, *, organisation_id: int) -> CostCentre:
    """Of this organisation; another's is NotFound."""
    centre = session.get(CostCentre, centre_id)
    if centre is None or centre.organisation_id != organisation_id or centre.closed_at is not None:
        raise NotFound(field="cost_centre_id")
    return centre
