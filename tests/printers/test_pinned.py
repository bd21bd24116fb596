"""The address of a printer is checked when a connection is made, and the connection goes to what was checked."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from api.settings import settings
from printers.octoprint import OctoPrint
from printers.octoprint.wire import GuardedSession
from printers.port import PrinterError
from printers.push import PushIntervals, PushMessage, _Listener
from printers.simulator import SimulatedOctoPrint

NAME = "octopi.example"
Entries = list[tuple[Any, ...]]


class Names:
    """A name server of ours: what `octopi.example` leads to, look-up by look-up; the last answer stays."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int, *more: Any, **options: Any) -> Entries:
        if host != NAME:
            return self.real(host, port, *more, **options)
        self.asked += 1
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    real = staticmethod(socket.getaddrinfo)


@pytest.fixture
def simulator() -> Iterator[SimulatedOctoPrint]:
    with SimulatedOctoPrint() as server:
        yield server


def named(server: SimulatedOctoPrint) -> str:
    return f"http://{NAME}:{server.url.rpartition(':')[2]}"


def test_each_connection_looks_up_once_and_dials_what_it_checked(
    simulator: SimulatedOctoPrint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second look-up, by the client itself, could lead elsewhere than the checked one."""
    names = Names("127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    client = OctoPrint(named(simulator), simulator.key, installation="etabli")
    assert client.probe().version
    client.close()
    assert names.asked == 1


@pytest.mark.parametrize("networks", [["192.168.7.0/24"], []])
def test_a_name_that_leads_elsewhere_by_now_is_not_spoken_to(
    simulator: SimulatedOctoPrint, monkeypatch: pytest.MonkeyPatch, networks: list[str]
) -> None:
    """It passed the check when it was added; dispatch, watch and probe meet the other address."""
    elsewhere = "127.0.0.1" if networks else "169.254.169.254"
    monkeypatch.setattr(socket, "getaddrinfo", Names(elsewhere))
    monkeypatch.setattr(settings(), "printer_networks", networks)
    client = OctoPrint(named(simulator), simulator.key, installation="etabli")
    with pytest.raises(PrinterError) as refused:
        client.observe()
    client.close()
    assert (refused.value.reason, refused.value.permanent) == ("forbidden", True)


def test_the_push_socket_is_not_opened_there_either(
    simulator: SimulatedOctoPrint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login has met the printer; when the socket is to be opened, the name leads elsewhere."""
    monkeypatch.setattr(socket, "getaddrinfo", Names("169.254.169.254"))

    async def on_push(push: PushMessage) -> None:
        raise AssertionError(push)

    async def scenario() -> None:
        listener = _Listener(named(simulator), simulator.key, on_push, PushIntervals(), None)
        with pytest.raises(PrinterError) as refused:
            await listener._connect()
        assert refused.value.reason == "forbidden"

    asyncio.run(scenario())


def test_the_next_address_of_a_name_is_tried_and_the_name_stays_in_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may connect to 127.0.0.9, so that one refuses at once."""
    requests: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            requests.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.9", "127.0.0.1")]
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *more, **options: both if host == NAME else real(host, *more, **options)
        )
        thread = threading.Thread(target=answer, args=[listener])
        thread.start()
        with GuardedSession(f"http://{NAME}:{port}") as http:
            assert http.get(f"{http.origin}/api/version").json() == {}
        thread.join()
    assert f"Host: {NAME}:{port}".encode() in requests[0]
