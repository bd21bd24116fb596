"""Parts of a list: forwards and back again, by number and by time, from the database and from memory."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.core.changes import Change, record
from api.domain.core.paging import Page, PageWindow, cut_page, read_page
from tests.world import NOW

Read = Callable[[PageWindow], Page[Any]]


def make_changes(session: Session, count: int) -> list[int]:
    """Two at each time, so that the time alone does not order them."""
    rows = [
        record(session, noun="page", noun_id=n, verb="made", now=NOW + timedelta(minutes=n // 2)) for n in range(count)
    ]
    session.flush()
    return [row.id for row in rows]


def reader(session: Session, how: str) -> Read:
    query = select(Change).where(Change.noun == "page")
    options: dict[str, Any] = {
        "by number": {},
        "by time": {"at": Change.at},
        "oldest first": {"at": Change.at, "newest_first": False},
    }
    if how == "in memory":
        rows = list(session.scalars(query.order_by(Change.id.desc())))
        return lambda window: cut_page(rows, window=window, id_of=lambda row: row.id)
    return lambda window: read_page(session, query, window=window, id=Change.id, **options[how])


@pytest.mark.parametrize("how", ["by number", "by time", "oldest first", "in memory"])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 10])
def test_every_row_is_on_one_page_forwards_and_back(session: Session, how: str, count: int) -> None:
    ids = make_changes(session, count)
    read = reader(session, how)
    pages = [read(PageWindow(3))]
    while pages[-1].next:
        pages.append(read(pages[-1].next))
    seen = [row.id for page in pages for row in page]
    assert seen == (ids if how == "oldest first" else ids[::-1])
    assert pages[0].previous is None

    back = [pages[-1]]
    while back[-1].previous:
        back.append(read(back[-1].previous))
    assert [[row.id for row in page] for page in back] == [[row.id for row in page] for page in pages[::-1]]


def test_rows_that_come_meanwhile_shift_nothing(session: Session) -> None:
    ids = make_changes(session, 6)
    read = reader(session, "by number")
    first = read(PageWindow(3))
    make_changes(session, 5)
    assert first.next
    second = read(first.next)

    assert [row.id for row in second] == ids[2::-1]
    # What came meanwhile is found on the way back.
    assert second.previous
    assert read(second.previous).previous is not None
