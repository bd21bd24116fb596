"""Slow work of a request holds no connection to the database, waits in a short queue, and leaves no files behind."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from api import db, settings
from api.adapters import mail, pdf, receiving, uploads
from api.domain.messages.notifications import Mail
from api.domain.people import accounts
from api.domain.people.accounts import User
from api.domain.printing.library import Model
from api.slow_work import PASSWORDS
from tests import corpus
from tests.world import NOW, PASSWORD, make_world
from tests.world.billing import ask, make_shop
from tests.world.served import Site, log, site, token
from web.throttle import limiter

__all__ = ["log", "site", "token"]


@pytest.fixture(autouse=True)
def no_tries_yet() -> None:
    limiter.cache_clear()


@pytest.fixture
def in_use(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many connections of the database are in use when slow work begins."""
    counts: list[int] = []

    def watch(module: Any, name: str) -> None:
        work = getattr(module, name)

        def count(*arguments: Any, **more: Any) -> Any:
            counts.append(site.connections_in_use)
            return work(*arguments, **more)

        monkeypatch.setattr(module, name, count)

    watch(accounts, "hash_password")
    watch(accounts, "check_login")
    watch(uploads, "measure_untrusted")
    watch(pdf, "_draw")
    watch(mail, "_deliver")
    return counts


def post(site: Site, path: str, **more: Any) -> httpx.Response:
    return httpx.post(site.url + path, timeout=60, trust_env=False, **more)


def sign_up(site: Site, email: str) -> httpx.Response:
    return post(site, "/signup", data={"email": email, "name": "Dana", "password": PASSWORD})


def test_a_password_is_hashed_without_a_connection(site: Site, in_use: list[int]) -> None:
    assert sign_up(site, "dana@example.org").status_code == 303
    assert post(site, "/login", data={"email": "dana@example.org", "password": PASSWORD}).status_code == 303
    assert post(site, "/login", data={"email": "dana@example.org", "password": "wrong"}).status_code == 422
    assert post(site, "/login", data={"email": "nobody@example.org", "password": "wrong"}).status_code == 422
    assert len(in_use) >= 4
    assert set(in_use) == {0}


STL = ("part.stl", corpus.cube())
BAD = ("part.stl", b"nothing of a model")


@pytest.mark.parametrize(
    ("path", "field", "status"),
    [("/print", "file", 303), ("/quotes/files", "files", 303), ("/api/v1/models", "file", 201)],
)
def test_a_file_is_measured_without_a_connection(
    site: Site, in_use: list[int], token: Callable[[str], str], path: str, field: str, status: int
) -> None:
    headers = {"authorization": f"Bearer {token('alice')}"}
    assert post(site, path, files={field: STL}, headers=headers).status_code == status
    assert post(site, path, files={field: BAD}, headers=headers).status_code == 422
    assert in_use == [0, 0]


