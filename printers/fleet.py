"""One kept-alive OctoPrint client per printer and thread. A printer's sealed key is opened here and nowhere else."""

from __future__ import annotations

import threading

from api.adapters.seal import SealBroken, unseal
from api.settings import settings
from printers.octoprint import OctoPrint
from printers.port import PrinterError, PrinterPort

# A client holds one connection and is not safe for two threads, so each worker thread keeps its own.
_local = threading.local()
# A worker thread serves many printers over the days; beyond this number the oldest connection is closed.
MOST_OPEN = 64


def unseal_key(url: str, sealed_key: str) -> str:
    """The key in plain text. Raises PrinterError `wrong_key` if the seal is broken (restored without its secrets)."""
    try:
        return unseal(sealed_key, about=url)
    except SealBroken as error:
        message = "The stored key cannot be opened on this installation: enter it again."
        raise PrinterError(message, permanent=True, reason="wrong_key") from error


def open_printer(url: str, sealed_key: str) -> PrinterPort:
    """This thread's client for the printer. It does no I/O; raises PrinterError when the key cannot be opened."""
    clients: dict[tuple[str, str], OctoPrint] = _local.__dict__.setdefault("clients", {})
    if (url, sealed_key) not in clients:
        if len(clients) >= MOST_OPEN:
            clients.pop(next(iter(clients))).close()
        clients[url, sealed_key] = OctoPrint(url, unseal_key(url, sealed_key), installation=settings().installation)
    return clients[url, sealed_key]
