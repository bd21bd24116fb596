"""Look at a printer from here, say what was found, and add it when it can be used. Refuses one that lacks a right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import typer
from sqlalchemy.orm import Session

from api.adapters.seal import seal
from api.db import transaction
from api.domain.core.errors import DomainError
from api.domain.places.sites import Site, list_sites
from api.domain.pricing.materials import get_colour, get_material
from api.domain.printing.printers import Printer, add_printer, get_or_create_kind, list_printers
from api.domain.printing.probes import ANSWER_WITHIN
from api.settings import settings
from printers import appkeys
from printers.address import check_printer_url
from printers.octoprint import OctoPrint
from printers.port import PrinterError
from printers.profile import check_profile
from web.command.clear import CommandError

# OctoPrint drops a request for a key that is polled more slowly than every five seconds.
POLL_S = 3.0

# What a person does about it.
HELP = {
    "unreachable": "Nobody answers at this address: is OctoPrint running, and is this its port?",
    "timeout": "It takes too long to answer: is OctoPrint busy or starting?",
    "wrong_key": "OctoPrint does not know this key: copy it again, or leave --key out and agree on its page.",
    "no_right": "The key may not do this: give its user the rights in OctoPrint.",
    "not_found": "Something answers at this address, but it is no OctoPrint.",
    "bad_answer": "Something answers at this address, but it is no OctoPrint.",
    "busy": "OctoPrint is asked too often: try again in a minute.",
}


class CannotAdd(CommandError):
    """The printer was not added."""


@dataclass(frozen=True)
class PrinterRequest:
    """What a person said of the printer; `site` "" is the only place, `key` "" asks OctoPrint for one."""

    url: str
    name: str = ""
    key: str = ""
    site: str = ""
    volume_mm: tuple[float, float, float] = (220, 220, 250)
    nozzle_mm: Decimal = Decimal("0.4")
    profile: Path | None = None
    material: str = "PLA"
    colour: str = "black"


def add_to_fleet(wanted: PrinterRequest) -> str:
    """Probe it, say what it answers, add it; what was done in one sentence. Raises CannotAdd."""
    url = wanted.url if "://" in wanted.url else f"http://{wanted.url}"
    try:
        config = _read_profile(wanted.profile)
        address = check_printer_url(url, allow=settings().printer_networks or None)
        with transaction() as session:
            _find_site(session, wanted.site)
            _refuse_twice(session, address)
        key = wanted.key or ask_key(address)
        version = _look(address, key)
        with transaction() as session:
            added = _add(session, wanted, address, key, version, config)
            return f"{added.name} is added at {added.resource.site.name} as printer {added.id}, for {added.kind.name}."
    except DomainError as error:
        raise CannotAdd(str(error)) from error
    except PrinterError as error:
        raise CannotAdd(f"{HELP.get(error.reason, '')} ({url}: {error})".strip()) from error


def _add(session: Session, wanted: PrinterRequest, address: str, key: str, version: str, config: str) -> Printer:
    kind = get_or_create_kind(session, volume_mm=wanted.volume_mm, nozzle_mm=wanted.nozzle_mm, config_ini=config)
    loaded = get_material(session, wanted.material)
    return add_printer(
        session,
        site=_find_site(session, wanted.site),
        name=wanted.name.strip()[:120] or address.split("//")[1],
        kind=kind,
        url=address,
        sealed_key=seal(key, about=address),
        now=datetime.now(UTC),
        server_version=version,
        material_id=loaded.id,
        colour_id=get_colour(loaded, wanted.colour).id,
    )


def _read_profile(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        text = path.read_text()
        check_profile(text)
    except (OSError, UnicodeDecodeError) as error:
        raise CannotAdd(f"{path} cannot be read: {error}") from error
    except DomainError as error:
        raise CannotAdd(f"{path}: {error}") from error
    return text


def _find_site(session: Session, slug: str) -> Site:
    """By its short name; without one, the only place that there is."""
    sites = list_sites(session)
    if slug:
        sites = [site for site in sites if site.slug == slug]
    if len(sites) == 1:
        return sites[0]
    known = ", ".join(site.slug for site in list_sites(session))
    if not known:
        raise CannotAdd("There is no place yet: etabli site add SLUG --name NAME.")
    raise CannotAdd(f"Say at which place by --site: {known}.")


def _refuse_twice(session: Session, address: str) -> None:
    for printer in list_printers(session):
        if printer.url == address:
            raise CannotAdd(f"{address} is known already: it is {printer.name} at {printer.resource.site.name}.")


def _look(address: str, key: str) -> str:
    """Say what it is and what the key may do; its version. Raises PrinterError."""
    port = OctoPrint(address, key, installation=settings().installation)
    try:
        found = port.probe()
    finally:
        port.close()
    typer.echo(f"It answers: OctoPrint {found.version}, as user {found.user}.")
    if found.missing_rights:
        rights = ", ".join(found.missing_rights)
        raise CannotAdd(f"The key lacks rights: {rights}. Give them to {found.user} in OctoPrint, and try again.")
    if found.dangerous_rights:
        rights = ", ".join(found.dangerous_rights)
        typer.echo(f"Note: the key may do more than is needed ({rights}). A user with fewer rights is safer.")
    return found.version[:40]


def ask_key(address: str, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """By OctoPrint's application keys: wait until a person agrees on its page. Raises CannotAdd or PrinterError."""
    token = appkeys.request_key(address, app="Établi")
    typer.echo(f"Open {address} in a browser, log in, and agree that Établi may have a key. Waiting...")
    deadline = time.monotonic() + ANSWER_WITHIN.total_seconds()
    while time.monotonic() < deadline:
        sleep(POLL_S)
        decision = appkeys.poll_key(address, token)
        if decision.state == "granted":
            return decision.key
        if decision.state == "refused":
            raise CannotAdd("The request for a key was refused, or nobody answered in time.")
    raise CannotAdd("Nobody agreed on OctoPrint's page in time.")
