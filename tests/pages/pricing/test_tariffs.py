"""The page of prices: errors beside their fields, a preview before anything is published, the past untouched."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.pricing.tariffs import TariffRow, get_tariff, list_versions
from api.domain.printing import jobs
from tests.world import NOW, World, make_job
from tests.world.billing import Shop, ask
from tests.world.browsers import Browser
from web.price_form import decimal_of


def fields(world: World, **over: Any) -> dict[str, str]:
    plain = {
        "site": world.site.slug,
        "valid_on": "2026-11-24",
        "gram-PLA": "0,08",
        "per_minute": "0.02",
        "set_up": "3",
        "vat_rate": "20",
        "do": "preview",
    }
    return {**plain, **{name.replace("_at_", "-"): value for name, value in over.items()}}


def seen_in(page: str) -> str:
    return page.partition('name="seen" value="')[2].partition('"')[0]


def publish(browser: Browser, sent: dict[str, str]) -> Any:
    seen = seen_in(browser.post("/staff/tariffs/new", sent).text)
    return browser.post("/staff/tariffs/new", {**sent, "do": "publish", "seen": seen})


def test_a_preview_shows_past_prints_and_publishes_nothing(session: Session, world: World, bob: Browser) -> None:
    job = make_job(session, world.site, world.alice)
    jobs.submit(session, job=job, actor=world.alice, now=NOW)
    answer = bob.post("/staff/tariffs/new", fields(world))

    assert answer.status_code == 200
    assert f'href="/jobs/{job.id}"' in answer.text
    assert "Publish this tariff" in answer.text
    assert list_versions(session, site_id=world.site.id) == []


def test_published_prices_begin_on_their_day(session: Session, world: World, bob: Browser) -> None:
    assert publish(bob, fields(world)).headers["location"] == "/staff/tariffs"
    (row,) = list_versions(session, site_id=world.site.id)

    assert row.valid_from.isoformat() == "2026-11-23T23:00:00+00:00"
    assert row.body["per_gram"] == {"PLA": "0.08"}
    shown = bob.get("/staff/tariffs").text
    assert "Planned" in shown
    assert "0.08" in shown


def test_what_was_changed_after_the_preview_is_previewed_again(session: Session, world: World, bob: Browser) -> None:
    seen = seen_in(bob.post("/staff/tariffs/new", fields(world)).text)
    answer = bob.post("/staff/tariffs/new", fields(world, set_up="4", do="publish", seen=seen))

    assert "On past prints" in answer.text
    assert list_versions(session, site_id=world.site.id) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gram-PLA", "dear"),
        ("gram-PLA", ""),
        ("per_minute", "-1"),
        ("set_up", "0.00001"),
        ("min_order", "NaN"),
        ("vat_rate", "21"),
        ("org_discount_percent", "101"),
        ("break-quantity-1", "1"),
        ("rush-word-1", "!"),
        ("role-member", "-5"),
        ("valid_on", "yesterday"),
        ("valid_on", "2026-11-22"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    session: Session, world: World, bob: Browser, field: str, value: str
) -> None:
    answer = bob.post("/staff/tariffs/new", {**fields(world), field: value})

    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text
    assert "Publish this tariff" not in answer.text


def test_every_field_comes_back_in_the_next_prices(session: Session, shop: Shop, world: World, bob: Browser) -> None:
    ask(session, shop)
    more = {
        "break-quantity-1": "10",
        "break-percent-1": "12.5",
        "rush-word-1": "express",
        "rush-percent-1": "50",
        "role-member": "7",
        "organisation-1": str(shop.company.id),
        "organisation-percent-1": "4",
    }
    publish(bob, {**fields(world, valid_on="2026-11-23"), **more})
    _, tariff = get_tariff(session, site_id=world.site.id, at=NOW)

    assert tariff.quantity_breaks == ((10, Decimal("0.875")),)
    assert tariff.rush_factors == {"express": Decimal("1.5")}
    assert tariff.organisation_percents == {shop.company.id: 4}
    page = bob.get(f"/staff/tariffs/new?site={world.site.slug}").text
    for value in ("12.5", "express", "50"):
        assert f'value="{value}"' in page
    assert f'<option value="{shop.company.id}" selected>' in page
    assert shop.company.name in bob.get("/staff/tariffs").text


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ({"break-quantity-1": "10"}, {"break-quantity-2": "10"}, "break-quantity-2"),
        ({"rush-word-1": "fast"}, {"rush-word-2": "fast"}, "rush-word-2"),
        ({"organisation-1": "7"}, {"organisation-2": "7"}, "organisation-2"),
    ],
)
def test_nothing_stands_in_a_list_twice(
    session: Session, shop: Shop, world: World, bob: Browser, first: dict[str, str], second: dict[str, str], field: str
) -> None:
    ask(session, shop)
    answer = bob.post("/staff/tariffs/new", {**fields(world), **first, **second})

    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text


def test_the_networks_prices_are_the_administrators(session: Session, world: World, bob: Browser) -> None:
    answer = bob.post("/staff/tariffs/new", fields(world, site="network"))
    assert answer.status_code == 403
    world.bob.is_admin = True

    assert publish(bob, fields(world, site="network")).status_code == 303
    assert len(session.scalars(select(TariffRow).where(TariffRow.site_id.is_(None))).all()) == 2


def test_prices_are_for_staff_of_the_place(world: World, alice: Browser, charlie: Browser, bob: Browser) -> None:
    assert alice.get("/staff/tariffs").status_code == 403
    assert alice.post("/staff/tariffs/new", fields(world)).status_code == 403
    assert charlie.post("/staff/tariffs/new", fields(world)).status_code == 404
    assert bob.get("/staff/tariffs/new?site=nowhere").status_code == 404


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 234,50", Decimal("1234.50")),
        ("0.06", Decimal("0.06")),
        ("-3", Decimal(-3)),
        *[(text, None) for text in ("", "dear", "NaN", "1e400", "1e999999999999", "1e-999999999999")],
    ],
)
def test_a_number_is_read_as_people_type_it(text: str, value: Decimal | None) -> None:
    assert decimal_of(text) == value
