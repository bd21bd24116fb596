"""Serves the pages and the API on a socket that is already listening."""

import socket

import uvicorn

#: Live pages hold their stream open for ever: at the end nobody waits for them longer than this.
GRACE_S = 2


def serve(listening: socket.socket) -> None:
    """Until SIGTERM. One process: the work that takes time is in the workers."""
    config = uvicorn.Config("web.app:app", access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False)
    uvicorn.Server(config).run(sockets=[listening])
