"""The exact price: of one piece by its slices, for a job and, before there is a job, for a request. Runs no slicer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.people.accounts import User
from api.domain.pricing.prices import Price, price_part, vat_cents
from api.domain.pricing.tariffs import get_tariff_for
from api.domain.pricing.work import exact_work
from api.domain.printing.jobs.order import JobRequest, check_request, most_per_plate
from api.domain.printing.jobs.table import JobSlice
from api.domain.printing.library import Model
from api.domain.printing.plates import cut_into_plates
from api.domain.printing.printers import PrinterKind
from api.domain.printing.slices import Slice, SliceStatus, recipe_fingerprint, request_slice

# Slices that one person may have under way for the sake of a price alone: trying all colours and sizes costs the
# machine minutes each, and those who have handed something in wait behind them.
MOST_PENDING = 3


@dataclass(frozen=True)
class ExactQuote:
    """What the request costs by its slices; `seconds` and `grams` are of one piece.

    With an `error` ({"code", "params"} of the slicer's refusal) there is no price.
    """

    price: Price | None = None
    vat_cents: int = 0
    seconds: int = 0
    grams: Decimal = Decimal(0)
    error: dict[str, Any] | None = None


def exact_quote(session: Session, *, request: JobRequest, now: datetime) -> ExactQuote | None:
    """The exact price, or None while its slices are being made: they are asked for here, as `submit` would.

    Asked is the first printer kind that may still succeed; handing in then finds the same slices. What failed is not
    tried again here, and nothing is asked while the owner of the model has too much under way.
    Raises what check_request raises, and NoTariff.
    """
    found = _find_slices(session, request)
    if (quote := _quote_from(session, request, found, now=now)) is not None:
        return quote
    kind = next(kind for kind, slices in found.items() if not _failed(slices.values()))
    missing = [copies for copies, made in found[kind].items() if made is None]
    if missing and _may_ask(session, request.model, more=len(missing)):
        for copies in missing:
            request_slice(session, kind=kind, copies=copies, now=now, **_recipe(request))
    return None


def find_exact_quote(session: Session, *, request: JobRequest, now: datetime) -> ExactQuote | None:
    """The exact price if its slices are there already; only reads. Raises what check_request raises, and NoTariff."""
    return _quote_from(session, request, _find_slices(session, request), now=now)


def is_being_sliced(session: Session, *, request: JobRequest) -> bool:
    """Whether slices of this request are under way."""
    plates = [made for slices in _find_slices(session, request).values() for made in slices.values()]
    return any(made is not None and made.status == SliceStatus.PENDING for made in plates)


# Of each printer kind that fits, by copies on the plate: the slice, or None where nobody asked yet.
Found = dict[PrinterKind, dict[int, Slice | None]]


def _find_slices(session: Session, request: JobRequest) -> Found:
    kinds = check_request(session, request)
    plates = sorted(set(cut_into_plates(request.copies, most_per_plate(request, kinds))))
    prints = {
        (kind, copies): recipe_fingerprint(kind=kind, copies=copies, **_recipe(request))
        for kind in kinds
        for copies in plates
    }
    query = select(Slice).where(Slice.fingerprint.in_(prints.values()))
    made = {found.fingerprint: found for found in session.scalars(query)}
    return {kind: {copies: made.get(prints[kind, copies]) for copies in plates} for kind in kinds}


def _recipe(request: JobRequest) -> dict[str, Any]:
    return {
        "model": request.model,
        "material": request.material,
        "quality": request.quality,
        "scale": request.scale,
    }


def _failed(slices: Iterable[Slice | None]) -> Slice | None:
    return next((made for made in slices if made is not None and made.status == SliceStatus.FAILED), None)


def _quote_from(session: Session, request: JobRequest, found: Found, *, now: datetime) -> ExactQuote | None:
    """As `slice_came` decides: the first kind that has all its plates; an error when no kind can have them."""
    for slices in found.values():
        ready = [made for made in slices.values() if made is not None and made.status == SliceStatus.READY]
        if len(ready) == len(slices):
            return _priced(session, request, ready, now=now)
    failed = [_failed(slices.values()) for slices in found.values()]
    if failed[0] is not None and all(failed):
        return ExactQuote(error=failed[0].error)
    return None


def _priced(session: Session, request: JobRequest, slices: list[Slice], *, now: datetime) -> ExactQuote:
    _, tariff = get_tariff_for(
        session,
        site_id=request.site.id,
        at=now,
        user_id=request.model.owner_id,
        organisation_id=request.organisation_id,
    )
    work, seconds = exact_work(slices, material=request.material.code, quantity=request.copies)
    price = price_part(tariff, work)
    return ExactQuote(price, vat_cents(price.net_cents, tariff.vat_rate), seconds, work.grams)


def _may_ask(session: Session, model: Model, *, more: int) -> bool:
    """Counted under a lock of the owner, so that many tabs at once do not slip through together."""
    session.execute(select(User.id).where(User.id == model.owner_id).with_for_update(key_share=True))
    of_a_job = select(JobSlice.id).where(JobSlice.slice_id == Slice.id).exists()
    query = (
        select(func.count())
        .select_from(Slice)
        .join(Model, Model.id == Slice.model_id)
        .where(Model.owner_id == model.owner_id, Slice.status == SliceStatus.PENDING, ~of_a_job)
    )
    return (session.scalar(query) or 0) + more <= MOST_PENDING
