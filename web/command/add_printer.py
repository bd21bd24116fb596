"""What `etabli printer add` does: probe a printer, print what it answers, and add it if its key has all rights."""

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
from api.domain.core.locks import lock_name
from api.domain.places.sites import Site, list_sites
from api.domain.pricing.materials import get_colour, get_material
from api.domain.printing.beds import BedPlace, MachineFacts, place_bed
from api.domain.printing.kinds import get_or_create_kind
from api.domain.printing.printers import (
    Printer,
    add_printer,
    find_printer_at,
    find_printer_on,
)
from api.domain.printing.probes import ANSWER_WITHIN
from api.settings import settings
from printers import appkeys
from printers.address import check_printer_url, server_of
from printers.configuration import read_configuration
from printers.octoprint import OctoPrint
from printers.port import PrinterError
from printers.probing import note_servers
from printers.slicing import machine_spec
from printers.trials import TrialTask, choose_materials, slice_cubes
from web.command.errors import CommandError

# OctoPrint drops a request for a key that is not polled for five seconds.
POLL_S = 3.0

# What a person can do about it, by the reason of a PrinterError.
HELP = {
    "unreachable": "Nothing answers at this address: is OctoPrint running, and is this its port?",
    "timeout": "OctoPrint takes too long to answer: it may be starting or very busy.",
    "forbidden": "This address leads to where no printer may be (ETABLI_PRINTER_NETWORKS).",
    "wrong_key": "OctoPrint does not know this key: copy it again, or leave out --key and accept the request there.",
    "no_right": "The key lacks a right: grant it to its user in OctoPrint.",
    "not_found": "Something answers at this address, but it is not OctoPrint.",
    "bad_answer": "Something answers at this address, but it is not OctoPrint.",
    "busy": "OctoPrint is asked too often: try again in a minute.",
}


class CannotAdd(CommandError):
    """The printer was not added."""


@dataclass(frozen=True)
class PrinterRequest:
    """The options of the command; `site` "" is the only site there is, `key` "" asks OctoPrint for one."""

    url: str
    name: str = ""
    key: str = ""
    site: str = ""
    volume_mm: tuple[float, float, float] = (220, 220, 250)
    bed: BedPlace = BedPlace.CORNER
    nozzle_mm: Decimal = Decimal("0.4")
    profile: Path | None = None
    material: str = "PLA"
    colour: str = "black"


def add_to_fleet(request: PrinterRequest) -> str:
    """Probe it, print what it answers, add it; what was done in one sentence. Raises CannotAdd."""
    url = request.url if "://" in request.url else f"http://{request.url}"
    try:
        config, machine = _read_profile(request)
        address = check_printer_url(url, allow=settings().printer_networks or None)
        server = server_of(address, allow=settings().printer_networks or None)
        note_servers()
        # Before a person has to walk to the printer and agree: would it be added at all?
        with transaction() as session:
            _find_site(session, request.site)
            _refuse_twice(session, address, server)
            materials = choose_materials(session)
        if config:
            _try_profile(TrialTask(config, machine_spec(machine, config, ()), materials))
        # No transaction is open while the printer is asked: that may take minutes.
        key = request.key or ask_key(address)
        version = _probe(address, key)
        with transaction() as session:
            _refuse_twice(session, address, server)
            printer = _add(session, request, address, key, version, config, machine)
            printer.server = server
            site = printer.resource.site
            return f"{printer.name} is added at {site.name} as printer {printer.id}, for {printer.kind.name}."
    except DomainError as error:
        raise CannotAdd(str(error)) from error
    except PrinterError as error:
        raise CannotAdd(f"{HELP.get(error.reason, '')} ({url}: {error})".strip()) from error


def _add(
    session: Session,
    request: PrinterRequest,
    address: str,
    key: str,
    version: str,
    config: str,
    machine: MachineFacts,
) -> Printer:
    kind = get_or_create_kind(session, machine=machine, config_ini=config)
    material = get_material(session, request.material)
    return add_printer(
        session,
        site=_find_site(session, request.site),
        name=request.name.strip()[:120] or address.split("//")[1],
        kind=kind,
        url=address,
        sealed_key=seal(key, about=address),
        now=datetime.now(UTC),
        server_version=version,
        material_id=material.id,
        colour_id=get_colour(material, request.colour).id,
    )


