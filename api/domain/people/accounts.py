"""User accounts, login sessions and API tokens; the organisations, and who may buy for them.

What a user may do at a site stands in `roles`; the billing details of an organisation in `billing.organisations`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Set
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotAllowed, NotFound
from api.domain.core.text import one_line
from api.domain.people.passwords import check_password, hash_password, verify_password

SESSION_IDLE = timedelta(days=14)
SESSION_LIFE = timedelta(days=60)


class Locale(StrEnum):
    FR = "fr"
    EN = "en"


class EmailTaken(Conflict):
    """An account already exists with this e-mail address: log in."""

    field = "email"


class EmailWrong(Invalid):
    """Enter a valid e-mail address."""

    field = "email"


class NameMissing(Invalid):
    """Enter a name."""

    field = "name"


class LoginFailed(NotAllowed):
    """Wrong e-mail address or password."""

    field = "password"


class User(Base):
    """A person. `is_admin` may do everything at every site; all other rights are a Role at one site."""

    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email_lower", text("lower(email)"), unique=True),)

    id: Mapped[Id]
    # The longest address that SMTP can carry (RFC 5321).
    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str | None] = mapped_column(Text)
    locale: Mapped[Locale] = mapped_column(EnumText(Locale), default=Locale.FR)
    is_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Instant]
    disabled_at: Mapped[Instant | None]


class LoginSession(Base):
    """A browser that is logged in."""

    __tablename__ = "login_sessions"

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # Not the token itself: a stolen dump of the database logs nobody in.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Instant]
    seen_at: Mapped[Instant]
    agent: Mapped[str] = mapped_column(String(200), default="")


class ApiToken(Base):
    """A bearer token for programs: `etb_` and 43 random characters. The fixed prefix lets secret scanners find it."""

    __tablename__ = "api_tokens"

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    # The first letters, by which the owner tells one token from another.
    hint: Mapped[str] = mapped_column(String(12))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Instant]
    used_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]


class Organisation(Base):
    """A company, association or public body that buys."""

    __tablename__ = "organisations"

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    siren: Mapped[str | None] = mapped_column(String(9))
    siret: Mapped[str | None] = mapped_column(String(14))
    vat_number: Mapped[str | None] = mapped_column(String(20))
    created_at: Mapped[Instant]


class BuyingRight(StrEnum):
    BUYER = "buyer"
    VIEWER = "viewer"


class Membership(Base):
    """That a user may buy for an organisation, or look at what it bought."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("organisation_id", "user_id"),)

    id: Mapped[Id]
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    buying: Mapped[BuyingRight] = mapped_column(EnumText(BuyingRight), default=BuyingRight.BUYER)
    since: Mapped[Instant]


def _digest(token: str) -> str:
    # A slow hash protects what can be guessed; a token has 256 random bits.
    return hashlib.sha256(token.encode()).hexdigest()


def clean_email(text: str) -> str:
    """The normalised address; raises EmailWrong."""
    try:
        # No DNS query: only a letter that arrives proves an address, and signing up should not depend on the line.
        return validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise EmailWrong() from error


class NewAccount(NamedTuple):
    """Who signs up, with the password hashed already."""

    email: str
    name: str
    password_hash: str


def prepare_account(*, email: str, name: str, password: str) -> NewAccount:
    """Check and hash, without a session; raises EmailWrong, NameMissing, and what `check_password` raises."""
    email = clean_email(email)
    if not (name := one_line(name)[:120]):
        raise NameMissing()
    check_password(password, about=email)
    return NewAccount(email, name, hash_password(password))


def sign_up(session: Session, *, account: NewAccount, now: datetime, locale: Locale = Locale.FR) -> User:
    """Add the account; raises EmailTaken."""
    if find_user(session, email=account.email):
        raise EmailTaken()
    user = User(**account._asdict(), locale=locale, created_at=now)
    try:
        with session.begin_nested():
            session.add(user)
    # Two signed up at once with this address, and the unique index uq_users_email_lower let the first one in.
    except IntegrityError as error:
        raise EmailTaken() from error
    record(session, noun="user", noun_id=user.id, verb="signed_up", now=now, actor_id=user.id)
    return user


