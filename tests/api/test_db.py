"""The pool of connections: a dead one is never lent, and a living one is not asked at each use."""

import time
from typing import Any

import pytest
from sqlalchemy import Engine, text

from api import db

END_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid = ANY(:pids)"
)
MINE = text("SELECT pg_backend_pid()")


def pids(engine: Engine, count: int) -> list[int]:
    """Open so many connections at once, and put them back."""
    lent = [engine.connect() for _ in range(count)]
    found = [int(each.scalar(MINE) or 0) for each in lent]
    for each in lent:
        each.close()
    return found


def wait_until_closed(engine: Engine, ended: list[int]) -> None:
    living = text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)")
    deadline = time.monotonic() + 10
    with engine.connect() as connection:
        while connection.scalar(living, {"pids": ended}):
            assert time.monotonic() < deadline
            connection.rollback()


def test_connections_that_the_server_closed_are_replaced_without_an_error(committed: Engine) -> None:
    before = pids(committed, 3)
    other = db.make_engine(committed.url.render_as_string(hide_password=False))
    with other.begin() as connection:
        connection.execute(END_OTHERS, {"pids": before})
    wait_until_closed(other, before)
    other.dispose()
    assert not set(pids(committed, 3)) & set(before)


def test_a_connection_that_was_just_used_is_lent_again_as_it_is(committed: Engine) -> None:
    assert pids(committed, 1) == pids(committed, 1)


@pytest.mark.parametrize(("idle_s", "tried"), [(db.IDLE_S - 1, False), (db.IDLE_S + 1, True)])
def test_only_a_connection_that_was_idle_for_long_is_tried(
    committed: Engine, monkeypatch: pytest.MonkeyPatch, idle_s: float, tried: bool
) -> None:
    pids(committed, 1)
    questions: list[object] = []

    def answers(connection: object) -> bool:
        questions.append(connection)
        return True

    monkeypatch.setattr(db, "_answers", answers)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + idle_s)
    pids(committed, 1)
    assert bool(questions) is tried


def test_a_connection_that_does_not_answer_is_replaced(committed: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pids(committed, 1)
    monkeypatch.setattr(db, "IDLE_S", -1.0)
    replies = iter([False])
    answers = db._answers
    monkeypatch.setattr(db, "_answers", lambda connection: next(replies, True) and answers(connection))
    assert pids(committed, 1) != before


def test_a_closed_connection_does_not_answer(committed: Engine) -> None:
    with committed.connect() as connection:
        raw: Any = connection.connection.driver_connection
        assert db._answers(raw)
        raw.close()
        assert not db._answers(raw)
        assert db._is_closed(raw)
        connection.invalidate()
