"""`/staff/printers/new`: add a printer by address and key, or by asking its OctoPrint for a key.

The worker looks at it; a page never talks to a printer.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters.seal import seal
from api.bounds import id_of
from api.deps import CurrentUser, DbSession
from api.domain.printing import probes
from api.domain.printing.beds import BedPlace, MachineFacts, place_bed
from api.domain.printing.kinds import PrinterKind, SizeWrong, get_or_create_kind
from api.domain.printing.printers import find_printer_at
from api.domain.printing.probes import Probe, ProbeStatus
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.printing.kinds import BED_PLACES
from web.pages.staff_only import StaffReader
from web.reasons import error_text
from web.render import PageReader

router = APIRouter(include_in_schema=False)


@router.get("/staff/printers/new")
def new_page(
    reader: StaffReader,
    url: Annotated[str, Query(max_length=300)] = "",
    site_id: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """`url` and `site_id` are those of a test that failed, to be mended instead of typed again."""
    return _new(reader, Form(reader.request, {"url": url, "site_id": site_id}))


def _new(reader: PageReader, form: Form, *, status: int = 200) -> Response:
    return reader.page("printing/printer_new.html", status=status, form=form)


@router.post("/staff/printers/new")
def ask(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """With a key the worker looks at once; without, it asks OctoPrint for one first, and a person must agree there."""
    site = next((s for s in reader.staffs if str(s.id) == form["site_id"]), reader.staffs[0])
    with trying(session, form):
        url = form["url"].rstrip("/")
        # People type "octopi.local". The key is sealed for exactly this address, so it is completed before.
        url = url if "://" in url or not url else f"http://{url}"
        key = form["key"]
        sealed = seal(key, about=url[:300]) if key else ""
        probe = probes.request_probe(session, site=site, url=url, sealed_key=sealed, actor=user, now=reader.now)
    if form.errors:
        return _new(reader, form, status=form.status)
    return reader.to(f"/staff/printers/new/{probe.id}")


@router.get("/staff/printers/new/{probe_id}")
def probe_page(reader: StaffReader, session: DbSession, user: CurrentUser, probe_id: int) -> Response:
    probe = probes.get_probe(session, probe_id, user=user)
    return _probe(reader, session, probe, Form(reader.request))


def _probe(reader: PageReader, session: Session, probe: Probe, form: Form, *, status: int = 200) -> Response:
    answer = probe.answer
    code = str(answer.get("code", ""))
    kinds = list(session.scalars(select(PrinterKind).order_by(PrinterKind.name)))
    machine = probe.machine or MachineFacts(place_bed(220, 220, BedPlace.CORNER), 250, Decimal("0.4"))
    twin = next((kind for kind in kinds if kind.machine == machine), None)
    return reader.page(
        "printing/probe.html",
        status=status,
        form=form,
        probe=probe,
        failure=error_text(reader, code, dict(answer.get("params", {}))) if code else "",
        pending=probe.status in (ProbeStatus.ASKED, ProbeStatus.WAITING),
        known=find_printer_at(session, probe.url),
        kinds=kinds,
        machine=machine,
        # The type that OctoPrint's own words describe; a new one where there is none yet.
        likely_kind=form["kind_id"] or (str(twin.id) if twin else ""),
        bed_places=BED_PLACES,
    )


@router.post("/staff/printers/new/{probe_id}")
def add(reader: StaffReader, session: DbSession, user: CurrentUser, probe_id: int, form: Sent) -> Response:
    probe = probes.get_probe(session, probe_id, user=user)
    existing = find_printer_at(session, probe.url)
    with trying(session, form):
        # Who only renews the key is not asked again what the printer is.
        kind = existing.kind if existing else _kind(session, form)
        printer = probes.add_probed(session, probe=probe, name=form["name"], kind=kind, actor=user, now=reader.now)
    if form.errors:
        return _probe(reader, session, probe, form, status=form.status)
    message = N_("{printer} is added. Check its plate, and confirm when it is clear.")
    if existing:
        message = N_("{printer}: key renewed.")
    return reader.to(f"/staff/printers/{printer.id}", message, printer=printer.name)


def _kind(session: Session, form: Form) -> PrinterKind:
    """The kind that was chosen, else the one of this size and nozzle, made when there is none."""
    kind_id = id_of(form["kind_id"])
    if kind_id is not None and (kind := session.get(PrinterKind, kind_id)):
        return kind
    width, depth, height, nozzle = (_mm(form, name) for name in ("width_mm", "depth_mm", "height_mm", "nozzle_mm"))
    place = BedPlace(form["bed"]) if form["bed"] in set(BedPlace) else BedPlace.CORNER
    bed = place_bed(float(width), float(depth), place)
    return get_or_create_kind(session, machine=MachineFacts(bed, float(height), nozzle))


def _mm(form: Form, name: str) -> Decimal:
    # French keyboards type a decimal comma.
    try:
        value = Decimal(form[name].replace(",", "."))
    except InvalidOperation as error:
        raise SizeWrong(field=name) from error
    if not value.is_finite():
        raise SizeWrong(field=name)
    return value
