"""Tariffs as dated rows: never edited, only followed by a newer one. The arithmetic stands in `prices`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.accounts import User
from api.domain.base import Base, Id, Instant
from api.domain.changes import record
from api.domain.errors import NotFound
from api.domain.prices import Tariff


class TariffRow(Base):
    """The prices of a site (or, with no site, of the network) from `valid_from` on. `body` holds decimals as text."""

    __tablename__ = "tariffs"
    __table_args__ = (Index("ix_tariffs_site_id_valid_from", "site_id", "valid_from"),)

    id: Mapped[Id]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"))
    valid_from: Mapped[Instant]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class NoTariff(NotFound):
    """This place has no prices yet."""


def pack(tariff: Tariff) -> dict[str, Any]:
    """As JSON, decimals as text: a float would not be the price that was typed."""
    return {
        "per_gram": {code: str(price) for code, price in tariff.per_gram.items()},
        "per_minute": str(tariff.per_minute),
        "handling": str(tariff.handling),
        "set_up": str(tariff.set_up),
        "min_line": str(tariff.min_line),
        "min_order": str(tariff.min_order),
        "quantity_breaks": [[quantity, str(factor)] for quantity, factor in tariff.quantity_breaks],
        "rush_factors": {kind: str(factor) for kind, factor in tariff.rush_factors.items()},
        "org_discount_percent": str(tariff.org_discount_percent),
        "vat_rate": str(tariff.vat_rate),
    }


def unpack(body: dict[str, Any]) -> Tariff:
    """The inverse of `pack`; keys that an older row lacks take the default."""
    plain = ("handling", "set_up", "min_line", "min_order", "org_discount_percent", "vat_rate")
    numbers: dict[str, Any] = {key: Decimal(body[key]) for key in plain if key in body}
    return Tariff(
        per_minute=Decimal(body["per_minute"]),
        per_gram={code: Decimal(price) for code, price in body["per_gram"].items()},
        quantity_breaks=tuple((int(q), Decimal(f)) for q, f in body.get("quantity_breaks", [])),
        rush_factors={kind: Decimal(factor) for kind, factor in body.get("rush_factors", {}).items()},
        **numbers,
    )


def set_tariff(
    session: Session, *, site_id: int | None, tariff: Tariff, valid_from: datetime, now: datetime, actor: User | None
) -> TariffRow:
    row = TariffRow(site_id=site_id, valid_from=valid_from, body=pack(tariff), created_by=actor.id if actor else None)
    session.add(row)
    session.flush()
    actor_id = actor.id if actor else None
    record(session, noun="tariff", noun_id=row.id, verb="set", now=now, actor_id=actor_id, site_id=site_id)
    return row


def get_tariff(session: Session, *, site_id: int, at: datetime) -> tuple[int, Tariff]:
    """(row id, prices) in force at the site at that instant: its own, else the network's; raises NoTariff."""
    row = session.scalar(
        select(TariffRow)
        .where(or_(TariffRow.site_id == site_id, TariffRow.site_id.is_(None)), TariffRow.valid_from <= at)
        .order_by(TariffRow.site_id.is_(None), TariffRow.valid_from.desc(), TariffRow.id.desc())
        .limit(1)
    )
    if row is None:
        raise NoTariff()
    return row.id, unpack(row.body)
