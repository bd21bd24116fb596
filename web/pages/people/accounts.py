"""Logging in and out, signing up, the language, and `/me`: one's own sessions and API tokens."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request, Response

from api.deps import CurrentUser, DbSession, Now, read_first, session_cookie, token_of
from api.domain.billing.sellers import list_sellers
from api.domain.core.errors import DomainError, NotAllowed
from api.domain.people import accounts
from api.domain.people.accounts import Locale, Login, NewAccount, User
from api.domain.people.roles import Level, list_roles
from api.problems import log_refusal
from api.slow_work import PASSWORDS
from web import i18n, throttle
from web.cookies import set_cookie
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.render import PageReader, Reader, local_path

log = structlog.get_logger()
router = APIRouter(include_in_schema=False)

LEVELS = {Level.MEMBER: N_("Member"), Level.STAFF: N_("Staff member"), Level.MANAGER: N_("Manager")}


class LoginOnly(NotAllowed):
    """Log in on the page for this: a token cannot create or revoke tokens."""


YEAR_S = 365 * 86400


@router.get("/login")
def log_in_page(reader: Reader, next: str = "/") -> Response:  # noqa: A002  # the name in the address
    if reader.user:
        return reader.to(local_path(next))
    return reader.page("people/login.html", form=Form(reader.request), next=local_path(next))


# The two dependencies below stand before the reader in their routes: FastAPI solves parameters in their order, and the
# reader takes a database connection, which must not be held while a password is hashed.


async def check_login(request: Request, form: Sent) -> tuple[Login, str] | None:
    """Whom the address belongs to and the hash to keep; None when the form holds an error."""
    login = Login(None, None)
    try:
        throttle.count_try(request, account=form["email"])
        login = await read_first(request, lambda session: accounts.find_login(session, email=form["email"]))
        return login, await PASSWORDS.run(lambda: accounts.check_login(login, form.typed("password")))
    except DomainError as error:
        # Not what was typed as the address: people type their password there.
        log_refusal(request, error, account=login.user_id)
        form.refuse(error)
        return None


async def check_account(request: Request, form: Sent) -> NewAccount | None:
    """What is typed, with the password hashed; None when the form holds an error."""
    facts = {name: form.typed(name) for name in ("email", "name", "password")}
    try:
        throttle.count_try(request, account=form["email"])
        return await PASSWORDS.run(lambda: accounts.prepare_account(**facts))
    except DomainError as error:
        log_refusal(request, error)
        form.refuse(error)
        return None


@router.post("/login")
def log_in(
    checked: Annotated[tuple[Login, str] | None, Depends(check_login)], reader: Reader, session: DbSession, form: Sent
) -> Response:
    token = ""
    with trying(session, form):
        if checked:
            login, password_hash = checked
            agent = name_of_browser(reader.request)
            token = accounts.log_in(session, login=login, password_hash=password_hash, now=reader.now, agent=agent)
    if form.errors:
        return reader.page("people/login.html", status=_shown(form), form=form, next=local_path(form["next"]))
    if checked:
        log.info("logged in", user=checked[0].user_id, client=throttle.network_of(reader.request))
    # Whoever knows the password has not been guessing.
    throttle.forgive(account=form["email"])
    return _enter(reader, session, token, form)


@router.get("/signup")
def sign_up_page(reader: Reader, next: str = "/") -> Response:  # noqa: A002  # the name in the address
    return reader.page("people/signup.html", form=Form(reader.request), next=local_path(next))


@router.post("/signup")
def sign_up(
    account: Annotated[NewAccount | None, Depends(check_account)], reader: Reader, session: DbSession, form: Sent
) -> Response:
    token = ""
    with trying(session, form):
        if account:
            user = accounts.sign_up(session, account=account, now=reader.now, locale=reader.locale)
            token = accounts.open_session(session, user=user, now=reader.now, agent=name_of_browser(reader.request))
    if form.errors:
        return reader.page("people/signup.html", status=_shown(form), form=form, next=local_path(form["next"]))
    return _enter(reader, session, token, form)


def _shown(form: Form) -> int:
    # 422, not the 403 of LoginFailed: on a page, a wrong password is a mistake in a form.
    return form.status if form.status in (429, 503) else 422


def _enter(reader: PageReader, session: DbSession, token: str, form: Form) -> Response:
    # Always a new token, and the old one ends: whoever planted or copied the old cookie is not logged in by this.
    if old := reader.request.cookies.get(session_cookie()):
        accounts.log_out(session, token=old)
    answer = reader.to(local_path(form["next"], "/"))
    set_cookie(answer, "session", token, max_age_s=int(accounts.SESSION_LIFE.total_seconds()))
    return answer


@router.post("/logout")
def log_out(reader: Reader, session: DbSession) -> Response:
    if token := reader.request.cookies.get(session_cookie()):
        accounts.log_out(session, token=token)
    answer = reader.to("/")
    # Pages that the browser kept must not be readable by who uses it next.
    answer.headers["Clear-Site-Data"] = '"cache"'
    set_cookie(answer, "session", "", max_age_s=0)
    return answer


@router.post("/language")
def choose_language(reader: Reader, session: DbSession, form: Sent) -> Response:
    """Kept in a cookie, and on the account of who is logged in: letters are written in that language."""
    answer = reader.to(local_path(form["next"]))
    if form["locale"] in set(Locale):
        if isinstance(reader.user, User):
            reader.user.locale = Locale(form["locale"])
        set_cookie(answer, i18n.COOKIE, form["locale"], max_age_s=YEAR_S)
    return answer


@router.get("/me")
def me(reader: Reader, session: DbSession, user: CurrentUser) -> Response:
    return _me(reader, session, user, Form(reader.request))


def _me(reader: PageReader, session: DbSession, user: User, form: Form, new_token: str = "") -> Response:
    names = {site.id: site.name for site in reader.sites}
    return reader.page(
        "people/me.html",
        sessions=accounts.list_sessions(session, user=user),
        tokens=accounts.list_tokens(session, user=user),
        new_token=new_token,
        roles=[(names[r.site_id], LEVELS[r.level]) for r in list_roles(session, user=user) if r.site_id in names],
        sellers=list_sellers(session, user=user),
        form=form,
        parts=[],
    )


@router.post("/me/sessions/{session_id}/end")
def end_session(reader: Reader, session: DbSession, user: CurrentUser, session_id: int) -> Response:
    accounts.close_session(session, user=user, session_id=session_id)
    return reader.to("/me#sessions", N_("Logged out on that device."))


def _refuse_token(request: Request) -> None:
    # A stolen token could otherwise outlive its own end.
    if token_of(request):
        raise LoginOnly()


@router.post("/me/tokens")
def make_token(reader: Reader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """Answers with the token instead of a redirect: it is shown here only."""
    _refuse_token(reader.request)
    token = accounts.issue_token(session, user=user, name=form["token_name"], now=reader.now)
    return _me(reader, session, user, Form(reader.request), new_token=token)


@router.post("/me/tokens/{token_id}/revoke")
def revoke_token(reader: Reader, session: DbSession, user: CurrentUser, token_id: int, now: Now) -> Response:
    _refuse_token(reader.request)
    accounts.revoke_token(session, user=user, token_id=token_id, now=now)
    return reader.to("/me#tokens", N_("Token revoked."))


def name_of_browser(request: Request) -> str:
    """Browser and system from the User-Agent, such as "Firefox · Linux": enough to know one's own devices by."""
    agent = request.headers.get("user-agent", "")
    # In this order: Edge and Opera also name Chrome, and all of them name Safari.
    browsers = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "macOS"}
    browser = next((name for mark, name in browsers.items() if mark in agent), "")
    # Linux last, because Android names it as well.
    system = next((name for mark, name in (systems | {"Linux": "Linux"}).items() if mark in agent), "")
    return " · ".join(part for part in (browser, system) if part)
