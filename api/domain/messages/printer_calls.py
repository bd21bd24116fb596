"""Letters that call the staff to a printer: a print that stands still, and a fault that stops everything there.

The sweep writes them: one per person, printer and event, because `notifications` drops a second one.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.messages.notifications import LETTERS, Letter, write_letter
from api.domain.people.accounts import Locale
from api.domain.people.roles import list_staff
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Stall, list_long_stalls, stalled_since
from api.domain.printing.states import FaultCode

_FR, _EN = Locale.FR, Locale.EN

LETTERS["printer_call"] = {
    _FR: Letter("{thing} a besoin de vous", "Bonjour {name},\n\n{thing}, à {site} : {why}\n"),
    _EN: Letter("{thing} needs you", "Hello {name},\n\n{thing}, at {site}: {why}\n"),
}
WHYS: dict[str, dict[Locale, str]] = {
    Stall.PAUSED: {
        _FR: "une impression est en pause. Allez voir, puis reprenez-la ou arrêtez-la.",
        _EN: "a print is paused. Go and look, then resume it or stop it.",
    },
    Stall.STUCK: {
        _FR: "une impression reste bloquée entre deux états. Allez voir sur place.",
        _EN: "a print is stuck between two states. Go and look.",
    },
    Stall.HANGING: {
        _FR: "une impression n’avance plus, sans signaler d’erreur. Allez voir sur place.",
        _EN: "a print no longer moves and reports no error. Go and look.",
    },
    FaultCode.EMERGENCY_STOP: {
        _FR: "arrêt d’urgence (M112). Rien ne s’y imprime tant que l’équipe n’a pas confirmé la réparation.",
        _EN: "emergency stop (M112). Nothing is printed there until staff confirm that the fault is mended.",
    },
    FaultCode.FIRMWARE: {
        _FR: "erreur matérielle. Rien ne s’y imprime tant que l’équipe n’a pas confirmé la réparation.",
        _EN: "an error in its hardware. Nothing is printed there until staff confirm that the fault is mended.",
    },
    FaultCode.FILES_CHANGED: {
        _FR: "OctoPrint modifie les fichiers qu’il reçoit. Désactivez l’extension qui le fait, puis confirmez.",
        _EN: "OctoPrint changes the files that it receives. Switch off the plug-in that does it, then confirm.",
    },
    FaultCode.CONNECTION_LOST: {
        _FR: "connexion perdue pendant une impression. Vérifiez sur place que rien ne chauffe.",
        _EN: "the connection was lost during a print. Check on site that nothing is still hot.",
    },
}


def call_staff(session: Session, *, now: datetime) -> None:
    """Write to the staff of each place about its printers that only a person gets further."""
    for run, stall in list_long_stalls(session, now=now):
        _call(session, run.printer, stall, stalled_since(run, stall), now)
    for printer in session.scalars(select(Printer).where(Printer.fault_at.is_not(None)).order_by(Printer.id)):
        _call(session, printer, FaultCode(printer.fault), printer.fault_at or now, now)


def _call(session: Session, printer: Printer, why: Stall | FaultCode, since: datetime, now: datetime) -> None:
    for person in list_staff(session, site_id=printer.site_id):
        write_letter(
            session,
            user=person,
            kind="printer_call",
            # By the time at which it began: one that comes again is told again.
            about=f"printer:{printer.id}:{why}:{since:%y%m%d%H%M%S}",
            now=now,
            site=printer.resource.site,
            thing=printer.name,
            why=WHYS[why][person.locale],
        )
