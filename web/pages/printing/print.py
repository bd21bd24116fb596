"""`/print`: bring a file, see it beside its price, choose, hand in. Works by plain forms; scripts make it quicker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api.adapters.receiving import Batch, read_stored, receive
from api.deps import CurrentUser, DbSession, Now
from api.domain.core.errors import DomainError, Invalid, NotFound
from api.domain.core.paging import PageWindow
from api.domain.people.accounts import User, list_organisations, may_buy_for
from api.domain.places.sites import Site
from api.domain.pricing import materials
from api.domain.pricing.materials import Material, Quality
from api.domain.printing import jobs, library, mesh, printers
from api.domain.printing.jobs import ExactPrice, JobRequest, PriceEstimate
from api.domain.printing.jobs.request import NoPrinterHere
from api.domain.printing.library import Model
from api.domain.printing.mesh import FitsNoPrinter, Position, Unit
from api.domain.printing.printers import Printer
from api.settings import settings
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.reasons import error_text
from web.render import PageReader, Reader

router = APIRouter(include_in_schema=False)

# What the address of the page of choices can carry.
CHOICES = ("material", "colour", "quality", "copies", "scale", "site_id", "organisation_id", "note")

QUALITIES = {
    Quality.DRAFT: (N_("Fast"), N_("0.28 mm layers")),
    Quality.STANDARD: (N_("Standard"), N_("0.20 mm layers")),
    Quality.FINE: (N_("Fine"), N_("0.12 mm layers")),
}


POSITIONS = {
    Position.ON_FRONT: N_("On its front"),
    Position.ON_BACK: N_("On its back"),
    Position.ON_LEFT: N_("On its left side"),
    Position.ON_RIGHT: N_("On its right side"),
    Position.UPSIDE_DOWN: N_("Upside down"),
    Position.DIAGONAL: N_("Corner to corner"),
}

# The grey in which the viewer shows a part of no particular colour.
ANY_COLOUR_HEX = "#b9b5aa"


class FileMissing(Invalid):
    """First choose an STL file."""

    field = "file"


class NotANumber(Invalid):
    """Enter a number."""


@dataclass(frozen=True)
class PrintOffer:
    """What these choices would cost, or why they cannot be printed.

    Then it would fit at `shrink_to` %, and in each of `positions`.

    `exact` is there once it is sliced, `failure` says why it cannot be, `is_asked` that the exact price is on its way.
    """

    quote: PriceEstimate | None = None
    error: str = ""
    shrink_to: int | None = None
    positions: list[Position] = field(default_factory=list)
    fitting: list[Printer] = field(default_factory=list)
    exact: ExactPrice | None = None
    failure: str = ""
    is_asked: bool = False


@router.get("/print")
def print_page(reader: Reader, session: DbSession, user: CurrentUser) -> Response:
    return _drop_zone(reader, session, user, Form(reader.request))


def _drop_zone(reader: PageReader, session: Session, user: User, form: Form, *, status: int = 200) -> Response:
    if reader.wants_fragment and form.errors:
        return reader.page("printing/_refused.html", status=status, form=form)
    models = library.list_models(session, user=user, window=PageWindow(12)).rows
    limit = settings().upload_limit_mb
    return reader.page("printing/drop.html", status=status, form=form, models=models, limit_mb=limit)


async def measured_file(request: Request, form: Sent, now: Now) -> AsyncIterator[Batch]:
    """The file of the form, measured; what is wrong with it stands in the form."""
    async with receive(request, now) as batch:
        try:
            if (file := form.file("file")) is None:
                raise FileMissing()
            await batch.measure(file)
        except DomainError as error:
            form.refuse(error)
        yield batch


# The batch stands before the reader: measuring takes seconds, in which no database connection may be held.
@router.post("/print")
def upload(
    batch: Annotated[Batch, Depends(measured_file)], reader: Reader, session: DbSession, user: CurrentUser, form: Sent
) -> Response:
    """One STL; a refused one leaves nothing behind but the reason."""
    if form.errors:
        return _drop_zone(reader, session, user, form, status=form.status)
    model = batch.keep(session, owner=user, now=reader.now)[0]
    return reader.to(f"/print/{model.id}")


@router.get("/print/{model_id}")
def choose(reader: Reader, session: DbSession, user: CurrentUser, model_id: int) -> Response:
    """The part beside its price; the choices stand in the address, so that a page can be kept and sent."""
    model = library.get_model(session, model_id, user=user)
    form = Form(reader.request, dict(reader.request.query_params))
    return _show_choices(reader, session, user, model, form)


@router.get("/print/{model_id}/price")
def price(reader: Reader, session: DbSession, user: CurrentUser, model_id: int) -> Response:
    """The price of these choices as a fragment, for every change of a choice."""
    model = library.get_model(session, model_id, user=user)
    form = Form(reader.request, dict(reader.request.query_params))
    return reader.page("printing/_price.html", **_choices(reader, session, user, model, form))


@router.post("/print/{model_id}/price")
def exact_price(reader: Reader, session: DbSession, user: CurrentUser, model_id: int, form: Sent) -> Response:
    """Request the exact price of these choices; while it is on its way, another request answers 204."""
    model = library.get_model(session, model_id, user=user)
    with trying(session, form):
        request = read_request(session, reader, user, model, form)
        exact = jobs.request_exact_price(session, request=request, now=reader.now)
        # The page asks every two seconds; at 204 htmx leaves it as it is.
        if not exact.is_final and form["awaited"]:
            return Response(status_code=204)
    if not reader.wants_fragment:
        return reader.to(f"/print/{model.id}?{urlencode(_read_choices(form))}")
    values = _choices(reader, session, user, model, form)
    # Awaited even if no slice could be requested yet: the page asks again, and there may be room then.
    values["offer"] = replace(values["offer"], is_asked=True)
    return reader.page("printing/_price.html", **values)


def _show_choices(
    reader: PageReader, session: Session, user: User, model: Model, form: Form, *, status: int = 200
) -> Response:
    values = _choices(reader, session, user, model, form)
    return reader.page("printing/choose.html", status=status, **values)


@router.post("/print/{model_id}")
def hand_in(reader: Reader, session: DbSession, user: CurrentUser, model_id: int, form: Sent) -> Response:
    """Make the job of these choices and submit it."""
    model = library.get_model(session, model_id, user=user)
    with trying(session, form):
        # Both or neither: `trying` is one savepoint, so a refused job leaves no draft behind.
        request = read_request(session, reader, user, model, form)
        job = jobs.create_job(session, owner=user, request=request, now=reader.now)
        jobs.submit(session, job=job, actor=user, now=reader.now)
    if form.errors:
        return _show_choices(reader, session, user, model, form, status=form.status)
    return reader.to(f"/jobs/{job.id}", N_("Your part “{name}” has been sent to print."), name=model.name)


async def turned_copy(request: Request, model_id: int, form: Sent, now: Now) -> AsyncIterator[Batch]:
    """The part, laid as the form says; where it cannot be, the form says why."""
    if form["position"] not in set(Position):
        raise NotFound()
    async with receive(request, now) as batch:
        try:
            await batch.turn(await read_stored(request, model_id, now), Position(form["position"]))
        except NotFound:
            raise
        except DomainError as error:
            form.refuse(error)
        yield batch


# As an upload: the file is turned and measured before a database connection is held.
@router.post("/print/{model_id}/turn")
def turn(
    batch: Annotated[Batch, Depends(turned_copy)],
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    form: Sent,
    model_id: int,
) -> Response:
    """Lay the part on another side: a turned copy takes its place, with the choices as they stand."""
    model = library.get_model(session, model_id, user=user)
    if form.errors:
        return _show_choices(reader, session, user, model, form, status=form.status)
    with trying(session, form):
        turned = batch.keep(session, owner=user, now=reader.now)[0]
        library.put_in_place(session, turned=turned, model=model, actor=user, now=reader.now)
    if form.errors:
        batch.is_kept = False
        return reader.to_refused("/print", form.errors[""])
    choices = urlencode(_read_choices(form))
    url = f"/print/{turned.id}?{choices}" if choices else f"/print/{turned.id}"
    if model.deleted_at is None:
        return reader.to(url, N_("The part is turned."))
    return reader.to_with_undo(url, f"/print/{model.id}/restore", N_("The part is turned."))


@router.post("/print/{model_id}/delete")
def delete(reader: Reader, session: DbSession, user: CurrentUser, model_id: int) -> Response:
    model = library.get_model(session, model_id, user=user)
    library.delete_model(session, model=model, actor=user, now=reader.now)
    undo = f"/print/{model.id}/restore"
    return reader.to_with_undo("/print", undo, N_("“{name}” is removed from your files."), name=model.name)


@router.post("/print/{model_id}/restore")
def restore(reader: Reader, session: DbSession, user: CurrentUser, model_id: int) -> Response:
    model = library.restore_model(session, model_id=model_id, actor=user, now=reader.now)
    return reader.to(f"/print/{model.id}", N_("“{name}” is back in your files."), name=model.name)


def _choices(reader: PageReader, session: Session, user: User, model: Model, form: Form) -> dict[str, Any]:
    """All that the page of choices shows."""
    offered = materials.list_materials(session)
    fleet = printers.list_printers(session)
    places = [site for site in reader.sites if any(printer.site_id == site.id for printer in fleet)]
    # The address may be an old link, with a material that is no longer offered.
    chosen = next((m for m in offered if m.code == form["material"].upper()), offered[0] if offered else None)
    place = _place(reader, places, form)
    own = [o for o in list_organisations(session, user=user) if may_buy_for(session, user=user, organisation_id=o.id)]
    return {
        "model": model,
        "form": form,
        "materials": offered,
        "chosen": chosen,
        "colour": _colour(chosen, form),
        "quality": form.get("quality", Quality.STANDARD),
        "qualities": QUALITIES,
        "positions": POSITIONS,
        "choices": _read_choices(form),
        "copies": form.get("copies", "1"),
        "scale": form.get("scale", "100"),
        "places": places,
        "place": place,
        "organisations": own,
        "unit": _unit_warning(model),
        "hex": _colour_hex(chosen, form),
        "offer": _offer(session, reader, user, model, form, [p for p in fleet if place and p.site_id == place.id]),
        # Only letters and digits, because it goes into a link unquoted.
        "query": "&".join(f"{n}={form[n]}" for n in ("material", "colour", "quality", "copies") if form[n].isalnum()),
    }


def _read_choices(form: Form) -> dict[str, str]:
    """What was chosen, for the address of the page."""
    return {name: form[name] for name in CHOICES if form[name]}


def _place(reader: PageReader, places: list[Site], form: Form) -> Site | None:
    """The one that was chosen, else this browser's, else the first that has a printer."""
    ids = [form["site_id"], str(reader.site.id) if reader.site else ""]
    return next((site for id_ in ids for site in places if str(site.id) == id_), places[0] if places else None)


