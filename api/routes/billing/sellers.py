"""`/api/v1/sellers`: the legal entities whose money a person handles, and the reminders to their late customers."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import CurrentUser, DbSession, Now
from api.domain.billing import invoices
from api.domain.billing.sellers import get_seller, list_sellers
from api.domain.messages import dunning

router = APIRouter(prefix="/api/v1", tags=["invoices"])


class SellerOut(BaseModel):
    id: int
    name: str
    siren: str
    prefix: str
    closed_until: date | None


@router.get("/sellers")
def list_handled(session: DbSession, user: CurrentUser) -> list[SellerOut]:
    """The legal entities whose money one handles."""
    return [
        SellerOut(
            id=seller.id,
            name=seller.name,
            siren=seller.siren,
            prefix=seller.prefix,
            closed_until=invoices.closed_until(session, seller_id=seller.id),
        )
        for seller in list_sellers(session, user=user)
    ]


@router.post("/sellers/{seller_id}/reminders")
def remind(seller_id: int, session: DbSession, user: CurrentUser, now: Now) -> int:
    """Write the reminders that are due; how many."""
    seller = get_seller(session, seller_id, user=user)
    return len(dunning.remind(session, seller=seller, now=now))
