"""The log of every process: one plain line for each event, a short traceback, no local variables, no secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.typing import ExcInfo, Processor

from api.settings import settings

OURS = ("__main__", "api", "printers", "web")
# Of each error in a chain only the innermost frames: those above them are the framework's, the same every time.
FRAMES = 12
# SQLAlchemy and pydantic put whole statements and inputs into their messages.
LINE_CHARACTERS = 400
TRACEBACK_LINES = 80
HIDDEN = "[hidden]"
SECRET_NAMES = re.compile(r"authorization|cookie|csrf|password|secret|token", re.IGNORECASE)
# What gives itself away wherever it stands: the address of a calendar, which is read without a login, our API tokens,
# a password in an address, what a header or field carries, and the values of a row in PostgreSQL's messages.
SECRET_TEXTS = (
    (re.compile(r"(?<=/feeds/)[\w-]{20,}"), HIDDEN),
    (re.compile(r"etb_[\w-]{8,}"), HIDDEN),
    (re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b((?:session|csrf|password|secret|token)['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(DETAIL|CONTEXT):.*"), rf"\1: {HIDDEN}"),
)
# What the request of this context has sent to prove who it is: never written, in whatever text it turns up.
_secrets: ContextVar[list[str] | None] = ContextVar("secrets", default=None)


def configure_logs(stream: TextIO | None = None) -> None:
    """Send what structlog and the libraries log to `stream` (standard error), from ETABLI_LOG_LEVEL on."""
    level = logging.getLevelNamesMapping()[settings().log_level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    structlog.configure(
        processors=[*before, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    after: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
        ExceptionRenderer(short_traceback),
        as_line,
    ]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=before, processors=after))
    logging.root.handlers[:] = [handler]
    # A library tells each request and each step at "info": that is a line for every look at a printer.
    logging.root.setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


@contextmanager
def hiding(secrets: list[str]) -> Iterator[None]:
    """Keep these texts out of every line that is logged within the block."""
    mark = _secrets.set([secret for secret in secrets if len(secret) >= 6])
    try:
        yield
    finally:
        _secrets.reset(mark)


def hide(secret: str) -> None:
    """Keep one more text out of the log, until the block of `hiding` ends."""
    hidden = _secrets.get()
    # A shorter one would blacken every second word, and is no password here.
    if hidden is not None and len(secret) >= 6:
        hidden.append(secret)


def short_traceback(exc_info: ExcInfo) -> str:
    """The error and its causes, without local variables; the middle of a long chain is left out."""
    lines = "".join(traceback.format_exception(*exc_info, limit=-FRAMES)).splitlines()
    if len(lines) > TRACEBACK_LINES:
        half = TRACEBACK_LINES // 2
        lines = [*lines[:half], "...", *lines[-half:]]
    return "\n".join(line[:LINE_CHARACTERS] for line in lines)


def as_line(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    """`2026-11-27T17:40:00Z error api.problems: request failed path=/x`, then the traceback, indented."""
    error = event.pop("exception", "")
    head = f"{event.pop('timestamp', '')} {event.pop('level', 'info')} {event.pop('logger', '')}:"
    words = [head, _on_one_line(str(event.pop("event", "")))]
    words += [f"{name}={HIDDEN if SECRET_NAMES.search(name) else _as_value(value)}" for name, value in event.items()]
    # Indented, so that no text in a message can pass for a line of the log.
    below = [f"    {_on_one_line(line)}" for line in error.splitlines()]
    return _without_secrets("\n".join([" ".join(words), *below]))


def _as_value(value: Any) -> str:
    text = str(value)[: 2 * LINE_CHARACTERS]
    return text if re.fullmatch(r"[\w./:@+-]+", text) else _on_one_line(json.dumps(text, ensure_ascii=False))


def _on_one_line(text: str) -> str:
    text = text[: 2 * LINE_CHARACTERS]
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def _without_secrets(text: str) -> str:
    for secret in _secrets.get() or ():
        text = text.replace(secret, HIDDEN)
    for pattern, instead in SECRET_TEXTS:
        text = pattern.sub(instead, text)
    return text
