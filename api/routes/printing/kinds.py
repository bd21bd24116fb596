"""`/api/v1/kinds`: how a type of printer is sliced for, and the configurations that staff give. For staff only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request, status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.bodies import Body
from api.deps import CurrentUser, DbSession, Now
from api.domain.printing import configurations
from api.domain.printing.beds import BedForm, ConfigurationFacts
from api.domain.printing.configurations import AllowedLine, ConfigurationStatus, KindConfiguration
from api.domain.printing.kinds import PrinterKind

router = APIRouter(prefix="/api/v1/kinds", tags=["printers"])


class AllowedLineOut(BaseModel):
    id: int
    line: str
    allowed_by: str = Field(description="Who takes responsibility for it.")
    allowed_at: datetime

    @classmethod
    def of(cls, line: AllowedLine) -> AllowedLineOut:
        return cls(id=line.id, line=line.line, allowed_by=line.person.name, allowed_at=line.allowed_at)


class ConfigurationOut(BaseModel):
    id: int
    status: ConfigurationStatus = Field(description="held (lines to answer for), trying, in_use, refused, replaced.")
    given_by: str
    given_at: datetime
    unlisted: list[dict[str, Any]] = Field(description="Lines off the list: script, number and text.")
    tries: list[dict[str, Any]] = Field(
        description="One per test slice: material, quality, and seconds and grams, or code and params of an error."
    )

    @classmethod
    def of(cls, configuration: KindConfiguration) -> ConfigurationOut:
        return cls(
            id=configuration.id,
            status=configuration.status,
            given_by=configuration.giver.name,
            given_at=configuration.given_at,
            unlisted=configuration.unlisted,
            tries=configuration.tries,
        )


class KindOut(BaseModel):
    id: int
    name: str
    size_mm: tuple[float, float, float] = Field(description="Of the machine: width, depth, height.")
    bed_form: BedForm
    bed_corner_mm: tuple[float, float] = Field(description="Lowest x and y of the bed in the printer's coordinates.")
    nozzle_mm: Decimal
    is_configured: bool = Field(description="False: sliced for with the built-in settings.")
    in_use: ConfigurationOut | None
    latest: ConfigurationOut | None = Field(description="One that is held, being tried, or was refused.")
    allowed_lines: list[AllowedLineOut]

    @classmethod
    def of(cls, session: Session, kind: PrinterKind) -> KindOut:
        used = configurations.find_configuration(session, kind, ConfigurationStatus.IN_USE)
        open_states = (ConfigurationStatus.HELD, ConfigurationStatus.TRYING, ConfigurationStatus.REFUSED)
        latest = configurations.find_configuration(session, kind, *open_states)
        return cls(
            id=kind.id,
            name=kind.name,
            size_mm=(kind.width_mm, kind.depth_mm, kind.height_mm),
            bed_form=kind.bed_form,
            bed_corner_mm=(kind.bed_x_mm, kind.bed_y_mm),
            nozzle_mm=kind.nozzle_mm,
            is_configured=bool(kind.config_ini),
            in_use=ConfigurationOut.of(used) if used else None,
            latest=ConfigurationOut.of(latest) if latest else None,
            allowed_lines=[AllowedLineOut.of(line) for line in configurations.list_allowed_lines(session, kind)],
        )


class ConfigurationIn(Body):
    text: str = Field(max_length=1_000_000, description="What PrusaSlicer's Export Config wrote.")
    takes_size: bool = Field(
        default=False, description="Take size and form of the bed from it, though this type has been used."
    )


class AnswerIn(Body):
    line: str = Field(max_length=300, examples=["PRINT_START BED=[first_layer_bed_temperature]"])


@router.get("/{kind_id}")
def read(kind_id: int, session: DbSession, user: CurrentUser) -> KindOut:
    """One type of printer; 404 unless you staff a place that has one."""
    return KindOut.of(session, configurations.get_kind(session, kind_id, user=user))


@router.put("/{kind_id}/configuration", status_code=status.HTTP_202_ACCEPTED)
def give(
    kind_id: int, body: ConfigurationIn, request: Request, session: DbSession, user: CurrentUser, now: Now
) -> KindOut:
    """Give a configuration: it is tried, and used once every test slice succeeds."""
    kind = configurations.get_kind(session, kind_id, user=user)
    read_text: Callable[[str], ConfigurationFacts] = request.app.state.read_configuration
    facts = read_text(body.text)
    configurations.give_configuration(
        session,
        kind=kind,
        config_ini=body.text,
        facts=facts,
        takes_size=body.takes_size,
        actor=user,
        now=now,
    )
    return KindOut.of(session, kind)


@router.delete("/{kind_id}/configuration")
def remove(kind_id: int, session: DbSession, user: CurrentUser, now: Now) -> KindOut:
    """Slice with the built-in settings again."""
    kind = configurations.get_kind(session, kind_id, user=user)
    configurations.remove_configuration(session, kind=kind, actor=user, now=now)
    return KindOut.of(session, kind)


@router.post("/{kind_id}/lines", status_code=status.HTTP_201_CREATED)
def allow(kind_id: int, body: AnswerIn, session: DbSession, user: CurrentUser, now: Now) -> KindOut:
    """Take responsibility, by your name, for a line of the configuration that is held."""
    kind = configurations.get_kind(session, kind_id, user=user)
    configurations.allow_line(session, kind=kind, line=body.line, actor=user, now=now)
    return KindOut.of(session, kind)


@router.delete("/{kind_id}/lines/{line_id}")
def withdraw(kind_id: int, line_id: int, session: DbSession, user: CurrentUser, now: Now) -> KindOut:
    """Nobody answers for this line any more; 409 while the configuration in use has it."""
    kind = configurations.get_kind(session, kind_id, user=user)
    configurations.withdraw_line(session, kind=kind, line_id=line_id, actor=user, now=now)
    return KindOut.of(session, kind)
