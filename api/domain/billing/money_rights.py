"""Who handles the money of a legal entity: a right of its own, given and withdrawn by an administrator.

A role at a place does not bring it, and it brings no role. Administrators of the network have it everywhere.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint, delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid, NotAllowed, NotFound
from api.domain.people.accounts import User, find_user, may_see_for
from api.domain.people.roles import AdministratorOnly


class MoneyOnly(NotAllowed):
    """Only people who handle the money of this legal entity can do this."""


class OwnMoney(NotAllowed):
    """This concerns your own money: somebody else has to do it."""


class MoneyPersonUnknown(Invalid):
    """No account uses this e-mail address."""

    field = "email"


class HandlesMoneyAlready(Conflict):
    """{name} already handles this money."""

    field = "email"


class MoneyRight(Base):
    """That a user handles the money of a seller: books, bank, payments, credit, its details."""

    __tablename__ = "money_rights"
    __table_args__ = (UniqueConstraint("seller_id", "user_id"),)

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    since: Mapped[Instant]


def may_handle_money(session: Session, *, user: User, seller_id: int) -> bool:
    if user.is_admin:
        return True
    query = select(MoneyRight.id).where(MoneyRight.user_id == user.id, MoneyRight.seller_id == seller_id)
    return session.scalar(query) is not None


def require_money_right(session: Session, *, user: User, seller_id: int) -> None:
    """Raises MoneyOnly."""
    if not may_handle_money(session, user=user, seller_id=seller_id):
        raise MoneyOnly()


def list_handled_ids(session: Session, *, user: User) -> set[int]:
    """The sellers whose money this person was given; an administrator handles all without this."""
    return set(session.scalars(select(MoneyRight.seller_id).where(MoneyRight.user_id == user.id)))


def list_rights(session: Session, *, seller_id: int) -> list[tuple[MoneyRight, User]]:
    """Who was given the right, the first first; closed accounts too, so that an administrator can withdraw it."""
    query = select(MoneyRight, User).join(User, User.id == MoneyRight.user_id)
    rows = session.execute(query.where(MoneyRight.seller_id == seller_id).order_by(MoneyRight.id))
    return [(right, user) for right, user in rows]


def list_money_people(session: Session, *, seller_id: int) -> list[User]:
    """All who handle the money and may log in: by a right, or as administrators."""
    by_right = select(MoneyRight.user_id).where(MoneyRight.seller_id == seller_id)
    query = select(User).where(or_(User.id.in_(by_right), User.is_admin), User.disabled_at.is_(None))
    return list(session.scalars(query.order_by(User.id)))


def give_money_right(session: Session, *, seller_id: int, email: str, actor: User | None, now: datetime) -> User:
    """The person with this address handles the money from now on; all who do are written to.

    Without an actor it is the set-up of an installation, of which nobody is told. Raises AdministratorOnly,
    MoneyPersonUnknown, HandlesMoneyAlready.
    """
    if actor is not None and not actor.is_admin:
        raise AdministratorOnly()
    user = find_user(session, email=email)
    if user is None or user.disabled_at:
        raise MoneyPersonUnknown()
    right_id = session.scalar(
        insert(MoneyRight)
        .values(seller_id=seller_id, user_id=user.id, since=now)
        # The unique index decides between two administrators at once.
        .on_conflict_do_nothing()
        .returning(MoneyRight.id)
    )
    if right_id is None:
        raise HandlesMoneyAlready(name=user.name)
    _record(session, "money_right_given", seller_id, user, actor, now)
    return user


def withdraw_money_right(session: Session, *, seller_id: int, user_id: int, actor: User, now: datetime) -> User:
    """Raises AdministratorOnly, and NotFound for a person who was not given it."""
    if not actor.is_admin:
        raise AdministratorOnly()
    of_person = delete(MoneyRight).where(MoneyRight.seller_id == seller_id, MoneyRight.user_id == user_id)
    if session.scalar(of_person.returning(MoneyRight.id)) is None:
        raise NotFound()
    user = session.get_one(User, user_id)
    _record(session, "money_right_withdrawn", seller_id, user, actor, now)
    return user


def _record(session: Session, verb: str, seller_id: int, user: User, actor: User | None, now: datetime) -> None:
    change = record(
        session,
        noun="seller",
        noun_id=seller_id,
        verb=verb,
        now=now,
        actor_id=actor.id if actor else None,
        user=user.id,
        person=user.name,
    )
    session.flush()
    if actor is not None:
        enqueue(session, "notify_money_right", change_id=change.id)


def require_money_of_others(
    session: Session, *, actor: User | None, seller_id: int, user_id: int | None, organisation_id: int | None = None
) -> None:
    """Raises MoneyOnly without the right, OwnMoney when it is the actor's money or that of an organisation of theirs.

    None is a background step.
    """
    if actor is None:
        return
    require_money_right(session, user=actor, seller_id=seller_id)
    is_theirs = organisation_id is not None and may_see_for(session, user=actor, organisation_id=organisation_id)
    if actor.id == user_id or is_theirs:
        raise OwnMoney()
