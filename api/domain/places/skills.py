"""Trainings of the network, and who has them until when: rules of booking may ask for one.

How a training is held stands in `booking.gatherings`, which authorises those who came.
"""

from __future__ import annotations

from datetime import datetime

from dateutil.relativedelta import relativedelta
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.locks import add_unique, lock_row
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff


class SkillNameTaken(Conflict):
    """A training of this name already exists."""

    field = "name"


class ExpiryPast(Invalid):
    """Choose an end date in the future."""

    field = "expires_at"


class Skill(Base):
    """A training, such as "laser cutter"; `valid_months` None means that it never expires."""

    __tablename__ = "skills"
    __table_args__ = (CheckConstraint("valid_months > 0", name="valid_months"),)

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    about: Mapped[str] = mapped_column(Text, default="")
    valid_months: Mapped[int | None]
    created_at: Mapped[Instant]


class Authorisation(Base):
    """That `user` has this skill within `[granted_at, expires_at)`, unless it was revoked. A renewal is a new row."""

    __tablename__ = "authorisations"
    __table_args__ = (Index("ix_authorisations_user_id_skill_id", "user_id", "skill_id"),)

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    skill_id: Mapped[int] = mapped_column(ForeignKey("skills.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    granted_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    granted_at: Mapped[Instant]
    expires_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]
    # When its holder was written to that it ends soon: once is enough.
    warned_at: Mapped[Instant | None]

    skill: Mapped[Skill] = relationship()
    user: Mapped[User] = relationship(foreign_keys=[user_id])


def create_skill(
    session: Session, *, slug: str, name: str, now: datetime, about: str = "", valid_months: int | None = 24
) -> Skill:
    """Raises SkillNameTaken."""
    skill = Skill(slug=slug, name=name, about=about, valid_months=valid_months, created_at=now)
    add_unique(session, skill, SkillNameTaken())
    return skill


def get_skill(session: Session, skill_id: int) -> Skill:
    if skill := session.get(Skill, skill_id):
        return skill
    raise NotFound()


def list_skills(session: Session) -> list[Skill]:
    return list(session.scalars(select(Skill).order_by(Skill.name)))


def authorise(
    session: Session,
    *,
    user: User,
    skill: Skill,
    actor: User,
    site_id: int,
    now: datetime,
    expires_at: datetime | None = None,
) -> Authorisation:
    """Staff of the site certify that `user` has the skill; raises ExpiryPast.

    Without `expires_at` it is good for the skill's `valid_months`.
    """
    require_staff(session, user=actor, site_id=site_id)
    if expires_at is None and skill.valid_months:
        # Calendar months, as people count them: a timedelta only knows days.
        expires_at = now + relativedelta(months=skill.valid_months)
    if expires_at is not None and expires_at <= now:
        raise ExpiryPast()
    authorisation = Authorisation(
        user_id=user.id,
        skill_id=skill.id,
        site_id=site_id,
        granted_by=actor.id,
        granted_at=now,
        expires_at=expires_at,
    )
    session.add(authorisation)
    session.flush()
    _record(session, authorisation, "authorised", now, actor)
    return authorisation


def revoke_authorisation(session: Session, *, authorisation: Authorisation, actor: User, now: datetime) -> None:
    """Staff take it back. Existing bookings stay; new ones are refused."""
    require_staff(session, user=actor, site_id=authorisation.site_id)
    lock_row(session, authorisation)
    # Revoked twice, it stays revoked since the first time.
    authorisation.revoked_at = authorisation.revoked_at or now
    _record(session, authorisation, "authorisation_revoked", now, actor)


def _record(session: Session, authorisation: Authorisation, verb: str, now: datetime, actor: User) -> None:
    record(
        session,
        noun="user",
        noun_id=authorisation.user_id,
        verb=verb,
        now=now,
        actor_id=actor.id,
        site_id=authorisation.site_id,
        skill=authorisation.skill_id,
    )


def get_authorisation(session: Session, authorisation_id: int) -> Authorisation:
    if authorisation := session.get(Authorisation, authorisation_id):
        return authorisation
    raise NotFound()


def has_skill(session: Session, *, user_id: int, skill_id: int, at: datetime) -> bool:
    """Whether the user has the skill at that instant. For a booking, ask about its end: it must be good until then."""
    query = select(Authorisation.id).where(
        Authorisation.user_id == user_id,
        Authorisation.skill_id == skill_id,
        Authorisation.revoked_at.is_(None),
        or_(Authorisation.expires_at.is_(None), Authorisation.expires_at > at),
    )
    return session.scalar(query.limit(1)) is not None


def list_authorisations(session: Session, *, user_id: int, at: datetime) -> list[Authorisation]:
    """What the person is authorised for at that instant, by name."""
    query = (
        select(Authorisation)
        .join(Skill)
        .where(
            Authorisation.user_id == user_id,
            Authorisation.revoked_at.is_(None),
            or_(Authorisation.expires_at.is_(None), Authorisation.expires_at > at),
        )
        .order_by(Skill.name, Authorisation.id)
    )
    return list(session.scalars(query))


def list_ending(session: Session, *, before: datetime, now: datetime) -> list[Authorisation]:
    """Authorisations that end until `before` and whose holder has not been written to yet; at most 200."""
    query = select(Authorisation).where(
        Authorisation.expires_at.between(now, before),
        Authorisation.revoked_at.is_(None),
        Authorisation.warned_at.is_(None),
    )
    return list(session.scalars(query.order_by(Authorisation.id).limit(200)))
