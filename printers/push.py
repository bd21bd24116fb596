"""OctoPrint's push socket (SockJS), authenticated: what a printer reports, as it happens.

A push may come twice, late or never, so nothing is decided by it: it says *when* to look, and `PrinterPort.observe`
says what is true.
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

from api.loops import is_cancelled, pause
from printers.address import UnknownHost
from printers.octoprint.pinned import look_up
from printers.octoprint.reading import clean_text, read_observation
from printers.octoprint.wire import GuardedSession, HttpLimits, translated
from printers.port import Observation, PrinterError

log = logging.getLogger(__name__)

# The events that change what we would decide; OctoPrint is not asked for any other.
EVENTS = (
    *("Connected", "Disconnected", "Error", "PrinterStateChanged", "FileSelected", "FileDeselected"),
    *("PrintStarted", "PrintDone", "PrintFailed", "PrintCancelling", "PrintCancelled", "PrintPaused"),
    "PrintResumed",
)


class PushKind(StrEnum):
    CONNECTED = "connected"  # logged in; what happened before is not sent, so look now
    LOST = "lost"  # no more pushes until the next CONNECTED
    STATE = "state"
    EVENT = "event"


@dataclass(frozen=True)
class PushMessage:
    """`observation` comes with STATE, `event` and `path` with EVENT, `reason` (of PrinterError) with LOST."""

    kind: PushKind
    observation: Observation | None = None
    event: str = ""
    path: str | None = None
    reason: str = ""


OnPush = Callable[[PushMessage], Awaitable[None]]


@dataclass(frozen=True)
class PushIntervals:
    """`state_every_s` is how often progress is sent; the other figures bound waits and sizes."""

    state_every_s: float = 2.0
    open_s: float = 5.0
    ping_s: float = 10.0
    retry_s: float = 1.0
    retry_max_s: float = 30.0
    message_bytes: int = 1_000_000


async def watch(
    url: str, key: str, on_push: OnPush, *, intervals: PushIntervals | None = None, limits: HttpLimits | None = None
) -> None:
    """Watch until cancelled. A lost connection is made again, after a wait that doubles up to `retry_max_s`.

    What `on_push` raises ends the watch, except an OSError, which counts as a lost connection.
    """
    intervals = intervals or PushIntervals()
    wait_s = intervals.retry_s
    while not is_cancelled():
        listener = _Listener(url, key, on_push, intervals, limits)
        reason = await listener.listen_once()
        wait_s = intervals.retry_s if listener.was_connected else min(wait_s * 2, intervals.retry_max_s)
        # A wrong key stays wrong until a person enters another.
        if reason in ("wrong_key", "no_right"):
            wait_s = intervals.retry_max_s
        if listener.was_connected or reason in ("wrong_key", "no_right"):
            await on_push(PushMessage(PushKind.LOST, reason=reason))
        # At random, so that a server that restarts is not met by all its watchers in the same instant.
        await pause(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  (no secret)


class _DirectConnect(connect):
    """Without redirects, which websockets would follow: only the address that was checked is spoken to."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class _Listener:
    """One connection, from login to loss."""

    def __init__(
        self, url: str, key: str, on_push: OnPush, intervals: PushIntervals, limits: HttpLimits | None
    ) -> None:
        self._url, self._key, self._on_push, self._intervals, self._limits = url, key, on_push, intervals, limits
        self._last: Observation | None = None
        self.was_connected = False

    async def listen_once(self) -> str:
        """Returns why it ended, as a PrinterError's reason. Any other error is the caller's own."""
        try:
            # requests blocks; on the event loop one slow server would stop the sockets of all printers.
            identity = await asyncio.to_thread(_log_in, self._url, self._key, self._limits)
            async with await self._connect() as connection:
                await self._listen(connection, identity)
        except PrinterError as error:
            return error.reason
        except TimeoutError:
            return "timeout"
        except (OSError, WebSocketException, EOFError, UnknownHost) as error:
            log.debug("push socket lost: %s", type(error).__name__)
        return "unreachable"

    async def _connect(self) -> ClientConnection:
        """To the first address of its name that answers, each checked just now."""
        parts = urlsplit(self._url.rstrip("/"))
        port = parts.port or (443 if parts.scheme == "https" else 80)
        trouble = OSError("no address")
        for address in await asyncio.to_thread(look_up, parts.hostname or "", port):
            try:
                return await self._connecting(address, port)
            except OSError as error:
                trouble = error
        raise trouble

    def _connecting(self, address: str, port: int) -> connect:
        parts = urlsplit(self._url.rstrip("/"))
        scheme = "wss" if parts.scheme == "https" else "ws"
        # SockJS wants a server number of three digits and a session name, both chosen by the client.
        session = f"{secrets.randbelow(1000):03d}/{secrets.token_hex(8)}"
        return _DirectConnect(
            f"{scheme}://{parts.netloc}{parts.path}/sockjs/{session}/websocket",
            host=address,
            port=port,
            proxy=None,
            compression=None,
            open_timeout=self._intervals.open_s,
            close_timeout=1.0,
            ping_interval=self._intervals.ping_s,
            ping_timeout=self._intervals.ping_s,
            max_size=self._intervals.message_bytes,
        )

    async def _listen(self, socket: ClientConnection, identity: str) -> None:
        # SockJS frames: "o" opens, "h" is a heartbeat, "c[...]" closes, "a[...]" carries messages.
        async for frame in socket:
            if frame == "o":
                await socket.send(_login_frame(identity, self._intervals))
            elif frame[:1] == "c":
                return
            elif isinstance(frame, str) and frame.startswith("a"):
                for message in _messages(frame):
                    # OctoPrint wants a new login; the next connection makes one.
                    if "reauthRequired" in message:
                        return
                    await self._forward(message)

    async def _forward(self, message: dict[str, Any]) -> None:
        # The first message with a state is the sign that the login was accepted: without it OctoPrint sends none.
        if not self.was_connected and ("history" in message or "current" in message):
            self.was_connected = True
            await self._on_push(PushMessage(PushKind.CONNECTED))
        push = _read_message(message)
        if push is None or (push.kind is PushKind.STATE and push.observation == self._last):
            return
        self._last = push.observation or self._last
        await self._on_push(push)


