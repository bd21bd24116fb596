"""Looking at a printer before it is added: a page stores its address, the worker looks, the page shows the answer.

Nothing here talks to it: `printers/probing.py` does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.locks import lock_name
from api.domain.core.text import one_line
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.places.sites import Site
from api.domain.printing.beds import MachineFacts
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.printers import Printer, add_printer, find_printer_at, find_printer_on, renew_key

# OctoPrint forgets a request for a key that nobody answers, and so do we.
ANSWER_WITHIN = timedelta(minutes=5)


class ProbeStatus(StrEnum):
    ASKED = "asked"  # the worker has not looked yet
    WAITING = "waiting"  # a person must agree on OctoPrint's own page
    ANSWERED = "answered"
    FAILED = "failed"
    USED = "used"  # it became a printer


_S = ProbeStatus
NEXT: dict[ProbeStatus, frozenset[ProbeStatus]] = {
    _S.ASKED: frozenset({_S.WAITING, _S.ANSWERED, _S.FAILED}),
    _S.WAITING: frozenset({_S.ANSWERED, _S.FAILED}),
    _S.ANSWERED: frozenset({_S.USED}),
}


class ProbeNotAnswered(Conflict):
    """This printer has not answered yet, or has already been added."""


class PrinterAddressMissing(Invalid):
    """Enter the OctoPrint address of the printer."""

    field = "url"


class PrinterNameMissing(Invalid):
    """Enter a name that people will recognise in the workshop."""

    field = "name"


class PrinterKnown(Conflict):
    """This is {name}, a printer of another place: an OctoPrint belongs to one place only."""

    field = "url"


class PrinterOnSameServer(Conflict):
    """This is {name}, which is already added under the address {url}: use that address."""

    field = "url"


class Probe(Base):
    """One look at one address by one person. `answer`: version, user, rights and machine; or what failed."""

    __tablename__ = "probes"

    id: Mapped[Id]
    asked_by: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    url: Mapped[str] = mapped_column(String(300))
    # "" until a person has agreed that we get one, and again once the printer is added: the printer keeps it then.
    sealed_key: Mapped[str] = mapped_column(Text, default="")
    token: Mapped[str] = mapped_column(String(300), default="")
    status: Mapped[ProbeStatus] = mapped_column(EnumText(ProbeStatus), default=ProbeStatus.ASKED)
    answer: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    created_at: Mapped[Instant]

    site: Mapped[Site] = relationship()

    @property
    def machine(self) -> MachineFacts | None:
        """What its server says of the machine."""
        facts = self.answer.get("machine")
        return MachineFacts.from_json(facts) if facts else None


def request_probe(session: Session, *, site: Site, url: str, sealed_key: str, actor: User, now: datetime) -> Probe:
    """Let the worker look at `url`; without a key it first asks OctoPrint for one. Staff of the site only."""
    require_staff(session, user=actor, site_id=site.id)
    if not url.strip():
        raise PrinterAddressMissing()
    probe = Probe(
        asked_by=actor.id, site_id=site.id, url=url.strip().rstrip("/")[:300], sealed_key=sealed_key, created_at=now
    )
    session.add(probe)
    session.flush()
    record(session, noun="probe", noun_id=probe.id, verb="asked", now=now, actor_id=actor.id, site_id=site.id)
    retry_probe(session, probe=probe)
    return probe


def retry_probe(session: Session, *, probe: Probe, at: datetime | None = None) -> None:
    enqueue(session, "probe_printer", once=f"probe:{probe.id}", at=at, probe_id=probe.id)


def get_probe(session: Session, probe_id: int, *, user: User) -> Probe:
    """One's own; another's is NotFound."""
    probe = session.get(Probe, probe_id)
    if probe is None or probe.asked_by != user.id:
        raise NotFound()
    return probe


def wait_for_person(session: Session, *, probe: Probe, token: str) -> None:
    advance(session, probe, ProbeStatus.WAITING, moves=NEXT, status=Probe.status, token=token)


def record_answer(session: Session, *, probe: Probe, sealed_key: str, **answer: Any) -> None:
    """It is an OctoPrint and the key works; `answer` holds its version and the rights of the key."""
    advance(session, probe, ProbeStatus.ANSWERED, moves=NEXT, status=Probe.status, sealed_key=sealed_key, answer=answer)


def record_failure(session: Session, *, probe: Probe, **answer: Any) -> None:
    # A key that led to nothing is not kept.
    advance(session, probe, ProbeStatus.FAILED, moves=NEXT, status=Probe.status, sealed_key="", token="", answer=answer)


def add_probed(session: Session, *, probe: Probe, name: str, kind: PrinterKind, actor: User, now: datetime) -> Printer:
    """Make it a printer of its site; one that is known there already only gets the new key.

    Raises ProbeNotAnswered, PrinterNameMissing, PrinterKnown, PrinterOnSameServer.
    """
    require_staff(session, user=actor, site_id=probe.site_id)
    if not (name := one_line(name)[:120]):
        raise PrinterNameMissing()
    if probe.status != ProbeStatus.ANSWERED:
        raise ProbeNotAnswered()
    version, sealed_key = str(probe.answer.get("version", ""))[:40], probe.sealed_key
    server = str(probe.answer.get("server", ""))
    # Never two printers on one server: each would print on the other's plate. A name and a number may be the same one.
    lock_name(session, f"printer:{probe.url}")
    twin = find_printer_on(session, server)
    if twin is not None and twin.url != probe.url:
        if twin.site_id != probe.site_id:
            raise PrinterKnown(name=twin.name)
        raise PrinterOnSameServer(name=twin.name, url=twin.url)
    if printer := find_printer_at(session, probe.url):
        if printer.site_id != probe.site_id:
            raise PrinterKnown(name=printer.name)
        renew_key(session, printer=printer, sealed_key=sealed_key, server_version=version, actor=actor, now=now)
    else:
        printer = add_printer(
            session,
            site=probe.site,
            name=name,
            kind=kind,
            url=probe.url,
            sealed_key=sealed_key,
            now=now,
            actor=actor,
            server_version=version,
        )
    printer.server = server or printer.server
    advance(session, probe, ProbeStatus.USED, moves=NEXT, status=Probe.status, sealed_key="")
    return printer
