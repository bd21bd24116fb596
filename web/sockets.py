"""Listening sockets: one port for all processes that serve pages."""

from __future__ import annotations

import socket

BACKLOG = 2048


class PortTaken(Exception):
    """Another program listens on the port."""


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts; the socket is passed on to the web process at every restart.

    Port 0 takes any free one. Raises PortTaken.
    """
    try:
        # SO_REUSEPORT would let two installations share one port without an error, so a socket without it tries first.
        with _bind(host, port, reuse_port=False) as exclusive:
            port = exclusive.getsockname()[1]
        listener = _bind(host, port, reuse_port=True)
    except OSError as error:
        raise PortTaken(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port, "
            f'for instance: make run ARGS="--port {port + 1 if port else 8000}"'
        ) from error
    listener.listen(BACKLOG)
    return listener


def second_socket(listener: socket.socket) -> socket.socket:
    """Another socket on the same port, bound and not listening yet; the process that serves on it calls `listen`."""
    # With a socket each, the kernel spreads connections evenly; two processes that shared one socket left 16 of 16
    # connections to one of them (measured).
    host, port = listener.getsockname()[:2]
    return _bind(host, port, reuse_port=True)


def _bind(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Else a restart would have to wait until the kernel forgets the old connections (TIME_WAIT).
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
