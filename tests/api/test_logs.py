"""The log: one plain line for each event, whoever logs it; a short traceback; no secret, no forged line."""

import io
import logging
import time
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from api import settings
from api.logs import LINE_CHARACTERS, TRACEBACK_LINES, configure_logs, hide, hiding
from tests.world.served import log

__all__ = ["log"]


@pytest.fixture
def debug_log(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.setenv("ETABLI_LOG_LEVEL", "debug")
    settings.settings.cache_clear()
    configure_logs(log)
    yield log
    settings.settings.cache_clear()


def fail(text: str) -> None:
    raise ValueError(text)


def test_ours_and_the_libraries_share_one_format(log: io.StringIO) -> None:
    structlog.get_logger("api.x").info("letter sent", mail=3, subject="two words")
    logging.getLogger("procrastinate.worker").warning("step %s failed", 4)
    ours, theirs = log.getvalue().splitlines()
    assert ours.partition(" ")[2] == 'info api.x: letter sent mail=3 subject="two words"'
    assert theirs.partition(" ")[2] == "warning procrastinate.worker: step 4 failed"


def test_a_look_at_a_printer_is_no_line_unless_asked_for(log: io.StringIO) -> None:
    structlog.get_logger("printers.x").debug("decided")
    logging.getLogger("printers.push").debug("socket lost")
    logging.getLogger("procrastinate").info("starting job")
    logging.getLogger("httpx").info("HTTP Request")
    assert log.getvalue() == ""


def test_debug_shows_every_look(debug_log: io.StringIO) -> None:
    structlog.get_logger("printers.x").debug("decided")
    logging.getLogger("printers.push").debug("socket lost")
    assert len(debug_log.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    [
        "etb_0123456789abcdefghij",
        "GET /feeds/0123456789abcdefghij-0123456789.ics",
        "Authorization: Bearer abcdef0123456789",
        "smtp://robot:hunter22@mail.example",
        "cookie session=abcdefghijklmnop",
        "{'csrf': 'abcdefghijklmnop'}",
        "password=abcdefghijklmnop&x",
        "DETAIL:  Key (email)=(alice@example.org) already exists.",
    ],
)
def test_what_looks_like_a_secret_is_hidden(log: io.StringIO, text: str) -> None:
    try:
        fail(text)
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "ValueError" in log.getvalue()
    secrets = ("0123456789", "hunter22", "abcdefghijklmnop", "alice@example.org")
    assert not [secret for secret in secrets if secret in log.getvalue()]


def test_a_value_by_the_name_of_a_secret_is_hidden(log: io.StringIO) -> None:
    structlog.get_logger("api.x").warning("refused", api_token="abc", new_password="def", printer=1)
    assert log.getvalue().endswith(" api.x: refused api_token=[hidden] new_password=[hidden] printer=1\n")


def test_what_a_request_proves_itself_with_is_hidden_until_its_end(log: io.StringIO) -> None:
    logger = structlog.get_logger("api.x")
    with hiding(["open sesame"]):
        hide("correct horse")
        logger.info("it said open sesame, correct horse")
    logger.info("open sesame")
    first, second = log.getvalue().splitlines()
    assert "sesame" not in first
    assert "horse" not in first
    assert "open sesame" in second


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "a\x9bb"])
def test_no_text_can_forge_a_line_or_colour_the_terminal(log: io.StringIO, name: str) -> None:
    structlog.get_logger("api.x").warning(name, name=name)
    try:
        fail(name)
    except ValueError:
        structlog.get_logger("api.x").exception("failed")
    lines = log.getvalue().split("\n")
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith("    ") for line in lines[2:-1])


def deep(depth: int) -> None:
    local = "x" * 50  # noqa: F841  # what must not be drawn
    if depth:
        deep(depth - 1)
    try:
        fail("long " * 10_000)
    except ValueError as error:
        raise KeyError("no") from error


def test_a_traceback_is_short_and_drawn_at_once(log: io.StringIO) -> None:
    start = time.process_time()
    try:
        deep(300)
    except KeyError:
        structlog.get_logger("api.x").exception("failed")
    assert time.process_time() - start < 1
    lines = log.getvalue().splitlines()
    assert len(lines) <= TRACEBACK_LINES + 2
    assert max(map(len, lines)) <= LINE_CHARACTERS + 4
    assert "x" * 50 not in log.getvalue()


def test_an_error_of_the_database_tells_no_values(log: io.StringIO, engine: Engine) -> None:
    typed = "what somebody typed"
    statement = text("INSERT INTO users (email, name) VALUES (:typed, NULL)")
    with engine.connect() as connection, pytest.raises(DBAPIError) as raised:
        connection.execute(statement, {"typed": typed})
    structlog.get_logger("api.x").error("failed", exc_info=raised.value)
    assert "INSERT INTO users" in log.getvalue()
    assert typed not in log.getvalue()
