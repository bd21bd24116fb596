"""What was enqueued or published goes with its savepoint. Whole transactions: tests/test_tasks.py."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.db import conninfo, sessions, transaction
from api.domain.core.changes import enqueue, publish
from api.domain.core.errors import NotFound


def note(session: Session, number: int) -> None:
    enqueue(session, "reconcile", once=f"printer:{number}", printer_id=number)
    publish(session, printer=number)


def noted(work: Callable[[Session], None]) -> tuple[list[int], list[str]]:
    """The printers whose steps are queued, and the news that live pages hear, once `work` is committed."""
    with psycopg.connect(conninfo(), autocommit=True) as listener:
        listener.execute("LISTEN etabli_live")
        with transaction() as session:
            work(session)
        news = [notice.payload for notice in listener.notifies(timeout=0.2)]
    with transaction() as session:
        query = text("SELECT CAST(args->>'printer_id' AS int) FROM procrastinate_jobs ORDER BY id")
        return list(session.scalars(query)), news


def rolled_back(session: Session, *numbers: int) -> None:
    with suppress(NotFound), session.begin_nested():
        for number in numbers:
            note(session, number)
        raise NotFound


def test_a_savepoint_that_is_rolled_back_takes_its_notes_with_it(installation: Path) -> None:
    def work(session: Session) -> None:
        note(session, 1)
        rolled_back(session, 2, 3)
        note(session, 4)

    assert noted(work) == ([1, 4], ['{"printer": 1}', '{"printer": 4}'])


def test_a_savepoint_that_is_released_leaves_them(installation: Path) -> None:
    def work(session: Session) -> None:
        with session.begin_nested():
            note(session, 1)

    assert noted(work) == ([1], ['{"printer": 1}'])


def test_what_stood_before_the_savepoint_stays_though_it_was_noted_again_inside(installation: Path) -> None:
    def work(session: Session) -> None:
        note(session, 1)
        rolled_back(session, 1)

    assert noted(work) == ([1], ['{"printer": 1}'])


def test_an_inner_savepoint_goes_alone(installation: Path) -> None:
    def work(session: Session) -> None:
        with session.begin_nested():
            note(session, 1)
            rolled_back(session, 2)
            note(session, 3)

    assert noted(work) == ([1, 3], ['{"printer": 1}', '{"printer": 3}'])


def test_an_outer_savepoint_takes_the_released_inner_one_along(installation: Path) -> None:
    def work(session: Session) -> None:
        with suppress(NotFound), session.begin_nested():
            with session.begin_nested():
                note(session, 1)
            note(session, 2)
            raise NotFound
        note(session, 3)

    assert noted(work) == ([3], ['{"printer": 3}'])


def test_a_savepoint_that_the_database_broke_takes_its_notes_with_it(installation: Path) -> None:
    def work(session: Session) -> None:
        with suppress(DBAPIError), session.begin_nested():
            note(session, 1)
            session.execute(text("SELECT 1 / 0"))

    assert noted(work) == ([], [])


def test_an_open_savepoint_goes_with_the_savepoint_around_it(installation: Path) -> None:
    def work(session: Session) -> None:
        outer = session.begin_nested()
        session.begin_nested()
        note(session, 1)
        outer.rollback()

    assert noted(work) == ([], [])


@pytest.mark.parametrize("end", [Session.rollback, Session.close])
def test_a_session_that_is_used_again_has_forgotten_what_was_not_committed(
    installation: Path, end: Callable[[Session], None]
) -> None:
    with sessions()() as session:
        note(session, 1)
        session.begin_nested()
        note(session, 2)
        end(session)
        assert not session.info
        note(session, 3)
        session.commit()

    assert noted(lambda session: None)[0] == [3]
