"""Connections to a printer's server that are checked when they are made, and go to the address that was checked.

A name may lead elsewhere a second after a check. So the address is looked up once, checked, and dialled as a number;
the name only stays in the Host header and for the certificate.
"""

from __future__ import annotations

import socket
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from api.settings import settings
from printers.address import ForbiddenAddress, UnknownHost, check_host
from printers.port import PrinterError

# With the 16 kB that urllib3 sends at once, the calls of an upload cost more than the network does.
BLOCK_BYTES = 1 << 18


def look_up(host: str, port: int) -> list[str]:
    """The addresses to dial, in order. Raises UnknownHost, or PrinterError `forbidden` when no printer may be there."""
    try:
        return [str(address) for address in check_host(host, port, allow=settings().printer_networks or None)]
    except ForbiddenAddress as error:
        raise PrinterError("No printer may be at this address", permanent=True, reason="forbidden") from error


def _dial(addresses: list[str], port: int, timeout_s: float | None) -> socket.socket:
    """The first that answers; else the OSError of the last."""
    trouble = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout_s)
        except OSError as error:
            trouble = error
    raise trouble


class _PinnedConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """As urllib3's own, with our look-up in place of its own."""
        port = self.port or self.default_port
        timeout_s = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            connected = _dial(look_up(self.host, port), port, timeout_s)
        except UnknownHost as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to connect: {error}") from error
        for option in self.socket_options or ():
            connected.setsockopt(*option)
        return connected


class _PinnedTlsConnection(_PinnedConnection, HTTPSConnection):
    pass


class _PinnedPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PinnedConnection


class _PinnedTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PinnedTlsConnection


class PinnedAdapter(HTTPAdapter):
    """For requests: sends files in large blocks, and dials only what was checked."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, blocksize=BLOCK_BYTES, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PinnedPool, "https": _PinnedTlsPool}
