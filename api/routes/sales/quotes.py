"""`/api/v1/quotes`: a price for several models at once, with its trace; offered, accepted, declined, withdrawn."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.adapters import pdf
from api.bodies import Body
from api.bounds import Day
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of, read_first, require_user
from api.domain.billing.facturx import QuoteDocument
from api.domain.core.errors import NotFound
from api.domain.people.accounts import Organisation, User
from api.domain.places.sites import Site, get_default_site, get_site, list_staffed_sites
from api.domain.pricing.materials import Quality, get_colour, get_material
from api.domain.printing.jobs import JobRequest
from api.domain.printing.library import get_model
from api.domain.sales import orders, quotes
from api.domain.sales.quotes import Quote, QuoteLine, QuoteStatus, RequestedLine
from api.routes.sales.orders import OrderOut
from api.slow_work import PAPERS

router = APIRouter(prefix="/api/v1/quotes", tags=["quotes"])


class LineIn(Body):
    model_id: int
    material: str = Field(default="PLA", max_length=20)
    colour: str | None = Field(default=None, max_length=30)
    quality: Quality = Quality.STANDARD
    quantity: int = Field(default=1, description="1 to 500.")
    scale: Decimal = Field(default=Decimal(1), max_digits=8, decimal_places=4)
    rush: str = Field(default="standard", max_length=30)
    wanted_on: Day | None = None


class QuoteIn(Body):
    """What is wanted; no price can be given: it is computed."""

    organisation_id: int
    site_id: int | None = None
    lines: list[LineIn] = Field(max_length=200)
    note: str = Field(default="", max_length=500)
    wanted_on: Day | None = None
    cost_centre_id: int | None = None


class AcceptIn(Body):
    purchase_order: str | None = Field(default=None, max_length=200)
    total_cents: int | None = Field(default=None, description="The total that you saw; another one is refused.")


class ReasonIn(Body):
    reason: str = Field(default="", max_length=500)


class QuoteLineOut(BaseModel):
    position: int
    model_id: int
    name: str
    material: str
    colour: str | None
    quality: Quality
    quantity: int
    grams_each: float
    minutes_each: float
    unit_price: Decimal
    net_cents: int
    trace: list[dict[str, object]]

    @classmethod
    def of(cls, line: QuoteLine) -> QuoteLineOut:
        return cls(
            position=line.position,
            model_id=line.model_id,
            name=line.model.name,
            material=line.material.code,
            colour=line.colour.code if line.colour else None,
            quality=line.quality,
            quantity=line.quantity,
            grams_each=float(line.grams_each),
            minutes_each=float(line.minutes_each),
            unit_price=line.unit_price,
            net_cents=line.net_cents,
            trace=line.trace,
        )


class QuoteOut(BaseModel):
    id: int
    number: str
    status: QuoteStatus
    expired: bool
    organisation_id: int
    site_id: int
    net_cents: int
    vat_cents: int
    total_cents: int
    promised_on: date | None
    valid_until: date
    purchase_order: str | None
    reason: str
    created_at: datetime
    accepted_at: datetime | None
    lines: list[QuoteLineOut]

    @classmethod
    def of(cls, quote: Quote, now: datetime) -> QuoteOut:
        names = [name for name in cls.model_fields if name not in {"lines", "expired"}]
        plain = {name: getattr(quote, name) for name in names}
        return cls(expired=quote.is_expired(now), lines=[QuoteLineOut.of(line) for line in quote.lines], **plain)


class QuotePage(BaseModel):
    items: list[QuoteOut]
    next: str | None = None


@router.post("", status_code=status.HTTP_201_CREATED)
def ask(body: QuoteIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent) -> QuoteOut:
    """Price, trace and promised date at once, from the meshes; staff review it first where the place wants it."""

    def make() -> QuoteOut:
        site = get_site(session, body.site_id) if body.site_id is not None else get_default_site(session)
        quote = quotes.create_quote(
            session,
            site=site,
            organisation=_organisation(session, body.organisation_id),
            actor=user,
            lines=[_line(session, line, user, site) for line in body.lines],
            now=now,
            note=body.note,
            wanted_on=body.wanted_on,
            cost_centre_id=body.cost_centre_id,
        )
        return QuoteOut.of(quote, now)

    return idempotent(QuoteOut, make, content=body)


def _organisation(session: Session, organisation_id: int) -> Organisation:
    # `create_quote` checks the buyer's right, and answers 404 too: a stranger does not learn which organisations exist.
    if organisation := session.get(Organisation, organisation_id):
        return organisation
    raise NotFound(field="organisation_id")


def _line(session: Session, line: LineIn, user: User, site: Site) -> RequestedLine:
    material = get_material(session, line.material)
    request = JobRequest(
        model=get_model(session, line.model_id, user=user),  # 404 for the model of somebody else.
        site=site,
        material=material,
        colour=get_colour(material, line.colour) if line.colour else None,
        quality=line.quality,
        copies=line.quantity,
        scale=line.scale,
    )
    return RequestedLine(request, line.rush, line.wanted_on)


@router.get("")
def list_seen(session: DbSession, user: CurrentUser, now: Now, window: Paging) -> QuotePage:
    """Those of one's organisations, and of the places that one staffs; newest first."""
    site_ids = [site.id for site in list_staffed_sites(session, user=user)]
    page = quotes.list_quotes(session, user=user, site_ids=site_ids, window=window)
    return QuotePage(items=[QuoteOut.of(quote, now) for quote in page], next=cursor_of(page.next))