def _colour(material: Material | None, form: Form) -> str:
    """A colour that the chosen material does not have becomes "any"."""
    codes = {colour.code for colour in material.colours if colour.offered} if material else set()
    return form["colour"] if form["colour"] in codes else ""


def _colour_hex(material: Material | None, form: Form) -> str:
    if material is None:
        return ANY_COLOUR_HEX
    return next((c.hex for c in material.colours if c.code == form["colour"]), ANY_COLOUR_HEX)


def _unit_warning(model: Model) -> dict[str, object] | None:
    """A part that was probably drawn in inches or metres, and the scale in % that puts it right."""
    if model.suggested_scale is None:
        return None
    unit, factor = Unit(str(model.measures["likely_unit"])), float(model.suggested_scale)
    largest = max(model.size_mm)
    params = {"largest": round(largest, 2), "as_mm": round(largest * factor, 1)}
    return {"msgid": mesh.UNIT_REASONS[unit], "params": params, "scale": f"{factor * 100:g}"}


def _offer(
    session: Session, reader: PageReader, user: User, model: Model, form: Form, fleet: list[Printer]
) -> PrintOffer:
    try:
        request = read_request(session, reader, user, model, form)
        quote = jobs.estimate_price(session, request, now=reader.now)
        fitting = mesh.fits(request.size_mm, {printer.id: printer.kind.volume_mm for printer in fleet}).printers
        exact = jobs.find_exact_price(session, request=request, now=reader.now)
        return PrintOffer(
            quote,
            fitting=[printer for printer in fleet if printer.id in fitting],
            exact=exact if exact.price else None,
            failure=_failure(reader, exact),
            is_asked=exact.is_pending,
        )
    # Only this refusal has ways out that can be offered: a smaller scale, or another position.
    except FitsNoPrinter as error:
        shrink_to = int(error.params["scale_percent"] * _scale(form))
        x, y, z = (float(_scale(form)) * side for side in model.size_mm)
        positions = mesh.list_fitting((x, y, z), [printer.kind.volume_mm for printer in fleet])
        text = reader.text(error.msgid(), **error.params)
        return PrintOffer(error=text, shrink_to=max(1, shrink_to), positions=positions)
    except DomainError as error:
        return PrintOffer(error=reader.text(error.msgid(), **error.params))


