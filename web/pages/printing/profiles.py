"""How a kind of printer is sliced for: by our own settings, or by what staff exported from PrusaSlicer."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from api.deps import CurrentUser, DbSession
from api.domain.core.errors import Invalid
from api.domain.printing import configurations
from api.domain.printing.beds import MachineFacts
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.printing.printers import draw_printer
from web.pages.printing.staff_actions import get_staffed_printer
from web.pages.staff_only import StaffReader

router = APIRouter(include_in_schema=False)

# Nothing longer is read; the check refuses it before.
MOST_BYTES = 1_000_000


class ConfigurationMissing(Invalid):
    """First choose the .ini file exported from PrusaSlicer."""

    field = "file"


class ConfigurationUnreadable(Invalid):
    """This is not a text file: in PrusaSlicer, use File > Export > Export Config."""

    field = "file"


@router.post("/staff/printers/{printer_id:int}/configuration")
def configure(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int, form: Sent) -> Response:
    """All printers of the same kind are sliced for with this file from now on; `remove` goes back to our own."""
    printer = get_staffed_printer(session, printer_id, user=user)
    # The reader belongs to the slicer, which pages may not import: the composition root (web/app.py) hands it in.
    read: Callable[[str], MachineFacts] = reader.request.app.state.read_configuration
    with trying(session, form):
        text = "" if form["remove"] == "yes" else _read(form)
        if text:
            configurations.use_configuration(
                session, kind=printer.kind, config_ini=text, machine=read(text), actor=user, now=reader.now
            )
        else:
            configurations.remove_configuration(session, kind=printer.kind, actor=user, now=reader.now)
    if form.errors:
        return draw_printer(reader, session, printer, form, status=form.status)
    message = (
        N_("{kind}: slicing with your configuration.")
        if text
        else N_("{kind}: slicing with the built-in settings again.")
    )
    return reader.to(f"/staff/printers/{printer.id}", message, kind=printer.kind.name)


def _read(form: Form) -> str:
    file = form.file("file")
    if file is None:
        raise ConfigurationMissing()
    try:
        return file.file.read(MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationUnreadable() from error
