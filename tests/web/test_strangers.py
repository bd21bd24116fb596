"""What a stranger, or a broken line, can send: nobody else waits, nothing of it is logged but a line."""

import asyncio
import contextlib
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException

from tests.serving import served
from tests.world.served import Site, log, site, token
from web import bodies, protocol
from web.app import make_app

__all__ = ["log", "site", "token"]

MULTIPART = "Content-Type: multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.stl"\r\n\r\n'
# Far more than a page takes on a busy machine, and far less than what it is to prevent.
MOST_WAIT_S = 5.0
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
    assert time.perf_counter() - start < 20
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


@contextmanager
def others(site: Site, path: str = "/help") -> Iterator[list[float]]:
    """How long other visitors wait meanwhile, in seconds; each on a connection of its own."""
    waits: list[float] = []
    stop = threading.Event()

    def visit() -> None:
        while not stop.is_set():
            start = time.perf_counter()
            assert site.get(path).status_code == 200
            waits.append(time.perf_counter() - start)

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        stop.set()
        for thread in threads:
            thread.join()


BEGINNINGS = [
    ("/login", "Content-Type: application/x-www-form-urlencoded", b"email=a"),
    ("/signup", "Content-Type: application/x-www-form-urlencoded", b"email=a"),
    ("/site", "Content-Type: application/x-www-form-urlencoded", b"site=a"),
    ("/print", MULTIPART, PART),
    ("/quotes/files", MULTIPART, PART),
    ("/api/v1/models", MULTIPART, PART),
    ("/api/v1/bookings", "Content-Type: application/json", b'{"resource_id":'),
    ("/api/v1/doors/1/uses", "Content-Type: application/json", b'{"tries":'),
    ("/api/v1/gateways/stripe/webhook", "Content-Type: application/json", b'{"id":'),
    ("/api/v1/sellers/1/bank-statements", MULTIPART, PART),
    ("/me/tokens/1/revoke", "Content-Type: text/plain", b"a"),
]


def begin(site: Site, path: str, kind: str, body: bytes, alice: str) -> Any:
    return site.open(f"POST {path} HTTP/1.1\n{kind}\nAuthorization: Bearer {alice}\nContent-Length: 100000", body)


@pytest.mark.parametrize(("path", "kind", "body"), BEGINNINGS)
def test_a_body_that_does_not_come_holds_no_connection_to_the_database(
    site: Site, token: Callable[[str], str], path: str, kind: str, body: bytes
) -> None:
    alice = token("alice")
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(closing(begin(site, path, kind, body, alice)))
        time.sleep(0.3)
        assert site.connections_in_use == 0
        # Today's body would let go of its connection after 20 s at the earliest.
        assert site.get("/readyz").elapsed.total_seconds() < 10


def test_24_half_sent_forms_stop_nobody(site: Site) -> None:
    head = "POST /login HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 1000"
    site.get("/help")
    with others(site) as waits:
        with ExitStack() as stack:
            for _ in range(24):
                stack.enter_context(closing(site.open(head, b"email=a")))
            time.sleep(1)
        time.sleep(1)
    assert max(waits) < MOST_WAIT_S