@router.get("/{quote_id}")
def read(quote_id: int, session: DbSession, user: CurrentUser, now: Now) -> QuoteOut:
    return QuoteOut.of(quotes.get_quote(session, quote_id, user=user), now)


@router.get("/{quote_id}/pdf")
async def download(quote_id: int, request: Request, now: Now) -> Response:
    """The *devis*, drawn from what was frozen."""

    def read(session: Session) -> tuple[str, QuoteDocument, datetime]:
        quote = quotes.get_quote(session, quote_id, user=require_user(request, session, now))
        return quote.number, quote.document, quote.created_at

    number, document, stamp = await read_first(request, read)
    # With the time of creation as stamp each download is the same file.
    drawn = await PAPERS.run(lambda: pdf.render_quote(document, stamp=stamp))
    name = f'inline; filename="{number}.pdf"'
    return Response(drawn, media_type="application/pdf", headers={"Content-Disposition": name})


@router.post("/{quote_id}/accept", status_code=status.HTTP_201_CREATED)
def accept(
    quote_id: int, body: AcceptIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> OrderOut:
    """Buy it: the order and its jobs."""

    def make() -> OrderOut:
        quote = quotes.get_quote(session, quote_id, user=user)
        order = orders.accept(
            session,
            quote=quote,
            actor=user,
            now=now,
            purchase_order=body.purchase_order,
            shown_total_cents=body.total_cents,
        )
        return OrderOut.of(session, order, now)

    return idempotent(OrderOut, make, content=body)


@router.post("/{quote_id}/offer")
def offer(quote_id: int, session: DbSession, user: CurrentUser, now: Now) -> QuoteOut:
    """Staff offer the quote: the buyer may accept it."""
    quote = quotes.get_quote(session, quote_id, user=user)
    quotes.offer(session, quote=quote, actor=user, now=now)
    return QuoteOut.of(quote, now)


@router.post("/{quote_id}/decline")
def decline(quote_id: int, body: ReasonIn, session: DbSession, user: CurrentUser, now: Now) -> QuoteOut:
    """Staff cannot print it."""
    quote = quotes.get_quote(session, quote_id, user=user)
    quotes.decline(session, quote=quote, actor=user, reason=body.reason, now=now)
    return QuoteOut.of(quote, now)


@router.post("/{quote_id}/withdraw")
def withdraw(quote_id: int, session: DbSession, user: CurrentUser, now: Now) -> QuoteOut:
    quote = quotes.get_quote(session, quote_id, user=user)
    quotes.withdraw(session, quote=quote, actor=user, now=now)
    return QuoteOut.of(quote, now)
