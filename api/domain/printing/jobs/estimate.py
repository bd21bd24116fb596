"""The price of a request at once, from the mesh alone, before anything is sliced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from api.domain.pricing.prices import Estimate, Price, price_estimate, price_part, vat_cents
from api.domain.pricing.tariffs import get_tariff_for
from api.domain.pricing.work import estimate_part
from api.domain.printing.jobs.request import JobRequest, check_request
from api.domain.printing.kinds import PrinterKind


@dataclass(frozen=True)
class PriceEstimate:
    """The price before slicing: of the likely case, and how far the slice may move it (cents, VAT included).

    `kinds`: the printer kinds of the site that can take the part.
    """

    kinds: list[PrinterKind]
    tariff_id: int
    price: Price
    vat_cents: int
    low_cents: int
    high_cents: int
    estimate: Estimate


def estimate_price(
    session: Session, request: JobRequest, *, now: datetime, buyer_id: int | None = None
) -> PriceEstimate:
    """Price and time at once; raises what check_request raises, and NoTariff.

    The discount is that of `buyer_id`, without one of the model's owner.
    """
    kinds = check_request(session, request)
    tariff_id, tariff = get_tariff_for(
        session,
        site_id=request.site.id,
        at=now,
        user_id=buyer_id or request.model.owner_id,
        organisation_id=request.organisation_id,
    )
    estimate, work = estimate_part(
        request.model,
        material=request.material,
        quality=request.quality,
        scale=request.scale,
        quantity=request.copies,
        # By the printer kind that the exact price takes too, if it can: the first.
        nozzle_mm=float(kinds[0].nozzle_mm),
    )
    likely = price_part(tariff, work)
    low_cents, _, high_cents = price_estimate(tariff, estimate, material=work.material, quantity=work.quantity)
    return PriceEstimate(
        kinds=kinds,
        tariff_id=tariff_id,
        price=likely,
        vat_cents=vat_cents(likely.net_cents, tariff.vat_rate),
        low_cents=low_cents + vat_cents(low_cents, tariff.vat_rate),
        high_cents=high_cents + vat_cents(high_cents, tariff.vat_rate),
        estimate=estimate,
    )
