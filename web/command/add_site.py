"""What `etabli site add` does: create a site with its hours, and for the first one materials and a tariff."""

from __future__ import annotations

from datetime import UTC, datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.places.sites import Site, create_site, set_hours
from api.domain.pricing.materials import Material
from api.domain.pricing.tariffs import TariffRow, set_tariff
from web.command.errors import CommandError
from web.starter_catalogue import default_tariff, seed_materials

WEEKDAYS = range(5)


class CannotAddSite(CommandError):
    """The site was not added."""


def add_site(*, slug: str, name: str, city: str, opens: time, closes: time, approves: bool) -> bool:
    """Create it, staffed Monday to Friday; whether materials and a tariff came with it. Raises CannotAddSite."""
    now = datetime.now(UTC)
    with transaction() as session:
        # Checked first: the error of the unique index would not be a sentence for a person.
        if session.scalar(select(Site.id).where(Site.slug == slug)):
            raise CannotAddSite(f"There is a place called {slug} already.")
        site = create_site(session, slug=slug, name=name, city=city, approves_prints=approves, now=now)
        set_hours(session, site=site, rows=[(day, opens, closes, True) for day in WEEKDAYS])
        return offer_materials(session, now=now)


def offer_materials(session: Session, *, now: datetime) -> bool:
    """Add the materials of the slicing profiles and a tariff, unless there are materials already."""
    if session.scalar(select(Material.id).limit(1)):
        return False
    seed_materials(session)
    # Of the network, not of this site: sites that are added later print at the same prices.
    if not session.scalar(select(TariffRow.id).limit(1)):
        set_tariff(session, site_id=None, tariff=default_tariff(), valid_from=now, now=now, actor=None)
    return True
