"""Real OctoPrint servers for tests: started when first asked for, kept for the session, made clean for each test.

The root conftest imports the fixtures; each xdist worker has its own servers, on free ports, below its own folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from printers.lab import OctoPrintServer


class OctoPrintPool:
    """`take(2)` gives two different servers, ready and empty. Raises LabFailed when OctoPrint is not installed."""

    def __init__(self, folder: pytest.TempPathFactory) -> None:
        self._folder = folder
        self._servers: list[OctoPrintServer] = []

    def take(self, count: int = 1) -> list[OctoPrintServer]:
        while len(self._servers) < count:
            self._servers.append(OctoPrintServer(self._folder.mktemp("octoprint")))
        taken = self._servers[:count]
        for server in taken:
            server.start()
        for server in taken:
            make_clean(server)
        return taken

    def stop(self) -> None:
        for server in self._servers:
            server.stop()


def make_clean(server: OctoPrintServer) -> None:
    """Running, connected, idle, with nothing selected and without files of ours; whatever a test has done to it."""
    server.start()
    server.wait_for_http()
    if server.state() not in ("Operational", "Offline"):
        reconnect(server)
    elif server.state() == "Offline":
        server.connect_printer()
    server.wait_ready()
    _delete_all(server, server.admin("GET", "/api/files/local?recursive=true").json()["files"])


def _delete_all(server: OctoPrintServer, entries: list[dict[str, Any]]) -> None:
    """File by file: OctoPrint 1.11 gives the history of a file back when only its folder was deleted."""
    for entry in entries:
        _delete_all(server, entry.get("children", []))
        server.admin("DELETE", f"/api/files/local/{quote(entry['path'])}")


def reconnect(server: OctoPrintServer) -> None:
    """A new Virtual Printer: what was told to the old one by `!!DEBUG` is forgotten."""
    server.admin("POST", "/api/connection", {"command": "disconnect"})
    server.connect_printer()
    server.wait_ready()


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Looks every 10 ms. Fails the test when the condition does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def octoprint_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OctoPrintPool]:
    pool = OctoPrintPool(tmp_path_factory)
    yield pool
    pool.stop()


@pytest.fixture
def octoprint(octoprint_pool: OctoPrintPool) -> OctoPrintServer:
    """One real OctoPrint, clean. Its Virtual Printer prints as fast as it can."""
    return octoprint_pool.take()[0]


def decide(server: OctoPrintServer, *, grant: bool) -> None:
    """What a person does on OctoPrint's page."""
    pending = server.admin("GET", "/api/plugin/appkeys").json()["pending"]
    assert pending, "OctoPrint has no request for a key"
    question = next(iter(pending))
    server.admin("POST", f"/plugin/appkeys/decision/{question}", {"decision": grant})
