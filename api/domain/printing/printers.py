"""Printers: what they can make, what was last seen of them, and whether their plate is clear.

Nothing here talks to a printer: the package `printers` looks and acts, and records here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, String, Text, and_, case, func, literal, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, Instant
from api.domain.core.changes import Change, enqueue, publish, record
from api.domain.core.errors import Conflict, NotFound
from api.domain.core.locks import lock_row
from api.domain.people.accounts import User
from api.domain.places.sites import Resource, ResourceKind, Site, create_resource
from api.domain.pricing.materials import Colour, Material
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.states import ACTIVE, Machine, PrinterState

# A printer that nobody could reach for this long is shown offline: nine ticks of the worker (`settings.tick_s`).
SILENT_AFTER = timedelta(seconds=45)


class Printer(Base):
    """A resource that prints. `id` is the resource's id; the key is sealed (api.adapters.seal), never shown."""

    __tablename__ = "printers"
    __table_args__ = (Index("ix_printers_kind_id", "kind_id"),)

    id: Mapped[int] = mapped_column(ForeignKey("resources.id"), primary_key=True)
    kind_id: Mapped[int] = mapped_column(ForeignKey("printer_kinds.id"))
    url: Mapped[str] = mapped_column(String(300))
    sealed_key: Mapped[str] = mapped_column(Text)
    # Address, port and path that `url` led to when it was added; "" when that is not known (printers/address.py).
    server: Mapped[str] = mapped_column(String(300), default="", server_default="")
    material_id: Mapped[int | None] = mapped_column(ForeignKey("materials.id"))
    colour_id: Mapped[int | None] = mapped_column(ForeignKey("colours.id"))

    # What a person decided.
    maintenance_note: Mapped[str] = mapped_column(String(200), default="")
    in_maintenance: Mapped[bool] = mapped_column(default=False)
    plate_clear: Mapped[bool] = mapped_column(default=False)
    plate_changed_at: Mapped[Instant | None]
    plate_changed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    # A fault that stays until a person says that it is mended (printing/faults.py); `fault` is a FaultCode, or "".
    fault: Mapped[str] = mapped_column(String(20), default="")
    fault_text: Mapped[str] = mapped_column(String(300), default="")
    fault_at: Mapped[Instant | None]

    # What was last seen; `machine` is a Machine as text, "" before the first look.
    looked_at: Mapped[Instant | None]
    reached_at: Mapped[Instant | None]
    trouble: Mapped[str] = mapped_column(String(300), default="")
    trouble_reason: Mapped[str] = mapped_column(String(20), default="")
    machine: Mapped[str] = mapped_column(String(20), default="")
    machine_since: Mapped[Instant | None]
    seen_path: Mapped[str] = mapped_column(String(300), default="")
    progress: Mapped[float | None] = mapped_column(Float)
    left_s: Mapped[float | None] = mapped_column(Float)
    # After a failed dispatch nothing is claimed for it before this instant.
    not_before: Mapped[Instant | None]
    server_version: Mapped[str] = mapped_column(String(40), default="")
    # Since a backup was restored, and its files not yet compared with our runs (runs/restored.py).
    restored_at: Mapped[Instant | None]

    resource: Mapped[Resource] = relationship(lazy="joined")
    kind: Mapped[PrinterKind] = relationship(lazy="joined")
    material: Mapped[Material | None] = relationship(lazy="joined")
    colour: Mapped[Colour | None] = relationship(lazy="joined")

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def site_id(self) -> int:
        return self.resource.site_id


class PlateBusy(Conflict):
    """{name} is printing: clear the plate once the print is over."""


