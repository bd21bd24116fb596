"""The cookies of the pages: no script reads them, no other site sends them, and over https no other host sets them."""

from __future__ import annotations

from fastapi import Request, Response

from api.deps import cookie_name
from api.settings import settings


def find_cookie(request: Request, name: str) -> str:
    """Its value, or ""."""
    return request.cookies.get(cookie_name(name), "")


def set_cookie(answer: Response, name: str, value: str, *, max_age_s: int) -> None:
    """Keep `value` in the browser; with `max_age_s` 0 the cookie is deleted."""
    answer.set_cookie(
        cookie_name(name),
        value,
        max_age=max_age_s,
        httponly=True,
        samesite="lax",
        secure=settings().secure_cookies,
        path="/",
    )
