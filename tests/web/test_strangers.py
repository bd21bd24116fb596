"""What a stranger, or a broken line, can send: nobody else waits, nothing of it is logged but a line."""

import io
import time
from collections.abc import Callable

import httpx
import pytest

from tests.world.served import Site, log, site, token

__all__ = ["log", "site", "token"]

COOKIE = "a-login-that-nobody-may-read-in-a-log"


def test_a_failed_request_is_answered_at_once_and_tells_no_secret(
    site: Site, log: io.StringIO, token: Callable[[str], str]
) -> None:
    alice = token("alice")
    headers = {"authorization": f"Bearer {alice}", "cookie": f"session={COOKIE}"}
    start = time.perf_counter()
    with httpx.Client(base_url=site.url, timeout=30, trust_env=False) as client:
        answers = [client.post(f"/api/v1/fails?note={COOKIE}", headers=headers) for _ in range(10)]
        # On the same connection: uvicorn would have closed it.
        assert client.get("/healthz").status_code == 200
    assert time.perf_counter() - start < 5
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(500, "our-fault")}
    assert answers[0].json()["request_id"] in log.getvalue()
    assert log.getvalue().count("RuntimeError: as the test wants") == 10
    assert len(log.getvalue()) < 10 * 6000
    for secret in (alice, COOKIE, "a local variable"):
        assert secret not in log.getvalue()


def test_an_error_that_cannot_be_shown_is_answered_in_plain_words(
    site: Site, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("the page of errors")

    monkeypatch.setattr("web.app.show_problem", fail)
    answer = site.get("/nowhere")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "the page of errors" in log.getvalue()
    assert site.get("/healthz").status_code == 200
