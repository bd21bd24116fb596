"""Feeds: addresses to which calendar programs subscribe. A private one is itself the secret."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.addresses import address_of
from api.deps import CurrentUser, DbSession, Now
from api.domain.booking import feeds
from api.domain.places.sites import get_resource, get_site_by_slug

router = APIRouter(tags=["feeds"])

CALENDAR = "text/calendar; charset=utf-8"


class FeedIn(BaseModel):
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


@router.get("/feeds/sites/{slug}.ics")
def read_site(slug: str, session: DbSession, now: Now) -> Response:
    """The public calendar of a site: its gatherings."""
    calendar = feeds.site_feed(session, site=get_site_by_slug(session, slug), now=now)
    return Response(calendar, media_type=CALENDAR, headers={"Cache-Control": "public, max-age=300"})


@router.get("/feeds/{secret}.ics")
def read_private(secret: str, session: DbSession, now: Now) -> Response:
    """The calendar of a person or resource. Without a login: calendar programs have none."""
    calendar = feeds.read_feed(session, secret=secret, now=now)
    # Who holds the secret sees names and times: no cache on the way may keep them.
    return Response(calendar, media_type=CALENDAR, headers={"Cache-Control": "private, no-store"})
