"""Whether what a place sells bears VAT: a seller under the franchise, or exempt, may not show any.

Sellers and their regimes are entered in `billing.sellers`, which this package may not import: the two tables are read
by their names.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import column, or_, select, table
from sqlalchemy.orm import Session

from api.domain.pricing.legal import PARIS, Regime

_SELLERS = table("sellers", column("id"), column("site_id"))
_REGIMES = table("seller_regimes", column("seller_id"), column("start"), column("regime"))


def charges_vat(session: Session, *, site_id: int, at: datetime) -> bool:
    """Whether the seller of this site (its own, else the network's) charges VAT on that day in Paris.

    True where nobody sells yet: the prices there are a preview, under the rule that holds for most.
    """
    seller, regime = _SELLERS.c, _REGIMES.c
    query = (
        select(regime.regime)
        .join(_SELLERS, seller.id == regime.seller_id)
        .where(or_(seller.site_id == site_id, seller.site_id.is_(None)), regime.start <= at.astimezone(PARIS).date())
        .order_by(seller.site_id.is_(None), regime.start.desc())
        .limit(1)
    )
    return session.scalar(query) in (None, Regime.PAYER.value)
