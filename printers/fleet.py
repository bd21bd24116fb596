"""One kept-alive OctoPrint client per printer and thread; opens the sealed key only here."""

from __future__ import annotations

import threading

from api.adapters.seal import SealBroken, unseal
from api.settings import settings
from printers.octoprint import OctoPrint
from printers.port import PrinterError, PrinterPort

_local = threading.local()
# A worker thread serves many printers over the days; the oldest connections are dropped beyond this.
MOST_OPEN = 64


def unseal_key(url: str, sealed_key: str) -> str:
    """The printer's key; a broken seal (restored without its secrets, say) is a PrinterError for a person."""
    try:
        return unseal(sealed_key, about=url)
    except SealBroken as error:
        message = "The stored key cannot be opened on this installation: enter it again."
        raise PrinterError(message, permanent=True, reason="wrong_key") from error


def open_printer(url: str, sealed_key: str) -> PrinterPort:
    """The client for this printer; not shared between threads."""
    clients: dict[tuple[str, str], OctoPrint] = _local.__dict__.setdefault("clients", {})
    if (url, sealed_key) not in clients:
        if len(clients) >= MOST_OPEN:
            clients.pop(next(iter(clients))).close()
        clients[url, sealed_key] = OctoPrint(url, unseal_key(url, sealed_key), installation=settings().installation)
    return clients[url, sealed_key]
