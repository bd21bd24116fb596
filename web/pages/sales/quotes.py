"""`/quotes`: upload several files, get a price with its trace at once, and accept it with a purchase-order number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from api.adapters.receiving import Batch, receive
from api.bounds import day_of, id_of
from api.deps import CurrentUser, DbSession, Now, Paging
from api.domain.billing.organisations import CostCentre, map_open_centres
from api.domain.core.errors import DomainError, Invalid, NotFound
from api.domain.people.accounts import Organisation, User, list_buying, may_buy_for
from api.domain.people.roles import may_staff
from api.domain.places.sites import Site, get_site
from api.domain.pricing import materials
from api.domain.pricing.materials import Quality
from api.domain.pricing.prices import LABELS, STANDARD, PriceReason, Scope
from api.domain.pricing.tariffs import NoTariff, get_tariff
from api.domain.printing import printers
from api.domain.printing.jobs import JobRequest
from api.domain.printing.library import Model, get_model
from api.domain.sales import orders, quotes
from api.domain.sales.quotes import Quote, QuoteStatus, RequestedLine
from web.formats import number, price_figure, unit_price
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.printing.print import QUALITIES
from web.paging import links_of
from web.price_form import decimal_of, read_cents
from web.render import PageReader, Reader
from web.states import State

router = APIRouter(include_in_schema=False)
MOST_FILES = 20

STATES = {
    QuoteStatus.IN_REVIEW: State("waiting", N_("Under review")),
    QuoteStatus.OFFERED: State("good", N_("Awaiting acceptance")),
    QuoteStatus.ACCEPTED: State("good", N_("Accepted")),
    QuoteStatus.DECLINED: State("broken", N_("Declined")),
    QuoteStatus.WITHDRAWN: State("over", N_("Withdrawn")),
}
EXPIRED = State("over", N_("Expired"))
MESSAGES = {
    "offer": N_("Quote sent: the buyer can accept it."),
    "decline": N_("Quote declined; the buyer can read why."),
    "price": N_("Price changed; the buyer sees the reason."),
    "withdraw": N_("Quote withdrawn."),
}


class FilesMissing(Invalid):
    """Choose between 1 and {most} STL files."""

    field = "files"


class CentreOfAnother(Invalid):
    """This cost centre belongs to another organisation."""

    field = "cost_centre_id"


class DateUnreadable(Invalid):
    """Enter a valid date."""

    field = "wanted_on"


def state_of(quote: Quote, reader: PageReader) -> State:
    return EXPIRED if quote.is_expired(reader.now) else STATES[quote.status]


@router.get("/quotes")
def list_page(reader: Reader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    """Those of one's organisations."""
    page = quotes.list_quotes(session, user=user, window=window)
    return reader.page(
        "sales/quotes.html",
        rows=[(quote, state_of(quote, reader)) for quote in page],
        links=links_of(reader, page),
    )


@router.get("/quotes/new")
def new_page(
    reader: Reader, session: DbSession, user: CurrentUser, models: Annotated[str, Query(max_length=400)] = ""
) -> Response:
    """First the upload; with `models` (ids with commas between), the choices for each of them."""
    return _draw_new(reader, session, user, Form(reader.request), _models(session, user, models))


async def measured_files(request: Request, form: Sent, now: Now) -> AsyncIterator[Batch]:
    """The files of the form, measured; what is wrong with one of them stands in the form."""
    uploads = [each for each in form.data.getlist("files") if isinstance(each, UploadFile) and each.filename]
    async with receive(request, now) as batch:
        try:
            if not 1 <= len(uploads) <= MOST_FILES:
                raise FilesMissing(most=MOST_FILES)
            for file in uploads:
                await batch.measure(file)
        except DomainError as error:
            # The error names a field of a single upload; this form has one field for all files.
            form.refuse(error, field="files")
        yield batch


# The batch stands before the reader: measuring takes seconds, in which no database connection may be held.
@router.post("/quotes/files")
def upload(
    batch: Annotated[Batch, Depends(measured_files)],
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    form: Sent,
) -> Response:
    """Several STL files at once; when one of them is refused, none is kept."""
    if form.errors:
        return _draw_new(reader, session, user, form, [], status=form.status)
    models = batch.keep(session, owner=user, now=reader.now)
    return reader.to("/quotes/new?models=" + ",".join(str(model.id) for model in models))


