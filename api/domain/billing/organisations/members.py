"""Who may buy for an organisation, on whose invitation, and how much a month; its cost centres."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence, Set
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.billing.organisations.details import require_buyer
from api.domain.billing.organisations.table import CostCentre, Invitation, SpendingLimit
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.locks import add_unique
from api.domain.core.text import one_line
from api.domain.people.accounts import BuyingRight, Membership, Organisation, User, clean_email

INVITATION_LIFE = timedelta(days=14)


class AlreadyMember(Conflict):
    """This person is already a member of the organisation."""

    field = "email"


class InvitationWrong(NotFound):
    """This invitation is not valid: already used, too old, or for another e-mail address."""


class LimitWrong(Invalid):
    """The monthly limit cannot be negative."""

    field = "monthly_cents"


class LastBuyer(Conflict):
    """An organisation needs at least one buyer: invite another one first."""


class CostCentreWrong(Invalid):
    """Enter a name and a code of 1 to 30 letters, digits, dots or hyphens."""

    field = "code"


class DuplicateCostCentre(Conflict):
    """The code {code} is already used by a cost centre, open or closed."""

    field = "code"


def list_members(session: Session, *, organisation: Organisation) -> list[tuple[Membership, User, int | None]]:
    """(membership, person, monthly limit in cents or None), in the order in which they came."""
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
    """Offer membership by a buyer; the token, which the buyer hands on and which is shown only now.

    Raises NotFound or BuyersOnly, LimitWrong, AlreadyMember, and what `clean_email` raises.
    """
    require_buyer(session, user=actor, organisation=organisation)
    email = clean_email(email)
    _check_limit(monthly_cents)
    if _has_member(session, organisation, email):
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
    _record(session, organisation.id, "invited", actor, now, email=email, buying=buying.value)
    return token


def _record(
    session: Session, organisation_id: int, verb: str, actor: User, now: datetime, **facts: str | int | None
) -> None:
    record(
        session,
        noun="organisation",
        noun_id=organisation_id,
        verb=verb,
        now=now,
        actor_id=actor.id,
        site_id=None,  # an organisation belongs to no site
        **facts,
    )


def _check_limit(monthly_cents: int | None) -> None:
    if monthly_cents is not None and monthly_cents < 0:
        raise LimitWrong()


def _has_member(session: Session, organisation: Organisation, email: str) -> bool:
    members = select(User.id).join(Membership, Membership.user_id == User.id)
    same = members.where(Membership.organisation_id == organisation.id, func.lower(User.email) == email.lower())
    return session.scalar(same) is not None


def _hash(token: str) -> str:
    # 256 random bits cannot be guessed: a fast hash is enough, and can be looked up by index.
    return hashlib.sha256(token.encode()).hexdigest()


def accept_invitation(session: Session, *, user: User, token: str, now: datetime) -> Membership:
    """Become a member; InvitationWrong unless it is the first use, in time, by whoever has the address invited."""
    # The row is locked: of two clicks at once the second one finds it accepted.
    invitation = session.scalar(
        select(Invitation)
        .where(Invitation.token_hash == _hash(token), Invitation.accepted_at.is_(None), Invitation.expires_at > now)
        .with_for_update()
    )
    # A link that was forwarded, or found in a mailbox, opens the organisation to nobody else.
    if invitation is None or invitation.email.lower() != user.email.lower():
        raise InvitationWrong()
    organisation_id = invitation.organisation_id
    membership = Membership(organisation_id=organisation_id, user_id=user.id, buying=invitation.buying, since=now)
    # They may have been invited twice, and accept both at once.
    add_unique(session, membership, AlreadyMember())
    if invitation.monthly_cents is not None:
        session.add(SpendingLimit(membership_id=membership.id, monthly_cents=invitation.monthly_cents))
    invitation.accepted_at, invitation.accepted_by = now, user.id
    session.flush()
    _record(session, organisation_id, "joined", user, now)
    return membership


def set_limit(
    session: Session, *, organisation: Organisation, actor: User, user_id: int, monthly_cents: int | None, now: datetime
) -> None:
    """How much a member may order in a calendar month, VAT included, by a buyer; None takes the limit away."""
    require_buyer(session, user=actor, organisation=organisation)
    membership = _get_member(session, organisation, user_id)
    _check_limit(monthly_cents)
    limit = session.get(SpendingLimit, membership.id, populate_existing=True)
    if monthly_cents is None:
        if limit:
            session.delete(limit)
    elif limit:
        limit.monthly_cents = monthly_cents
    else:
        session.add(SpendingLimit(membership_id=membership.id, monthly_cents=monthly_cents))
    session.flush()
    _record(session, organisation.id, "limit_set", actor, now, user=user_id, monthly_cents=monthly_cents)


def remove_member(session: Session, *, organisation: Organisation, actor: User, user_id: int, now: datetime) -> None:
    """Another member, or oneself, by a buyer; LastBuyer where nobody would be left to buy."""
    require_buyer(session, user=actor, organisation=organisation)
    # Two buyers who remove each other at once: the second waits here, and finds that it would remove the last one.
    buyers = session.scalars(
        select(Membership.user_id)
        .where(Membership.organisation_id == organisation.id, Membership.buying == BuyingRight.BUYER)
        .order_by(Membership.id)
        .with_for_update()
    ).all()
    membership = _get_member(session, organisation, user_id)
    if list(buyers) == [user_id]:
        raise LastBuyer()
    session.delete(membership)
    session.flush()
    _record(session, organisation.id, "left", actor, now, user=user_id)


def _get_member(session: Session, organisation: Organisation, user_id: int) -> Membership:
    """Locked: two who set a first limit at once would each add one, and who is being removed can get none."""
    query = select(Membership).where(Membership.organisation_id == organisation.id, Membership.user_id == user_id)
    membership = session.scalar(query.with_for_update(key_share=True))
    if membership is None:
        raise NotFound()
    return membership


def add_cost_centre(session: Session, *, organisation: Organisation, actor: User, code: str, name: str) -> CostCentre:
    """Raises CostCentreWrong, and DuplicateCostCentre also for the code of a closed one."""
    require_buyer(session, user=actor, organisation=organisation)
    if not re.fullmatch(r"[\w.\-]{1,30}", code) or not one_line(name):
        raise CostCentreWrong()
    centre = CostCentre(organisation_id=organisation.id, code=code, name=one_line(name)[:120])
    # Closed ones count too: invoices that were charged to them carry the code.
    add_unique(session, centre, DuplicateCostCentre(code=code))
    return centre


def close_cost_centre(
    session: Session, *, organisation: Organisation, actor: User, centre_id: int, now: datetime
) -> None:
    """Nothing new can be charged to it; what was charged stays."""
    require_buyer(session, user=actor, organisation=organisation)
    get_cost_centre(session, centre_id, organisation_id=organisation.id).closed_at = now
    session.flush()


def list_cost_centres(session: Session, *, organisation: Organisation) -> list[CostCentre]:
    """The open ones, by code."""
    query = select(CostCentre).where(CostCentre.organisation_id == organisation.id, CostCentre.closed_at.is_(None))
    return list(session.scalars(query.order_by(CostCentre.code)))


def map_cost_centres(session: Session, *, ids: Set[int | None]) -> dict[int | None, CostCentre]:
    """By id, closed ones too; None has none."""
    return {row.id: row for row in session.scalars(select(CostCentre).where(CostCentre.id.in_(ids - {None})))}


def map_open_centres(session: Session, *, organisation_ids: Sequence[int]) -> dict[int, list[CostCentre]]:
    """By the id of each organisation, its open cost centres, by code."""
    query = select(CostCentre).where(CostCentre.organisation_id.in_(organisation_ids), CostCentre.closed_at.is_(None))
    centres: dict[int, list[CostCentre]] = {each: [] for each in organisation_ids}
    for row in session.scalars(query.order_by(CostCentre.code)):
        centres[row.organisation_id].append(row)
    return centres


def get_cost_centre(session: Session, centre_id: int, *, organisation_id: int) -> CostCentre:
    """An open cost centre of this organisation; NotFound otherwise."""
    centre = session.get(CostCentre, centre_id)
    if centre is None or centre.organisation_id != organisation_id or centre.closed_at is not None:
        raise NotFound(field="cost_centre_id")
    return centre
