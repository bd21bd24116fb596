"""An app behind a real socket, in a thread: what tests speak to, as any browser or program would."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from web.serve import make_config


@contextmanager
def served(app: Any) -> Iterator[str]:  # Any: every ASGI app, wrapped in middleware or not.
    """The address of `app` while the block runs."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(make_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextmanager
def client_of(app: Any, **more: Any) -> Iterator[httpx.Client]:
    """An HTTP client that follows no redirects; `more` goes to httpx.Client."""
    with served(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False, **more) as client:
        yield client
