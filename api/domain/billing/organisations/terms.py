"""How an organisation pays: its term, and one invoice a month or one for each order. A buyer asks, staff grant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, select
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship

from api.domain.billing.organisations.table import MOST_TERMS_DAYS, BillingProfile
from api.domain.billing.sellers import list_sellers, today
from api.domain.core.base import Base, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.locks import lock_row
from api.domain.people.accounts import Membership, Organisation, User
from api.domain.people.roles import StaffOnly
from api.domain.pricing.legal import CustomerType, longest_term_days


class TermWrong(Invalid):
    """Enter a payment term of 0 to {most} days."""

    field = "terms_days"


class NoTermsRequest(Conflict):
    """Someone has already answered this request, or it was withdrawn."""


class TermsRequest(Base):
    """The terms that a buyer wishes and nobody has decided about; one per organisation, the newest."""

    __tablename__ = "terms_requests"
    __table_args__ = (CheckConstraint(f"terms_days BETWEEN 0 AND {MOST_TERMS_DAYS}", name="terms"),)

    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    terms_days: Mapped[int]
    monthly: Mapped[bool]
    requested_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[Instant]

    organisation: Mapped[Organisation] = relationship()
    requester: Mapped[User] = relationship()


def check_term(terms_days: int, *, customer: CustomerType, now: datetime) -> None:
    """Raises TermWrong beyond what the law allows such a customer."""
    most = longest_term(customer, now=now)
    if not 0 <= terms_days <= most:
        raise TermWrong(most=most)


def longest_term(customer: CustomerType, *, now: datetime) -> int:
    """In days, by the law of that day."""
    # No law limits the term of a consumer, so the limit of the column holds: that of professionals (C. com. L441-10).
    legal_days = longest_term_days(today(now), customer)
    return MOST_TERMS_DAYS if legal_days is None else legal_days


def lock_profile(session: Session, organisation: Organisation) -> BillingProfile | None:
    """As it stands now, which nobody else changes before this transaction ends; None while it has none.

    The organisation is read again too.
    """
    # The organisation is locked, since two may be entering its first profile.
    lock_row(session, organisation)
    return session.get(BillingProfile, organisation.id, populate_existing=True)


def request_terms(
    session: Session, *, profile: BillingProfile, terms_days: int, monthly: bool, actor: User, now: datetime
) -> None:
    """Ask the staff for these terms; asking for those that are in force takes the request back.

    The caller has locked the profile, and checked the term and that the actor is a buyer.
    """
    row = _read_request(session, profile)
    if (terms_days, monthly) == (profile.terms_days, profile.monthly):
        if row is not None:
            session.delete(row)
        session.flush()
        return
    row = row or TermsRequest(organisation_id=profile.organisation_id)
    row.terms_days, row.monthly, row.requested_by, row.at = terms_days, monthly, actor.id, now
    session.add(row)
    session.flush()


def find_terms_request(session: Session, *, organisation_id: int) -> TermsRequest | None:
    return session.get(TermsRequest, organisation_id)


def map_terms_requests(session: Session, *, organisation_ids: Sequence[int]) -> dict[int, TermsRequest]:
    """The same of many, by the id of the organisation; those without a request are left out."""
    query = select(TermsRequest).where(TermsRequest.organisation_id.in_(organisation_ids))
    return {row.organisation_id: row for row in session.scalars(query)}


def list_terms_requests(session: Session) -> list[TermsRequest]:
    """What waits for the staff, oldest first."""
    query = select(TermsRequest).options(joinedload(TermsRequest.organisation), joinedload(TermsRequest.requester))
    return list(session.scalars(query.order_by(TermsRequest.at, TermsRequest.organisation_id)))


def may_grant_terms(session: Session, *, user: User) -> bool:
    """Whoever handles the money of a seller: an organisation may buy from each."""
    return bool(list_sellers(session, user=user))


def get_organisation_to_grant(session: Session, slug: str, *, user: User) -> Organisation:
    """By who may grant terms; NotFound to strangers, StaffOnly to its members."""
    organisation = session.scalar(select(Organisation).where(Organisation.slug == slug))
    if organisation is not None and may_grant_terms(session, user=user):
        return organisation
    membership = (
        select(Membership.id).join(Organisation).where(Organisation.slug == slug, Membership.user_id == user.id)
    )
    if session.scalar(membership) is None:
        raise NotFound()
    raise StaffOnly()


def grant_terms(
    session: Session, *, organisation: Organisation, terms_days: int, monthly: bool, actor: User, now: datetime
) -> None:
    """Staff decide how it pays from now on, which answers its request. Raises StaffOnly, NotFound, TermWrong."""
    profile = _lock_to_grant(session, organisation, actor)
    customer = CustomerType.PUBLIC if profile.is_public else CustomerType.BUSINESS
    check_term(terms_days, customer=customer, now=now)
    profile.terms_days, profile.monthly = terms_days, monthly
    if row := _read_request(session, profile):
        session.delete(row)
    session.flush()
    facts = {"terms_days": terms_days, "monthly": monthly}
    record(
        session, noun="organisation", noun_id=organisation.id, verb="terms_granted", now=now, actor_id=actor.id, **facts
    )


def decline_terms(session: Session, *, organisation: Organisation, actor: User, now: datetime) -> None:
    """Staff leave in force what is in force. Raises StaffOnly, NotFound, NoTermsRequest."""
    row = _read_request(session, _lock_to_grant(session, organisation, actor))
    if row is None:
        raise NoTermsRequest()
    facts = {"terms_days": row.terms_days, "monthly": row.monthly}
    session.delete(row)
    session.flush()
    record(
        session,
        noun="organisation",
        noun_id=organisation.id,
        verb="terms_declined",
        now=now,
        actor_id=actor.id,
        **facts,
    )


def _lock_to_grant(session: Session, organisation: Organisation, actor: User) -> BillingProfile:
    if not may_grant_terms(session, user=actor):
        raise StaffOnly()
    profile = lock_profile(session, organisation)
    if profile is None:
        raise NotFound()
    return profile


def _read_request(session: Session, profile: BillingProfile) -> TermsRequest | None:
    # Not as this session may have read it before the lock.
    return session.get(TermsRequest, profile.organisation_id, populate_existing=True)