@router.post("/quotes/new")
def ask(reader: Reader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    models = _models(session, user, form["models"])
    with trying(session, form):
        place = _place(session, form)
        quote = quotes.create_quote(
            session,
            site=place,
            organisation=_organisation(session, user, form),
            actor=user,
            lines=[_line(form, model, place, session) for model in models],
            note=form["note"],
            cost_centre_id=_centre_id(session, form),
            wanted_on=_date(form["wanted_on"]),
            now=reader.now,
        )
    if form.errors:
        return _draw_new(reader, session, user, form, models, status=form.status)
    return reader.to(f"/quotes/{quote.id}")


def _models(session: Session, user: User, ids: str) -> list[Model]:
    model_ids = [number for text in ids.split(",") if (number := id_of(text)) is not None]
    return [get_model(session, model_id, user=user) for model_id in model_ids[:MOST_FILES]]


def _place(session: Session, form: Form) -> Site:
    return get_site(session, form.int("site_id"))


def _organisation(session: Session, user: User, form: Form) -> Organisation:
    organisation = session.get(Organisation, form.int("organisation_id"))
    if organisation is None:
        raise NotFound()
    return organisation


def _centre_id(session: Session, form: Form) -> int | None:
    """The cost centre chosen, if any; it must be of the organisation chosen beside it."""
    if not form["cost_centre_id"]:
        return None
    centre = session.get(CostCentre, form.int("cost_centre_id"))
    if centre is None or centre.organisation_id != form.int("organisation_id"):
        raise CentreOfAnother()
    return centre.id


def _date(text: str) -> date | None:
    try:
        return day_of(text) if text else None
    except ValueError as e:
        raise DateUnreadable() from e


def _line(form: Form, model: Model, site: Site, session: Session) -> RequestedLine:
    material = materials.get_material(session, form.get(f"material-{model.id}", "PLA"))
    colour = form[f"colour-{model.id}"]
    quality = form.get(f"quality-{model.id}", Quality.STANDARD)
    return RequestedLine(
        JobRequest(
            model=model,
            site=site,
            material=material,
            # A colour of another material, or one no longer offered, becomes "any colour".
            colour=next((c for c in material.colours if c.code == colour and c.offered), None),
            quality=Quality(quality) if quality in set(Quality) else Quality.STANDARD,
            copies=form.int(f"quantity-{model.id}"),
        ),
        rush=form.get("rush", STANDARD),
    )


def _draw_new(
    reader: PageReader, session: Session, user: User, form: Form, models: list[Model], *, status: int = 200
) -> Response:
    own = list_buying(session, user=user)
    centres = map_open_centres(session, organisation_ids=[each.id for each in own])
    with_printers = {printer.site_id for printer in printers.list_printers(session)}
    offered = materials.list_materials(session)
    return reader.page(
        "sales/quote_new.html",
        status=status,
        form=form,
        models=models,
        organisations=own,
        places=[site for site in reader.sites if site.id in with_printers],
        materials=offered,
        colours={c.code: c for material in offered for c in material.colours if c.offered},
        qualities=QUALITIES,
        most=MOST_FILES,
        centres=[(buyer, centre) for buyer in own for centre in centres[buyer.id]],
        rushes=_rushes(session, reader),
    )


def _rushes(session: Session, reader: PageReader) -> dict[str, Decimal]:
    """The rush levels of the reader's site with their surcharge in percent."""
    # The form may name another site, whose tariff refuses a rush level that it does not have.
    if reader.site is None:
        return {}
    try:
        _, tariff = get_tariff(session, site_id=reader.site.id, at=reader.now)
    except NoTariff:
        return {}  # The quote itself says that there is no price yet.
    return {rush: (factor - 1) * 100 for rush, factor in tariff.rush_factors.items() if rush != STANDARD}


@router.get("/quotes/{quote_id}")
def quote_page(reader: Reader, session: DbSession, user: CurrentUser, quote_id: int) -> Response:
    quote = quotes.get_quote(session, quote_id, user=user)
    return _draw(reader, session, user, quote, Form(reader.request))


@router.post("/quotes/{quote_id}/accept")
def accept(reader: Reader, session: DbSession, user: CurrentUser, quote_id: int, form: Sent) -> Response:
    quote = quotes.get_quote(session, quote_id, user=user)
    with trying(session, form):
        order = orders.accept(
            session,
            quote=quote,
            actor=user,
            purchase_order=form["purchase_order"],
            shown_total_cents=form.int("total_cents", otherwise=-1),  # Without it: -1, which no quote costs.
            now=reader.now,
        )
    if form.errors:
        return _draw(reader, session, user, quote, form, status=form.status)
    return reader.to(f"/orders/{order.id}", N_("Order {number} is placed."), number=order.number)


@router.post("/quotes/{quote_id}/{verb}")
def decide(reader: Reader, session: DbSession, user: CurrentUser, quote_id: int, verb: str, form: Sent) -> Response:
    """Staff offer, decline or set another price; the buyer withdraws."""
    quote = quotes.get_quote(session, quote_id, user=user)
    with trying(session, form):
        _decide(session, quote, verb, form, user, reader.now)
    if form.errors:
        return _draw(reader, session, user, quote, form, status=form.status)
    return reader.to(f"/quotes/{quote.id}", MESSAGES.get(verb, ""))


def _decide(session: Session, quote: Quote, verb: str, form: Form, user: User, now: datetime) -> None:
    if verb == "offer":
        quotes.offer(session, quote=quote, actor=user, now=now)
    elif verb == "price":
        net_cents, reason = read_cents(form, "net"), form["price_reason"]
        quotes.change_price(session, quote=quote, net_cents=net_cents, reason=reason, actor=user, now=now)
    elif verb == "decline":
        quotes.decline(session, quote=quote, actor=user, reason=form["reason"], now=now)
    elif verb == "withdraw":
        quotes.withdraw(session, quote=quote, actor=user, now=now)
    else:
        raise NotFound()


def _draw(reader: PageReader, session: Session, user: User, quote: Quote, form: Form, *, status: int = 200) -> Response:
    is_buyer = may_buy_for(session, user=user, organisation_id=quote.organisation_id)
    is_staff = may_staff(session, user=user, site_id=quote.site_id)
    adjustments = quotes.list_adjustments(session, quote=quote)
    lines_cents = sum(line.net_cents for line in quote.lines)
    return reader.page(
        "sales/quote.html",
        status=status,
        form=form,
        quote=quote,
        order=orders.find_order(session, quote_id=quote.id),
        state=state_of(quote, reader),
        may_accept=quote.status is QuoteStatus.OFFERED and not quote.is_expired(reader.now) and is_buyer,
        may_withdraw=quote.status in (QuoteStatus.IN_REVIEW, QuoteStatus.OFFERED) and is_buyer,
        may_decide=quote.status is QuoteStatus.IN_REVIEW and is_staff,
        is_staff=is_staff,
        centre=session.get(CostCentre, quote.cost_centre_id) if quote.cost_centre_id else None,
        accepted_by=session.get(User, quote.accepted_by) if quote.accepted_by else None,
        adjustments=adjustments,
        # What the lines and the staff's changes leave: the minimum of the whole order belongs to no line.
        minimum_cents=quote.net_cents - lines_cents - sum(cents for _, cents in adjustments),
        lines=[(line, [_step(reader, step) for step in line.trace]) for line in quote.lines],
    )


def _step(reader: PageReader, step: dict[str, Any]) -> tuple[str, str]:
    """(label, amount) of one step of the trace, in the reader's language."""
    params = {name: _written(reader, name, value) for name, value in step["params"].items()}
    amount = unit_price(reader.locale, Decimal(step["amount"]))
    each = step["scope"] == Scope.UNIT
    return reader.text(LABELS[PriceReason(step["reason"])], **params), (
        reader.text(N_("{amount} each"), amount=amount) if each else amount
    )


def _written(reader: PageReader, name: str, value: str) -> str:
    """A number of the trace as the language writes it; a word as it is."""
    amount = decimal_of(value)
    if amount is None:
        return value
    return price_figure(reader.locale, amount) if name in quotes.AMOUNTS else number(reader.locale, amount, 4)
