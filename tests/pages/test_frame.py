"""The frame of every page: who may see it, in which language, what its headers say, and that errors stay in style."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from api import deps
from api.domain.core.heartbeats import Heartbeat
from api.domain.people.accounts import Locale, User
from api.steps import BACKGROUND
from tests.serving import client_of
from tests.world import World, make_user
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
    assert anonymous.get("/readyz").json()["database"] is True


WORKERS = ("dispatch", "background", "printers")


def beat(session: Session, *names: str, seconds_ago: float = 0) -> None:
    for name in names:
        session.merge(Heartbeat(name=name, beat_at=datetime.now(UTC) - timedelta(seconds=seconds_ago)))
    session.flush()


def test_ready_names_the_workers_that_are_silent(anonymous: httpx.Client, session: Session) -> None:
    beat(session, "dispatch", *BACKGROUND, "printers")
    assert anonymous.get("/readyz").json() == {"ready": True, "database": True, **dict.fromkeys(WORKERS, True)}
    beat(session, "dispatch", seconds_ago=30)
    answer = anonymous.get("/readyz")
    assert (answer.status_code, answer.json()["ready"], answer.json()["dispatch"]) == (200, True, False)


def test_a_monitor_is_told_by_the_status_that_a_worker_is_silent(anonymous: httpx.Client, session: Session) -> None:
    """Whereas `etabli up` waits for the pages, and starts the background afterwards."""
    beat(session, "dispatch", "printers")
    answer = anonymous.get("/readyz?workers=true")
    assert (answer.status_code, answer.json()["background"]) == (503, False)
    beat(session, *BACKGROUND)
    assert anonymous.get("/readyz?workers=true").status_code == 200
