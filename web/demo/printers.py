"""The printers of the demo, which follow their OctoPrint servers to the addresses of each start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters.seal import seal
from api.domain.places.sites import Site
from api.domain.pricing.materials import Material
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.printers import Printer, add_printer, list_printers


@dataclass(frozen=True)
class DemoServer:
    """A running OctoPrint of the demo."""

    name: str
    url: str
    key: str


def point_printers(session: Session, site: Site, servers: list[DemoServer], now: datetime) -> list[Printer]:
    """One printer per server, in the order of the servers; one that exists gets the address and key of this start."""
    printers = list_printers(session, site_ids=[site.id])
    for printer, server in zip(printers, servers, strict=False):
        # The servers take any free port, so their addresses differ from start to start.
        printer.url = server.url
        printer.sealed_key = seal(server.key, about=server.url)
    for number, server in enumerate(servers[len(printers) :], start=len(printers)):
        printers.append(_add_printer(session, site, server, number, now))
    session.flush()
    return printers[: len(servers)]


def _add_printer(session: Session, site: Site, server: DemoServer, number: int, now: datetime) -> Printer:
    pla = session.scalars(select(Material).where(Material.code == "PLA")).one()
    return add_printer(
        session,
        site=site,
        name=server.name,
        kind=_generic_kind(session),
        url=server.url,
        sealed_key=seal(server.key, about=server.url),
        now=now,
        material_id=pla.id,
        colour_id=pla.colours[number % 2].id,  # Two colours, so that the plan has something to choose from.
        plate_clear=True,  # Virtual: nobody could clear it.
    )


def _generic_kind(session: Session) -> PrinterKind:
    name = "Imprimante 220 × 220 × 250"
    kind = session.scalar(select(PrinterKind).where(PrinterKind.name == name))
    if kind is None:
        kind = PrinterKind(name=name, width_mm=220, depth_mm=220, height_mm=250)
        session.add(kind)
        session.flush()
    return kind
