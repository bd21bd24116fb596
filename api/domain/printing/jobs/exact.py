"""The exact price of a request by its slices, before there is a job. Runs no slicer: slices are only requested."""

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
from api.domain.printing.jobs.request import JobRequest, check_request, most_per_plate
from api.domain.printing.jobs.table import JobSlice
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.library import Model
from api.domain.printing.plates import distinct_plates
from api.domain.printing.slices import Slice, SliceStatus, recipe_fingerprint, request_slice

# Slices that one person may have under way for the sake of a price alone: trying all colours and sizes costs the
# machine minutes each, and those who have handed something in wait behind them.
MOST_PENDING = 3


@dataclass(frozen=True)
class ExactPrice:
    """What the request costs by its slices; `seconds` and `grams` are of one piece.

    With an `error` ({"code", "params"} of the slicer's refusal) there is no price. With neither there is no answer
    yet; `is_pending` says that slices are under way.
    """

    price: Price | None = None
    vat_cents: int = 0
    seconds: int = 0
    grams: Decimal = Decimal(0)
    error: dict[str, Any] | None = None
    is_pending: bool = False

    @property
    def is_final(self) -> bool:
        """Whether there is an answer: a price, or that it cannot be sliced."""
        return self.price is not None or self.error is not None


def request_exact_price(session: Session, *, request: JobRequest, now: datetime) -> ExactPrice:
    """The exact price; while there is none, its slices are requested, as `submit` would.

    Nothing is requested while the owner of the model has too much under way. Raises what check_request raises, and
    NoTariff.
    """
    slices_by_kind = _find_slices(session, request)
    price = _price(session, request, slices_by_kind, now=now)
    if price.is_final:
        return price
    # One printer kind is enough for a price: the first that may still succeed. What failed is not tried again here, or
    # a page that looks every two seconds would have it sliced without end; the sweep tries again what may pass.
    kind = next(kind for kind, slices in slices_by_kind.items() if not _first_hopeless(slices.values()))
    missing = [copies for copies, slice_ in slices_by_kind[kind].items() if slice_ is None]
    if missing and _has_room(session, request.model, more=len(missing)):
        for copies in missing:
            request_slice(session, kind=kind, copies=copies, now=now, **request.slicing)
    return price


def find_exact_price(session: Session, *, request: JobRequest, now: datetime) -> ExactPrice:
    """The exact price as far as it is known; only reads. Raises what check_request raises, and NoTariff."""
    return _price(session, request, _find_slices(session, request), now=now)


# Of each printer kind that fits, by copies on the plate: the slice, or None where none was requested yet.
SlicesByKind = dict[PrinterKind, dict[int, Slice | None]]


def _find_slices(session: Session, request: JobRequest) -> SlicesByKind:
    kinds = check_request(session, request)
    plates = distinct_plates(request.copies, most_per_plate(request, kinds))
    fingerprints = {
        (kind, copies): recipe_fingerprint(kind=kind, copies=copies, **request.slicing)
        for kind in kinds
        for copies in plates
    }
    query = select(Slice).where(Slice.fingerprint.in_(fingerprints.values()))
    slices = {slice_.fingerprint: slice_ for slice_ in session.scalars(query)}
    return {kind: {copies: slices.get(fingerprints[kind, copies]) for copies in plates} for kind in kinds}


def _first_hopeless(slices: Iterable[Slice | None]) -> Slice | None:
    return next((each for each in slices if each is not None and each.is_hopeless), None)


def _price(session: Session, request: JobRequest, slices_by_kind: SlicesByKind, *, now: datetime) -> ExactPrice:
    # As `settle_slices` decides, so that the job then costs what was shown: the first kind that has all its plates; an
    # error when no kind can have them.
    for slices in slices_by_kind.values():
        ready = [each for each in slices.values() if each is not None and each.status == SliceStatus.READY]
        if len(ready) == len(slices):
            return _price_slices(session, request, ready, now=now)
    failed = [_first_hopeless(slices.values()) for slices in slices_by_kind.values()]
    if failed[0] is not None and all(failed):
        return ExactPrice(error=failed[0].error)
    every = [each for slices in slices_by_kind.values() for each in slices.values()]
    # What is no answer, and not hopeless, is being made or will be tried again.
    return ExactPrice(
        is_pending=any(s is not None and s.status != SliceStatus.READY and not s.is_hopeless for s in every)
    )


def _price_slices(session: Session, request: JobRequest, slices: list[Slice], *, now: datetime) -> ExactPrice:
    _, tariff = get_tariff_for(
        session,
        site_id=request.site.id,
        at=now,
        user_id=request.model.owner_id,
        organisation_id=request.organisation_id,
    )
    work, seconds = exact_work(slices, material=request.material.code, quantity=request.copies)
    price = price_part(tariff, work)
    return ExactPrice(price, vat_cents(price.net_cents, tariff.vat_rate), seconds, work.grams)


def _has_room(session: Session, model: Model, *, more: int) -> bool:
    """Whether the owner of the model may have so many more slices made for a price."""
    # Counted under a lock of the owner, so that several tabs at once do not all pass with the same count.
    session.execute(select(User.id).where(User.id == model.owner_id).with_for_update(key_share=True))
    of_a_job = select(JobSlice.id).where(JobSlice.slice_id == Slice.id).exists()
    query = (
        select(func.count())
        .select_from(Slice)
        .join(Model, Model.id == Slice.model_id)
        .where(Model.owner_id == model.owner_id, Slice.status == SliceStatus.PENDING, ~of_a_job)
    )
    return (session.scalar(query) or 0) + more <= MOST_PENDING
