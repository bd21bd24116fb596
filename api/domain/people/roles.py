"""The role of each user at each site, and the rights that follow from it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import NotAllowed
from api.domain.core.locks import lock_name
from api.domain.people.accounts import User


class Level(StrEnum):
    """What a person is at a site; each level includes the rights of those before it."""

    MEMBER = "member"
    STAFF = "staff"
    MANAGER = "manager"


RANK = {Level.MEMBER: 1, Level.STAFF: 2, Level.MANAGER: 3}


class StaffOnly(NotAllowed):
    """Only the staff of this place can do this."""


class AdministratorOnly(NotAllowed):
    """Only an administrator of the network can do this."""


class Role(Base):
    """At most one for each user and site; without one, a user is a visitor there."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("user_id", "site_id"),)

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), index=True)
    level: Mapped[Level] = mapped_column(EnumText(Level))
    since: Mapped[Instant]


def find_level(session: Session, *, user: User, site_id: int) -> Level | None:
    # An administrator of the network needs no role to manage every site.
    if user.is_admin:
        return Level.MANAGER
    return session.scalar(select(Role.level).where(Role.user_id == user.id, Role.site_id == site_id))


def may_staff(session: Session, *, user: User, site_id: int) -> bool:
    """Whether the user may run the site: approve, clear plates, resolve doubts, hand out kits."""
    level = find_level(session, user=user, site_id=site_id)
    return level is not None and RANK[level] >= RANK[Level.STAFF]


def may_manage(session: Session, *, user: User, site_id: int) -> bool:
    """Whether the user may change the site itself: prices, hours, rules, conventions, doors."""
    level = find_level(session, user=user, site_id=site_id)
    return level is not None and RANK[level] >= RANK[Level.MANAGER]


def require_staff(session: Session, *, user: User, site_id: int) -> None:
    if not may_staff(session, user=user, site_id=site_id):
        raise StaffOnly()


def require_manager(session: Session, *, user: User, site_id: int) -> None:
    if not may_manage(session, user=user, site_id=site_id):
        raise StaffOnly()


def list_roles(session: Session, *, user: User) -> list[Role]:
    """What was given to this person; an administrator needs none of them."""
    return list(session.scalars(select(Role).where(Role.user_id == user.id).order_by(Role.site_id)))


def list_staff(session: Session, *, site_id: int) -> list[User]:
    """Those who staff or manage the site by a role of their own, and may log in."""
    levels = [level for level in Level if RANK[level] >= RANK[Level.STAFF]]
    query = select(User).join(Role, Role.user_id == User.id).where(Role.site_id == site_id, Role.level.in_(levels))
    return list(session.scalars(query.where(User.disabled_at.is_(None)).order_by(User.id)))


def grant(
    session: Session, *, user: User, site_id: int, level: Level, now: datetime, actor: User | None = None
) -> Role:
    """Give `user` this level at the site, in place of any other. Checks no right: that is for the caller."""
    lock_name(session, f"role:{user.id}:{site_id}")
    own = select(Role).where(Role.user_id == user.id, Role.site_id == site_id)
    role = session.scalar(own.execution_options(populate_existing=True))
    if role is None:
        role = Role(user_id=user.id, site_id=site_id, level=level, since=now)
        session.add(role)
    role.level = level
    session.flush()
    record(
        session,
        noun="user",
        noun_id=user.id,
        verb="granted",
        now=now,
        actor_id=actor.id if actor else None,
        site_id=site_id,
        level=level,
    )
    return role
