"""Who may buy for an organisation, on whose invitation, and how much a month; its cost centres."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.billing.organisations.details import find_membership, require_buyer
from api.domain.billing.organisations.table import CostCentre, Invitation, SpendingLimit
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.people.accounts import BuyingRight, Membership, Organisation, User, clean_email

INVITATION_LIFE = timedelta(days=14)


class AlreadyMember(Conflict):
    """This person belongs to the organisation already."""

    field = "email"


class InvitationWrong(NotFound):
    """This invitation is not valid: it was used, is too old, or is for another e-mail address."""


class LimitWrong(Invalid):
    """The monthly limit cannot be negative."""

    field = "monthly_cents"


class LastBuyer(Conflict):
    """An organisation keeps at least one buyer."""


class CostCentreWrong(Invalid):
    """A cost centre has a code of 1 to 30 letters, digits, dots or hyphens, and a name."""

    field = "code"


class DuplicateCostCentre(Conflict):
    """There is or was a cost centre {code} already."""

    field = "code"


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
    buying: BuyingRight,
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
            Membership.organisation_id == organisation.id, Membership.buying == BuyingRight.BUYER
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
    same = select(CostCentre.id).where(CostCentre.organisation_id == organisation.id, CostCentre.code == code)
    if session.scalar(same) is not None:
        raise DuplicateCostCentre(code=code)
    centre = CostCentre(organisation_id=organisation.id, code=code, name=name.strip()[:120])
    session.add(centre)
    session.flush()
    return centre


def close_cost_centre(
    session: Session, *, organisation: Organisation, actor: User, centre_id: int, now: datetime
) -> None:
    """Nothing new is charged to it; what was, keeps it."""
    require_buyer(session, user=actor, organisation=organisation)
    get_cost_centre(session, centre_id, organisation_id=organisation.id).closed_at = now
    session.flush()


def list_cost_centres(session: Session, *, organisation: Organisation) -> list[CostCentre]:
    query = select(CostCentre).where(CostCentre.organisation_id == organisation.id, CostCentre.closed_at.is_(None))
    return list(session.scalars(query.order_by(CostCentre.code)))


def get_cost_centre(session: Session, centre_id: int, *, organisation_id: int) -> CostCentre:
    """Of this organisation; another's is NotFound."""
    centre = session.get(CostCentre, centre_id)
    if centre is None or centre.organisation_id != organisation_id or centre.closed_at is not None:
        raise NotFound(field="cost_centre_id")
    return centre
