"""Watchers: each printer is watched by one process, changes are followed, and whatever is heard becomes one poke."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from api.adapters.seal import seal
from api.db import conninfo, transaction
from api.domain.printing.printers import Printer
from api.domain.printing.states import Machine
from printers import watch as watching
from printers.port import Observation
from printers.push import OnPush, PushKind, PushMessage
from printers.watch import run_watchers
from tests.world import NOW, make_printer, make_site

URL = "http://127.0.0.1:9"


class Sockets:
    """Stands for all push sockets: says which are open, and lets a test speak on them."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], OnPush] = {}
        self.opened = 0
        self.broken = False

    async def watch(self, url: str, key: str, on_push: OnPush) -> None:
        self.opened += 1
        if self.broken:
            raise RuntimeError(url)
        self.open[url, key] = on_push
        try:
            await asyncio.Event().wait()
        finally:
            del self.open[url, key]

    def urls(self) -> list[str]:
        return sorted(url for url, _ in self.open)


@pytest.fixture
def sockets(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Sockets:
    made = Sockets()
    monkeypatch.setattr(watching, "watch", made.watch)
    monkeypatch.setattr(watching, "ADOPT_S", 0.01)
    monkeypatch.setattr(watching, "SETTLE_S", 0.01)
    return made


def add(url: str = URL, *, key: str = "key") -> int:
    with transaction() as session:
        printer = make_printer(session, make_site(session), url=url, sealed_key=seal(key, about=url))
        session.info.pop("steps")  # the poke for a new printer
        return printer.id


@asynccontextmanager
async def watchers() -> AsyncIterator[None]:
    task = asyncio.create_task(run_watchers())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def pokes() -> list[str]:
    with transaction() as session:
        return [lock for (lock,) in session.connection().exec_driver_sql("SELECT lock FROM procrastinate_jobs")]


def test_every_printer_in_service_is_watched_with_its_key_until_the_end(sockets: Sockets) -> None:
    async def scenario() -> None:
        add("http://127.0.0.1:1", key="one")
        async with watchers():
            await until(lambda: set(sockets.open) == {("http://127.0.0.1:1", "one")})
            add("http://127.0.0.1:2")
            await until(lambda: len(sockets.open) == 2)
        assert sockets.open == {}

    asyncio.run(scenario())


def test_whatever_is_heard_pokes_the_printer_once(sockets: Sockets) -> None:
    async def scenario() -> None:
        async with watchers():
            await until(lambda: sockets.urls() == [URL])
            for kind in PushKind:
                await sockets.open[URL, "key"](PushMessage(kind))
            await until(lambda: len(pokes()) == 1)
        assert pokes() == [f"printer:{printer_id}"]

    printer_id = add()
    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("machine", "text", "fault"),
    [
        (Machine.ERROR, "Thermal Runaway", "firmware"),
        (Machine.ERROR, "SerialException: gone", ""),
        (Machine.IDLE, "", ""),
    ],
)
def test_a_fault_that_is_heard_stays_though_the_printer_is_connected_again_at_once(
    sockets: Sockets, machine: Machine, text: str, fault: str
) -> None:
    async def scenario() -> None:
        async with watchers():
            await until(lambda: sockets.urls() == [URL])
            for look in (Observation(machine, error=text), Observation(Machine.IDLE)):
                await sockets.open[URL, "key"](PushMessage(PushKind.STATE, observation=look))

    printer_id = add()
    asyncio.run(scenario())
    with transaction() as session:
        assert session.get_one(Printer, printer_id).fault == fault


def test_a_printer_that_is_gone_or_has_moved_is_let_go_and_found_again(sockets: Sockets) -> None:
    async def scenario() -> None:
        async with watchers():
            await until(lambda: sockets.urls() == [URL])
            move(printer_id, "http://127.0.0.1:2")
            await until(lambda: sockets.urls() == ["http://127.0.0.1:2"])
            retire(printer_id)
            await until(lambda: sockets.open == {})

    printer_id = add()
    asyncio.run(scenario())
    assert sockets.opened == 2


def move(printer_id: int, url: str) -> None:
    with transaction() as session:
        printer = session.get_one(Printer, printer_id)
        printer.url, printer.sealed_key = url, seal("key", about=url)


def retire(printer_id: int) -> None:
    with transaction() as session:
        session.get_one(Printer, printer_id).resource.retired_at = NOW


def test_a_watch_that_ended_by_itself_begins_again(sockets: Sockets) -> None:
    async def scenario() -> None:
        sockets.broken = True
        async with watchers():
            await until(lambda: sockets.opened >= 2)
            sockets.broken = False
            await until(lambda: sockets.urls() == [URL])

    add()
    asyncio.run(scenario())
    assert sockets.opened >= 3


def test_a_printer_that_another_process_watches_is_left_to_it_until_that_one_dies(sockets: Sockets) -> None:
    async def scenario() -> None:
        async with watchers():
            await until(lambda: sockets.urls() == ["http://127.0.0.1:2"])
            other.close()
            await until(lambda: sockets.urls() == ["http://127.0.0.1:2", URL])

    printer_id = add()
    add("http://127.0.0.1:2")
    with psycopg.connect(conninfo(), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", (watching.LOCK_SPACE, printer_id))
        asyncio.run(scenario())
    assert sockets.opened == 2


def test_a_printer_whose_seal_is_broken_is_not_spoken_to(sockets: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def no_wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", no_wait)
    asyncio.run(watching._watch(watching.WatchedPrinter(1, URL, "broken")))
    assert (sockets.opened, waits) == (0, [60])
