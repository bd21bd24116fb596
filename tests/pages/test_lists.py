"""Every list of pages and API: each is known here, and a long one asks the database as often as a short one."""

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.messages.notifications import Mail
from tests.world.billing import Shop
from tests.world.browsers import Browser
from tests.world.growth import Seeds, grow, plant
from tests.world.queries import count_statements
from web.app import routers

pytestmark = pytest.mark.usefixtures("data_dir")
FEW, MANY = 5, 50

# What each list is read by, and an address of it; "" for the route itself.
ALICE, BOB = "alice", "bob"
LISTS: dict[str, tuple[str, str]] = {
    "/": (ALICE, ""),
    "/agenda": (ALICE, ""),
    "/agenda/past": (ALICE, ""),
    "/book": (ALICE, ""),
    "/invoices": (ALICE, ""),
    "/jobs": (ALICE, ""),
    "/me": (ALICE, ""),
    "/orders": (ALICE, ""),
    "/org": (ALICE, ""),
    "/org/{slug}": (ALICE, "/org/{company}"),
    "/org/{slug}/bookings": (ALICE, "/org/{company}/bookings"),
    "/print": (ALICE, ""),
    "/quotes": (ALICE, ""),
    "/quotes/new": (ALICE, ""),
    "/wall": (ALICE, ""),
    "/staff": (BOB, ""),
    "/staff/books": (BOB, ""),
    "/staff/calendar": (BOB, ""),
    "/staff/conventions": (BOB, ""),
    "/staff/doors/{door_id}": (BOB, "/staff/doors/{door}"),
    "/staff/gatherings": (BOB, ""),
    "/staff/gatherings/new": (BOB, ""),
    "/staff/hours": (BOB, ""),
    "/staff/invoices": (BOB, ""),
    "/staff/log": (BOB, ""),
    "/staff/mail": (BOB, ""),
    "/staff/money": (BOB, ""),
    "/staff/orders": (BOB, ""),
    "/staff/printers/{printer_id:int}": (BOB, "/staff/printers/{printer}"),
    "/staff/quotes": (BOB, ""),
    "/staff/rules": (BOB, ""),
    "/staff/sellers": (BOB, ""),
    "/staff/sellers/{seller_id}/people": (BOB, "/staff/sellers/{seller}/people"),
    "/staff/sellers/{seller_id}/requests": (BOB, "/staff/sellers/{seller}/requests"),
    "/staff/tabs": (BOB, ""),
    "/staff/tariffs": (BOB, ""),
    "/staff/terms": (BOB, ""),
    "/staff/till": (BOB, ""),
    "/api/v1/bookings": (ALICE, ""),
    "/api/v1/calendar": (ALICE, "/api/v1/calendar?from=2026-11-23T00:00:00Z&to=2026-11-30T00:00:00Z"),
    "/api/v1/free-slots": (ALICE, "/api/v1/free-slots?minutes=60&from=2026-11-23T00:00:00Z&to=2026-11-30T00:00:00Z"),
    "/api/v1/gatherings": (ALICE, ""),
    "/api/v1/invoices": (ALICE, "/api/v1/invoices?organisation={company}"),
    "/api/v1/jobs": (ALICE, ""),
    "/api/v1/materials": (ALICE, ""),
    "/api/v1/models": (ALICE, ""),
    "/api/v1/orders": (ALICE, ""),
    "/api/v1/organisations": (ALICE, ""),
    "/api/v1/organisations/{slug}/cost-centres": (ALICE, "/api/v1/organisations/{company}/cost-centres"),
    "/api/v1/organisations/{slug}/members": (ALICE, "/api/v1/organisations/{company}/members"),
    "/api/v1/organisations/{slug}/statement": (ALICE, "/api/v1/organisations/{company}/statement"),
    "/api/v1/printers": (BOB, ""),
    "/api/v1/quotes": (ALICE, ""),
    "/api/v1/resources": (ALICE, ""),
    "/api/v1/sellers": (BOB, ""),
    "/api/v1/sellers/{seller_id}/bank-lines": (BOB, "/api/v1/sellers/{seller}/bank-lines"),
    "/api/v1/sellers/{seller_id}/chain": (BOB, "/api/v1/sellers/{seller}/chain"),
    "/api/v1/sellers/{seller_id}/fec": (BOB, "/api/v1/sellers/{seller}/fec?start=2026-01-01&end=2027-01-01"),
    "/api/v1/sellers/{seller_id}/ledger.{form}": (
        BOB,
        "/api/v1/sellers/{seller}/ledger.csv?start=2026-01-01&end=2027-01-01",
    ),
    "/api/v1/sellers/{seller_id}/money-requests": (BOB, "/api/v1/sellers/{seller}/money-requests"),
    "/api/v1/sellers/{seller_id}/money-rights": (BOB, "/api/v1/sellers/{seller}/money-rights"),
    "/api/v1/sellers/{seller_id}/owed": (BOB, "/api/v1/sellers/{seller}/owed?user_id={alice}"),
    "/api/v1/sellers/{seller_id}/proposals": (BOB, "/api/v1/sellers/{seller}/proposals"),
    "/api/v1/sellers/{seller_id}/tabs": (BOB, "/api/v1/sellers/{seller}/tabs"),
    "/api/v1/sellers/{seller_id}/tabs/refused": (BOB, "/api/v1/sellers/{seller}/tabs/refused"),
    "/api/v1/sites": (ALICE, ""),
    "/api/v1/terms-requests": (BOB, ""),
    "/feeds/sites/{slug}.ics": (ALICE, "/feeds/sites/{site}.ics"),
}
# Lists that hold less than a screen for as long as the house stands: why they need no pages.
BOUNDED = {
    "/": "places of the network",
    "/api/v1/materials": "materials of the network",
    "/api/v1/organisations": "organisations of one person",
    "/api/v1/organisations/{slug}/cost-centres": "cost centres in use",
    "/api/v1/organisations/{slug}/members": "people of one organisation",
    "/api/v1/printers": "machines",
    "/api/v1/sellers": "legal entities",
    "/api/v1/sellers/{seller_id}/money-requests": "one of each kind, they expire",
    "/api/v1/sellers/{seller_id}/money-rights": "people with a right to the money",
    "/api/v1/sites": "places of the network",
    "/api/v1/terms-requests": "one request of an organisation at most, answered by staff",
    "/me": "devices and tokens of one person, ended ones are purged",
    "/org": "organisations of one person",
    "/staff/hours": "closures to come",
    "/staff/rules": "things of one place, one line each",
    "/staff/sellers": "legal entities",
    "/staff/sellers/{seller_id}/people": "people with a right to the money",
    "/staff/sellers/{seller_id}/requests": "one of each kind, they expire",
    "/staff/tariffs": "prices in force and to come",
    "/staff/terms": "one request of an organisation at most, answered by staff",
    "/wall": "machines of one place",
}
# Pages and answers about one thing, forms, files.
NO_LISTS = {
    "/api/docs",
    "/api/v1/bookings/{booking_id}",
    "/api/v1/bookings/{booking_id}/ics",
    "/api/v1/gatherings/{slug}",
    "/api/v1/invoices/{invoice_id}",
    "/api/v1/invoices/{invoice_id}/pdf",
    "/api/v1/invoices/{invoice_id}/xml",
    "/api/v1/invoices/{invoice_id}/flow/list",
    "/api/v1/invoices/{invoice_id}/payments/list",
    "/api/v1/invoices/{invoice_id}/sources/list",
    "/api/v1/jobs/{job_id:int}",
    "/api/v1/jobs/{job_id}/file",
    "/api/v1/jobs/{job_id}/first-layer",
    "/api/v1/kinds/{kind_id}",
    "/api/v1/models/{model_id}",
    "/api/v1/models/{model_id}/file",
    "/api/v1/orders/{order_id}",
    "/api/v1/orders/{order_id}/delivery-note",
    "/api/v1/organisations/{slug}",
    "/api/v1/printers/{printer_id}",
    "/api/v1/probes/{probe_id}",
    "/api/v1/quotes/{quote_id}",
    "/api/v1/quotes/{quote_id}/pdf",
    "/api/v1/resources/{resource_id}",
    "/api/v1/resources/{resource_id}/availability",
    "/api/v1/sellers/{seller_id}/e-reporting",
    "/api/v1/sellers/{seller_id}/e-reporting.{form}",
    "/api/v1/sellers/{seller_id}/till",
    "/api/v1/sites/{site_id}",
    "/book/{resource_id}",
    "/book/{resource_id}/offer",
    "/bookings/{booking_id}",
    "/bookings/{booking_id}/calendar.ics",
    "/bookings/{booking_id}/photos/{direction}",
    "/feeds/{secret}.ics",
    "/gatherings/{slug}",
    "/help",
    "/invoices/{invoice_id}",
    "/jobs/{job_id}",
    "/live",
    "/login",
    "/orders/{order_id}",
    "/orders/{order_id}/invoice",
    "/org/join",
    "/org/new",
    "/org/{slug}/edit",
    "/print/{model_id}",
    "/print/{model_id}/price",
    "/quotes/{quote_id}",
    "/signup",
    "/staff/conventions/new",
    "/staff/conventions/{convention_id}",
    "/staff/gatherings/{slug}",
    "/staff/kinds/{kind_id:int}",
    "/staff/printers/new",
    "/staff/printers/new/{probe_id}",
    "/staff/rules/{slug}/{what}/{which}",
    "/staff/sellers/new",
    "/staff/sellers/{seller_id}",
    "/staff/tariffs/new",
    "/staff/till/{seller_id}/{user_id}",
    "/waits/{wait_id}",
}


