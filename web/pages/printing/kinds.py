"""`/staff/kinds/{id}`: how a type of printer is sliced for: its bed, its configuration with its trial, and who answers.

Printers of one type share all of it, at several places as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.core.changes import list_latest_changes
from api.domain.core.errors import Invalid
from api.domain.printing import configurations
from api.domain.printing.beds import BedPlace, ConfigurationFacts
from api.domain.printing.configurations import ConfigurationStatus, KindConfiguration
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.printers import list_printers
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import StaffReader
from web.reasons import error_text
from web.render import PageReader
from web.states import LOG_VERBS

router = APIRouter(include_in_schema=False)

# Nothing longer is read; the check refuses it before.
MOST_BYTES = 1_000_000
SHOWN_CHANGES = 30
_S = ConfigurationStatus
BED_PLACES = {
    BedPlace.CORNER: N_("Rectangular, origin at the front left corner"),
    BedPlace.MIDDLE: N_("Rectangular, origin in the middle"),
    BedPlace.ROUND: N_("Round (delta), origin in the middle"),
}


class ConfigurationMissing(Invalid):
    """First choose the .ini file exported from PrusaSlicer."""

    field = "file"


class ConfigurationUnreadable(Invalid):
    """This is not a text file: in PrusaSlicer, use File > Export > Export Config."""

    field = "file"


@router.get("/staff/kinds/{kind_id:int}")
def kind_page(reader: StaffReader, session: DbSession, user: CurrentUser, kind_id: int) -> Response:
    kind = configurations.get_kind(session, kind_id, user=user)
    return _draw(reader, session, kind, Form(reader.request))


def _draw(reader: PageReader, session: Session, kind: PrinterKind, form: Form, *, status: int = 200) -> Response:
    latest = configurations.find_configuration(session, kind, _S.HELD, _S.TRYING, _S.REFUSED)
    used = configurations.find_configuration(session, kind, _S.IN_USE)
    allowed = configurations.list_allowed_lines(session, kind)
    shown = latest or used
    return reader.page(
        "printing/kind.html",
        status=status,
        form=form,
        kind=kind,
        printers=[printer for printer in list_printers(session) if printer.kind_id == kind.id],
        bed_place=BED_PLACES[kind.bed.place],
        used=used,
        latest=latest,
        failures=_failures(reader, shown) if shown else [],
        picture=draw_bed(shown.drawing) if shown and shown.drawing else None,
        allowed=allowed,
        # Each once, though it stands in two branches of a script.
        unanswered=_unanswered(latest, {line.line for line in allowed}) if latest else [],
        verbs=LOG_VERBS,
        changes=list_latest_changes(session, noun="printer_kind", noun_id=kind.id, limit=SHOWN_CHANGES),
    )


def _unanswered(configuration: KindConfiguration, allowed: set[str]) -> list[dict[str, Any]]:
    lines = {str(line["text"]): line for line in reversed(configuration.unlisted)}
    return [line for text, line in reversed(lines.items()) if text not in allowed]


def _failures(reader: PageReader, configuration: KindConfiguration) -> list[tuple[str, str]]:
    """Each reason once, with the test slices that it stopped."""
    reasons: dict[str, list[str]] = {}
    for attempt in configuration.tries:
        if "code" in attempt:
            reason = error_text(reader, str(attempt["code"]), dict(attempt["params"]))
            names = [str(attempt.get("material", "")), str(attempt.get("quality", ""))]
            reasons.setdefault(reason, []).append(" ".join(filter(None, names)))
    return [(reason, ", ".join(filter(None, slices))) for reason, slices in reasons.items()]


def draw_bed(drawing: dict[str, Any]) -> dict[str, Any]:
    """Attributes of the picture, in mm with y downwards as SVG counts; purge lines beside the bed are in view."""
    points = [(x, -y) for x, y in drawing["outline"]]
    purge = [(x1, -y1, x2, -y2) for x1, y1, x2, y2 in drawing.get("purge", [])]
    ends = [*points, *((x, y) for x, y, _, _ in purge), *((x, y) for _, _, x, y in purge)]
    xs, ys = [x for x, _ in ends], [y for _, y in ends]
    left, top = min(xs) - 5, min(ys) - 5
    box = f"{left:g} {top:g} {max(xs) + 5 - left:g} {max(ys) + 5 - top:g}"
    part = drawing.get("part")
    square = {"x": part[0], "y": -part[3], "width": part[2] - part[0], "height": part[3] - part[1]} if part else None
    return {"box": box, "outline": " ".join(f"{x:g},{y:g}" for x, y in points), "purge": purge, "part": square}


@router.post("/staff/kinds/{kind_id:int}/configuration")
def configure(reader: StaffReader, session: DbSession, user: CurrentUser, kind_id: int, form: Sent) -> Response:
    """Give a configuration, which is tried first; `remove` goes back to our own settings."""
    kind = configurations.get_kind(session, kind_id, user=user)
    # The reader belongs to the slicer, which pages may not import: the composition root (web/app.py) hands it in.
    read: Callable[[str], ConfigurationFacts] = reader.request.app.state.read_configuration
    message = N_("{kind}: the configuration is being tried.")
    with trying(session, form):
        if form["remove"] == "yes":
            configurations.remove_configuration(session, kind=kind, actor=user, now=reader.now)
            message = N_("{kind}: slicing with the built-in settings again.")
        else:
            text = _read(form)
            configuration = configurations.give_configuration(
                session,
                kind=kind,
                config_ini=text,
                facts=read(text),
                takes_size=form["takes_size"] == "yes",
                actor=user,
                now=reader.now,
            )
            if configuration.status == _S.HELD:
                message = N_("{kind}: some lines of the configuration need your approval.")
    if form.errors:
        return _draw(reader, session, kind, form, status=form.status)
    return reader.to(f"/staff/kinds/{kind.id}", message, kind=kind.name)


@router.post("/staff/kinds/{kind_id:int}/lines")
def allow(reader: StaffReader, session: DbSession, user: CurrentUser, kind_id: int, form: Sent) -> Response:
    """Take responsibility for one line, by one's own name."""
    kind = configurations.get_kind(session, kind_id, user=user)
    with trying(session, form):
        configurations.allow_line(session, kind=kind, line=form["line"], actor=user, now=reader.now)
    if form.errors:
        return _draw(reader, session, kind, form, status=form.status)
    return reader.to(f"/staff/kinds/{kind.id}", N_("The line is allowed, under your name."))


@router.post("/staff/kinds/{kind_id:int}/lines/{line_id:int}/withdraw")
def withdraw(
    reader: StaffReader, session: DbSession, user: CurrentUser, kind_id: int, line_id: int, form: Sent
) -> Response:
    kind = configurations.get_kind(session, kind_id, user=user)
    with trying(session, form):
        configurations.withdraw_line(session, kind=kind, line_id=line_id, actor=user, now=reader.now)
    if form.errors:
        return _draw(reader, session, kind, form, status=form.status)
    return reader.to(f"/staff/kinds/{kind.id}", N_("The line is no longer allowed."))


def _read(form: Form) -> str:
    file = form.file("file")
    if file is None:
        raise ConfigurationMissing()
    try:
        return file.file.read(MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationUnreadable() from error