def _log_in(url: str, key: str, limits: HttpLimits | None) -> str:
    """`name:session` of a passive login, so that the key itself is not sent on the socket. Raises PrinterError."""
    with translated(), GuardedSession(url, key, limits=limits) as http:
        try:
            answer = http.post(f"{http.origin}/api/login", json={"passive": True}).json()
        except PrinterError as error:
            # OctoPrint answers 400 to a wrong key here.
            if error.reason not in ("refused", "no_right") or not error.permanent:
                raise
            answer = None
    name = answer.get("name") if isinstance(answer, dict) else None
    session = answer.get("session") if isinstance(answer, dict) else None
    if not isinstance(name, str) or not isinstance(session, str):
        raise PrinterError("The key is nobody's", permanent=True, reason="wrong_key")
    return f"{name}:{session}"


def _login_frame(identity: str, intervals: PushIntervals) -> str:
    """One SockJS frame: an array of JSON texts, in the order in which OctoPrint reads them."""
    # A bare JSON object (which octorest sends) is invalid here: OctoPrint ignores it, and with it the login.
    messages: list[dict[str, Any]] = [
        # In units of OctoPrint's own interval of half a second.
        {"throttle": max(1, round(intervals.state_every_s / 0.5))},
        {"auth": identity},
        {
            "subscribe": {
                "state": {"logs": False, "messages": False},
                "events": list(EVENTS),
                "plugins": False,
            }
        },
    ]
    return json.dumps([json.dumps(message) for message in messages])


def _messages(frame: str) -> list[dict[str, Any]]:
    """The messages of an `a[...]` frame. What is not JSON is ignored, whoever sent it."""
    try:
        messages = json.loads(frame[1:])
    except (ValueError, RecursionError):
        return []
    return [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []


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
    # A push nests what GET /api/job has side by side; in that form one function reads both.
    flat = {**current, "state": state.get("text"), "error": state.get("error")}
    try:
        return PushMessage(PushKind.STATE, observation=read_observation(flat))
    except PrinterError:
        return None