def state_of(printer: Printer, *, has_run: bool, now: datetime) -> PrinterState:
    """The one state that people see; `has_run` says that a live run of ours is on it."""
    # In the order of what a person must know first. It is computed and not stored: silence alone changes it.
    if printer.in_maintenance:
        return PrinterState.MAINTENANCE
    # Whatever its server says now: a reconnect makes a printer idle again that has just run away.
    if printer.fault:
        return PrinterState.NEEDS_ATTENTION
    is_resting = printer.not_before is not None and now < printer.not_before
    is_unreached = bool(printer.trouble_reason) and not is_resting
    if printer.reached_at is None or is_unreached or now - printer.reached_at > SILENT_AFTER:
        return PrinterState.OFFLINE
    if printer.machine == Machine.ERROR or (is_resting and not has_run):
        return PrinterState.NEEDS_ATTENTION
    if printer.machine in (Machine.OFFLINE, Machine.CONNECTING, ""):
        return PrinterState.OFFLINE
    if has_run:
        return PrinterState.PAUSED if printer.machine in (Machine.PAUSING, Machine.PAUSED) else PrinterState.BUSY
    if printer.machine in ACTIVE:
        return PrinterState.IN_USE_BY_HAND
    return PrinterState.READY if printer.plate_clear else PrinterState.NEEDS_CLEARING


def add_printer(
    session: Session,
    *,
    site: Site,
    name: str,
    kind: PrinterKind,
    url: str,
    sealed_key: str,
    now: datetime,
    actor: User | None = None,
    **facts: Any,
) -> Printer:
    """A new printer of a site. Its plate counts as full until a person has looked at it."""
    resource = create_resource(session, site=site, kind=ResourceKind.PRINTER, name=name, now=now)
    printer = Printer(id=resource.id, kind_id=kind.id, url=url.rstrip("/"), sealed_key=sealed_key, **facts)
    session.add(printer)
    session.flush()
    session.refresh(printer)
    record(
        session,
        noun="printer",
        noun_id=printer.id,
        verb="added",
        now=now,
        actor_id=actor.id if actor else None,
        site_id=site.id,
        name=name,
    )
    enqueue_reconcile(session, printer.id)
    return printer


def find_printer_at(session: Session, url: str) -> Printer | None:
    """The printer in service whose server has this address."""
    query = select(Printer).join(Resource).where(Resource.retired_at.is_(None), Printer.url == url.rstrip("/"))
    return session.scalars(query.order_by(Printer.id).limit(1)).first()


def find_printer_on(session: Session, server: str) -> Printer | None:
    """The printer in service on this server, under whatever name; others that add the same one now are waited for."""
    if not server:
        return None
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"printer:{server}"))))
    query = select(Printer).join(Resource).where(Resource.retired_at.is_(None), Printer.server == server)
    return session.scalars(query.order_by(Printer.id).limit(1)).first()


def renew_key(
    session: Session, *, printer: Printer, sealed_key: str, server_version: str, actor: User, now: datetime
) -> None:
    """Use another key from now on."""
    lock_row(session, printer)
    printer.sealed_key, printer.server_version = sealed_key, server_version
    session.flush()
    record(
        session,
        noun="printer",
        noun_id=printer.id,
        verb="key_renewed",
        now=now,
        actor_id=actor.id,
        site_id=printer.site_id,
    )
    enqueue_reconcile(session, printer.id)


def enqueue_reconcile(session: Session, printer_id: int) -> None:
    """Let the dispatch worker look at this printer; while one such step waits, another is not added."""
    enqueue(session, "reconcile", once=f"printer:{printer_id}", printer_id=printer_id)


def get_printer(session: Session, printer_id: int) -> Printer:
    if printer := session.get(Printer, printer_id):
        return printer
    raise NotFound()


def list_printers(session: Session, *, site_ids: list[int] | None = None) -> list[Printer]:
    """All printers in service, or those of some sites, by id."""
    query = select(Printer).join(Resource).where(Resource.retired_at.is_(None)).order_by(Printer.id)
    if site_ids is not None:
        query = query.where(Resource.site_id.in_(site_ids))
    return list(session.scalars(query))


