"""Serves the pages and the API on a socket that is already bound."""

import importlib
import socket

import uvicorn
from sqlalchemy.orm import configure_mappers

APPLICATION = "web.app"
# Live pages keep their stream open for ever, so a shutdown does not wait longer than this for open requests.
GRACE_S = 2


def load() -> None:
    """Make the application and configure the mappers now: else the first visitor would wait for both."""
    importlib.import_module(APPLICATION)
    configure_mappers()


def serve(listening: socket.socket) -> None:
    """Until SIGTERM, in this one process; ETABLI_WEB_PROCESSES says how many the supervisor starts."""
    config = uvicorn.Config(
        f"{APPLICATION}:app", access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listening])
