"""Absolute addresses of pages and feeds, for letters, calendar programs and payment pages. Our pages use paths."""

from __future__ import annotations

from api.settings import settings


def address_of(path: str, *, origin: object = "") -> str:
    """`path`, which begins with "/", as it is reached from outside.

    Without a `base_url` in the settings it lies below `origin`, by which the request came; "" without either.
    """
    base = settings().base_url or str(origin)
    # A setting may end with a slash or not. Glued together without one, a host would be named that is not ours, and
    # a secret in the path would go there.
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if base else ""
