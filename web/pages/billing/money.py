"""`/staff/sellers/{id}/people`: who handles the money of a seller; `/requests`: what waits for a second person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession, Now, read_first, require_user
from api.domain.billing import money_requests, money_rights
from api.domain.billing.money_requests import MoneyRequest, RequestKind, mask_iban
from api.domain.billing.sellers import Seller, get_seller, today
from api.domain.core.errors import DomainError, Invalid
from api.domain.messages.reports import list_noun_changes
from api.domain.people import accounts
from api.domain.people.accounts import Login, LoginFailed, User
from api.problems import log_refusal
from api.slow_work import PASSWORDS
from web import throttle
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import MoneyReader
from web.render import PageReader
from web.states import LOG_VERBS

router = APIRouter(include_in_schema=False)


class PasswordWrong(Invalid):
    """This is not your password."""

    field = "password"


@router.get("/staff/sellers/{seller_id}/people")
def people_page(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int) -> Response:
    return _draw_people(reader, session, get_seller(session, seller_id, user=user), Form(reader.request))


@router.post("/staff/sellers/{seller_id}/people")
def give(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, form: Sent) -> Response:
    seller, name = get_seller(session, seller_id, user=user), ""
    with trying(session, form):
        name = money_rights.give_money_right(
            session, seller_id=seller.id, email=form["email"], actor=user, now=reader.now
        ).name
    if form.errors:
        return _draw_people(reader, session, seller, form, status=form.status)
    return reader.to(f"/staff/sellers/{seller.id}/people", N_("{name} now handles this money."), name=name)


@router.post("/staff/sellers/{seller_id}/people/{user_id}/withdraw")
def withdraw(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, user_id: int) -> Response:
    seller = get_seller(session, seller_id, user=user)
    person = money_rights.withdraw_money_right(
        session, seller_id=seller.id, user_id=user_id, actor=user, now=reader.now
    )
    url = f"/staff/sellers/{seller.id}/people"
    return reader.to(url, N_("{name} no longer handles this money."), name=person.name)


def _draw_people(reader: PageReader, session: Session, seller: Seller, form: Form, *, status: int = 200) -> Response:
    rights = money_rights.list_rights(session, seller_id=seller.id)
    holders = {person.id for _, person in rights}
    everybody = money_rights.list_money_people(session, seller_id=seller.id)
    return reader.page(
        "billing/money_people.html",
        status=status,
        form=form,
        seller=seller,
        rights=rights,
        admins=[each for each in everybody if each.id not in holders],
    )


# Before the reader, which takes a database connection that must not be held while a password is hashed.
async def check_own_password(request: Request, form: Sent, now: Now) -> bool:
    """Whether the form holds the password of who sends it. A wrong one is an error of the form."""
    if not form.typed("password"):
        return False

    def read(session: Session) -> tuple[str, Login]:
        user = require_user(request, session, now)
        return user.email, Login(user.id, user.password_hash)

    email, login = await read_first(request, read)
    try:
        throttle.count_try(request, account=email)
        await PASSWORDS.run(lambda: accounts.check_login(login, form.typed("password")))
    except DomainError as error:
        log_refusal(request, error, account=login.user_id)
        form.refuse(PasswordWrong() if isinstance(error, LoginFailed) else error)
        return False
    throttle.forgive(account=email)
    return True


@router.post("/staff/sellers/{seller_id}/requests/{request_id}/confirm")
def confirm(
    password_checked: Annotated[bool, Depends(check_own_password)],
    reader: MoneyReader,
    session: DbSession,
    user: CurrentUser,
    seller_id: int,
    request_id: int,
    form: Sent,
) -> Response:
    seller = get_seller(session, seller_id, user=user)
    row = money_requests.get_request(session, request_id, seller=seller)
    if not form.errors:
        with trying(session, form):
            money_requests.confirm(
                session,
                request=row,
                seller=seller,
                actor=user,
                now=reader.now,
                today=today(reader.now),
                password_checked=password_checked,
            )
    if form.errors:
        return draw_requests(reader, session, user, seller, form, status=form.status)
    done = N_("Books closed.") if row.kind is RequestKind.CLOSING else N_("Bank details changed.")
    return reader.to("/staff/sellers", done)


@router.post("/staff/sellers/{seller_id}/requests/{request_id}/withdraw")
def withdraw_request(
    reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, request_id: int, form: Sent
) -> Response:
    seller = get_seller(session, seller_id, user=user)
    row = money_requests.get_request(session, request_id, seller=seller)
    with trying(session, form):
        money_requests.withdraw(session, request=row, seller=seller, actor=user, now=reader.now)
    if form.errors:
        return draw_requests(reader, session, user, seller, form, status=form.status)
    return reader.to("/staff/sellers", N_("Request withdrawn."))


@router.get("/staff/sellers/{seller_id}/requests")
def requests_page(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int) -> Response:
    return draw_requests(reader, session, user, get_seller(session, seller_id, user=user), Form(reader.request))


def draw_requests(
    reader: PageReader, session: Session, user: User, seller: Seller, form: Form, *, status: int = 200
) -> Response:
    """What waits, alone on a page: also what a refused confirmation comes back to."""
    rows = summarise_requests(session, seller, user, reader.now)
    return reader.page(
        "billing/money_requests.html",
        status=status,
        form=form,
        seller=seller,
        requests=rows,
        changes=list_noun_changes(session, noun="seller", noun_id=seller.id),
        verbs=LOG_VERBS,
    )


def summarise_requests(session: Session, seller: Seller, user: User, now: datetime) -> list[dict[str, object]]:
    return [
        _summarise(session, seller, user, row, person)
        for row, person in money_requests.list_pending(session, seller=seller, now=now)
    ]


def _summarise(session: Session, seller: Seller, user: User, row: MoneyRequest, person: User) -> dict[str, object]:
    is_bank = row.kind is RequestKind.BANK
    return {
        "row": row,
        "person": person,
        "is_bank": is_bank,
        # Whole to who confirms, since it is what they compare; the old one is known.
        "old": mask_iban(row.old_bank.iban) if is_bank else "",
        "is_own": person.id == user.id,
        "alone": money_requests.may_confirm_alone(session, request=row, seller=seller, user=user),
    }
