"""Links to the parts of a list before and after the one that is shown; the address keeps its filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.deps import cursor_of
from api.domain.core.paging import Page, PageWindow
from web.render import PageReader


@dataclass(frozen=True)
class PageLinks:
    """Addresses, "" at the ends of the list."""

    previous: str
    next: str


def links_of(reader: PageReader, page: Page[Any]) -> PageLinks:
    return PageLinks(_address(reader, page.previous), _address(reader, page.next))


def _address(reader: PageReader, window: PageWindow | None) -> str:
    if window is None:
        return ""
    url = reader.request.url.include_query_params(cursor=cursor_of(window))
    return f"{url.path}?{url.query}"
