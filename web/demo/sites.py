"""The three sites of the demo, each with what can be booked there."""

from __future__ import annotations

from datetime import datetime, time

from sqlalchemy.orm import Session

from api.domain.places.sites import ResourceKind, Site, create_resource, create_site, set_hours

WEEKDAYS = range(5)


def seed_sites(session: Session, now: datetime) -> None:
    places = [
        ("atelier", "L'Atelier", "Mende", "Bar-atelier : impression 3D, réalité virtuelle, concerts.", (9, 19)),
        ("telecentre", "Le Télécentre", "Villefort", "Salle de réunion et visioconférence, jour et nuit.", (9, 17)),
        ("florac", "La Fabrique", "Florac", "Bureaux partagés, calme et coups de main.", (9, 18)),
    ]
    for slug, name, city, about, (opens, closes) in places:
        site = create_site(
            session,
            slug=slug,
            name=name,
            city=city,
            about=about,
            # So that the demo shows a print from upload to end without a second person.
            approves_prints=False,
            prints_unattended=True,
            now=now,
        )
        set_hours(session, site=site, rows=[(day, time(opens), time(closes), True) for day in WEEKDAYS])
        _add_resources(session, site, now)


def _add_resources(session: Session, site: Site, now: datetime) -> None:
    things = {
        "atelier": [(ResourceKind.VR_KIT, "Casque VR 1")],
        "telecentre": [(ResourceKind.ROOM, "Salle de réunion et visio")],
        "florac": [(ResourceKind.WORKSTATION, "Bureau près de la fenêtre"), (ResourceKind.WORKSTATION, "Bureau calme")],
    }
    for kind, name in things[site.slug]:
        create_resource(session, site=site, kind=kind, name=name, now=now)