def test_papers_and_letters_are_made_without_a_connection(
    site: Site, in_use: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.transaction() as session:
        shop = make_shop(session, world=make_world(session))
        quote_id = ask(session, shop).id
        bearer = accounts.issue_token(session, user=shop.world.alice, name="test", now=NOW)
        letter = Mail(user_id=shop.world.alice.id, kind="x", about="x:1", recipient="a@example.org", created_at=NOW)
        letter.subject = letter.body = letter.trouble = "x"
        session.add(letter)
    monkeypatch.setenv("ETABLI_SMTP_URL", "smtp://127.0.0.1:9")
    settings.settings.cache_clear()
    mail.send_mail(letter.id)
    answer = site.get(f"/api/v1/quotes/{quote_id}/pdf", headers={"authorization": f"Bearer {bearer}"})
    assert answer.content.startswith(b"%PDF")
    assert in_use == [0, 0]


def test_nobody_measures_without_a_login(site: Site, in_use: list[int]) -> None:
    assert post(site, "/api/v1/models", files={"file": STL}).status_code == 401
    assert post(site, "/print", files={"file": STL}).status_code == 303
    assert in_use == []


def stored(installation: Path, *, expected: int) -> int:
    """How many files are kept; what is to go goes after the answer."""
    deadline = time.monotonic() + 10
    while True:
        count = sum(path.is_file() for path in (installation / "files").rglob("*"))
        if count == expected or time.monotonic() > deadline:
            return count
        time.sleep(0.05)


def test_of_several_files_with_one_bad_none_is_kept(
    site: Site, installation: Path, token: Callable[[str], str]
) -> None:
    headers = {"authorization": f"Bearer {token('alice')}"}
    files = [("files", STL), ("files", ("two.stl", corpus.cube())), ("files", BAD)]
    assert post(site, "/quotes/files", files=files, headers=headers).status_code == 422
    assert stored(installation, expected=0) == 0
    with db.transaction() as session:
        assert session.scalar(select(func.count(Model.id))) == 0


@pytest.mark.parametrize(
    ("path", "field"), [("/print", "file"), ("/quotes/files", "files"), ("/api/v1/models", "file")]
)
def test_a_file_goes_when_its_row_cannot_be_written(
    site: Site, installation: Path, token: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, path: str, field: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("as the test wants")

    headers = {"authorization": f"Bearer {token('alice')}"}
    monkeypatch.setattr(receiving, "keep_upload", fail)
    assert post(site, path, files={field: STL}, headers=headers).status_code == 500
    assert stored(installation, expected=0) == 0


def test_the_same_key_again_keeps_one_file(site: Site, installation: Path, token: Callable[[str], str]) -> None:
    headers = {"authorization": f"Bearer {token('alice')}", "idempotency-key": "once"}
    answers = [post(site, "/api/v1/models", files={"file": STL}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert stored(installation, expected=1) == 1


def test_50_logins_at_once_leave_other_pages_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that would wait too long are told when to come again."""
    hashing = threading.Event()

    def check(login: accounts.Login, password: str) -> str:
        hashing.wait(20)
        raise accounts.LoginFailed()

    monkeypatch.setattr(accounts, "check_login", check)
    answers: list[httpx.Response] = []

    def guess(number: int) -> None:
        form = {"email": f"n{number}@example.org", "password": "wrong-wrong"}
        answers.append(post(site, "/login", data=form, headers={"accept-language": "en"}))

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(50)]
    site.get("/help")
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(answers) < 50 - PASSWORDS.at_once - PASSWORDS.most_waiting and time.monotonic() < deadline:
        time.sleep(0.05)
    assert site.connections_in_use == 0
    assert site.get("/help").elapsed.total_seconds() < 10
    hashing.set()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 50 - PASSWORDS.at_once - PASSWORDS.most_waiting
    assert {answer.headers["retry-after"] for answer in refused} == {"3"}
    assert all("Too many people are doing this at the moment" in answer.text for answer in refused)
    assert {answer.status_code for answer in answers} == {422, 503}


def test_who_was_disabled_while_the_password_was_checked_is_not_logged_in(site: Site) -> None:
    sign_up(site, "dana@example.org")
    with db.transaction() as session:
        login = accounts.find_login(session, email="dana@example.org")
    kept = accounts.check_login(login, PASSWORD)
    with db.transaction() as session:
        user = session.scalar(select(User))
        assert user is not None
        accounts.disable(session, user=user, actor=user, now=user.created_at)
    with db.transaction() as session, pytest.raises(accounts.LoginFailed):
        accounts.log_in(session, login=login, password_hash=kept, now=user.created_at)


def test_a_password_that_was_changed_meanwhile_is_not_put_back(site: Site) -> None:
    sign_up(site, "dana@example.org")
    with db.transaction() as session:
        login = accounts.find_login(session, email="dana@example.org")
    with db.transaction() as session:
        user = session.scalar(select(User))
        assert user is not None
        user.password_hash = "another"
    with db.transaction() as session, pytest.raises(accounts.LoginFailed):
        accounts.log_in(session, login=login, password_hash=login.password_hash or "", now=user.created_at)
