"""The push socket: it tells what happens, comes back by itself, and takes nothing from strangers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from api.domain.printing.states import Machine
from printers import push
from printers.lab import OctoPrintServer
from printers.octoprint import HttpLimits, OctoPrint
from printers.port import Observation, PrinterError
from printers.push import PushIntervals, PushKind, PushMessage, watch
from tests.printers.strangers import saying, stranger

EAGER = PushIntervals(state_every_s=0.5, retry_s=0.05, retry_max_s=0.1, ping_s=1.0)
QUICK = HttpLimits(connect_s=0.5, read_s=1.0)


class Heard:
    """What a watch told, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.pushes: list[PushMessage] = []
        self._more = asyncio.Event()

    async def hear(self, push: PushMessage) -> None:
        self.pushes.append(push)
        self._more.set()

    async def until(self, condition: Callable[[list[PushMessage]], bool], timeout_s: float = 15.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition(self.pushes):
                self._more.clear()
                await self._more.wait()

    def kinds(self) -> list[PushKind]:
        return [push.kind for push in self.pushes]

    def events(self) -> list[str]:
        return [push.event for push in self.pushes if push.kind is PushKind.EVENT]


@asynccontextmanager
async def watching(url: str, key: str) -> AsyncIterator[Heard]:
    heard = Heard()
    task = asyncio.create_task(watch(url, key, heard.hear, intervals=EAGER, limits=QUICK))
    try:
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.real
def test_a_print_is_told_from_start_to_end(octoprint: OctoPrintServer, tmp_path: Path) -> None:
    source = tmp_path / "a.gcode"
    source.write_text("G4 P100\n" * 12)
    port = OctoPrint(octoprint.url, octoprint.key)

    async def scenario() -> Heard:
        async with watching(octoprint.url, octoprint.key) as heard:
            await heard.until(lambda pushes: len(pushes) > 0)
            await asyncio.to_thread(port.upload, "etabli/pushed.gcode", source)
            await asyncio.to_thread(port.start, "etabli/pushed.gcode")
            await heard.until(lambda _: "PrintDone" in heard.events())
        return heard

    heard = asyncio.run(scenario())
    assert heard.pushes[0] == PushMessage(PushKind.CONNECTED)
    assert heard.events().index("PrintStarted") < heard.events().index("PrintDone")
    assert PushMessage(PushKind.EVENT, event="PrintDone", path="etabli/pushed.gcode") in heard.pushes
    states = {push.observation.machine for push in heard.pushes if push.observation}
    assert {Machine.IDLE, Machine.PRINTING} <= states


@pytest.mark.real
def test_a_killed_server_is_lost_and_watched_again_when_it_is_back(octoprint: OctoPrintServer) -> None:
    async def scenario() -> Heard:
        async with watching(octoprint.url, octoprint.key) as heard:
            await heard.until(lambda _: heard.kinds()[:1] == [PushKind.CONNECTED])
            octoprint.kill()
            await heard.until(lambda _: PushKind.LOST in heard.kinds())
            octoprint.start()
            await heard.until(lambda _: heard.kinds().count(PushKind.CONNECTED) == 2)
        return heard

    heard = asyncio.run(scenario())
    assert heard.kinds().count(PushKind.LOST) == 1


@pytest.mark.real
def test_a_wrong_key_is_told_as_such(octoprint: OctoPrintServer) -> None:
    async def scenario() -> PushMessage:
        async with watching(octoprint.url, "not-the-key") as heard:
            await heard.until(lambda pushes: len(pushes) > 0)
        return heard.pushes[0]

    assert asyncio.run(scenario()) == PushMessage(PushKind.LOST, reason="wrong_key")


def test_a_frame_of_a_greeting_is_an_array_of_json_texts() -> None:
    greeting = [json.loads(text) for text in json.loads(push._login_frame("name:session", EAGER))]
    assert greeting[0] == {"throttle": 1}
    assert greeting[1] == {"auth": "name:session"}
    assert greeting[2]["subscribe"]["state"] == {"logs": False, "messages": False}


# Strangers: a websocket server that says what no OctoPrint says.

Play = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def playing(monkeypatch: pytest.MonkeyPatch, play: Play) -> AsyncIterator[str]:
    """A SockJS endpoint with `play` as its script; who logs in is let in (the login is HTTP and tested for real)."""
    monkeypatch.setattr(push, "_log_in", lambda *_: "name:session")
    async with serve(play, "127.0.0.1", 0, close_timeout=0.1) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def a(*messages: object) -> str:
    return "a" + json.dumps(list(messages))


IDLE = {"current": {"state": {"text": "Operational"}, "job": {}, "progress": {}}}


def hear_all(
    monkeypatch: pytest.MonkeyPatch, play: Play, until: Callable[[list[PushMessage]], bool]
) -> list[PushMessage]:
    async def scenario() -> list[PushMessage]:
        async with playing(monkeypatch, play) as url, watching(url, "key") as heard:
            await heard.until(until)
            return heard.pushes

    return asyncio.run(scenario())


def test_noise_is_skipped_and_equal_states_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(socket: ServerConnection) -> None:
        await socket.send("o")
        await socket.recv()
        for frame in ("h", "anoise", "a{}", a(1, "x", {"plugin": {}}), a({"current": {"state": {"text": 7}}})):
            await socket.send(frame)
        await socket.send(b"binary")
        await socket.send(a(IDLE, IDLE, {"current": 3}, {"event": {"type": "PrintDone\x1b", "payload": 3}}))
        await socket.wait_closed()

    pushes = hear_all(monkeypatch, play, lambda pushes: any(push.event for push in pushes))
    assert pushes == [
        PushMessage(PushKind.CONNECTED),
        PushMessage(PushKind.STATE, observation=Observation(Machine.IDLE)),
        PushMessage(PushKind.EVENT, event="PrintDone"),
    ]


@pytest.mark.parametrize(
    "last", ['c[3000,"Go away!"]', a({"reauthRequired": {"reason": "stale"}}), "a" + " " * 1_100_000]
)
def test_a_close_a_new_login_and_a_flood_end_the_connection_and_another_follows(
    monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    heard = asyncio.Event()

    async def play(socket: ServerConnection) -> None:
        heard.clear()
        await socket.send("o")
        await socket.send(a(IDLE))
        await heard.wait()  # What is still unread when a connection breaks is lost.
        await socket.send(last)
        await socket.wait_closed()

    def twice(pushes: list[PushMessage]) -> bool:
        if pushes and pushes[-1].kind is not PushKind.LOST:
            heard.set()
        return pushes.count(PushMessage(PushKind.CONNECTED)) >= 2

    pushes = hear_all(monkeypatch, play, twice)
    assert PushKind.LOST in {push.kind for push in pushes}


def test_a_server_that_stops_answering_pings_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    async def play(socket: ServerConnection) -> None:
        await socket.send(a(IDLE))
        socket.transport.pause_reading()
        await asyncio.to_thread(release.wait, 10)

    try:
        pushes = hear_all(monkeypatch, play, lambda pushes: _has_lost(pushes, release))
    finally:
        release.set()
    assert pushes[-1].reason == "unreachable"


def _has_lost(pushes: list[PushMessage], release: threading.Event) -> bool:
    lost = any(push.kind is PushKind.LOST for push in pushes)
    if lost:
        release.set()
    return lost


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def redirect(connection: ServerConnection, request: Request) -> Response:
        asked.append(request.path)
        response = connection.respond(302, "elsewhere")
        response.headers["Location"] = "/elsewhere"
        return response

    async def scenario() -> None:
        monkeypatch.setattr(push, "_log_in", lambda *_: "name:session")
        async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=redirect) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/left"
            async with watching(url, "key"), asyncio.timeout(5):
                while len(asked) < 2:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert all(path.startswith("/left/sockjs/") for path in asked)


def test_a_login_that_names_nobody_is_a_wrong_key() -> None:
    for body in (b"{}", b"[]", b'{"name": null, "session": "x"}'):
        with stranger(saying(body)) as url, pytest.raises(PrinterError) as refused:
            push._log_in(url, "key", QUICK)
        assert refused.value.reason == "wrong_key"


def test_a_server_that_fails_at_the_login_is_not_a_wrong_key() -> None:
    with stranger(saying(b"", status="500 Oops")) as url, pytest.raises(PrinterError) as failed:
        push._log_in(url, "key", QUICK)
    assert failed.value.reason == "refused"