def find_user(session: Session, *, email: str) -> User | None:
    return session.scalar(select(User).where(func.lower(User.email) == email.strip().lower()))


def get_user(session: Session, user_id: int) -> User:
    if user := session.get(User, user_id):
        return user
    raise NotFound()


class Login(NamedTuple):
    """Whom an address belongs to, and the hash of their password; None for nobody who can log in."""

    user_id: int | None
    password_hash: str | None


def find_login(session: Session, *, email: str) -> Login:
    user = find_user(session, email=email)
    return Login(user.id, user.password_hash) if user and not user.disabled_at else Login(None, None)


def check_login(login: Login, password: str) -> str:
    """The hash to keep from now on, worked out without a session; raises LoginFailed."""
    if login.password_hash is None:
        # As slow as a wrong password, so that nobody can find out by the clock who has an account here.
        hash_password(password)
        raise LoginFailed()
    password_hash = verify_password(password, login.password_hash)
    if password_hash is None:
        raise LoginFailed()
    return password_hash


def log_in(session: Session, *, login: Login, password_hash: str, now: datetime, agent: str = "") -> str:
    """A new session token for a login that `check_login` has checked; raises LoginFailed."""
    # `populate_existing`: a row that this session has read before would else be locked, but not read again.
    user = session.get(User, login.user_id, with_for_update=True, populate_existing=True) if login.user_id else None
    # The account may have been closed, or its password changed, while the old one was checked.
    if user is None or user.disabled_at or user.password_hash != login.password_hash:
        raise LoginFailed()
    if password_hash != user.password_hash:
        user.password_hash = password_hash
    return open_session(session, user=user, now=now, agent=agent)


def open_session(session: Session, *, user: User, now: datetime, agent: str = "") -> str:
    token = secrets.token_urlsafe(32)
    session.add(
        LoginSession(user_id=user.id, token_hash=_digest(token), created_at=now, seen_at=now, agent=agent[:200])
    )
    return token


def find_session_user(session: Session, *, token: str, now: datetime) -> User | None:
    """None when the token is unknown, idle for SESSION_IDLE or older than SESSION_LIFE, or the user is disabled."""
    row = session.execute(
        select(LoginSession, User)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.token_hash == _digest(token), User.disabled_at.is_(None))
    ).first()
    if row is None:
        return None
    login, user = row
    if now - login.seen_at > SESSION_IDLE or now - login.created_at > SESSION_LIFE:
        return None
    # Once an hour, not at every request: a page that only reads should not have to write.
    if now - login.seen_at > timedelta(hours=1):
        # A statement, because the row may be deleted by now: whoever logs out does not break this request.
        session.execute(update(LoginSession).where(LoginSession.id == login.id).values(seen_at=now))
    return user


def log_out(session: Session, *, token: str) -> None:
    session.execute(delete(LoginSession).where(LoginSession.token_hash == _digest(token)))


def purge_sessions(session: Session, *, now: datetime) -> None:
    """Delete the logins that `find_session_user` refuses by their age."""
    is_over = or_(LoginSession.seen_at < now - SESSION_IDLE, LoginSession.created_at < now - SESSION_LIFE)
    session.execute(delete(LoginSession).where(is_over))


def list_sessions(session: Session, *, user: User) -> list[LoginSession]:
    return list(
        session.scalars(
            select(LoginSession).where(LoginSession.user_id == user.id).order_by(LoginSession.seen_at.desc())
        )
    )


def close_session(session: Session, *, user: User, session_id: int) -> None:
    """End one of the user's own sessions; raises NotFound for another's."""
    own = delete(LoginSession).where(LoginSession.id == session_id, LoginSession.user_id == user.id)
    if session.scalar(own.returning(LoginSession.id)) is None:
        raise NotFound()


def csrf_of(token: str) -> str:
    """The token that the forms of this session carry."""
    # Derived from the session token: it needs no column, and a page that shows it does not show the session token.
    return _digest("csrf:" + token)[:32]


