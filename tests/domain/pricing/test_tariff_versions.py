"""New prices: from today on, by who may, with a discount per role and organisation; tried on past jobs before."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from api.domain.people import accounts, roles
from api.domain.people.accounts import User
from api.domain.people.roles import Level, StaffOnly
from api.domain.pricing.prices import BadTariff, Tariff
from api.domain.pricing.tariffs import (
    NetworkPrices,
    NewPrices,
    NoSuchVatRate,
    TariffInPast,
    TariffRow,
    get_tariff,
    get_tariff_for,
    list_versions,
    may_publish,
    pack,
    publish,
    unpack,
)
from api.domain.printing import jobs
from api.domain.printing.jobs import Job
from tests.world import NOW, World, make_job, make_model, make_site, make_user

TODAY = date(2026, 11, 23)
ZONE = "Europe/Paris"


def tariff(**over: Any) -> Tariff:
    """As the world's, with 3 euros to begin with instead of one."""
    prices = {"PLA": Decimal("0.05"), "PETG": Decimal("0.06")}
    return Tariff(**{"per_gram": prices, "per_minute": Decimal("0.02"), "set_up": Decimal(3), **over})


def put(session: Session, world: World, actor: User, **over: Any) -> TariffRow:
    facts: dict[str, Any] = {"site_id": world.site.id, "tariff": tariff(), "valid_on": TODAY, "zone": ZONE, **over}
    return publish(session, prices=NewPrices(**facts), actor=actor, now=NOW)


def test_prices_of_a_coming_day_begin_at_its_midnight(session: Session, world: World) -> None:
    row = put(session, world, world.bob, valid_on=TODAY + timedelta(days=2))

    assert row.valid_from == datetime(2026, 11, 25, tzinfo=ZoneInfo(ZONE))
    assert get_tariff(session, site_id=world.site.id, at=NOW)[0] != row.id


def test_prices_of_today_begin_now_and_not_this_morning(session: Session, world: World) -> None:
    assert put(session, world, world.bob).valid_from == NOW


def test_the_past_keeps_its_prices(session: Session, world: World) -> None:
    with pytest.raises(TariffInPast):
        put(session, world, world.bob, valid_on=TODAY - timedelta(days=1))


def test_a_vat_rate_must_be_one_of_that_day(session: Session, world: World) -> None:
    with pytest.raises(NoSuchVatRate):
        put(session, world, world.bob, tariff=tariff(vat_rate=Decimal(21)))


def test_a_place_is_priced_by_its_managers_and_the_network_by_its_administrators(
    session: Session, world: World
) -> None:
    admin = make_user(session, "Root", is_admin=True)
    for person in (world.alice, world.charlie):
        with pytest.raises(StaffOnly):
            put(session, world, person)
    with pytest.raises(NetworkPrices):
        put(session, world, world.bob, site_id=None)

    assert put(session, world, admin, site_id=None).site_id is None
    assert [may_publish(session, user=world.bob, site_id=site) for site in (world.site.id, None)] == [True, False]
    assert may_publish(session, user=admin, site_id=None)


def test_versions_are_listed_per_place_the_newest_first(session: Session, world: World) -> None:
    rows = [put(session, world, world.bob, valid_on=TODAY + timedelta(days=days)) for days in (1, 3, 2)]

    assert [row.id for row in list_versions(session, site_id=world.site.id)] == [rows[1].id, rows[2].id, rows[0].id]
    assert len(list_versions(session, site_id=None)) == 1


def test_a_discount_goes_by_the_organisation_else_by_the_role(session: Session, world: World) -> None:
    other = accounts.add_organisation(session, name="Autre", slug="autre", owner=world.charlie, now=NOW)
    discounts = {"organisation_percents": {world.acme.id: Decimal(15)}, "role_percents": {Level.STAFF: Decimal(50)}}
    dan = make_user(session, "Dan")
    roles.grant(session, user=dan, site_id=world.site.id, level=Level.STAFF, now=NOW)
    put(session, world, world.bob, tariff=tariff(org_discount_percent=Decimal(5), **discounts))

    def percent(user: User, organisation_id: int | None) -> Decimal:
        asked: dict[str, Any] = {"site_id": world.site.id, "at": NOW, "user_id": user.id}
        return get_tariff_for(session, organisation_id=organisation_id, **asked)[1].org_discount_percent

    assert [percent(dan, world.acme.id), percent(dan, other.id), percent(dan, None)] == [15, 5, 50]
    assert [percent(world.alice, None), percent(world.charlie, None)] == [0, 0]


def test_the_discount_of_ones_role_is_on_the_price_of_ones_job(session: Session, world: World) -> None:
    before = make_job(session, world.site, world.alice).net_cents
    put(session, world, world.bob, tariff=tariff(set_up=Decimal(1), role_percents={Level.MEMBER: Decimal(100)}))

    assert before > 100
    assert make_job(session, world.site, world.alice).net_cents == 100  # the set-up is not reduced


def test_discounts_come_back_as_typed() -> None:
    typed = tariff(role_percents={"member": Decimal("12.5")}, organisation_percents={7: Decimal(3)})
    assert unpack(pack(typed)) == typed


@pytest.mark.parametrize("percents", [{"role_percents": {"member": Decimal(101)}}, {"organisation_percents": {1: -1}}])
def test_a_discount_is_at_most_everything(percents: dict[str, Any]) -> None:
    with pytest.raises(BadTariff):
        tariff(**{name: {key: Decimal(p) for key, p in each.items()} for name, each in percents.items()})


def submitted(session: Session, world: World, **facts: Any) -> Job:
    job = make_job(session, world.site, world.alice, **facts)
    jobs.submit(session, job=job, actor=world.alice, now=NOW)
    return job


def test_a_preview_tells_old_and_new_price_of_past_jobs(session: Session, world: World) -> None:
    first, second = submitted(session, world), submitted(session, world, copies=4)
    make_job(session, world.site, world.alice)  # a draft: nothing was sold
    seen = jobs.preview_tariff(session, tariff=tariff(), site_id=world.site.id, now=NOW)

    assert [(row.job.id, row.difference_cents) for row in seen.rows] == [(second.id, 200), (first.id, 200)]
    assert seen.new_cents == seen.old_cents + 400
    assert seen.old_cents == first.net_cents + second.net_cents


def test_a_preview_by_the_prices_in_force_changes_nothing(session: Session, world: World) -> None:
    submitted(session, world, copies=7)
    _, now_in_force = get_tariff(session, site_id=world.site.id, at=NOW)
    seen = jobs.preview_tariff(session, tariff=now_in_force, site_id=None, now=NOW)

    assert [row.difference_cents for row in seen.rows] == [0]


def test_what_new_prices_cannot_price_is_told_and_left_out_of_the_sums(session: Session, world: World) -> None:
    submitted(session, world)
    seen = jobs.preview_tariff(session, tariff=tariff(per_gram={"PETG": Decimal(1)}), site_id=world.site.id, now=NOW)

    assert (seen.unpriced, seen.old_cents, seen.new_cents) == (1, 0, 0)
    assert seen.rows[0].difference_cents is None


def test_the_networks_preview_leaves_out_places_with_prices_of_their_own(session: Session, world: World) -> None:
    submitted(session, world)
    put(session, world, world.bob)

    assert jobs.preview_tariff(session, tariff=tariff(), site_id=None, now=NOW).rows == ()


def test_a_preview_shows_no_other_places_jobs(session: Session, world: World) -> None:
    submitted(session, world, model=make_model(session, world.alice))

    assert jobs.preview_tariff(session, tariff=tariff(), site_id=make_site(session).id, now=NOW).rows == ()
