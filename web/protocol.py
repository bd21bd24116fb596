"""uvicorn's protocol with the two limits that it leaves to a proxy: the size of a header, and the time for it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

# Browsers send some kB. Without a limit the parser takes a header of 30 MB into memory (measured).
HEADER_BYTES = 65_536
HEADER_S = 15.0


class LimitedProtocol(HttpToolsProtocol):
    """431 for a header that is too long, 408 for one that does not come to its end; the connection is closed."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._header_bytes = 0
        self._is_in_header = True
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_header()

    def on_headers_complete(self) -> None:
        self._is_in_header = False
        self._forget_deadline()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Counted after parsing: what has completed the header belongs to the body, which has limits of its own.
        if self._is_in_header:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES:
                self._refuse(431)

    def _expect_header(self) -> None:
        self._is_in_header, self._header_bytes = True, 0
        self._forget_deadline()
        self._deadline = self.loop.call_later(HEADER_S, self._refuse, 408)

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        # Browsers open connections that they may never need: those hear nothing.
        if self._header_bytes:
            self.transport.write(STATUS_LINE[status] + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
