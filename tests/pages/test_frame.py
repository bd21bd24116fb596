"""The frame of every page: who may see it, in which language, what its headers say, and that errors stay in style."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from api import deps
from api.domain.people import accounts
from api.domain.people.accounts import Locale, User
from tests.serving import client_of
from tests.world import NOW, PASSWORD, World, make_user
from tests.world.browsers import Browser
from web.hardening import HEADERS

OPEN_PAGES = ["/", "/help", "/login", "/signup"]


@pytest.mark.parametrize("path", OPEN_PAGES)
def test_anybody_may_see_the_open_pages(world: World, anonymous: httpx.Client, path: str) -> None:
    assert anonymous.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", "/static/css/tokens.css", "/healthz", "/api/v1/nowhere"])
def test_every_answer_carries_the_security_headers(world: World, anonymous: httpx.Client, path: str) -> None:
    answer = anonymous.get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["x-request-id"]


def test_no_page_asks_for_what_the_policy_forbids(world: World, anonymous: httpx.Client) -> None:
    for path in OPEN_PAGES:
        page = anonymous.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page


def test_a_page_of_a_member_sends_anybody_to_the_login_and_back(world: World, anonymous: httpx.Client) -> None:
    answer = anonymous.get("/me?x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fme%3Fx%3D1"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("fr-FR,fr;q=0.9,en;q=0.5", "Se connecter"),
        ("en-GB", "Log in"),
        ("de,en;q=0.4", "Log in"),
        ("de", "Se connecter"),
        ("", "Se connecter"),
        ("en;q=0", "Se connecter"),
        ("en;q=x,;;,,", "Se connecter"),
    ],
)
def test_the_browsers_language_decides(world: World, anonymous: httpx.Client, asked: str, said: str) -> None:
    assert said in anonymous.get("/login", headers={"accept-language": asked}).text


def test_the_language_switch_remembers(world: World, anonymous: httpx.Client) -> None:
    answer = anonymous.post("/language", data={"locale": "fr", "next": "/help"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/help")
    assert 'lang="fr"' in anonymous.get("/help").text


def test_the_language_of_an_account_wins(alice: Browser, session: Session) -> None:
    alice.post("/language", {"locale": "fr"})
    assert alice.user.locale == Locale.FR
    assert 'lang="fr"' in alice.get("/me").text


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"])
def test_a_login_never_leads_to_another_host(alice: Browser, elsewhere: str) -> None:
    assert alice.get("/login", params={"next": elsewhere}).headers["location"] == "/"


def test_an_unknown_page_is_404_in_the_readers_language(world: World, anonymous: httpx.Client) -> None:
    answer = anonymous.get("/nowhere", headers={"accept-language": "fr"})
    assert answer.status_code == 404
    assert "Cette page n’existe pas" in answer.text


def test_our_own_fault_is_a_page_with_a_number_and_no_detail(app: FastAPI) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a secret detail")

    with client_of(app) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


def test_an_error_after_a_rollback_still_knows_who_reads(app: FastAPI, alice: Browser) -> None:
    @app.get("/broken")
    def broken(user: deps.CurrentUser) -> None:
        raise RuntimeError

    assert "Log out" in alice.get("/broken").text


def test_signing_up_logs_in(world: World, anonymous: httpx.Client) -> None:
    answer = anonymous.post("/signup", data={"name": "Dana", "email": "dana@example.org", "password": PASSWORD})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "Dana" in anonymous.get("/me").text


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("email", "dana", "not an e-mail address"),
        ("name", " ", "Please give a name"),
        ("password", "short", "at least 10"),
    ],
)
def test_a_failed_form_keeps_what_was_typed_and_says_why_beside_it(
    world: World, anonymous: httpx.Client, field: str, value: str, said: str
) -> None:
    typed = {"name": "Dana & Co", "email": "dana@example.org", "password": PASSWORD, field: value}
    answer = anonymous.post("/signup", data=typed)
    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text
    assert said in answer.text
    assert field == "name" or "Dana &amp; Co" in answer.text
    assert PASSWORD not in answer.text


def test_a_wrong_password_is_a_mistake_in_the_form(world: World, anonymous: httpx.Client) -> None:
    answer = anonymous.post("/login", data={"email": world.alice.email, "password": "x"})
    assert answer.status_code == 422
    assert "E-mail address or password is wrong" in answer.text


def test_a_guesser_is_slowed_and_other_accounts_are_not(
    world: World, anonymous: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    def refuse(_: Session, *, email: str, **more: object) -> None:
        verified.append(email)
        raise accounts.LoginFailed()

    monkeypatch.setattr("web.pages.people.accounts.accounts.log_in", refuse)
    answers = [anonymous.post("/login", data={"email": "a@example.org", "password": "x"}) for _ in range(14)]
    assert len(verified) == 10
    assert [a.status_code for a in answers][-4:] == [429] * 4
    assert anonymous.post("/login", data={"email": "b@example.org", "password": "x"}).status_code == 422


def test_logging_out_ends_the_session_on_the_server(alice: Browser) -> None:
    assert alice.post("/logout").status_code == 303
    assert alice.get("/me").status_code == 303


def test_a_person_sees_and_ends_only_their_own_sessions(session: Session, alice: Browser, charlie: Browser) -> None:
    theirs = accounts.list_sessions(session, user=charlie.user)[0]
    assert alice.post(f"/me/sessions/{theirs.id}/end").status_code == 404
    assert charlie.post(f"/me/sessions/{theirs.id}/end").status_code == 303
    assert charlie.get("/me").status_code == 303


def test_a_new_token_is_shown_once_and_works_until_revoked(session: Session, alice: Browser) -> None:
    page = alice.post("/me/tokens", {"token_name": "slicer"}).text
    token = next(
        word for word in page.replace("<", " ").replace(">", " ").split() if word.startswith("etb_") and len(word) > 20
    )
    assert token not in alice.get("/me").text
    assert accounts.find_token_user(session, token=token, now=NOW) == alice.user
    alice.post(f"/me/tokens/{accounts.list_tokens(session, user=alice.user)[0].id}/revoke")
    assert accounts.find_token_user(session, token=token, now=NOW) is None


def test_names_are_text_and_never_markup(session: Session, log_in: Callable[[User], Browser], world: World) -> None:
    browser = log_in(make_user(session, "<script>alert(1)</script>"))
    page = browser.get("/me").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_the_staff_door_shows_to_staff_only(alice: Browser, bob: Browser) -> None:
    assert 'href="/staff"' in bob.get("/").text
    assert 'href="/staff"' not in alice.get("/").text


def test_a_place_shows_todays_hours_on_its_own_wall(world: World, anonymous: httpx.Client) -> None:
    page = anonymous.get("/").text
    assert "09:00–18:00" in page
    assert "Open now" in page


def test_a_form_that_is_too_big_is_refused_while_it_arrives(world: World, anonymous: httpx.Client) -> None:
    def endless() -> object:
        for _ in range(64):
            yield b"a=" + b"x" * 65536 + b"&"

    answer = anonymous.post("/login", content=endless(), headers={"content-type": "application/x-www-form-urlencoded"})  # type: ignore[arg-type]
    assert answer.status_code == 413


def test_ready_means_that_the_database_has_our_tables(anonymous: httpx.Client) -> None:
    assert anonymous.get("/readyz").json() == {"ready": True, "database": True}