def routes() -> dict[str, APIRoute]:
    every = (route for router in routers() for route in router.routes)
    return {route.path: route for route in every if isinstance(route, APIRoute) and "GET" in route.methods}


def test_every_page_is_known_here_as_a_list_or_as_none() -> None:
    assert set(routes()) == set(LISTS) | NO_LISTS
    assert not set(LISTS) & NO_LISTS
    assert set(BOUNDED) <= set(LISTS)


def address_of(path: str, seeds: Seeds) -> str:
    shop = seeds.shop
    names = {
        "company": shop.company.slug,
        "door": seeds.door.id,
        "printer": shop.world.printer.id,
        "seller": shop.seller.id,
        "alice": shop.world.alice.id,
        "site": shop.world.site.slug,
    }
    return (LISTS[path][1] or path).format(**names)


def statements_of(session: Session, browsers: dict[str, Browser], seeds: Seeds) -> dict[str, list[str]]:
    texts = {}
    for path, (who, _) in LISTS.items():
        address = address_of(path, seeds)
        with count_statements(session) as statements:
            answer = browsers[who].get(address)
        assert answer.status_code == 200, (address, answer.text[-300:])
        texts[path] = statements.texts
    return texts


def test_a_long_list_asks_the_database_as_often_as_a_short_one(
    session: Session, shop: Shop, alice: Browser, bob: Browser
) -> None:
    seeds, browsers = plant(session, shop), {ALICE: alice, BOB: bob}
    grow(session, seeds, FEW)
    short = statements_of(session, browsers, seeds)
    grow(session, seeds, MANY)
    long = statements_of(session, browsers, seeds)

    counts = {path: (len(short[path]), len(long[path])) for path in LISTS}
    assert {path: count for path, count in counts.items() if count[0] != count[1]} == {}


def test_a_query_for_each_row_is_seen(session: Session, shop: Shop) -> None:
    """The negative control: what the test above must never meet."""

    def count() -> int:
        with count_statements(session) as statements:
            assert all(mail.user.email for mail in session.scalars(select(Mail)))
        return len(statements.texts)

    seeds = plant(session, shop)
    grow(session, seeds, FEW)
    short = count()
    grow(session, seeds, MANY)
    assert count() - short >= MANY - FEW
