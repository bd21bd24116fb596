"""A part of a list that grows without end: which rows, and whether others stand before and after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

Row = TypeVar("Row")
DEFAULT_LIMIT = 50


@dataclass(frozen=True, slots=True)
class PageWindow:
    """The first rows of a list; or those that follow the row `after`; or those that stand just before the row `before`.

    Both are ids, not row numbers: rows that come meanwhile shift nothing, and the thousandth page costs what the
    first costs.
    """

    limit: int = DEFAULT_LIMIT
    after: int | None = None
    before: int | None = None


FIRST_PAGE = PageWindow()


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """`previous` and `next` are windows on what stands before and after these rows; None at the ends of the list."""

    rows: list[Row]
    previous: PageWindow | None = None
    next: PageWindow | None = None

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def read_page(
    session: Session,
    query: Select[Any],
    *,
    window: PageWindow,
    id: InstrumentedAttribute[int],  # noqa: A002  # the name of the column
    at: InstrumentedAttribute[Any] | None = None,
    newest_first: bool = True,
) -> Page[Any]:
    """The rows of `query` (one entity each) in this window, in the order of `at`, then of `id`.

    `at` must never be NULL, and an index over what `query` asks for, `at` and `id` should exist. It may be a column of
    the one row that the entity refers to, which `query` has joined.
    """
    backwards = window.before is not None
    descending = newest_first != backwards
    anchor = window.before if backwards else window.after
    if anchor is not None:
        query = query.where(_beyond(anchor, id, at, descending))
    keys = [id] if at is None else [at, id]
    ordered = query.order_by(*(key.desc() if descending else key.asc() for key in keys))
    # One row more than is shown tells whether the list goes on.
    rows = list(session.scalars(ordered.limit(window.limit + 1)).unique())
    return _page(rows[: window.limit], window, more=len(rows) > window.limit, id_of=lambda row: getattr(row, id.key))


def _beyond(
    anchor: int, id_: InstrumentedAttribute[int], at: InstrumentedAttribute[Any] | None, descending: bool
) -> ColumnElement[bool]:
    further = id_ < anchor if descending else id_ > anchor
    if at is None:
        return further
    place = select(at).where(id_ == anchor)
    stands_at = (place if at.class_ is id_.class_ else place.join_from(id_.class_, at.class_)).scalar_subquery()
    if descending:
        # The first half is implied by the second; it is what PostgreSQL can look up in an index.
        return and_(at <= stands_at, or_(at < stands_at, further))
    return and_(at >= stands_at, or_(at > stands_at, further))


def _page(rows: list[Row], window: PageWindow, *, more: bool, id_of: Callable[[Row], int]) -> Page[Row]:
    backwards = window.before is not None
    if backwards:
        rows.reverse()
    # Where a window was reached from, there are rows on that side.
    has_previous, has_next = (more, True) if backwards else (window.after is not None, more)
    first, last = (id_of(rows[0]), id_of(rows[-1])) if rows else (None, None)
    return Page(
        rows,
        previous=PageWindow(window.limit, before=first) if rows and has_previous else None,
        next=PageWindow(window.limit, after=last) if rows and has_next else None,
    )


def cut_page(rows: Sequence[Row], *, window: PageWindow, id_of: Callable[[Row], int]) -> Page[Row]:
    """The same of a list that is in memory as a whole; an anchor that is not in it means the first rows."""
    places = {id_of(row): place for place, row in enumerate(rows)}
    if window.before in places:
        end = places[window.before]
        start = max(0, end - window.limit)
        return _page(list(rows[start:end])[::-1], window, more=start > 0, id_of=id_of)
    start = places[window.after] + 1 if window.after in places else 0
    shown = list(rows[start : start + window.limit])
    is_first = PageWindow(window.limit, after=window.after if start else None)
    return _page(shown, is_first, more=start + window.limit < len(rows), id_of=id_of)
