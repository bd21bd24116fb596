"""People, how they prove who they are, what they are at a place, and for whom they may buy."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from api.domain.people import accounts, passwords, roles
from api.domain.people.accounts import BuyingRight, Locale, Membership, User
from api.domain.people.roles import Level
from tests.world import NOW, PASSWORD, make_site, make_user
from tests.world.races import race


def sign_up(session: Session, *, locale: Locale = Locale.FR, **facts: Any) -> User:
    account = accounts.prepare_account(**{"email": "alice@example.org", "name": "Alice", "password": PASSWORD, **facts})
    return accounts.sign_up(session, account=account, now=NOW, locale=locale)


def log_in(session: Session, email: str, password: str = PASSWORD) -> str:
    login = accounts.find_login(session, email=email)
    password_hash = accounts.check_login(login, password)
    return accounts.log_in(session, login=login, password_hash=password_hash, now=NOW, agent="Firefox")


def test_who_signs_up_can_log_in_and_out(session: Session) -> None:
    user = sign_up(session, email=" Alice@Example.org ", locale=Locale.EN)
    token = log_in(session, "ALICE@example.org")
    session.flush()
    assert user is accounts.find_session_user(session, token=token, now=NOW)
    accounts.log_out(session, token=token)
    session.flush()
    assert accounts.find_session_user(session, token=token, now=NOW) is None
    accounts.log_out(session, token=token)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"email": "alice"}, accounts.EmailWrong),
        ({"email": "a@b@c.org"}, accounts.EmailWrong),
        ({"name": "  "}, accounts.NameMissing),
        ({"password": "court"}, passwords.PasswordTooShort),
        ({"password": "x1y2" * 65}, passwords.PasswordTooLong),
        ({"password": "aaaaaaaaaaaa"}, passwords.PasswordTooEasy),
        ({"password": "alice@example.org"}, passwords.PasswordTooEasy),
        ({"password": "1234567890"}, passwords.PasswordTooEasy),
    ],
)
def test_what_is_wrong_with_a_new_account_is_said_at_its_field(
    session: Session, wrong: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        sign_up(session, **wrong)
    assert raised.value.field == next(iter(wrong))  # type: ignore[attr-defined]  # a DomainError


def test_an_address_has_one_account_whatever_its_case(session: Session) -> None:
    sign_up(session)
    with pytest.raises(accounts.EmailTaken):
        sign_up(session, email="ALICE@example.org")


def test_of_two_who_sign_up_at_once_one_hears_that_the_address_is_taken(installation: Path) -> None:
    def work() -> None:
        with transaction() as session:
            sign_up(session)

    raised = race([work, work])
    assert sorted(type(error).__name__ for error in raised) == ["EmailTaken", "NoneType"]


def test_a_wrong_login_says_nothing_about_the_account(session: Session) -> None:
    sign_up(session)
    for email, password in (("alice@example.org", "autre chose ici"), ("nobody@example.org", PASSWORD)):
        with pytest.raises(accounts.LoginFailed):
            log_in(session, email, password)


def test_an_old_hash_is_made_anew_at_login(session: Session) -> None:
    user = sign_up(session)
    user.password_hash = old = PasswordHash((Argon2Hasher(time_cost=1),)).hash(PASSWORD)
    log_in(session, user.email)
    assert user.password_hash != old


@pytest.mark.parametrize(("idle_days", "lives"), [(13, True), (15, False)])
def test_a_session_ends_when_it_was_idle_for_two_weeks(session: Session, idle_days: int, lives: bool) -> None:
    token = accounts.open_session(session, user=make_user(session), now=NOW)
    session.flush()
    assert bool(accounts.find_session_user(session, token=token, now=NOW + timedelta(days=idle_days))) == lives


def test_a_session_ends_after_sixty_days_however_busy(session: Session) -> None:
    token = accounts.open_session(session, user=make_user(session), now=NOW)
    session.flush()
    lives = [accounts.find_session_user(session, token=token, now=NOW + timedelta(days=d)) for d in range(0, 71, 10)]
    assert [user is not None for user in lives] == [True] * 7 + [False]


def test_one_ends_ones_own_sessions_only(session: Session) -> None:
    alice, charlie = make_user(session), make_user(session)
    accounts.open_session(session, user=alice, now=NOW)
    session.flush()
    (login,) = accounts.list_sessions(session, user=alice)
    with pytest.raises(NotFound):
        accounts.close_session(session, user=charlie, session_id=login.id)
    accounts.close_session(session, user=alice, session_id=login.id)
    session.flush()
    assert accounts.list_sessions(session, user=alice) == []


def test_a_token_works_until_it_is_revoked_by_its_owner(session: Session) -> None:
    alice, charlie = make_user(session), make_user(session)
    token = accounts.issue_token(session, user=alice, name=" ", now=NOW)
    session.flush()
    (row,) = accounts.list_tokens(session, user=alice)
    assert (row.name, token.startswith(row.hint), token in row.token_hash) == ("API", True, False)
    assert accounts.find_token_user(session, token=token, now=NOW) is alice
    with pytest.raises(NotFound):
        accounts.revoke_token(session, user=charlie, token_id=row.id, now=NOW)
    accounts.revoke_token(session, user=alice, token_id=row.id, now=NOW)
    session.flush()
    assert accounts.find_token_user(session, token=token, now=NOW) is None


def test_the_use_of_a_token_is_noted_every_few_minutes_only(session: Session) -> None:
    alice = make_user(session)
    token = accounts.issue_token(session, user=alice, name="Slicer", now=NOW)
    session.flush()
    for minutes in (0, 1, 6):
        accounts.find_token_user(session, token=token, now=NOW + timedelta(minutes=minutes))
        (row,) = accounts.list_tokens(session, user=alice)
        session.refresh(row)
        assert row.used_at == NOW + timedelta(minutes=minutes if minutes != 1 else 0)


def test_a_disabled_account_stops_at_once(session: Session) -> None:
    user = sign_up(session)
    cookie = accounts.open_session(session, user=user, now=NOW)
    token = accounts.issue_token(session, user=user, name="x", now=NOW)
    session.flush()
    accounts.disable(session, user=user, actor=user, now=NOW)
    session.flush()
    assert accounts.find_session_user(session, token=cookie, now=NOW) is None
    assert accounts.find_token_user(session, token=token, now=NOW) is None
    with pytest.raises(accounts.LoginFailed):
        log_in(session, user.email)


def test_form_tokens_differ_by_session_and_do_not_show_it() -> None:
    assert accounts.csrf_of("a") == accounts.csrf_of("a") != accounts.csrf_of("b")


def test_a_user_is_found_by_id_or_not_at_all(session: Session) -> None:
    user = make_user(session)
    assert accounts.get_user(session, user.id) is user
    with pytest.raises(NotFound):
        accounts.get_user(session, 0)


@pytest.mark.parametrize(("buying", "may_buy"), [(BuyingRight.BUYER, True), (BuyingRight.VIEWER, False), (None, False)])
def test_buyers_buy_viewers_look_strangers_neither(session: Session, buying: BuyingRight | None, may_buy: bool) -> None:
    owner, user = make_user(session), make_user(session)
    acme = accounts.add_organisation(session, name="Acme", slug="acme", owner=owner, now=NOW)
    if buying:
        session.add(Membership(organisation_id=acme.id, user_id=user.id, buying=buying, since=NOW))
        session.flush()
    assert accounts.may_buy_for(session, user=user, organisation_id=acme.id) == may_buy
    assert accounts.may_see_for(session, user=user, organisation_id=acme.id) == (buying is not None)
    assert accounts.list_organisations(session, user=user) == ([acme] if buying else [])


@pytest.mark.parametrize(
    ("level", "staffs", "manages"),
    [(None, False, False), (Level.MEMBER, False, False), (Level.STAFF, True, False), (Level.MANAGER, True, True)],
)
def test_each_level_includes_the_ones_before(
    session: Session, level: Level | None, staffs: bool, manages: bool
) -> None:
    user, site, elsewhere = make_user(session), make_site(session), make_site(session)
    if level:
        roles.grant(session, user=user, site_id=site.id, level=level, now=NOW)
    assert roles.may_staff(session, user=user, site_id=site.id) == staffs
    assert roles.may_manage(session, user=user, site_id=site.id) == manages
    assert not roles.may_staff(session, user=user, site_id=elsewhere.id)
    for require, may in ((roles.require_staff, staffs), (roles.require_manager, manages)):
        if may:
            require(session, user=user, site_id=site.id)
        else:
            with pytest.raises(roles.StaffOnly):
                require(session, user=user, site_id=site.id)


def test_a_grant_replaces_the_level_before_and_is_recorded(session: Session) -> None:
    user, site = make_user(session), make_site(session)
    for level in (Level.STAFF, Level.MEMBER):
        roles.grant(session, user=user, site_id=site.id, level=level, now=NOW, actor=user)
    assert roles.find_level(session, user=user, site_id=site.id) == Level.MEMBER
    granted = [c.facts["level"] for c in list_changes(session, noun="user", noun_id=user.id)]
    assert granted == ["staff", "member"]


def test_an_admin_manages_everywhere(session: Session) -> None:
    admin = make_user(session, is_admin=True)
    assert roles.may_manage(session, user=admin, site_id=make_site(session).id)
