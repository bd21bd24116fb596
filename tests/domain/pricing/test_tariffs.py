"""Tariffs: the price list in force is the site's own, else the network's; what was typed comes back to the digit."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from api.domain.core.changes import list_changes
from api.domain.people.accounts import User
from api.domain.places.sites import Site
from api.domain.pricing.prices import Tariff
from api.domain.pricing.tariffs import NoTariff, TariffRow, get_tariff, pack, set_tariff, unpack
from tests.world import NOW, make_site, make_user

decimals = st.decimals(0, 1000, places=4)
#: A discount makes it smaller, a rush larger.
shares = st.decimals("0.01", 1, places=4)


def tariff(set_up: int) -> Tariff:
    return Tariff(per_gram={"PLA": Decimal("0.05")}, per_minute=Decimal("0.02"), set_up=Decimal(set_up))


def put(
    session: Session, set_up: int, *, site: Site | None = None, since: datetime = NOW, actor: User | None = None
) -> TariffRow:
    site_id = site.id if site else None
    return set_tariff(session, site_id=site_id, tariff=tariff(set_up), valid_from=since, now=NOW, actor=actor)


@given(decimals, decimals, shares, st.integers(2, 500))
def test_prices_come_back_to_the_digit(gram: Decimal, minute: Decimal, factor: Decimal, quantity: int) -> None:
    typed = Tariff(
        per_gram={"PLA": gram},
        per_minute=minute,
        quantity_breaks=((quantity, factor),),
        rush_factors={"express": 1 + factor},
    )
    assert unpack(pack(typed)) == typed


def test_an_older_row_takes_the_defaults_of_what_it_lacks() -> None:
    plain = Tariff(per_gram={}, per_minute=Decimal("0.02"))
    assert unpack({"per_gram": {}, "per_minute": "0.02"}) == plain


def test_the_sites_own_prices_go_before_the_networks_newer_ones(session: Session) -> None:
    site, other = make_site(session), make_site(session)
    own = put(session, 1, site=site)
    network = put(session, 2, since=NOW + timedelta(days=1))
    at = NOW + timedelta(days=2)
    assert get_tariff(session, site_id=site.id, at=at) == (own.id, tariff(1))
    assert get_tariff(session, site_id=other.id, at=at) == (network.id, tariff(2))


def test_prices_hold_from_their_first_instant_until_newer_ones(session: Session) -> None:
    site = make_site(session)
    put(session, 1, site=site)
    put(session, 2, site=site, since=NOW + timedelta(days=1))
    at = [NOW, NOW + timedelta(hours=23), NOW + timedelta(days=1)]
    assert [get_tariff(session, site_id=site.id, at=instant)[1].set_up for instant in at] == [1, 1, 2]


def test_of_two_lists_of_one_instant_the_later_written_holds(session: Session) -> None:
    site = make_site(session)
    put(session, 1, site=site)
    put(session, 2, site=site)
    assert get_tariff(session, site_id=site.id, at=NOW)[1].set_up == 2


def test_before_the_first_prices_there_are_none(session: Session) -> None:
    site = make_site(session)
    put(session, 1, site=site)
    with pytest.raises(NoTariff):
        get_tariff(session, site_id=site.id, at=datetime(2000, 1, 1, tzinfo=UTC))


def test_who_set_the_prices_is_recorded(session: Session) -> None:
    site, bob = make_site(session), make_user(session, "Bob")
    row = put(session, 1, site=site, actor=bob)
    (change,) = list_changes(session, noun="tariff", noun_id=row.id)
    assert (row.created_by, change.actor_id, change.site_id) == (bob.id, bob.id, site.id)
