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


def links_of(reader: PageReader, page: Page[Any], path: str = "", **values: Any) -> PageLinks:
    """`path` is the address of the list where a POST draws it; `values` go beside the cursor."""
    return PageLinks(_address(reader, page.previous, path, values), _address(reader, page.next, path, values))


def _address(reader: PageReader, window: PageWindow | None, path: str, values: dict[str, Any]) -> str:
    if window is None:
        return ""
    url = reader.request.url.include_query_params(cursor=cursor_of(window), **values)
    return f"{path or url.path}?{url.query}"