def test_5_broken_off_uploads_stop_nobody_and_are_no_fault_of_ours(
    site: Site, log: io.StringIO, token: Callable[[str], str]
) -> None:
    alice = token("alice")
    head = f"POST /print HTTP/1.1\n{MULTIPART}\nAuthorization: Bearer {alice}\nContent-Length: 5000000"
    site.get("/help")
    with others(site) as waits:
        for _ in range(5):
            site.open(head, PART + b"x" * 300_000).close()
        time.sleep(2)
    assert max(waits) < MOST_WAIT_S
    lines = log.getvalue().splitlines()
    assert len(lines) == 5
    assert all(" info api.problems: the client left " in line for line in lines)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of bodies runs a hundred times faster."""
    monkeypatch.setattr(bodies, "IDLE_S", 0.4)
    monkeypatch.setattr(bodies, "START_S", 0.6)
    monkeypatch.setattr(bodies, "LEAST_BYTES_PER_S", 200_000)


@pytest.mark.parametrize(("path", "kind", "body"), BEGINNINGS)
def test_a_body_that_does_not_come_is_408(
    site: Site, token: Callable[[str], str], hurry: None, path: str, kind: str, body: bytes
) -> None:
    head = f"POST {path} HTTP/1.1\n{kind}\nAuthorization: Bearer {token('alice')}\nContent-Length: 100000"
    answer = site.ask(head, body)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too slowly" in answer or b"trop lent" in answer


def test_one_byte_now_and_then_is_408(site: Site, hurry: None) -> None:
    head = "POST /login HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 1000"
    with closing(site.open(head)) as connection:
        connection.settimeout(0.1)
        for _ in range(50):
            try:
                connection.sendall(b"a")
                answer = connection.recv(100)
                break
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


TOKEN = [(b"authorization", b"Bearer etb_x")]


def body_at(bytes_per_s: int, size_bytes: int) -> float:
    """After how many seconds of a line of this speed a body is refused; 0 when it is taken whole."""
    chunk, seconds, sent = 16_384, 0.0, 0

    async def receive() -> dict[str, Any]:
        nonlocal sent
        sent += chunk
        return {"type": "http.request", "body": b"x" * chunk, "more_body": sent < size_bytes}

    scope = {"type": "http", "path": "/print", "headers": TOKEN, "state": {}}
    body = bodies.GuardedBody(scope, receive)  # type: ignore[arg-type]

    async def read() -> float:
        nonlocal seconds
        while sent < size_bytes:
            # The line's time, counted without waiting for it.
            seconds += chunk / bytes_per_s
            body._waited_s = seconds
            try:
                await body()
            except HTTPException:
                return seconds
        return 0

    return asyncio.run(read())


def test_a_slow_line_in_the_country_sends_100_mb() -> None:
    assert body_at(30_000, 100_000_000) == 0
    assert body_at(2_500, 1_000_000) == 0


def test_a_line_that_is_slower_than_any_is_ended() -> None:
    assert 0 < body_at(500, 1_000_000) < 120


def test_a_chunked_body_without_an_end_is_413(site: Site) -> None:
    head = "POST /api/v1/bookings HTTP/1.1\nContent-Type: application/json\nTransfer-Encoding: chunked"
    with closing(site.open(head)) as connection:
        connection.settimeout(0.01)
        answer = b""
        for _ in range(100):
            try:
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                answer = connection.recv(100)
                break
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_header_without_an_end_is_431(site: Site) -> None:
    with closing(site.open("GET / HTTP/1.1")) as connection:
        connection.recv(100)
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        answer = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                connection.sendall(b"x" * 100_000)
        with contextlib.suppress(ConnectionError):
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    # The refusal may be lost with the rest of what was sent; nothing else comes.
    assert answer.endswith(b"content-length: 0\r\n\r\n") or b"431" not in answer
    assert site.get("/healthz").status_code == 200


def test_a_large_header_is_taken_and_a_larger_one_is_not(site: Site) -> None:
    head = f"GET /healthz HTTP/1.1\nConnection: close\nX: {'x' * 30_000}"
    assert site.ask(head).startswith(b"HTTP/1.1 200 ")


def test_a_header_that_does_not_come_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_S", 0.3)
    with closing(site.open("GET / HTTP/1.1\nConnection: close")) as whole:
        assert whole.recv(100).startswith(b"HTTP/1.1 200 ")
    address = httpx.URL(site.url)
    with closing(socket.create_connection((address.host, address.port), timeout=10)) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert half.recv(100).startswith(b"HTTP/1.1 408 ")
    with closing(socket.create_connection((address.host, address.port), timeout=10)) as silent:
        assert silent.recv(100) == b""


FILE_ROUTES = {
    "/print": 100,
    "/quotes/files": 500,
    "/bookings/{booking_id}/hand-{direction}": 12,
    "/staff/money/{seller_id}/statement": 5,
    "/staff/printers/{printer_id:int}/configuration": 1,
    "/api/v1/models": 100,
    "/api/v1/sellers/{seller_id}/bank-statements": 5,
}


def test_every_route_that_takes_a_file_has_a_limit_of_its_own() -> None:
    """The pages with a field for a file, and the routes with an UploadFile."""
    schema = make_app().openapi()["paths"]
    uploads = {path for path, methods in schema.items() if "multipart/form-data" in str(methods.get("post", {}))}
    assert uploads == {path for path in FILE_ROUTES if path.startswith("/api")}
    for path, limit_mb in FILE_ROUTES.items():
        assert bodies.limit_mb(re.sub(r"\{[^}]+\}", "1", path)) == limit_mb
    assert bodies.limit_mb("/login") == bodies.limit_mb("/api/v1/bookings") == bodies.FORM_MB


@pytest.mark.parametrize("path", ["/print", "/quotes/files", "/api/v1/models"])
def test_a_stranger_sends_no_files(site: Site, token: Callable[[str], str], path: str) -> None:
    head = f"POST {path} HTTP/1.1\n{MULTIPART}\nContent-Length: 5000000\nConnection: close"
    answer = site.ask(head, PART)
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 303 "))
    assert b"413" not in answer
    with closing(site.open(f"{head}\nAuthorization: Bearer {token('alice')}", PART)) as connection:
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(100)


def test_a_file_for_a_route_that_takes_none_is_413(token: Callable[[str], str]) -> None:
    with served(make_app()) as url:
        answer = httpx.post(f"{url}/login", files={"file": b"x" * 3_000_000}, timeout=30, trust_env=False)
    assert (answer.status_code, "1" in answer.text) == (413, True)
