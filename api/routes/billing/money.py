"""`/api/v1/sellers/{id}`: who handles its money, and what waits for a second person: bank details and closing."""

from __future__ import annotations

from datetime import date, datetime

from fastapi import APIRouter, status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.bodies import Body
from api.bounds import Day
from api.deps import CurrentUser, DbSession, Now
from api.domain.billing import money_requests, money_rights
from api.domain.billing.facturx import Bank, clean_identifier
from api.domain.billing.money_requests import MoneyRequest, RequestKind, RequestStatus, mask_iban
from api.domain.billing.sellers import get_seller, today
from api.domain.people.accounts import User, get_user

router = APIRouter(prefix="/api/v1", tags=["invoices"])


class BankIn(Body):
    iban: str = Field(max_length=60)
    bic: str = Field(max_length=20)
    bank_name: str = Field(min_length=1, max_length=120)


class CloseIn(Body):
    until: Day


class MoneyPersonIn(Body):
    email: str = Field(max_length=254)


class MoneyPersonOut(BaseModel):
    user_id: int
    name: str
    email: str
    since: datetime | None = Field(description="None for an administrator who was not given the right.")


class MoneyRequestOut(BaseModel):
    id: int
    kind: RequestKind
    status: RequestStatus
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    until: date | None = Field(description="Of a closing: the last day that is closed.")
    old_iban: str | None = Field(description="Masked.")
    new_iban: str | None = Field(description="Masked.")
    new_bank: str | None

    @classmethod
    def of(cls, row: MoneyRequest, person: User) -> MoneyRequestOut:
        is_bank = row.kind is RequestKind.BANK
        return cls(
            id=row.id,
            kind=row.kind,
            status=row.status,
            requested_by=person.name,
            requested_at=row.requested_at,
            expires_at=row.expires_at,
            decided_at=row.decided_at,
            until=None if is_bank else row.until,
            old_iban=mask_iban(row.old_bank.iban) if is_bank else None,
            new_iban=mask_iban(row.bank.iban) if is_bank else None,
            new_bank=row.bank.name if is_bank else None,
        )


@router.get("/sellers/{seller_id}/money-rights")
def list_people(seller_id: int, session: DbSession, user: CurrentUser) -> list[MoneyPersonOut]:
    """Who handles the money: those who were given the right, and the administrators."""
    seller = get_seller(session, seller_id, user=user)
    since = {person.id: right.since for right, person in money_rights.list_rights(session, seller_id=seller.id)}
    people = money_rights.list_money_people(session, seller_id=seller.id)
    return [
        MoneyPersonOut(user_id=each.id, name=each.name, email=each.email, since=since.get(each.id)) for each in people
    ]


@router.post("/sellers/{seller_id}/money-rights", status_code=status.HTTP_204_NO_CONTENT)
def give(seller_id: int, body: MoneyPersonIn, session: DbSession, user: CurrentUser, now: Now) -> None:
    """An administrator lets the person with this address handle the money."""
    seller = get_seller(session, seller_id, user=user)
    money_rights.give_money_right(session, seller_id=seller.id, email=body.email, actor=user, now=now)


@router.delete("/sellers/{seller_id}/money-rights/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
def withdraw(seller_id: int, user_id: int, session: DbSession, user: CurrentUser, now: Now) -> None:
    """An administrator takes the right back."""
    seller = get_seller(session, seller_id, user=user)
    money_rights.withdraw_money_right(session, seller_id=seller.id, user_id=user_id, actor=user, now=now)


@router.post("/sellers/{seller_id}/bank", status_code=status.HTTP_202_ACCEPTED)
def request_bank(seller_id: int, body: BankIn, session: DbSession, user: CurrentUser, now: Now) -> MoneyRequestOut:
    """Ask for other bank details: they change when a second person confirms."""
    seller = get_seller(session, seller_id, user=user)
    bank = Bank(iban=clean_identifier(body.iban), bic=clean_identifier(body.bic), name=body.bank_name.strip())
    row = money_requests.request_bank(session, seller=seller, bank=bank, actor=user, now=now)
    return MoneyRequestOut.of(row, user)


@router.post("/sellers/{seller_id}/close", status_code=status.HTTP_202_ACCEPTED)
def request_closing(seller_id: int, body: CloseIn, session: DbSession, user: CurrentUser, now: Now) -> MoneyRequestOut:
    """Ask for the books to be closed up to a day: they are closed when a second person confirms."""
    seller = get_seller(session, seller_id, user=user)
    row = money_requests.request_closing(
        session, seller=seller, until=body.until, actor=user, now=now, today=today(now)
    )
    return MoneyRequestOut.of(row, user)


@router.get("/sellers/{seller_id}/money-requests")
def list_pending(seller_id: int, session: DbSession, user: CurrentUser, now: Now) -> list[MoneyRequestOut]:
    """What waits for a second person."""
    seller = get_seller(session, seller_id, user=user)
    return [
        MoneyRequestOut.of(row, person) for row, person in money_requests.list_pending(session, seller=seller, now=now)
    ]


@router.post("/sellers/{seller_id}/money-requests/{request_id}/confirm")
def confirm(seller_id: int, request_id: int, session: DbSession, user: CurrentUser, now: Now) -> MoneyRequestOut:
    """A second person confirms. Who is alone confirms on the page, because that asks for a password."""
    seller = get_seller(session, seller_id, user=user)
    row = money_requests.get_request(session, request_id, seller=seller)
    money_requests.confirm(session, request=row, seller=seller, actor=user, now=now, today=today(now))
    return _out(session, row)


@router.post("/sellers/{seller_id}/money-requests/{request_id}/withdraw")
def withdraw_request(
    seller_id: int, request_id: int, session: DbSession, user: CurrentUser, now: Now
) -> MoneyRequestOut:
    """Take a request back, one's own or another's."""
    seller = get_seller(session, seller_id, user=user)
    row = money_requests.get_request(session, request_id, seller=seller)
    money_requests.withdraw(session, request=row, seller=seller, actor=user, now=now)
    return _out(session, row)


def _out(session: Session, row: MoneyRequest) -> MoneyRequestOut:
    return MoneyRequestOut.of(row, get_user(session, row.requested_by))
