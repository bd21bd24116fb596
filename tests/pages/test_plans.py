"""What the lists ask for is answered from indexes, also when every table holds years."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from tests.pages.test_lists import ALICE, BOB, LISTS, address_of
from tests.world.billing import Shop
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
# What is open or not invoiced yet is computed from all that ever was: it needs a column of its own, which the verbs of
# billing would keep. Until then these pages grow with the history.
GROWING = {
    "/staff/books",
    "/staff/money",
    "/staff/tabs",
    "/staff/till",
    "/api/v1/sellers/{seller_id}/proposals",
    "/api/v1/sellers/{seller_id}/tabs",
}
FILTERED = {
    "/staff/log?who=Personne&noun=booking&day=2026-11-23": BOB,
    "/staff/log?noun=job&id=5": BOB,
    "/staff/invoices?state=unpaid": BOB,
    "/staff/invoices?state=late&q=F2026": BOB,
    "/api/v1/bookings?past=true": ALICE,
}


def read_statements(session: Session, browser: Browser, address: str) -> list[tuple[str, Any]]:
    """What the page sends, with its parameters."""
    engine, sent = session.get_bind().engine, list[tuple[str, Any]]()

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        answer = browser.get(address)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 200, (address, answer.text[-300:])
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


def test_no_list_reads_a_large_table_from_end_to_end(
    session: Session, shop: Shop, alice: Browser, bob: Browser
) -> None:
    seeds, browsers = plant(session, shop), {ALICE: alice, BOB: bob}
    add_years(session, seeds, ROWS)
    # What the pages show comes last, because the rows of those years have no contents.
    grow(session, seeds, 120)
    pages = {address_of(path, seeds): who for path, (who, _) in LISTS.items() if path not in WHOLE | GROWING} | FILTERED
    faults: dict[str, set[str]] = {
        f"{address}: {statement[:2000]}": tables
        for address, who in pages.items()
        for statement, parameters in read_statements(session, browsers[who], address)
        if (tables := scanned(session, statement, parameters))
    }
    assert faults == {}


def test_a_scan_from_end_to_end_is_found(session: Session, shop: Shop) -> None:
    seeds = plant(session, shop)
    add_years(session, seeds, 2000)

    assert scanned(session, "SELECT count(*) FROM bookings WHERE note = %(note)s", {"note": "x"}) == {"bookings"}
    assert scanned(session, "SELECT * FROM bookings WHERE id = %(id)s", {"id": 1}) == set()
