"""What every answer carries, what an attack leaves in the log, and what a full disk answers."""

import errno
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from api import settings
from api.adapters import receiving
from api.domain.people import accounts
from tests import corpus
from tests.serving import served
from tests.world.served import Site, log, site, token
from web.app import make_app
from web.throttle import limiter

__all__ = ["log", "site", "token"]

BEARER = "Authorization"


@pytest.mark.parametrize("path", ["/help", "/login", "/healthz", "/static/css/tokens.css", "/api/v1/nowhere", "/me"])
def test_head_answers_as_get_without_a_body(site: Site, path: str) -> None:
    answers = [httpx.request(method, site.url + path, timeout=30, trust_env=False) for method in ("GET", "HEAD")]
    assert answers[0].status_code == answers[1].status_code
    assert answers[1].content == b""
    assert answers[0].headers.get("content-type") == answers[1].headers.get("content-type")


def test_the_head_of_a_live_page_ends(site: Site) -> None:
    assert httpx.head(f"{site.url}/live?about=printer:1", timeout=10, trust_env=False).status_code == 405


def test_no_answer_of_the_api_is_kept_in_a_cache(site: Site, token: Callable[[str], str]) -> None:
    headers = {BEARER: f"Bearer {token('alice')}"}
    for path in ("/api/v1/models", "/api/v1/jobs/1", "/api/v1/quotes/1/pdf"):
        assert "no-store" in site.get(path, headers=headers).headers["cache-control"]
    assert "no-store" not in site.get("/static/css/tokens.css").headers["cache-control"]


def test_what_makes_the_bundles_is_not_served(site: Site) -> None:
    assert site.get("/static/build.mjs").status_code == 404
    assert site.get("/static/css/tokens.css").status_code == 200


@pytest.fixture
def behind_tls(installation: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("ETABLI_SECURE_COOKIES", "1")
    settings.settings.cache_clear()
    with served(make_app()) as url:
        yield url
    settings.settings.cache_clear()


def test_behind_tls_every_cookie_belongs_to_this_very_host(behind_tls: str) -> None:
    form = {"email": "dana@example.org", "name": "Dana", "password": "trois mots simples"}
    answers = [httpx.post(f"{behind_tls}/signup", data=form, timeout=30, trust_env=False)]
    session = answers[0].headers["set-cookie"].partition(";")[0]
    cookie = session.partition("=")[2]
    own = {"csrf": accounts.csrf_of(cookie)}
    for path, fields in (("/language", {"locale": "en"}), ("/me/tokens", {"token_name": "x"})):
        headers = {"cookie": session}
        answers.append(httpx.post(behind_tls + path, data=own | fields, headers=headers, timeout=30, trust_env=False))
    names = [cookie for answer in answers for cookie in answer.headers.get_list("set-cookie")]
    assert len(names) >= 2
    assert all(name.startswith("__Host-") and "Secure" in name and "Path=/" in name for name in names)


def lines(log: io.StringIO) -> list[str]:
    return [line.partition(" api.problems: ")[2] for line in log.getvalue().splitlines() if "refused" in line]


def test_what_shows_an_attack_is_one_line_each(site: Site, log: io.StringIO, token: Callable[[str], str]) -> None:
    limiter.cache_clear()
    typed = "a password typed as the address"
    httpx.post(f"{site.url}/login", data={"email": typed, "password": "wrong"}, timeout=30, trust_env=False)
    site.get("/api/v1/models", headers={BEARER: "Bearer etb_wrong-wrong-wrong"})
    httpx.post(f"{site.url}/language", headers={"sec-fetch-site": "cross-site"}, timeout=30, trust_env=False)
    site.get("/staff", headers={BEARER: f"Bearer {token('alice')}"})
    refusals = lines(log)
    codes = [line.split()[1] for line in refusals]
    assert codes == [f"code={code}" for code in ("login-failed", "login-needed", "forged-request", "staff-only")]
    assert all("client=127.0.0.1" in line for line in refusals)
    assert typed not in log.getvalue()
    assert "etb_wrong" not in log.getvalue()


def test_who_only_has_to_log_in_is_no_line(site: Site, log: io.StringIO) -> None:
    assert site.get("/me").status_code == 303
    assert site.get("/api/v1/models").status_code == 401
    assert log.getvalue() == ""


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OperationalError("INSERT", {}, psycopg.errors.DiskFull("could not extend file")),
]


@pytest.mark.parametrize("error", FULL)
def test_a_full_disk_is_507_in_words_and_one_line(error: Exception, log: io.StringIO, installation: Path) -> None:
    app: FastAPI = make_app()

    @app.get("/writes")
    def write() -> None:
        raise error

    with served(app) as url:
        answer = httpx.get(f"{url}/writes", headers={"accept-language": "en"}, timeout=30, trust_env=False)
    assert answer.status_code == 507
    assert "no room left" in answer.text
    assert len(log.getvalue().splitlines()) == 1


def upload(site: Site, bearer: str, path: str = "/api/v1/models", field: str = "file") -> httpx.Response:
    files: Any = {field: ("part.stl", corpus.cube())}
    headers = {BEARER: f"Bearer {bearer}", "accept-language": "en"}
    return httpx.post(site.url + path, files=files, headers=headers, timeout=30, trust_env=False)


def test_no_upload_is_taken_before_the_disk_is_full(
    site: Site, token: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = token("alice")
    monkeypatch.setattr(receiving, "free_mb", lambda: 499.0)
    for path, field in (("/api/v1/models", "file"), ("/print", "file"), ("/quotes/files", "files")):
        answer = upload(site, alice, path, field)
        assert (answer.status_code, "plus de place" in answer.text) == (507, True)
    monkeypatch.setattr(receiving, "free_mb", lambda: 501.0)
    assert upload(site, alice).status_code == 201


def test_one_person_cannot_fill_the_disk(
    site: Site, token: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, dana = token("alice"), token("dana")
    assert upload(site, alice).status_code == 201
    monkeypatch.setenv("ETABLI_FILES_LIMIT_MB", "0")
    settings.settings.cache_clear()
    answer = upload(site, alice)
    assert (answer.status_code, answer.json()["code"]) == (409, "too-many-files")
    assert "dépassent 0\u00a0Mo" in upload(site, dana, "/print").text
