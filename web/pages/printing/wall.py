"""`/wall`: the printers as large tiles for a screen in the workshop. Names no person and no file: anybody may look."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.deps import DbSession
from api.domain.printing.printers import list_printers
from web.render import Reader
from web.summaries import summarise_printers

router = APIRouter(include_in_schema=False)


@router.get("/wall")
def wall(reader: Reader, session: DbSession, site: str = "") -> Response:
    """All printers, or those of one place by `?site=<slug>`."""
    place = next((each for each in reader.sites if each.slug == site), None)
    fleet = list_printers(session, site_ids=[place.id] if place else None)
    return reader.page("printing/wall.html", place=place, printers=summarise_printers(session, reader, fleet))
