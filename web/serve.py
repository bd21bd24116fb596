"""Serves the pages and the API on a socket that is already bound."""

from __future__ import annotations

import asyncio
import importlib
import socket

import uvicorn
from sqlalchemy.orm import configure_mappers
from starlette.types import ASGIApp

from api.loops import beat_forever
from web.protocol import LimitedProtocol

APPLICATION = "web.app"
# Live pages keep their stream open for ever, so a shutdown does not wait longer than this for open requests.
GRACE_S = 2


def load() -> None:
    """Make the application and configure the mappers now: else the first visitor would wait for both."""
    importlib.import_module(APPLICATION)
    configure_mappers()


def serve(listening: socket.socket) -> None:
    """Until SIGTERM, in this one process; ETABLI_WEB_PROCESSES says how many the supervisor starts."""
    _BeatingServer(make_config(f"{APPLICATION}:app")).run(sockets=[listening])


def make_config(app: ASGIApp | str) -> uvicorn.Config:
    """How `app` is served, here and in the tests."""
    # Without a configuration of its own, uvicorn logs through ours (`api.logs`).
    return uvicorn.Config(
        app,
        http=LimitedProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )


class _BeatingServer(uvicorn.Server):
    """It beats from the loop that answers all requests: a loop that is blocked falls silent."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        beating = asyncio.create_task(beat_forever())
        try:
            await super().serve(sockets)
        finally:
            beating.cancel()
