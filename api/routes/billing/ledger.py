"""`/api/v1/sellers/{id}`: what an accountant asks for: closing, FEC, journal, e-reporting, the chain of hashes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, ConfigDict

from api.adapters import ereporting, sheets
from api.deps import CurrentUser, DbSession, Now
from api.domain.billing import invoices, ledger
from api.domain.billing.sellers import get_seller, today
from api.settings import settings

router = APIRouter(prefix="/api/v1", tags=["invoices"])


class CloseIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    until: date


class DayTotalOut(BaseModel):
    on: date
    operation: str
    rate: Decimal
    base_cents: int
    vat_cents: int


@router.post("/sellers/{seller_id}/close", status_code=status.HTTP_204_NO_CONTENT)
def close(seller_id: int, said: CloseIn, session: DbSession, user: CurrentUser, now: Now) -> None:
    """A manager closes the books up to a day."""
    seller = get_seller(session, seller_id, user=user)
    invoices.close_period(session, seller=seller, until=said.until, actor=user, now=now, today=today(now))


@router.get("/sellers/{seller_id}/fec")
def download_fec(seller_id: int, start: date, end: date, session: DbSession, user: CurrentUser) -> Response:
    """The *fichier des écritures comptables* of `[start, end)`."""
    seller = get_seller(session, seller_id, user=user)
    name, text = ledger.export_fec(session, seller=seller, start=start, end=end)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/sellers/{seller_id}/ledger.{form}")
def download_ledger(
    seller_id: int, form: Literal["csv", "xlsx"], start: date, end: date, session: DbSession, user: CurrentUser
) -> Response:
    """The entries of `[start, end)` as a table."""
    seller = get_seller(session, seller_id, user=user)
    head = ["Journal", "Écriture", "Date", "Pièce", "Libellé", "Compte", "Tiers", "Débit", "Crédit"]
    rows = [
        [
            posting.journal.value,
            f"{posting.year}-{posting.no:06d}",
            posting.on,
            posting.piece,
            posting.text,
            entry.account.value,
            entry.party_name,
            Decimal(entry.debit_cents) / 100,
            Decimal(entry.credit_cents) / 100,
        ]
        for posting in ledger.list_postings(session, seller_id=seller.id, start=start, end=end)
        for entry in posting.entries
    ]
    made = sheets.to_csv(head, rows) if form == "csv" else sheets.to_xlsx("Journal", head, rows)
    headers = {"Content-Disposition": f'attachment; filename="journal-{start}-{end}.{form}"'}
    media = "text/csv" if form == "csv" else f"{sheets.OFFICE}.sheet"
    return Response(made, media_type=media, headers=headers)


@router.get("/sellers/{seller_id}/e-reporting")
def read_e_reporting(
    seller_id: int, start: date, end: date, session: DbSession, user: CurrentUser
) -> list[DayTotalOut]:
    """Sales to consumers per day, category and VAT rate, of `[start, end)`."""
    seller = get_seller(session, seller_id, user=user)
    found = invoices.list_consumer_totals(session, seller_id=seller.id, start=start, end=end)
    return [
        DayTotalOut(on=x.on, operation=x.operation.value, rate=x.rate, base_cents=x.base_cents, vat_cents=x.vat_cents)
        for x in found
    ]


@router.get("/sellers/{seller_id}/e-reporting.{form}")
def download_e_reporting(
    seller_id: int, form: Literal["csv", "xml"], start: date, end: date, session: DbSession, user: CurrentUser, now: Now
) -> Response:
    """The same as a table, or as the XML of flux 10 for the platform."""
    seller = get_seller(session, seller_id, user=user)
    found = invoices.list_consumer_totals(session, seller_id=seller.id, start=start, end=end)
    if form == "xml":
        number = settings().flow_platform
        made = ereporting.report_sales(found, seller=seller, start=start, end=end, platform=number, now=now)
    else:
        head = ["Date", "Catégorie", "Taux", "Base HT", "TVA"]
        rows = [
            [x.on, x.operation.value, x.rate, Decimal(x.base_cents).scaleb(-2), Decimal(x.vat_cents).scaleb(-2)]
            for x in found
        ]
        made = sheets.to_csv(head, rows)
    headers = {"Content-Disposition": f'attachment; filename="e-reporting-{start}-{end}.{form}"'}
    return Response(made, media_type="application/xml" if form == "xml" else "text/csv", headers=headers)


@router.get("/sellers/{seller_id}/chain")
def check_chain(seller_id: int, session: DbSession, user: CurrentUser) -> list[str]:
    """Numbers at which the hash chain or the count is broken: an empty list is good."""
    seller = get_seller(session, seller_id, user=user)
    return invoices.list_chain_breaks(session, seller_id=seller.id)
