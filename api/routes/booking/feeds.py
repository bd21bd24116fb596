"""Feeds: addresses to which calendar programs subscribe. A private one is itself the secret."""

from __future__ import annotations

import gzip

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.addresses import address_of
from api.bodies import Body
from api.deps import CurrentUser, DbSession, Now
from api.domain.booking import feeds
from api.domain.places.sites import get_resource, get_site_by_slug

router = APIRouter(tags=["feeds"])

CALENDAR = "text/calendar; charset=utf-8"


class FeedIn(Body):
    """Without a resource it is one's own calendar; that of a resource is for the staff of its site."""

    resource_id: int | None = None


class FeedOut(BaseModel):
    """It is shown only now; the address before it stops working."""

    url: str


@router.post("/api/v1/feeds", status_code=201)
def open_feed(body: FeedIn, request: Request, session: DbSession, user: CurrentUser, now: Now) -> FeedOut:
    resource = get_resource(session, body.resource_id) if body.resource_id else None
    secret = feeds.open_feed(session, user=user, resource=resource, now=now)
    return FeedOut(url=address_of(f"/feeds/{secret}.ics", origin=request.base_url))


@router.head("/feeds/sites/{slug}.ics", include_in_schema=False)
@router.get("/feeds/sites/{slug}.ics")
def read_site(slug: str, request: Request, session: DbSession, now: Now) -> Response:
    """The public calendar of a site: its gatherings."""
    feed = feeds.site_feed(session, site=get_site_by_slug(session, slug), now=now)
    return _answer(request, feed, "public, max-age=300")


@router.head("/feeds/{secret}.ics", include_in_schema=False)
@router.get("/feeds/{secret}.ics")
def read_private(secret: str, request: Request, session: DbSession, now: Now) -> Response:
    """The calendar of a person or resource. Without a login: calendar programs have none."""
    # Who holds the secret sees names and times: no cache on the way may keep them.
    return _answer(request, feeds.read_feed(session, secret=secret, now=now), "private, no-cache")


def _answer(request: Request, feed: feeds.FeedContent, caching: str) -> Response:
    """304 to a program that has it already: a query instead of the calendar. Else compressed, if it may be."""
    # Weak, because the compressed answer has other bytes.
    tag = f'W/"{feed.tag}"'
    headers = {"Cache-Control": caching, "ETag": tag, "Vary": "Accept-Encoding"}
    tags = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag.removeprefix("W/") in tags:
        return Response(status_code=304, headers=headers)
    calendar = feed.render()
    if "gzip" in request.headers.get("accept-encoding", ""):
        calendar, headers = gzip.compress(calendar, compresslevel=5), headers | {"Content-Encoding": "gzip"}
    return Response(calendar, media_type=CALENDAR, headers=headers)
