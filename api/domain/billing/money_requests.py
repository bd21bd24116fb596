"""What needs a second person to confirm it: another bank account of a seller, and closing its books.

Where only one person handles the money, that person confirms alone: after a day, and with the password.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing import invoices
from api.domain.billing.facturx import Bank
from api.domain.billing.money_rights import list_money_people, require_money_right
from api.domain.billing.sellers import Seller, check_bank, set_bank
from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid, NotAllowed, NotFound, Stale
from api.domain.people.accounts import User

LIFE = timedelta(days=7)
ALONE_WAIT = timedelta(hours=24)


class RequestKind(StrEnum):
    BANK = "bank"
    CLOSING = "closing"


class RequestStatus(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


NEXT = {
    RequestStatus.PENDING: frozenset({RequestStatus.CONFIRMED, RequestStatus.WITHDRAWN, RequestStatus.EXPIRED}),
}


class SecondPersonNeeded(NotAllowed):
    """Another person who handles this money, or an administrator, has to confirm this."""


class WaitNotOver(Conflict):
    """You can confirm this alone 24 hours after the request, not before."""


class PasswordNeeded(Invalid):
    """Enter your password to confirm this alone."""

    field = "password"


class RequestExpired(Conflict):
    """This request has expired: make a new one."""


class RequestPending(Conflict):
    """A request of this kind is already waiting: confirm or withdraw it first."""


class SameBank(Invalid):
    """These are already the bank details."""

    field = "iban"


class MoneyRequest(Base):
    """`facts` of a bank: old and new iban, bic, bank_name; of a closing: until (ISO 8601). They never change."""

    __tablename__ = "money_requests"
    __table_args__ = (
        Index(
            "uq_money_requests_pending",
            "seller_id",
            "kind",
            unique=True,
            postgresql_where=text("status = 'pending'"),
        ),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"), index=True)
    kind: Mapped[RequestKind] = mapped_column(EnumText(RequestKind))
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[RequestStatus] = mapped_column(EnumText(RequestStatus), default=RequestStatus.PENDING)
    requested_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    requested_at: Mapped[Instant]
    # Nobody else handled the money then: a right that is withdrawn later does not let its person confirm alone.
    was_alone: Mapped[bool]
    expires_at: Mapped[Instant]
    decided_at: Mapped[Instant | None]

    @property
    def alone_from(self) -> datetime:
        return self.requested_at + ALONE_WAIT

    @property
    def bank(self) -> Bank:
        return _bank(self.facts["new"])

    @property
    def old_bank(self) -> Bank:
        return _bank(self.facts["old"])

    @property
    def until(self) -> date:
        return date.fromisoformat(self.facts["until"])


def _bank(facts: dict[str, str]) -> Bank:
    return Bank(iban=facts["iban"], bic=facts["bic"], name=facts["bank_name"])


def mask_iban(iban: str) -> str:
    """Country, check digits and the last four: enough to compare, too little to use."""
    return f"{iban[:4]} … {iban[-4:]}"


def request_bank(session: Session, *, seller: Seller, bank: Bank, actor: User, now: datetime) -> MoneyRequest:
    """Ask for other bank details. Raises MoneyOnly, the faults of a field (WrongIban ..), SameBank, RequestPending."""
    require_money_right(session, user=actor, seller_id=seller.id)
    check_bank(bank)
    if bank == seller.bank:
        raise SameBank()
    facts = {"old": _pack(seller.bank), "new": _pack(bank)}
    return _request(session, seller, RequestKind.BANK, facts, actor, now)


def _pack(bank: Bank) -> dict[str, str]:
    return {"iban": bank.iban, "bic": bank.bic, "bank_name": bank.name}


def request_closing(
    session: Session, *, seller: Seller, until: date, actor: User, now: datetime, today: date
) -> MoneyRequest:
    """Ask for the books to be closed up to a day. Raises MoneyOnly, NothingToClose, RequestPending."""
    require_money_right(session, user=actor, seller_id=seller.id)
    invoices.check_closing(session, seller=seller, until=until, today=today)
    return _request(session, seller, RequestKind.CLOSING, {"until": until.isoformat()}, actor, now)


def _request(
    session: Session, seller: Seller, kind: RequestKind, facts: dict[str, Any], actor: User, now: datetime
) -> MoneyRequest:
    _expire(session, seller, now)
    row = MoneyRequest(
        seller_id=seller.id,
        kind=kind,
        facts=facts,
        requested_by=actor.id,
        requested_at=now,
        was_alone=is_alone(session, seller=seller, user=actor),
        expires_at=now + LIFE,
    )
    try:
        with session.begin_nested():
            session.add(row)
    # The unique index uq_money_requests_pending let another one in first.
    except IntegrityError as error:
        raise RequestPending() from error
    _record(session, seller, row, "requested", actor.id, now)
    return row


def _expire(session: Session, seller: Seller, now: datetime) -> None:
    late = MoneyRequest.status == RequestStatus.PENDING, MoneyRequest.expires_at <= now
    session.execute(
        update(MoneyRequest)
        .where(MoneyRequest.seller_id == seller.id, *late)
        .values(status=RequestStatus.EXPIRED, decided_at=now)
    )


def is_alone(session: Session, *, seller: Seller, user: User) -> bool:
    """Whether nobody else handles this money, so that no second person could confirm."""
    return all(each.id == user.id for each in list_money_people(session, seller_id=seller.id))


def may_confirm_alone(session: Session, *, request: MoneyRequest, seller: Seller, user: User) -> bool:
    """Whether the requester may confirm, once the wait is over and with the password."""
    return request.requested_by == user.id and request.was_alone and is_alone(session, seller=seller, user=user)


def confirm(
    session: Session,
    *,
    request: MoneyRequest,
    seller: Seller,
    actor: User,
    now: datetime,
    today: date,
    password_checked: bool = False,
) -> None:
    """A second person confirms, and it takes effect.

    Raises MoneyOnly, SecondPersonNeeded, PasswordNeeded, WaitNotOver, RequestExpired, ForbiddenMove, Stale (decided by
    another meanwhile, or the bank is not the one any more that was to be replaced), and NothingToClose.
    """
    require_money_right(session, user=actor, seller_id=seller.id)
    if request.requested_by == actor.id:
        _require_alone(session, request, seller, actor, now, password_checked)
    if request.status is RequestStatus.PENDING and request.expires_at <= now:
        raise RequestExpired()
    _decide(session, request, RequestStatus.CONFIRMED, now)
    if request.kind is RequestKind.CLOSING:
        invoices.close_period(session, seller=seller, until=request.until, actor=actor, now=now, today=today)
    else:
        _replace_bank(session, seller, request)
    _record(session, seller, request, "confirmed", actor.id, now)


def _require_alone(
    session: Session, request: MoneyRequest, seller: Seller, actor: User, now: datetime, password_checked: bool
) -> None:
    if not may_confirm_alone(session, request=request, seller=seller, user=actor):
        raise SecondPersonNeeded()
    if now < request.alone_from:
        raise WaitNotOver()
    if not password_checked:
        raise PasswordNeeded()


def _replace_bank(session: Session, seller: Seller, request: MoneyRequest) -> None:
    # The row may have been read before a bank that was confirmed meanwhile.
    session.refresh(seller, with_for_update={"key_share": True})
    if seller.bank != request.old_bank:
        raise Stale()
    set_bank(seller, request.bank)
    session.flush()


def withdraw(session: Session, *, request: MoneyRequest, seller: Seller, actor: User, now: datetime) -> None:
    """Whoever handles the money takes it back. Raises MoneyOnly, ForbiddenMove, Stale."""
    require_money_right(session, user=actor, seller_id=seller.id)
    _decide(session, request, RequestStatus.WITHDRAWN, now)
    _record(session, seller, request, "withdrawn", actor.id, now)


def _decide(session: Session, request: MoneyRequest, status: RequestStatus, now: datetime) -> None:
    # Who decided stands in the history of the seller.
    advance(session, request, status, moves=NEXT, status=MoneyRequest.status, decided_at=now)


def _record(session: Session, seller: Seller, row: MoneyRequest, verb: str, actor_id: int, now: datetime) -> None:
    """In the history of the seller, with what was and what is to be; and letters to all who handle the money."""
    record(
        session,
        noun="seller",
        noun_id=seller.id,
        verb=f"{row.kind.value}_{verb}",
        now=now,
        actor_id=actor_id,
        site_id=seller.site_id,
        request=row.id,
        **_describe(row),
    )
    enqueue(session, "notify_money_request", request_id=row.id, verb=verb, actor_id=actor_id)


def _describe(row: MoneyRequest) -> dict[str, str]:
    if row.kind is RequestKind.CLOSING:
        return {"until": row.facts["until"]}
    return {f"{when}_iban": mask_iban(row.facts[when]["iban"]) for when in ("old", "new")} | {
        f"{when}_bank": row.facts[when]["bank_name"] for when in ("old", "new")
    }


def get_request(session: Session, request_id: int, *, seller: Seller) -> MoneyRequest:
    """One of this seller; NotFound otherwise."""
    row = session.get(MoneyRequest, request_id)
    if row is None or row.seller_id != seller.id:
        raise NotFound()
    return row


def list_pending(session: Session, *, seller: Seller, now: datetime) -> list[tuple[MoneyRequest, User]]:
    """Those that wait for a person, with who asked."""
    query = select(MoneyRequest, User).join(User, User.id == MoneyRequest.requested_by)
    of_seller = MoneyRequest.seller_id == seller.id, MoneyRequest.status == RequestStatus.PENDING
    rows = session.execute(query.where(*of_seller, MoneyRequest.expires_at > now).order_by(MoneyRequest.id))
    return [(row, user) for row, user in rows]
