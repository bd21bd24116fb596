"""What the lists ask for is answered from indexes, also when every table holds years."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from api.domain.billing.organisations import BillingProfile
from api.domain.billing.payments import InvoiceState, search_invoices
from api.domain.billing.platform import enqueue_flows
from api.domain.messages.dunning import enqueue_lost_documents, remind_all
from api.domain.sales.tabs import enqueue_months
from tests.pages.test_lists import ALICE, BOB, LISTS, address_of
from tests.world import NOW
from tests.world.billing import TODAY, Shop
from tests.world.browsers import Browser
from tests.world.growth import grow, plant
from tests.world.years import LARGE, add_years

# Fills more than twenty tables: slow, as the tests with real machines are.
pytestmark = [pytest.mark.usefixtures("data_dir"), pytest.mark.real]
ROWS = 100_000
# Each reads all by its nature: an export of a year, and the check of every invoice of a seller.
WHOLE = {
    "/api/v1/sellers/{seller_id}/fec",
    "/api/v1/sellers/{seller_id}/ledger.{form}",
    "/api/v1/sellers/{seller_id}/chain",
}
FILTERED = {
    "/staff/log?who=Personne&noun=booking&day=2026-11-23": BOB,
    "/staff/log?noun=job&id=5": BOB,
    "/staff/invoices?state=unpaid": BOB,
    "/staff/invoices?state=late&q=F2026": BOB,
    "/api/v1/bookings?past=true": ALICE,
}


# What looks for open papers by itself, each minute or oftener than each hour.
DUTIES: list[Callable[[Session], object]] = [
    partial(enqueue_lost_documents, now=NOW),
    partial(remind_all, now=NOW),
    partial(enqueue_months, now=NOW),
    partial(enqueue_flows, platform="afnor", now=NOW),
]


def read_page(browser: Browser, address: str) -> None:
    answer = browser.get(address)
    assert answer.status_code == 200, (address, answer.text[-300:])


def read_statements(session: Session, act: Callable[[], object]) -> list[tuple[str, Any]]:
    """What a page or a duty sends, with its parameters."""
    engine, sent = session.get_bind().engine, list[tuple[str, Any]]()

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return sent


def scanned(session: Session, statement: str, parameters: Any) -> set[str]:
    """Large tables that the statement reads from end to end."""
    plan = session.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    root = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return {node["Relation Name"] for node in nodes(root) if node["Node Type"].endswith("Seq Scan")} & LARGE


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def test_no_list_and_no_duty_of_billing_reads_a_large_table_from_end_to_end(
    session: Session, shop: Shop, alice: Browser, bob: Browser
) -> None:
    seeds, browsers = plant(session, shop), {ALICE: alice, BOB: bob}
    add_years(session, seeds, ROWS)
    # What the pages show comes last, because the rows of those years have no contents.
    grow(session, seeds, 120)
    session.execute(update(BillingProfile).values(monthly=True))
    pages = {address_of(path, seeds): who for path, (who, _) in LISTS.items() if path not in WHOLE} | FILTERED
    acts: dict[str, Callable[[], object]] = {
        address: partial(read_page, browsers[who], address) for address, who in pages.items()
    }
    acts |= {str(n): partial(duty, session) for n, duty in enumerate(DUTIES)}
    # Without the page: the invoices that are paid are those of the years, which have no contents.
    facts = {"seller_id": shop.seller.id, "on": TODAY, "state": InvoiceState.PAID}
    acts["paid"] = partial(search_invoices, session, **facts)
    faults: dict[str, set[str]] = {
        f"{name}: {statement[:2000]}": tables
        for name, act in acts.items()
        for statement, parameters in read_statements(session, act)
        if (tables := scanned(session, statement, parameters))
    }
    assert faults == {}


def test_a_scan_from_end_to_end_is_found(session: Session, shop: Shop) -> None:
    seeds = plant(session, shop)
    add_years(session, seeds, 2000)

    assert scanned(session, "SELECT count(*) FROM bookings WHERE note = %(note)s", {"note": "x"}) == {"bookings"}
    assert scanned(session, "SELECT * FROM bookings WHERE id = %(id)s", {"id": 1}) == set()