def _read_profile(request: PrinterRequest) -> tuple[str, MachineFacts]:
    """The configuration that came with the request, and its machine; else "" and the machine of the request."""
    path = request.profile
    if path is None:
        width, depth, height = request.volume_mm
        return "", MachineFacts(place_bed(width, depth, request.bed), height, request.nozzle_mm)
    try:
        text = path.read_text()
        facts = read_configuration(text)
    except (OSError, UnicodeDecodeError) as error:
        raise CannotAdd(f"{path} cannot be read: {error}") from error
    except DomainError as error:
        raise CannotAdd(f"{path}: {error}") from error
    if facts.unlisted:
        # Who answers for a line must be known by name, which only a login tells.
        raise CannotAdd(f"{path}: give it on the page of the printer, because of the line “{facts.unlisted[0].text}”.")
    return text, facts.machine


def _try_profile(task: TrialTask) -> None:
    """Raises CannotAdd unless all test slices succeed, as on the page of the printer's type."""
    try:
        tries, _ = slice_cubes(task)
    except DomainError as error:
        raise CannotAdd(str(error)) from error
    for attempt in tries:
        if "code" in attempt:
            reasons = "; ".join(attempt["params"].values()) or attempt["code"]
            raise CannotAdd(f"A test slice failed ({attempt['material']}, {attempt['quality']}): {reasons}")


def _find_site(session: Session, slug: str) -> Site:
    """By its slug; with "", the only site there is. Raises CannotAdd."""
    sites = list_sites(session)
    if slug:
        sites = [site for site in sites if site.slug == slug]
    if len(sites) == 1:
        return sites[0]
    slugs = ", ".join(site.slug for site in list_sites(session))
    if not slugs:
        raise CannotAdd("There is no place yet: etabli site add SLUG --name NAME.")
    raise CannotAdd(f"Choose a place with --site: {slugs}.")


def _refuse_twice(session: Session, address: str, server: str) -> None:
    # As a page does that adds the same one at this moment (`probes.add_probed`).
    lock_name(session, f"printer:{address}")
    if printer := find_printer_at(session, address) or find_printer_on(session, server):
        raise CannotAdd(f"{address} is already added: it is {printer.name} at {printer.resource.site.name}.")


def _probe(address: str, key: str) -> str:
    """Print what it is and what the key may do; its version. Raises CannotAdd and PrinterError."""
    port = OctoPrint(address, key, installation=settings().installation)
    try:
        probe = port.probe()
    finally:
        port.close()
    typer.echo(f"Connected: OctoPrint {probe.version}, user {probe.user}.")
    if probe.missing_rights:
        rights = ", ".join(probe.missing_rights)
        raise CannotAdd(f"The key lacks rights: {rights}. Grant them to {probe.user} in OctoPrint, and try again.")
    if probe.dangerous_rights:
        rights = ", ".join(probe.dangerous_rights)
        typer.echo(f"Note: the key has more rights than needed ({rights}). A user with fewer rights is safer.")
    return probe.version[:40]


def ask_key(address: str, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """An application key, once a person agrees on OctoPrint's page. Raises CannotAdd and PrinterError."""
    token = appkeys.request_key(address, app="Établi")
    typer.echo(f"Open {address} in a browser, log in, and accept the request for a key from Établi. Waiting…")
    deadline = time.monotonic() + ANSWER_WITHIN.total_seconds()
    while time.monotonic() < deadline:
        sleep(POLL_S)
        decision = appkeys.poll_key(address, token)
        if decision.state == "granted":
            return decision.key
        if decision.state == "refused":
            raise CannotAdd("The request for a key was refused, or nobody answered in time.")
    raise CannotAdd("The request for a key was not accepted in time on the OctoPrint page.")
