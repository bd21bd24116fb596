"""Servers that are not OctoPrint, or not any more: raw bytes on a socket, for what no honest server sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Talk = Callable[[socket.socket], None]


@contextmanager
def stranger(talk: Talk) -> Iterator[str]:
    """The URL of a server that reads a request's first bytes and then does `talk` with the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def saying(body: bytes, *, status: str = "200 OK", headers: str = "") -> Talk:
    """One honest HTTP answer with this body."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"

    def talk(connection: socket.socket) -> None:
        connection.sendall(head.encode() + body)

    return talk


def flooding(total: int) -> Talk:
    """`total` bytes of answer, as fast as the client takes them."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n".encode())
        for _ in range(total // 1_000_000):
            connection.sendall(b" " * 1_000_000)

    return talk


def silent(connection: socket.socket) -> None:
    """Takes the request, never answers, until the client goes."""
    while connection.recv(65536):
        pass


def dripping(connection: socket.socket) -> None:
    """One byte of the answer at a time, well within the read timeout, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    connection.settimeout(0.05)
    while True:
        connection.sendall(b" ")
        with contextlib.suppress(TimeoutError):
            connection.recv(1)
