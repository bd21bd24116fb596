"""The demo network of `etabli demo`, written once into an empty database; a later start keeps what is there."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from api.domain.people.accounts import find_user
from api.domain.places.sites import get_site_by_slug, list_sites
from api.domain.pricing.tariffs import set_tariff
from web.demo.billing import seed_billing
from web.demo.bookings import seed_bookings
from web.demo.people import PEOPLE, list_logins, seed_people
from web.demo.printers import DemoServer, point_printers
from web.demo.sites import seed_sites
from web.starter_catalogue import default_tariff, seed_materials


def seed(session: Session, *, servers: list[DemoServer], data_dir: Path, now: datetime) -> dict[str, Any]:
    """Create what is missing, point the printers at the servers of this start, and return what `--json` writes."""
    # The order matters: people get a role at each site, and bookings and printers need both.
    if not list_sites(session):
        seed_materials(session)
        seed_sites(session, now)
        seed_people(session, now)
        set_tariff(session, site_id=None, tariff=default_tariff(), valid_from=now, now=now, actor=None)
    _seed_bookings(session, now)
    printers = point_printers(session, get_site_by_slug(session, "atelier"), servers, now)
    if buyer := find_user(session, email=PEOPLE["buyer"][0]):
        seed_billing(session, buyer=buyer, staff_email=PEOPLE["staff"][0], now=now)
    return {
        "members": list_logins(session, data_dir, now),
        "printers": [
            {"id": printer.id, "name": printer.name, "octoprint_url": server.url, "octoprint_key": server.key}
            for printer, server in zip(printers, servers, strict=True)
        ],
    }


def _seed_bookings(session: Session, now: datetime) -> None:
    member, staff = (find_user(session, email=PEOPLE[role][0]) for role in ("member", "staff"))
    if member is not None and staff is not None:
        sites = {site.slug: site for site in list_sites(session)}
        seed_bookings(session, sites=sites, staff=staff, member=member, now=now)
