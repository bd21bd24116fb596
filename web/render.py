"""Draws pages: templates, and what every page shows of its reader. Queries only what the frame of a page needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.deps import DbSession, Identity, MaybeUser, Now, session_cookie
from api.domain.people import accounts
from api.domain.people.accounts import Locale, User
from api.domain.places import sites
from api.domain.places.sites import Site
from api.problems import Problem
from api.settings import settings
from web.cookies import find_cookie
from web.flash import Flash, delete_flash, read_flash, write_flash
from web.formats import fill, filters
from web.i18n import N_, locale_of, translate, translate_count

HERE = Path(__file__).parent
STATIC = HERE / "static"
SITE = "site"

# The menu of a member; an entry is shown only if its page exists.
NAVIGATION = (
    ("/print", N_("Print")),
    ("/book", N_("Book")),
    ("/agenda", N_("Agenda")),
    ("/me", N_("My account")),
    ("/help", N_("Help")),
)


@lru_cache
def environment(locale: Locale) -> Environment:
    """The templates in one language. Everything is escaped; a missing name is an error, not an empty string."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    templates.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        partial(translate, locale), partial(translate_count, locale), newstyle=True
    )
    templates.filters.update(filters(locale))
    templates.globals.update(static=static, locale=locale.value, demo=settings().demo)
    return templates


# By path and time of change, so that a file is hashed again only after it changed.
@lru_cache(maxsize=200)
def _stamp(path: str, changed_ns: int) -> str:
    return hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:10]


def static(path: str) -> str:
    """The address of a static file, with a hash of its content, so that browsers may keep it for ever."""
    file = STATIC / path
    return f"/static/{path}?v={_stamp(path, file.stat().st_mtime_ns)}" if file.is_file() else f"/static/{path}"


@dataclass
class PageReader:
    """Who reads the page, in which language, at which site; draws pages for this reader."""

    request: Request
    user: User | Identity | None
    now: datetime
    sites: list[Site] = field(default_factory=list)
    staffs: list[Site] = field(default_factory=list)

    @property
    def locale(self) -> Locale:
        return locale_of(self.request)

    @property
    def site(self) -> Site | None:
        """The site that this browser chose, else the first."""
        chosen = find_cookie(self.request, SITE)
        return next((s for s in self.sites if s.slug == chosen), self.sites[0] if self.sites else None)

    @property
    def wants_fragment(self) -> bool:
        """Whether htmx asks for a part of the page, not for a whole one because of a link."""
        headers = self.request.headers
        return headers.get("hx-request") == "true" and headers.get("hx-boosted") != "true"

    # The slashes keep the names of the functions' own arguments apart from those of the values.

    def text(self, msgid: str, /, **values: Any) -> str:
        return fill(self.locale, translate(self.locale, msgid), values)

    def page(self, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """The whole page or the fragment that `template` is."""
        flash = read_flash(self.request)
        html = environment(self.locale).get_template(template).render(self._frame() | {"flash": flash} | values)
        answer = HTMLResponse(html, status_code=status)
        # Nobody may see a user's page from a cache, not even by the back button after a logout.
        answer.headers["Cache-Control"] = "private, no-store" if self.user else "no-cache"
        # One address is a page or a part of it, in either language.
        answer.headers["Vary"] = "Cookie, Accept-Language, HX-Request"
        if flash:
            delete_flash(answer)
        return answer

    def _frame(self) -> dict[str, Any]:
        cookie = self.request.cookies.get(session_cookie())
        paths: frozenset[str] = getattr(self.request.app.state, "paths", frozenset())
        return {
            "reader": self,
            "user": self.user,
            "now": self.now,
            "path": self.request.url.path,
            "site": self.site,
            "sites": self.sites,
            "staffs": self.staffs,
            "zone": self.site.timezone if self.site else "Europe/Paris",
            "csrf": accounts.csrf_of(cookie) if cookie else "",
            "navigation": [(href, label) for href, label in NAVIGATION if href in paths],
        }

    def to(self, url: str, message: str = "", /, **values: Any) -> Response:
        """303 to `url` after a POST, maybe with a message (a msgid with `{placeholders}`) for the page there."""
        return self._redirect(url, Flash(message, values) if message else None)

    def to_with_undo(self, url: str, undo: str, message: str, /, **values: Any) -> Response:
        """The same with a button that POSTs to `undo`, a path of ours."""
        return self._redirect(url, Flash(message, values, undo=undo))

    def to_refused(self, url: str, text: str) -> Response:
        """303 to `url`, where `text` says why nothing was done."""
        return self._redirect(url, Flash(text, {}, kind="broken"))

    def _redirect(self, url: str, flash: Flash | None) -> Response:
        answer = RedirectResponse(url, status_code=303)
        if self.request.headers.get("hx-request") == "true":
            # htmx would follow a 303 itself and swap a whole page into a part; this header makes the browser go there.
            answer = RedirectResponse(url, status_code=200)
            del answer.headers["location"]
            answer.headers["HX-Redirect"] = url
        if flash:
            write_flash(answer, flash)
        return answer


def reader(request: Request, session: DbSession, user: MaybeUser, now: Now) -> PageReader:
    return PageReader(
        request=request,
        user=user,
        now=now,
        sites=sites.list_sites(session),
        staffs=sites.list_staffed_sites(session, user=user) if user else [],
    )


Reader = Annotated[PageReader, Depends(reader)]


def text_for(request: Request, msgid: str, params: dict[str, Any]) -> str:
    """A text in the language of the request; `api.problems` gets this function, since it knows no catalogue."""
    locale = locale_of(request)
    return fill(locale, translate(locale, msgid), params)


def local_path(url: str, otherwise: str = "/") -> str:
    """`url` if it is a path of this site, so that a login cannot lead to another host."""
    # Browsers read "//host" and "/\host" as another host, and drop line ends within.
    is_ours = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if is_ours and url.isprintable() else otherwise


def show_problem(request: Request, problem: Problem) -> HTMLResponse:
    """An error as a page. It makes no query, because the database may be what failed."""
    bare = PageReader(request=request, user=getattr(request.state, "identity", None), now=datetime.now(UTC))
    template = "_problem.html" if bare.wants_fragment else "problem.html"
    return bare.page(template, status=problem.status, problem=problem)