def issue_token(session: Session, *, user: User, name: str, now: datetime) -> str:
    """The new token; it cannot be read again, only its hash is kept."""
    token = "etb_" + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            user_id=user.id,
            name=one_line(name)[:80] or "API",
            hint=token[:8],
            token_hash=_digest(token),
            created_at=now,
        )
    )
    record(session, noun="user", noun_id=user.id, verb="token_issued", now=now, actor_id=user.id)
    return token


def list_tokens(session: Session, *, user: User) -> list[ApiToken]:
    query = select(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None))
    return list(session.scalars(query.order_by(ApiToken.id)))


def revoke_token(session: Session, *, user: User, token_id: int, now: datetime) -> None:
    token = session.get(ApiToken, token_id)
    if token is None or token.user_id != user.id:
        raise NotFound()
    token.revoked_at = now
    record(session, noun="user", noun_id=user.id, verb="token_revoked", now=now, actor_id=user.id)


# Built once: each request of a program runs it, and building the statement costs more than running it.
_BY_TOKEN = (
    select(User, ApiToken.id, ApiToken.used_at)
    .join(ApiToken, User.id == ApiToken.user_id)
    .where(ApiToken.token_hash == bindparam("token_hash"), ApiToken.revoked_at.is_(None), User.disabled_at.is_(None))
)


def find_token_user(session: Session, *, token: str, now: datetime) -> User | None:
    """Who holds this bearer token; None when unknown, revoked, or the user is disabled."""
    row = session.execute(_BY_TOKEN, {"token_hash": _digest(token)}).first()
    if row is None:
        return None
    user, token_id, used_at = row
    # At most every five minutes: an UPDATE at each request would make the requests of one program wait for each other.
    if used_at is None or now - used_at > timedelta(minutes=5):
        session.execute(update(ApiToken).where(ApiToken.id == token_id).values(used_at=now))
    return user


def disable(session: Session, *, user: User, actor: User, now: datetime) -> None:
    """Close an account. Its sessions and tokens stop working at once; its history stays."""
    user.disabled_at = now
    session.query(LoginSession).filter(LoginSession.user_id == user.id).delete()
    record(session, noun="user", noun_id=user.id, verb="disabled", now=now, actor_id=actor.id)


def add_organisation(session: Session, *, name: str, slug: str, owner: User, now: datetime) -> Organisation:
    """A new organisation with `owner` as its first buyer."""
    organisation = Organisation(name=name, slug=slug, created_at=now)
    session.add(organisation)
    session.flush()
    session.add(Membership(organisation_id=organisation.id, user_id=owner.id, since=now))
    record(session, noun="organisation", noun_id=organisation.id, verb="founded", now=now, actor_id=owner.id)
    return organisation


def list_organisations(session: Session, *, user: User) -> list[Organisation]:
    query = select(Organisation).join(Membership).where(Membership.user_id == user.id)
    return list(session.scalars(query.order_by(Organisation.name)))


def list_buying(session: Session, *, user: User) -> list[Organisation]:
    """Those for which the user may buy, by name."""
    buying = and_(Membership.user_id == user.id, Membership.buying == BuyingRight.BUYER)
    return list(session.scalars(select(Organisation).join(Membership).where(buying).order_by(Organisation.name)))


def map_organisations(session: Session, *, ids: Set[int]) -> dict[int, Organisation]:
    """By id."""
    return {row.id: row for row in session.scalars(select(Organisation).where(Organisation.id.in_(ids)))}


def may_buy_for(session: Session, *, user: User, organisation_id: int) -> bool:
    query = select(Membership.id).where(
        Membership.user_id == user.id,
        Membership.organisation_id == organisation_id,
        Membership.buying == BuyingRight.BUYER,
    )
    return session.scalar(query) is not None


def may_see_for(session: Session, *, user: User, organisation_id: int) -> bool:
    query = select(Membership.id).where(Membership.user_id == user.id, Membership.organisation_id == organisation_id)
    return session.scalar(query) is not None
