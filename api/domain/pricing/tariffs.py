"""Tariffs by date: a row is never edited, only followed by a newer one. The arithmetic stands in `prices`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ForeignKey, Index, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Invalid, NotAllowed, NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import find_level, may_manage, require_manager
from api.domain.pricing.legal import PARIS, normal_vat_rate, vat_rates
from api.domain.pricing.prices import Tariff
from api.domain.pricing.vat import charges_vat


class TariffRow(Base):
    """The prices of a site (or, with no site, of the network) from `valid_from` until the next row."""

    __tablename__ = "tariffs"
    __table_args__ = (Index("ix_tariffs_site_id_valid_from", "site_id", "valid_from"),)

    id: Mapped[Id]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"))
    valid_from: Mapped[Instant]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class NoTariff(NotFound):
    """This place has no tariff yet."""


class NetworkPrices(NotAllowed):
    """Only a network administrator can set the tariff of all places."""


class TariffInPast(Invalid):
    """A new tariff starts today or later: past sales keep their prices."""

    field = "valid_on"


class NoSuchVatRate(Invalid):
    """{rate}% is not a VAT rate on that date."""

    field = "vat_rate"


def pack(tariff: Tariff) -> dict[str, Any]:
    """As JSON."""
    # Decimals as text: read back from a JSON number they would be floats, and not the prices that were typed.
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
        "role_percents": {role: str(percent) for role, percent in tariff.role_percents.items()},
        "organisation_percents": {str(key): str(percent) for key, percent in tariff.organisation_percents.items()},
    }


def unpack(body: dict[str, Any]) -> Tariff:
    """The inverse of `pack`."""
    # Rows are never edited, so keys that came later are missing in older ones: those take their default.
    plain = ("handling", "set_up", "min_line", "min_order", "org_discount_percent", "vat_rate")
    numbers: dict[str, Any] = {key: Decimal(body[key]) for key in plain if key in body}
    return Tariff(
        per_minute=Decimal(body["per_minute"]),
        per_gram={code: Decimal(price) for code, price in body["per_gram"].items()},
        quantity_breaks=tuple((int(q), Decimal(f)) for q, f in body.get("quantity_breaks", [])),
        rush_factors={kind: Decimal(factor) for kind, factor in body.get("rush_factors", {}).items()},
        role_percents={role: Decimal(percent) for role, percent in body.get("role_percents", {}).items()},
        organisation_percents={
            int(key): Decimal(percent) for key, percent in body.get("organisation_percents", {}).items()
        },
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


@dataclass(frozen=True, slots=True)
class NewPrices:
    """Prices to be published for a site (or, with no site, the network); `valid_on` is a day in `zone`."""

    site_id: int | None
    tariff: Tariff
    valid_on: date
    zone: str


def publish(session: Session, *, prices: NewPrices, actor: User, now: datetime) -> TariffRow:
    """From midnight of `valid_on`, or from now on when that is today; raises what `require_publishable` raises."""
    require_publishable(session, prices=prices, actor=actor, now=now)
    midnight = datetime.combine(prices.valid_on, time(), ZoneInfo(prices.zone))
    return set_tariff(
        session,
        site_id=prices.site_id,
        tariff=prices.tariff,
        # Prices of today begin now: what was sold this morning keeps the prices that it was sold at.
        valid_from=max(midnight, now),
        now=now,
        actor=actor,
    )


def require_publishable(session: Session, *, prices: NewPrices, actor: User, now: datetime) -> None:
    """Raises TariffInPast, NoSuchVatRate, and StaffOnly or (for the network, with no site) NetworkPrices."""
    if prices.site_id is not None:
        require_manager(session, user=actor, site_id=prices.site_id)
    elif not actor.is_admin:
        raise NetworkPrices()
    if prices.valid_on < now.astimezone(ZoneInfo(prices.zone)).date():
        raise TariffInPast()
    if prices.tariff.vat_rate not in vat_rates(prices.valid_on):
        raise NoSuchVatRate(rate=str(prices.tariff.vat_rate))


def may_publish(session: Session, *, user: User, site_id: int | None) -> bool:
    return user.is_admin if site_id is None else may_manage(session, user=user, site_id=site_id)


def list_versions(session: Session, *, site_id: int | None) -> list[TariffRow]:
    """All tariffs of a site (or, with no site, of the network), past and planned; the newest first."""
    own = TariffRow.site_id.is_(None) if site_id is None else TariffRow.site_id == site_id
    query = select(TariffRow).where(own).order_by(TariffRow.valid_from.desc(), TariffRow.id.desc())
    return list(session.scalars(query))


def has_own_prices(session: Session, *, site_id: int, at: datetime) -> bool:
    """Whether the site has prices of its own at that instant, and so does not go by those of the network."""
    query = select(TariffRow.id).where(TariffRow.site_id == site_id, TariffRow.valid_from <= at).limit(1)
    return session.scalar(query) is not None


class VatRates:
    """The VAT rates of the tariffs of some sites at any time, read once: for lists of things of many days."""

    def __init__(self, session: Session, *, site_ids: Sequence[int]) -> None:
        query = select(TariffRow).where(or_(TariffRow.site_id.in_(site_ids), TariffRow.site_id.is_(None)))
        self._rows = list(session.scalars(query.order_by(TariffRow.valid_from.desc(), TariffRow.id.desc())))

    def find(self, site_id: int, at: datetime) -> Decimal | None:
        """By the site's own tariff, else by that of the network, as `get_tariff`; None where neither is."""
        for owner in (site_id, None):
            for row in self._rows:
                if row.site_id == owner and row.valid_from <= at:
                    return unpack(row.body).vat_rate
        return None


