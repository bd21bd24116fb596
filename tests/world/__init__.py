"""The people of the tests: alice (member), bob (staff), charlie (of another house); and `make_x(..)` for all things.

Every default is named here, so that a test says only what it is about.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy.orm import Session

from api.domain.people import accounts, roles
from api.domain.people.accounts import Organisation, User
from api.domain.people.roles import Level
from api.domain.places import sites
from api.domain.places.sites import Site
from api.domain.pricing import tariffs
from api.domain.pricing.materials import Colour, Material, Quality
from api.domain.pricing.prices import Tariff
from api.domain.printing import jobs, library, printers, slices
from api.domain.printing.jobs import Job, JobRequest
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.library import Model
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Run, RunStatus, claim_next

#: A Monday noon in Mende (13:00 there); the workshop is open and staffed.
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PASSWORD = "trois mots simples"
_number = count(1)


def make_user(session: Session, name: str = "Dana", **facts: Any) -> User:
    """Without a password unless one is given: hashing costs a quarter of a second."""
    email = facts.pop("email", f"{name.lower()}{next(_number)}@example.org")
    user = User(email=email, name=name, created_at=NOW, **facts)
    session.add(user)
    session.flush()
    return user


def make_site(session: Session, name: str = "L'Atelier", *, approves_prints: bool = False, **facts: Any) -> Site:
    """Open and staffed every day from 9 to 18."""
    slug = facts.pop("slug", f"site-{next(_number)}")
    site = sites.create_site(
        session, slug=slug, name=name, now=NOW, **{"city": "Mende", "approves_prints": approves_prints, **facts}
    )
    sites.set_hours(session, site=site, rows=[(day, time(9), time(18), True) for day in range(7)])
    return site


def make_material(session: Session, code: str = "PLA", *, colours: tuple[str, ...] = ("white", "black")) -> Material:
    """The material of this code, made once per database."""
    if found := session.query(Material).filter_by(code=code).one_or_none():
        return found
    material = Material(code=code, name=code, density_g_cm3=Decimal("1.24"), nozzle_c=215, bed_c=60)
    material.colours = [Colour(code=c, name=c.capitalize(), hex="#808080") for c in colours]
    session.add(material)
    session.flush()
    return material


def make_kind(
    session: Session, name: str = "", *, volume_mm: tuple[float, float, float] = (220, 220, 250)
) -> PrinterKind:
    width, depth, height = volume_mm
    kind = PrinterKind(name=name or f"Kind {next(_number)}", width_mm=width, depth_mm=depth, height_mm=height)
    session.add(kind)
    session.flush()
    return kind


def make_printer(
    session: Session,
    site: Site,
    name: str = "",
    *,
    kind: PrinterKind | None = None,
    plate_clear: bool = True,
    machine: str = "idle",
    material: Material | None = None,
    **facts: Any,
) -> Printer:
    """Just seen, idle, its plate clear, PLA loaded: ready."""
    printer = printers.add_printer(
        session,
        site=site,
        name=name or f"Printer {next(_number)}",
        kind=kind or make_kind(session),
        url=facts.pop("url", "http://127.0.0.1:9"),
        sealed_key=facts.pop("sealed_key", "sealed"),
        now=NOW,
    )
    loaded = material or make_material(session)
    values = {"plate_clear": plate_clear, "machine": machine, "looked_at": NOW, "reached_at": NOW, **facts}
    for column, value in values.items():
        setattr(printer, column, value)
    printer.material_id, printer.colour_id = loaded.id, loaded.colours[0].id
    session.flush()
    session.refresh(printer)
    return printer


def make_tariff(session: Session, site: Site | None = None, **facts: Any) -> None:
    """5 cents a gram, 2 cents a minute, 1 euro to begin with; 20 % VAT."""
    tariff = Tariff(
        **{
            "per_gram": {"PLA": Decimal("0.05"), "PETG": Decimal("0.06")},
            "per_minute": Decimal("0.02"),
            "set_up": Decimal(1),
            **facts,
        }
    )
    site_id = site.id if site else None
    tariffs.set_tariff(
        session, site_id=site_id, tariff=tariff, valid_from=datetime(2020, 1, 1, tzinfo=UTC), now=NOW, actor=None
    )


def make_model(session: Session, owner: User, name: str = "hook.stl", **facts: Any) -> Model:
    """A closed cube of 20 mm."""
    values: dict[str, Any] = {
        "sha256": f"{next(_number):064x}",
        "stl_key": "models/none.stl",
        "bytes": 684,
        "triangles": 12,
        "size_x_mm": 20.0,
        "size_y_mm": 20.0,
        "size_z_mm": 20.0,
        "volume_mm3": 8000.0,
        "area_mm2": 2400.0,
        "shells": 1,
        "closed": True,
        "measures": {},
    }
    return library.add_model(session, owner=owner, name=name, now=NOW, **{**values, **facts})


def make_request(session: Session, site: Site, model: Model, **facts: Any) -> JobRequest:
    material = facts.pop("material", None) or make_material(session)
    colour = facts.pop("colour", None) or material.colours[0]
    return JobRequest(
        model=model, site=site, material=material, colour=colour, **{"quality": Quality.STANDARD, **facts}
    )


def make_job(session: Session, site: Site, owner: User, *, model: Model | None = None, **facts: Any) -> Job:
    """A draft of one white cube."""
    request = make_request(session, site, model or make_model(session, owner), **facts)
    return jobs.create_job(session, owner=owner, request=request, now=NOW)


def make_submitted(session: Session, site: Site, owner: User, **facts: Any) -> Job:
    job = make_job(session, site, owner, **facts)
    jobs.submit(session, job=job, actor=owner, now=NOW)
    return job


def make_sliced(
    session: Session, site: Site, owner: User, *, seconds: int = 1800, grams: str = "9.5", **facts: Any
) -> Job:
    """Submitted and sliced; queued, where the site does not want to approve."""
    job = make_submitted(session, site, owner, **facts)
    for wanted in job.slices:
        if wanted.slice.status == slices.SliceStatus.PENDING:
            slices.mark_ready(
                session,
                slice_=wanted.slice,
                seconds=seconds,
                grams=Decimal(grams),
                gcode_key="gcode/none.gcode",
                size=1000,
                sha1="0" * 40,
                now=NOW,
            )
    jobs.settle_slices(session, job=job, now=NOW)
    return job


def make_run(session: Session, printer: Printer, *, status: RunStatus = RunStatus.PRINTING, **facts: Any) -> Run:
    """The next queued job claimed by this printer, and the run taken to `status`."""
    run = claim_next(session, printer_id=printer.id, now=NOW)
    assert run is not None, "no queued job fits this printer"
    for column, value in {"status": status, "started_at": NOW, **facts}.items():
        setattr(run, column, value)
    session.flush()
    return run


@dataclass
class World:
    """One place with a printer, its member alice, its staff bob; charlie belongs to another place and company."""

    site: Site
    printer: Printer
    material: Material
    alice: User
    bob: User
    charlie: User
    acme: Organisation


def world_in(session: Session, world: World) -> World:
    """The same world with its rows as this session has them."""
    names = [each.name for each in fields(World)]
    return World(**{name: session.get_one(type(getattr(world, name)), getattr(world, name).id) for name in names})


def make_world(session: Session, **site_facts: Any) -> World:
    site, elsewhere = make_site(session, **site_facts), make_site(session, "Ailleurs")
    alice, bob, charlie = (make_user(session, name) for name in ("Alice", "Bob", "Charlie"))
    roles.grant(session, user=alice, site_id=site.id, level=Level.MEMBER, now=NOW)
    roles.grant(session, user=bob, site_id=site.id, level=Level.MANAGER, now=NOW)
    roles.grant(session, user=charlie, site_id=elsewhere.id, level=Level.MANAGER, now=NOW)
    acme = accounts.add_organisation(session, name="Acme", slug=f"acme-{next(_number)}", owner=charlie, now=NOW)
    material = make_material(session)
    make_tariff(session)
    return World(site, make_printer(session, site), material, alice, bob, charlie, acme)
