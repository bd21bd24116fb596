"""Slicer configurations that staff give for a printer kind: tried before they are used, and who answers for what.

No slicer runs here: `printers/trials.py` makes the test slices, and records here what came of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, exists, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, DomainError, Invalid, NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places.sites import Resource
from api.domain.printing.beds import ConfigurationFacts, MachineFacts
from api.domain.printing.kinds import PrinterKind, set_machine, settle_machine
from api.domain.printing.printers import Printer
from api.domain.printing.slices import Slice

# A trial of nine small slices that has not ended by then has lost its worker.
TRIAL_WITHIN = timedelta(minutes=10)


class ConfigurationStatus(StrEnum):
    HELD = "held"  # it has lines that nobody has taken responsibility for
    TRYING = "trying"
    IN_USE = "in_use"
    REFUSED = "refused"  # a test slice failed
    REPLACED = "replaced"  # by a later one, or by our own settings


_S = ConfigurationStatus
NEXT: dict[ConfigurationStatus, frozenset[ConfigurationStatus]] = {
    _S.HELD: frozenset({_S.TRYING, _S.REPLACED}),
    _S.TRYING: frozenset({_S.IN_USE, _S.REFUSED, _S.HELD, _S.REPLACED}),
    _S.REFUSED: frozenset({_S.REPLACED}),
    _S.IN_USE: frozenset({_S.REPLACED}),
}


class LineNotNeeded(Invalid):
    """No pending configuration has this line: upload the configuration first."""

    field = "line"


class LineInUse(Conflict):
    """The configuration in use has this line: first give another one, or go back to the built-in settings."""

    field = "line"


class KindConfiguration(Base):
    """One configuration that a person gave. `machine` and `unlisted` are ConfigurationFacts as JSON.

    `tries` has one entry per test slice: material, quality, and seconds and grams or the code and parameters of an
    error. `drawing` shows in mm where the bed lies and what was drawn on it.
    """

    __tablename__ = "kind_configurations"
    __table_args__ = (
        Index("ix_kind_configurations_kind_id", "kind_id"),
        Index("one_in_use", "kind_id", unique=True, postgresql_where=text("status = 'in_use'")),
        Index("one_waiting", "kind_id", unique=True, postgresql_where=text("status IN ('held', 'trying')")),
    )

    id: Mapped[Id]
    kind_id: Mapped[int] = mapped_column(ForeignKey("printer_kinds.id"))
    config_ini: Mapped[str] = mapped_column(Text)
    status: Mapped[ConfigurationStatus] = mapped_column(EnumText(ConfigurationStatus))
    machine: Mapped[dict[str, Any]] = mapped_column(JSONB)
    unlisted: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    tries: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    drawing: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # Whether the kind takes size and form from it, though it has been used.
    takes_size: Mapped[bool] = mapped_column(default=False)
    given_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    given_at: Mapped[Instant]
    # When its trial was last asked for.
    tried_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]

    kind: Mapped[PrinterKind] = relationship()
    giver: Mapped[User] = relationship()

    @property
    def facts(self) -> MachineFacts:
        return MachineFacts.from_json(self.machine)

    @property
    def unlisted_lines(self) -> list[str]:
        return list(dict.fromkeys(str(line["text"]) for line in self.unlisted))


class AllowedLine(Base):
    """A line of G-code off our list, for one printer kind, with the person who takes responsibility for it."""

    __tablename__ = "allowed_lines"
    __table_args__ = (
        Index("one_allowed", "kind_id", "line", unique=True, postgresql_where=text("withdrawn_at IS NULL")),
    )

    id: Mapped[Id]
    kind_id: Mapped[int] = mapped_column(ForeignKey("printer_kinds.id"))
    line: Mapped[str] = mapped_column(String(300))
    allowed_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    allowed_at: Mapped[Instant]
    withdrawn_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    withdrawn_at: Mapped[Instant | None]

    person: Mapped[User] = relationship(foreign_keys=[allowed_by])


def get_kind(session: Session, kind_id: int, *, user: User) -> PrinterKind:
    """A kind of a place that the user staffs; another is NotFound."""
    kind = session.get(PrinterKind, kind_id)
    if kind is None or not any(may_staff(session, user=user, site_id=site_id) for site_id in _sites(session, kind)):
        raise NotFound()
    return kind


def give_configuration(
    session: Session,
    *,
    kind: PrinterKind,
    config_ini: str,
    facts: ConfigurationFacts,
    actor: User,
    now: datetime,
    takes_size: bool = False,
) -> KindConfiguration:
    """Try it; it is used once all its test slices succeed, and until then what is in use stays.

    A line off our list holds it until a person takes responsibility. What waited before is replaced. Raises StaffOnly,
    ConfigurationBedWrong, ConfigurationNozzleWrong.
    """
    _require_staff_everywhere(session, kind=kind, user=actor)
    _lock(session, kind)
    settle_machine(kind, facts.machine, is_used=is_used(session, kind), takes_size=takes_size)
    _replace(session, kind, {_S.HELD, _S.TRYING, _S.REFUSED}, now=now)
    configuration = KindConfiguration(
        kind_id=kind.id,
        config_ini=config_ini,
        status=_S.HELD,
        machine=facts.machine.as_json(),
        unlisted=[{"script": line.script, "number": line.number, "text": line.text} for line in facts.unlisted],
        takes_size=takes_size,
        given_by=actor.id,
        given_at=now,
    )
    session.add(configuration)
    session.flush()
    _record(session, kind, "configuration_given", actor=actor, now=now)
    _try_if_answered(session, configuration, now=now)
    return configuration


def allow_line(session: Session, *, kind: PrinterKind, line: str, actor: User, now: datetime) -> AllowedLine:
    """A named person takes responsibility for a line of the configuration that waits.

    Raises StaffOnly, LineNotNeeded.
    """
    _require_staff_everywhere(session, kind=kind, user=actor)
    _lock(session, kind)
    waiting = find_configuration(session, kind, _S.HELD)
    if waiting is None or line not in waiting.unlisted_lines:
        raise LineNotNeeded()
    for other in list_allowed_lines(session, kind):
        if other.line == line:
            return other
    allowed = AllowedLine(kind_id=kind.id, line=line, allowed_by=actor.id, allowed_at=now)
    session.add(allowed)
    session.flush()
    _record(session, kind, "line_allowed", actor=actor, now=now, line=line)
    _try_if_answered(session, waiting, now=now)
    return allowed


def withdraw_line(session: Session, *, kind: PrinterKind, line_id: int, actor: User, now: datetime) -> None:
    """Nobody answers for this line any more. Raises StaffOnly, NotFound, LineInUse."""
    _require_staff_everywhere(session, kind=kind, user=actor)
    _lock(session, kind)
    allowed = next((each for each in list_allowed_lines(session, kind) if each.id == line_id), None)
    if allowed is None:
        raise NotFound()
    used = find_configuration(session, kind, _S.IN_USE)
    if used is not None and allowed.line in used.unlisted_lines:
        raise LineInUse()
    allowed.withdrawn_by, allowed.withdrawn_at = actor.id, now
    trying = find_configuration(session, kind, _S.TRYING)
    if trying is not None and allowed.line in trying.unlisted_lines:
        _move(session, trying, _S.HELD)
    session.flush()
    _record(session, kind, "line_withdrawn", actor=actor, now=now, line=allowed.line)


def remove_configuration(session: Session, *, kind: PrinterKind, actor: User, now: datetime) -> None:
    """Slice for this kind with our own settings again; what is known of its bed stays. Raises StaffOnly."""
    _require_staff_everywhere(session, kind=kind, user=actor)
    _lock(session, kind)
    _replace(session, kind, set(NEXT), now=now)
    kind.config_ini = ""
    session.flush()
    _record(session, kind, "configuration_removed", actor=actor, now=now)


def finish_trial(
    session: Session,
    *,
    configuration: KindConfiguration,
    tries: Sequence[dict[str, Any]],
    drawing: dict[str, Any],
    now: datetime,
) -> None:
    """Use it when every test slice succeeded, else refuse it. Harmless when it waits for no trial any more."""
    kind = _lock(session, configuration.kind)
    session.refresh(configuration)
    if configuration.status != _S.TRYING:
        return
    tries = list(tries)
    try:
        # Again: a job may have used the kind since the configuration was given.
        machine = settle(session, configuration)
    except DomainError as error:
        tries.append({"code": error.code(), "params": error.params})
    if any("code" in attempt for attempt in tries):
        _move(session, configuration, _S.REFUSED, tries=tries, drawing=drawing, ended_at=now)
        _record(session, kind, "configuration_refused", actor=None, now=now)
        return
    _replace(session, kind, {_S.IN_USE}, now=now)
    _move(session, configuration, _S.IN_USE, tries=tries, drawing=drawing, ended_at=now)
    kind.config_ini = configuration.config_ini
    set_machine(session, kind=kind, machine=machine)
    _record(session, kind, "configured", actor=configuration.giver, now=now)


def settle(session: Session, configuration: KindConfiguration) -> MachineFacts:
    """What is true of its kind once it is used; raises ConfigurationBedWrong, ConfigurationNozzleWrong."""
    kind = configuration.kind
    return settle_machine(
        kind, configuration.facts, is_used=is_used(session, kind), takes_size=configuration.takes_size
    )


def find_configuration(session: Session, kind: PrinterKind, *statuses: ConfigurationStatus) -> KindConfiguration | None:
    """The latest in one of these states."""
    query = select(KindConfiguration).where(
        KindConfiguration.kind_id == kind.id, KindConfiguration.status.in_(statuses)
    )
    return session.scalars(query.order_by(KindConfiguration.id.desc()).limit(1)).first()


def list_allowed_lines(session: Session, kind: PrinterKind) -> list[AllowedLine]:
    query = select(AllowedLine).where(AllowedLine.kind_id == kind.id, AllowedLine.withdrawn_at.is_(None))
    return list(session.scalars(query.order_by(AllowedLine.id)))


def enqueue_lost_trials(session: Session, *, now: datetime) -> None:
    """Ask again for trials whose worker, or whose slicer, was lost."""
    query = select(KindConfiguration).where(
        KindConfiguration.status == _S.TRYING, KindConfiguration.tried_at < now - TRIAL_WITHIN
    )
    for configuration in session.scalars(query.with_for_update(skip_locked=True, of=KindConfiguration)):
        _enqueue_trial(session, configuration, now=now)


def is_used(session: Session, kind: PrinterKind) -> bool:
    """Whether anything was ever sliced for it: then prices and jobs rest on its size and nozzle."""
    return bool(session.scalar(select(exists().where(Slice.kind_id == kind.id))))


def _try_if_answered(session: Session, configuration: KindConfiguration, *, now: datetime) -> None:
    """Try it unless it has lines that nobody answers for."""
    allowed = {each.line for each in list_allowed_lines(session, configuration.kind)}
    if allowed.issuperset(configuration.unlisted_lines):
        _move(session, configuration, _S.TRYING)
        _enqueue_trial(session, configuration, now=now)


def _enqueue_trial(session: Session, configuration: KindConfiguration, *, now: datetime) -> None:
    configuration.tried_at = now
    session.flush()
    enqueue(
        session,
        "try_configuration",
        once=f"configuration:{configuration.id}",
        configuration_id=configuration.id,
    )


def _replace(session: Session, kind: PrinterKind, statuses: set[ConfigurationStatus], *, now: datetime) -> None:
    query = select(KindConfiguration).where(
        KindConfiguration.kind_id == kind.id, KindConfiguration.status.in_(statuses)
    )
    for configuration in session.scalars(query).all():
        _move(session, configuration, _S.REPLACED, ended_at=now)


def _move(session: Session, configuration: KindConfiguration, status: ConfigurationStatus, **facts: Any) -> None:
    advance(session, configuration, status, moves=NEXT, status=KindConfiguration.status, **facts)


def _lock(session: Session, kind: PrinterKind) -> PrinterKind:
    """All verbs here decide by the configurations and lines of one kind: one at a time."""
    query = select(PrinterKind).where(PrinterKind.id == kind.id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def _record(session: Session, kind: PrinterKind, verb: str, *, actor: User | None, now: datetime, **facts: Any) -> None:
    actor_id = actor.id if actor else None
    record(
        session, noun="printer_kind", noun_id=kind.id, verb=verb, now=now, actor_id=actor_id, name=kind.name, **facts
    )


def _sites(session: Session, kind: PrinterKind) -> list[int]:
    used_at = select(Resource.site_id).join(Printer, Printer.id == Resource.id).where(Printer.kind_id == kind.id)
    return list(session.scalars(used_at.distinct()))


def _require_staff_everywhere(session: Session, *, kind: PrinterKind, user: User) -> None:
    # A kind is shared by the printers of several sites, so the right is needed at each of them.
    for site_id in _sites(session, kind):
        require_staff(session, user=user, site_id=site_id)