def get_tariff_for(
    session: Session, *, site_id: int, at: datetime, user_id: int, organisation_id: int | None
) -> tuple[int, Tariff]:
    """(row id, prices) as `get_tariff`, as this customer pays them; raises NoTariff."""
    row_id, tariff = get_tariff(session, site_id=site_id, at=at)
    return row_id, for_customer(
        session, tariff=tariff, site_id=site_id, at=at, user_id=user_id, organisation_id=organisation_id
    )


def for_customer(
    session: Session, *, tariff: Tariff, site_id: int, at: datetime, user_id: int, organisation_id: int | None
) -> Tariff:
    """These prices with the discount of the organisation, or of the person by their role at the site.

    Without VAT where the seller of the site charges none on that day: it may not even be shown.
    """
    if not charges_vat(session, site_id=site_id, at=at):
        tariff = replace(tariff, vat_rate=Decimal(0))
    # Whoever buys for an organisation gets its discount only, not that of their own role.
    if organisation_id is not None or not tariff.role_percents:
        return tariff.for_buyer(role=None, organisation_id=organisation_id)
    level = find_level(session, user=session.get_one(User, user_id), site_id=site_id)
    return tariff.for_buyer(role=level, organisation_id=None)


def get_tariff(session: Session, *, site_id: int, at: datetime) -> tuple[int, Tariff]:
    """(row id, prices) in force at the site at that instant: its own, else the network's; raises NoTariff."""
    row = session.scalar(
        select(TariffRow)
        .where(or_(TariffRow.site_id == site_id, TariffRow.site_id.is_(None)), TariffRow.valid_from <= at)
        # Own prices stand before the network's, also older ones; of two that begin at once, the later row counts.
        .order_by(TariffRow.site_id.is_(None), TariffRow.valid_from.desc(), TariffRow.id.desc())
        .limit(1)
    )
    if row is None:
        raise NoTariff()
    return row.id, unpack(row.body)


def get_vat_rate(session: Session, *, site_id: int, at: datetime) -> Decimal:
    """What a site charges on top of a net price, in percent: of its tariff or, without one, the normal rate of the law.

    0 where its seller charges no VAT.
    """
    if not charges_vat(session, site_id=site_id, at=at):
        return Decimal(0)
    try:
        return get_tariff(session, site_id=site_id, at=at)[1].vat_rate
    except NoTariff:
        return normal_vat_rate(at.astimezone(PARIS).date())