def fill_plate(session: Session, *, printer: Printer, now: datetime, actor_id: int | None = None) -> None:
    """After every end, and every print by hand: nobody prints until a person has looked. Without actor, by itself."""
    # It may have been cleared since this session has read it; left so, the next print would start into the part.
    lock_row(session, printer)
    if printer.plate_clear:
        set_plate(session, printer=printer, clear=False, now=now, actor_id=actor_id)


def set_plate(session: Session, *, printer: Printer, clear: bool, now: datetime, actor_id: int | None) -> None:
    """Write it down; the caller has locked the printer. People clear plates by `runs.clear_plate`."""
    session.execute(
        update(Printer)
        .where(Printer.id == printer.id)
        .values(plate_clear=clear, plate_changed_at=now, plate_changed_by=actor_id)
    )
    session.refresh(printer)
    verb = "plate_cleared" if clear else "plate_filled"
    record(session, noun="printer", noun_id=printer.id, verb=verb, now=now, actor_id=actor_id, site_id=printer.site_id)
    publish(session, printer=printer.id)


def load_filament(
    session: Session, *, printer: Printer, material: Material, colour: Colour, actor: User | None, now: datetime
) -> None:
    """A person says what is on the printer now."""
    lock_row(session, printer)
    printer.material_id, printer.colour_id = material.id, colour.id
    session.flush()
    session.refresh(printer)
    record(
        session,
        noun="printer",
        noun_id=printer.id,
        verb="filament_loaded",
        now=now,
        actor_id=actor.id if actor else None,
        site_id=printer.site_id,
        material=material.code,
        colour=colour.code,
    )
    publish(session, printer=printer.id)
    enqueue_reconcile(session, printer.id)


def record_observation(
    session: Session,
    *,
    printer_id: int,
    now: datetime,
    machine: str,
    path: str | None,
    error: str = "",
    progress: float | None = None,
    left_s: float | None = None,
) -> None:
    """Record one look. No Change row: a look is not a change of ours."""
    # While it is backed off, the reason stays to be read: a look that finds it well would wipe it within seconds.
    backed_off = and_(literal(error) == "", Printer.not_before > now)
    session.execute(
        update(Printer)
        .where(Printer.id == printer_id)
        .values(
            looked_at=now,
            reached_at=now,
            machine=machine,
            machine_since=case((Printer.machine == machine, Printer.machine_since), else_=now),
            seen_path=(path or "")[:300],
            trouble=case((backed_off, Printer.trouble), else_=error[:300]),
            # It answered, so whatever kept us from reaching it is over.
            trouble_reason=case((backed_off, Printer.trouble_reason), else_=""),
            progress=progress,
            left_s=left_s,
        )
    )


def back_off(session: Session, *, printer_id: int, until: datetime, now: datetime, reason: str, message: str) -> None:
    """A dispatch failed for a reason of the printer's: keep the reason, and give it no new plate before `until`."""
    values = {"not_before": until, "trouble": message[:300], "trouble_reason": reason[:20]}
    session.execute(update(Printer).where(Printer.id == printer_id).values(values))
    # Once for a reason that lasts: what is tried again each minute would fill the history.
    query = select(Change).where(Change.noun == "printer", Change.noun_id == str(printer_id))
    last = session.scalars(query.order_by(Change.id.desc()).limit(1)).first()
    if last is not None and last.verb == "backed_off" and last.facts["reason"] == reason:
        return
    record(
        session,
        noun="printer",
        noun_id=printer_id,
        verb="backed_off",
        now=now,
        until=until.isoformat(),
        reason=reason,
        message=message[:300],
    )


def record_unreachable(session: Session, *, printer_id: int, now: datetime, reason: str, message: str) -> None:
    """Record that nobody answered, or not to us; the last thing seen stays for reading."""
    session.execute(
        update(Printer)
        .where(Printer.id == printer_id)
        .values(looked_at=now, trouble=message[:300], trouble_reason=reason[:20])
    )
