"""OctoPrint's push socket (SockJS), authenticated: what a printer says as it says it. Refuses to be believed.

A push may come twice, late or never: it says *when* to look, and a look (`PrinterPort.look`) says what is true.
octorest's own event handler does not wrap its frames, so OctoPrint ignores its login.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from printers.octoprint.reading import clean_text, read_observation
from printers.octoprint.wire import GuardedSession, HttpLimits, translated
from printers.port import Observation, PrinterError

log = logging.getLogger(__name__)

# The events that change what we would decide; all others stay on the server.
EVENTS = (
    *("Connected", "Disconnected", "Error", "PrinterStateChanged", "FileSelected", "FileDeselected"),
    *("PrintStarted", "PrintDone", "PrintFailed", "PrintCancelling", "PrintCancelled", "PrintPaused"),
    "PrintResumed",
)


class PushKind(StrEnum):
    CONNECTED = "connected"  # logged in: look now, what happened before is not told
    LOST = "lost"  # no more pushes until the next CONNECTED
    STATE = "state"
    EVENT = "event"


@dataclass(frozen=True)
class PushMessage:
    """`seen` comes with STATE, `event` and `path` with EVENT, `reason` (of PrinterError) with LOST."""

    kind: PushKind
    seen: Observation | None = None
    event: str = ""
    path: str | None = None
    reason: str = ""


OnPush = Callable[[PushMessage], Awaitable[None]]


@dataclass(frozen=True)
class PushIntervals:
    """`state_every_s` is how often a change of progress is told; the other figures bound waits and sizes."""

    state_every_s: float = 2.0
    open_s: float = 5.0
    ping_s: float = 10.0
    retry_s: float = 1.0
    retry_max_s: float = 30.0
    message_bytes: int = 1_000_000


async def watch(
    url: str, key: str, on_push: OnPush, *, pace: PushIntervals | None = None, limits: HttpLimits | None = None
) -> None:
    """Watch until cancelled: connects again for ever, waiting longer each time, longest when the key is wrong.

    What `on_push` raises ends the watch, but for an OSError, which counts as a lost connection.
    """
    pace = pace or PushIntervals()
    wait_s = pace.retry_s
    while True:
        listener = _Listener(url, key, on_push, pace, limits)
        reason = await listener.listen_once()
        wait_s = pace.retry_s if listener.was_connected else min(wait_s * 2, pace.retry_max_s)
        if reason in ("wrong_key", "no_right"):
            wait_s = pace.retry_max_s
        if listener.was_connected or reason in ("wrong_key", "no_right"):
            await on_push(PushMessage(PushKind.LOST, reason=reason))
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  (spreads reconnects; no secret)


class _DirectConnect(connect):
    """websockets follows redirects; we do not: the address that was checked is the one that is spoken to."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class _Listener:
    """One connection, from login to loss."""

    def __init__(self, url: str, key: str, on_push: OnPush, pace: PushIntervals, limits: HttpLimits | None) -> None:
        self._url, self._key, self._on_push, self._pace, self._limits = url, key, on_push, pace, limits
        self._last: Observation | None = None
        self.was_connected = False

    async def listen_once(self) -> str:
        """Returns why it ended, as a PrinterError's reason. Any other error is the caller's own."""
        try:
            identity = await asyncio.to_thread(_log_in, self._url, self._key, self._limits)
            async with self._connect() as socket:
                await self._listen(socket, identity)
        except PrinterError as refused:
            return refused.reason
        except TimeoutError:
            return "timeout"
        except (OSError, WebSocketException, EOFError) as lost:
            log.debug("push socket lost: %s", type(lost).__name__)
        return "unreachable"

    def _connect(self) -> connect:
        parts = urlsplit(self._url.rstrip("/"))
        scheme = "wss" if parts.scheme == "https" else "ws"
        session = f"{secrets.randbelow(1000):03d}/{secrets.token_hex(8)}"
        return _DirectConnect(
            f"{scheme}://{parts.netloc}{parts.path}/sockjs/{session}/websocket",
            proxy=None,
            compression=None,
            open_timeout=self._pace.open_s,
            close_timeout=1.0,
            ping_interval=self._pace.ping_s,
            ping_timeout=self._pace.ping_s,
            max_size=self._pace.message_bytes,
        )

    async def _listen(self, socket: ClientConnection, identity: str) -> None:
        async for frame in socket:
            if frame == "o":
                await socket.send(_login_frame(identity, self._pace))
            elif frame[:1] == "c":
                return
            elif isinstance(frame, str) and frame.startswith("a"):
                for message in _messages(frame):
                    if "reauthRequired" in message:
                        return
                    await self._tell(message)

    async def _tell(self, message: dict[str, Any]) -> None:
        if not self.was_connected and ("history" in message or "current" in message):
            self.was_connected = True
            await self._on_push(PushMessage(PushKind.CONNECTED))
        push = _read_message(message)
        if push is None or (push.kind is PushKind.STATE and push.seen == self._last):
            return
        self._last = push.seen or self._last
        await self._on_push(push)


def _log_in(url: str, key: str, limits: HttpLimits | None) -> str:
    """`name:session` of a passive login: the key itself is not sent on the socket. A wrong key is a 400 here."""
    with translated(), GuardedSession(url, key, limits=limits) as http:
        try:
            answer = http.post(f"{http.origin}/api/login", json={"passive": True}).json()
        except PrinterError as refused:
            if refused.reason not in ("refused", "no_right") or not refused.permanent:
                raise
            answer = None
    name = answer.get("name") if isinstance(answer, dict) else None
    session = answer.get("session") if isinstance(answer, dict) else None
    if not isinstance(name, str) or not isinstance(session, str):
        raise PrinterError("The key is nobody's", permanent=True, reason="wrong_key")
    return f"{name}:{session}"


def _login_frame(identity: str, pace: PushIntervals) -> str:
    """One SockJS frame: an array of JSON texts, in the order in which OctoPrint reads them."""
    wishes: list[dict[str, Any]] = [
        {"throttle": max(1, round(pace.state_every_s / 0.5))},
        {"auth": identity},
        {
            "subscribe": {
                "state": {"logs": False, "messages": False},
                "events": list(EVENTS),
                "plugins": False,
            }
        },
    ]
    return json.dumps([json.dumps(wish) for wish in wishes])


def _messages(frame: str) -> list[dict[str, Any]]:
    """The messages of an `a[...]` frame; what is not JSON is a stranger's noise and counts for nothing."""
    try:
        listed = json.loads(frame[1:])
    except (ValueError, RecursionError):
        return []
    return [message for message in listed if isinstance(message, dict)] if isinstance(listed, list) else []


def _read_message(message: dict[str, Any]) -> PushMessage | None:
    if isinstance(event := message.get("event"), dict):
        payload = event.get("payload")
        path = payload.get("path") if isinstance(payload, dict) else None
        return PushMessage(
            PushKind.EVENT,
            event=clean_text(event.get("type"), 60),
            path=path if isinstance(path, str) else None,
        )
    current = message.get("current") or message.get("history")
    state = current.get("state") if isinstance(current, dict) else None
    if not isinstance(current, dict) or not isinstance(state, dict):
        return None
    flat = {**current, "state": state.get("text"), "error": state.get("error")}
    try:
        return PushMessage(PushKind.STATE, seen=read_observation(flat))
    except PrinterError:
        return None