def _failure(reader: PageReader, exact: ExactPrice) -> str:
    if exact.error is None:
        return ""
    return error_text(reader, str(exact.error.get("code", "")), dict(exact.error.get("params", {})))


def read_request(session: Session, reader: PageReader, user: User, model: Model, form: Form) -> JobRequest:
    """The choices of the form; raises the error of the field that is wrong."""
    fleet_sites = {printer.site_id for printer in printers.list_printers(session)}
    place = _place(reader, [site for site in reader.sites if site.id in fleet_sites], form)
    if place is None:
        raise NoPrinterHere()
    offered = materials.list_materials(session)
    material = materials.get_material(session, form.get("material", offered[0].code if offered else "PLA"))
    colour = _colour(material, form)
    return JobRequest(
        model=model,
        site=place,
        material=material,
        colour=materials.get_colour(material, colour) if colour else None,
        quality=_quality(form),
        copies=form.int("copies", otherwise=1 if not form["copies"] else 0),
        scale=_scale(form),
        note=form["note"],
        organisation_id=form.int("organisation_id") or None,
    )


def _quality(form: Form) -> Quality:
    return Quality(form["quality"]) if form["quality"] in set(Quality) else Quality.STANDARD


def _scale(form: Form) -> Decimal:
    """Percent as people type it, "12,5" too, into a factor."""
    try:
        percent = Decimal(form.get("scale", "100").replace(",", ".").rstrip("% "))
    except InvalidOperation as error:
        raise NotANumber(field="scale") from error
    if not percent.is_finite():
        raise NotANumber(field="scale")
    return (percent / 100).quantize(Decimal("0.0001"))
