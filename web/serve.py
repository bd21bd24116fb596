"""Serves the pages and the API on a socket that is already bound."""

import importlib
import socket

import uvicorn
from sqlalchemy.orm import configure_mappers

APPLICATION = "web.app"
# Live pages hold their stream open for ever: at the end nobody waits for them longer than this.
GRACE_S = 2


def load() -> None:
    """Make the application now, and join the tables' classes: else the first visitor would wait for both."""
    importlib.import_module(APPLICATION)
    configure_mappers()


def serve(listening: socket.socket) -> None:
    """Until SIGTERM. One process; the supervisor may start more beside it (ETABLI_WEB_PROCESSES)."""
    config = uvicorn.Config(
        f"{APPLICATION}:app", access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listening])
