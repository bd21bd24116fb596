"""The demo network: three places, two virtual printers, a VR kit, people to log in as. Runs again safely."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters.seal import seal
from api.domain.people.accounts import (
    add_organisation,
    find_token_user,
    find_user,
    issue_token,
    sign_up,
)
from api.domain.people.roles import Level, grant
from api.domain.places.sites import ResourceKind, Site, create_resource, create_site, list_sites, set_hours
from api.domain.pricing.materials import Colour, Material
from api.domain.pricing.prices import Tariff
from api.domain.pricing.tariffs import set_tariff
from api.domain.printing.printers import Printer, PrinterKind, add_printer, list_printers
from web.demo_bookings import seed_bookings
from web.demo_money import seed_money

PASSWORD = "atelier-demo-2026"  # noqa: S105  # printed at the start of the demo, on purpose
PEOPLE = {
    "member": ("alice@example.org", "Alice Membre"),
    "staff": ("bob@example.org", "Bob Équipe"),
    "buyer": ("camille@example.org", "Camille Acheteuse"),
}
WEEKDAYS = range(5)


@dataclass(frozen=True)
class DemoServer:
    """A running OctoPrint of the demo."""

    name: str
    url: str
    key: str


def seed(session: Session, *, servers: list[DemoServer], data_dir: Path, now: datetime) -> dict[str, Any]:
    """Make what lacks, point the printers at the servers of this start, and return what `--json` tells."""
    if not list_sites(session):
        _make_network(session, now)
    _seed_bookings(session, now)
    atelier = session.scalars(select(Site).where(Site.slug == "atelier")).one()
    printers = _point_printers(session, atelier, servers, now)
    if buyer := find_user(session, email=PEOPLE["buyer"][0]):
        seed_money(session, buyer=buyer, now=now)
    return {
        "members": _members(session, data_dir, now),
        "printers": [
            {"id": printer.id, "name": printer.name, "octoprint_url": server.url, "octoprint_key": server.key}
            for printer, server in zip(printers, servers, strict=True)
        ],
    }


def _make_network(session: Session, now: datetime) -> None:
    seed_materials(session)
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
            approves_prints=False,
            prints_unattended=True,
            now=now,
        )
        set_hours(session, site=site, rows=[(day, time(opens), time(closes), True) for day in WEEKDAYS])
        _make_resources(session, site, now)
    _make_people(session, now)
    set_tariff(session, site_id=None, tariff=default_tariff(), valid_from=now, now=now, actor=None)


def _seed_bookings(session: Session, now: datetime) -> None:
    member, staff = (find_user(session, email=PEOPLE[role][0]) for role in ("member", "staff"))
    if member is not None and staff is not None:
        sites = {site.slug: site for site in list_sites(session)}
        seed_bookings(session, sites=sites, staff=staff, member=member, now=now)


def _make_resources(session: Session, site: Site, now: datetime) -> None:
    things = {
        "atelier": [(ResourceKind.VR_KIT, "Casque VR 1")],
        "telecentre": [(ResourceKind.ROOM, "Salle de réunion et visio")],
        "florac": [(ResourceKind.WORKSTATION, "Bureau près de la fenêtre"), (ResourceKind.WORKSTATION, "Bureau calme")],
    }
    for kind, name in things[site.slug]:
        create_resource(session, site=site, kind=kind, name=name, now=now)


def seed_materials(session: Session) -> None:
    """PLA, PETG and TPU with the figures of the data sheets that our slicing profiles use."""
    rows = [
        ("PLA", "PLA", "PLA", "1.24", 210, 60, "11", "22"),
        ("PETG", "PETG", "PETG", "1.27", 240, 80, "8", "25"),
        ("TPU", "TPU (souple)", "TPU (flexible)", "1.21", 225, 50, "2.5", "35"),
    ]
    colours = [
        ("black", "Noir", "Black", "#1c1c1c"),
        ("white", "Blanc", "White", "#f5f5f0"),
        ("orange", "Orange", "Orange", "#e8641b"),
    ]
    for code, name, name_en, density, nozzle_c, bed_c, flow, per_kg in rows:
        material = Material(
            code=code,
            name=name,
            name_en=name_en,
            density_g_cm3=Decimal(density),
            nozzle_c=nozzle_c,
            bed_c=bed_c,
            max_flow_mm3_s=Decimal(flow),
            price_per_kg=Decimal(per_kg),
        )
        material.colours = [Colour(code=c, name=n, name_en=e, hex=h) for c, n, e, h in colours]
        session.add(material)
    session.flush()


def default_tariff() -> Tariff:
    return Tariff(
        per_gram={"PLA": Decimal("0.06"), "PETG": Decimal("0.07"), "TPU": Decimal("0.10")},
        per_minute=Decimal("0.02"),
        handling=Decimal("0.80"),
        set_up=Decimal("1.50"),
        min_line=Decimal("3.00"),
        min_order=Decimal("5.00"),
        quantity_breaks=((10, Decimal("0.90")), (50, Decimal("0.80"))),
        rush_factors={"express": Decimal("1.5")},
    )


def _make_people(session: Session, now: datetime) -> None:
    for role, (email, name) in PEOPLE.items():
        user = sign_up(session, email=email, name=name, password=PASSWORD, now=now)
        for site in list_sites(session):
            grant(session, user=user, site_id=site.id, level=Level.MEMBER, now=now)
            if role == "staff":
                grant(session, user=user, site_id=site.id, level=Level.MANAGER, now=now)
        if role == "buyer":
            organisation = add_organisation(
                session, name="Menuiserie du Gévaudan", slug="menuiserie", owner=user, now=now
            )
            organisation.siren, organisation.siret = "732829320", "73282932000074"
    session.flush()


def _point_printers(session: Session, site: Site, servers: list[DemoServer], now: datetime) -> list[Printer]:
    """The demo's printers, in order; their servers' addresses may differ from start to start."""
    printers = list_printers(session, site_ids=[site.id])
    materials = {material.code: material for material in session.scalars(select(Material))}
    for number, server in enumerate(servers):
        if number < len(printers):
            printers[number].url = server.url
            printers[number].sealed_key = seal(server.key, about=server.url)
            continue
        pla = materials["PLA"]
        printer = add_printer(
            session,
            site=site,
            name=server.name,
            kind=_generic_kind(session),
            url=server.url,
            sealed_key=seal(server.key, about=server.url),
            now=now,
            material_id=pla.id,
            colour_id=pla.colours[number % 2].id,
            plate_clear=True,
        )
        printers.append(printer)
    session.flush()
    return printers[: len(servers)]


def _generic_kind(session: Session) -> PrinterKind:
    name = "Imprimante 220 × 220 × 250"
    kind = session.scalar(select(PrinterKind).where(PrinterKind.name == name))
    if kind is None:
        kind = PrinterKind(name=name, width_mm=220, depth_mm=220, height_mm=250)
        session.add(kind)
        session.flush()
    return kind


def _members(session: Session, data_dir: Path, now: datetime) -> dict[str, dict[str, str]]:
    """Logins and tokens; a token is kept beside the data, so that it stays good over a restart."""
    kept_file = data_dir / "secrets" / "demo-tokens.json"
    kept: dict[str, str] = json.loads(kept_file.read_text()) if kept_file.exists() else {}
    members = {}
    for role, (email, _) in PEOPLE.items():
        user = find_user(session, email=email)
        assert user is not None  # noqa: S101  # _make_people made them
        token = kept.get(role, "")
        if not token or find_token_user(session, token=token, now=now) is None:
            token = kept[role] = issue_token(session, user=user, name="demo", now=now)
        members[role] = {"email": email, "password": PASSWORD, "token": token}
    kept_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept_file.touch(mode=0o600)
    kept_file.write_text(json.dumps(kept))
    return members
