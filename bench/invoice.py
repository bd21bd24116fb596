"""Are invoices legal, right to the cent, fast and without gaps? Prints one JSON object on its last line.

1. 200 random documents against XSD, schematrons, an independent recount, and the printed page.
2. Issue a 4-line invoice on a real database and release its PDF: median seconds.
3. 8 processes issue in parallel and a quarter of their transactions is killed by force: numbers, hash chain, ledger.
4. Negative control: the same with a database sequence leaves gaps.
The line before the last says how the storm went and what the times are made of.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

#: Each of 8 places makes 32 attempts, of which exactly a quarter is killed.
ISSUERS, TRIES, CRASHES = 8, 32, 8
TODAY = date(2026, 11, 23)
#: Timed invoices, after some that compile the rules and load the fonts.
TIMED, WARM_UP = 30, 2
#: The last line, in this order.
ASKED = (
    "invoices", "xsd_failures", "en16931_failures", "fr_failures", "sum_failures", "print_failures",
    "median_s_4_lines", "gaps", "duplicates", "chain_ok", "control_gaps",
)  # fmt: skip


@contextmanager
def database() -> Iterator[Path]:
    """A scratch PostgreSQL with our tables, its files beside it; gone afterwards."""
    from api.adapters.postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="etabli-bench-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        server = EmbeddedPostgres(folder / "pg", fsync=True)
        server.start()
        os.environ["ETABLI_DATA_DIR"] = str(folder)
        os.environ["ETABLI_DATABASE_URL"] = server.create_database("bench")
        try:
            subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], check=True, capture_output=True)
            yield folder
        finally:
            server.stop()


def seed() -> tuple[int, int]:
    """(seller, organisation) to bill with."""
    from api.db import transaction
    from api.domain.billing import organisations, sellers
    from api.domain.people.accounts import User
    from api.domain.pricing.legal import Regime
    from tests.world.billing import make_details
    from tests.world.documents import make_bank, make_seller

    now = datetime.now(UTC)
    with transaction() as session:
        owner = User(email="bench@example.org", name="Bench", created_at=now)
        session.add(owner)
        session.flush()
        seller = sellers.add_seller(session, party=make_seller(), bank=make_bank(), regime=Regime.PAYER, now=now)
        company = organisations.create_organisation(session, owner=owner, details=make_details(), now=now)
        return seller.id, company.id


def issue_one(seller_id: int, company_id: int, draft: Any, judge: Any, *, crash: bool = False) -> int:
    """One transaction; `crash` kills the process by force after everything is written and before the commit."""
    from api.db import transaction
    from api.domain.billing import invoices
    from api.domain.billing.sellers import Seller

    with transaction() as session:
        seller = session.get_one(Seller, seller_id)
        invoice = invoices.issue(
            session,
            seller=seller,
            draft=draft,
            customer=invoices.Customer(organisation_id=company_id),
            judge=judge,
            now=datetime.now(UTC),
            today=TODAY,
        )
        if crash:
            os.kill(os.getpid(), 9)
        return invoice.id


def documents(how_many: int) -> dict[str, int]:
    """Failures by judge over random documents: 1 to 60 lines, three rates, franchise, public, credit, consumers."""
    from api.adapters.facturx import FRENCH, generate, is_b2b, validate
    from api.adapters.pdf import render_invoice
    from api.adapters.proofread import release_faults
    from tests.world.documents import make_random_document

    found = dict.fromkeys(("xsd_failures", "en16931_failures", "fr_failures", "sum_failures", "print_failures"), 0)
    names = {"xsd": "xsd_failures", "recount": "sum_failures", FRENCH: "fr_failures"}
    for number in range(how_many):
        document = make_random_document(number)
        xml = generate(document)
        failures = {each.source for each in validate(xml, document.profile, b2b=is_b2b(document), document=document)}
        for source in failures:
            found[names.get(source, "en16931_failures")] += 1
        found["sum_failures"] += not sums_agree(xml, document)
        pdf = render_invoice(document, xml, stamp=datetime(2026, 11, 23, tzinfo=UTC))
        found["print_failures"] += bool(release_faults(pdf, xml)) or not print_agrees(pdf, xml)
    return found


def print_agrees(pdf: bytes, xml: bytes) -> bool:
    """Does a stranger's reader find the sum to pay of the XML beside its label? Nothing of ours is asked."""
    import io
    import re

    from lxml import etree
    from pypdf import PdfReader

    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    printed = re.findall(r"^(?:Net à payer|À votre crédit)\s+([\d\u202f]+),(\d\d)\u00a0€", text, re.M)
    stated = [each.text for each in etree.fromstring(xml).iter("{*}DuePayableAmount")]
    return [f"{whole.replace(chr(0x202F), '')}.{rest}" for whole, rest in printed] == stated


def cents(euros: Fraction) -> int:
    """Half away from zero, counted in fractions."""
    whole, rest = divmod(abs(euros) * 100, 1)
    return int(whole + (rest >= Fraction(1, 2))) * (1 if euros >= 0 else -1)


def sums_agree(xml: bytes, document: Any) -> bool:
    """Count the XML again from its quantities and prices with nothing of ours: fractions, half away from zero."""
    from lxml import etree

    spaces = {
        "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    }
    root = etree.fromstring(xml)

    def numbers(path: str, node: Any = root) -> list[Fraction]:
        return [Fraction(each) for each in node.xpath(path + "/text()", namespaces=spaces)]

    bases: dict[str, Fraction] = {}
    for line in root.iter(f"{{{spaces['ram']}}}IncludedSupplyChainTradeLineItem"):
        [quantity] = numbers(".//ram:BilledQuantity", line)
        [price] = numbers(".//ram:NetPriceProductTradePrice/ram:ChargeAmount", line)
        off = sum(
            numbers(".//ram:SpecifiedLineTradeSettlement/ram:SpecifiedTradeAllowanceCharge/ram:ActualAmount", line)
        )
        [net] = numbers(".//ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount", line)
        if cents(quantity * price) - cents(Fraction(off)) != cents(net):
            return False
        [rate] = numbers(".//ram:ApplicableTradeTax/ram:RateApplicablePercent", line)
        bases[str(rate)] = bases.get(str(rate), Fraction(0)) + net
    [settlement] = root.iter(f"{{{spaces['ram']}}}ApplicableHeaderTradeSettlement")
    for reduction in settlement.findall("ram:SpecifiedTradeAllowanceCharge", spaces):
        [amount] = numbers("ram:ActualAmount", reduction)
        [rate] = numbers("ram:CategoryTradeTax/ram:RateApplicablePercent", reduction)
        bases[str(rate)] -= amount
    vat = {rate: cents(base * Fraction(rate) / 100) for rate, base in bases.items()}
    for tax in settlement.findall("ram:ApplicableTradeTax", spaces):
        [rate], [amount] = numbers("ram:RateApplicablePercent", tax), numbers("ram:CalculatedAmount", tax)
        if vat[str(rate)] != cents(amount):
            return False
    total = sum(cents(base) for base in bases.values()) + sum(vat.values())
    [grand] = numbers(".//ram:GrandTotalAmount", settlement)
    return total == cents(grand)


def medians(seller_id: int, company_id: int, repeats: int) -> dict[str, float]:
    """Seconds from issue to released PDF of a 4-line invoice, until its number is there, and of the processor.

    In a warm process; on a machine that others load, only the processor's own seconds say what the work costs.
    """
    from api.adapters.invoicing import judge, render_invoice
    from tests.world.documents import make_document

    draft = make_document(issued_on=TODAY)
    spent: dict[str, list[float]] = {"median_s_4_lines": [], "median_s_number": [], "median_cpu_s_4_lines": []}
    for turn in range(repeats + WARM_UP):
        start, begun = time.perf_counter(), time.process_time()
        invoice_id = issue_one(seller_id, company_id, draft, judge)
        numbered = time.perf_counter()
        render_invoice(invoice_id)
        if turn >= WARM_UP:
            spent["median_s_4_lines"].append(time.perf_counter() - start)
            spent["median_s_number"].append(numbered - start)
            spent["median_cpu_s_4_lines"].append(time.process_time() - begun)
    return {name: round(statistics.median(each), 3) for name, each in spent.items()}


def issuer(place: int, tried: Any, seller_id: int, company_id: int) -> None:
    """One process: issues until it is killed by force, or TRIES were made in its place."""
    from tests.world.billing import accept_all
    from tests.world.documents import make_document

    crashes = crash_turns(place)
    while tried.value < TRIES:
        tried.value += 1
        draft = replace(make_document(issued_on=TODAY), notes=(f"bench {place} {tried.value}",))
        issue_one(seller_id, company_id, draft, accept_all, crash=tried.value in crashes)


def crash_turns(place: int) -> set[int]:
    """Which attempts (from 1) are killed."""
    return set(random.Random(place).sample(range(1, TRIES + 1), CRASHES))


def sequence_issuer(place: int, tried: Any) -> None:
    """The negative control: a number from a database sequence, and the same crashes."""
    import psycopg

    from api.settings import settings

    crashes = crash_turns(place)
    with psycopg.connect(settings().database_url.replace("+psycopg", "")) as connection:
        while tried.value < TRIES:
            tried.value += 1
            connection.execute("INSERT INTO control (no) VALUES (nextval('control_no'))")
            if tried.value in crashes:
                os.kill(os.getpid(), 9)
            connection.commit()


def crowd(target: Any, *arguments: Any) -> int:
    """8 processes at once, each killed one replaced until ISSUERS x TRIES attempts were made. How many were killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["api.domain.billing.invoices", "api.domain.billing.organisations", "tests.world.billing", "psycopg"]
    )
    places = [context.Value("i", 0, lock=False) for _ in range(ISSUERS)]
    running: dict[int, Any] = {}
    killed = 0
    while True:
        for place, tried in enumerate(places):
            if place not in running and tried.value < TRIES:
                running[place] = context.Process(target=target, args=(place, tried, *arguments))
                running[place].start()
        if not running:
            return killed
        wait([worker.sentinel for worker in running.values()], timeout=60)
        for place, worker in list(running.items()):
            if worker.exitcode is not None:
                del running[place]
                killed += worker.exitcode == -9
                if worker.exitcode not in (0, -9):
                    raise SystemExit(f"an issuer failed: {worker.exitcode}")


def series_report(seller_id: int) -> dict[str, Any]:
    """Gaps, duplicates, hash chain and balance as the tables say.

    `overtaken` counts those whose number another issuer took between the dry run and the lock: the storm was real.
    """
    from sqlalchemy import func, select

    from api.db import transaction
    from api.domain.billing.invoices import Invoice, list_chain_breaks
    from api.domain.billing.ledger import Entry, Posting

    with transaction() as session:
        numbers = list(session.scalars(select(Invoice.no).where(Invoice.seller_id == seller_id).order_by(Invoice.no)))
        uneven = (
            select(Entry.posting_id)
            .group_by(Entry.posting_id)
            .having(func.sum(Entry.debit_cents - Entry.credit_cents) != 0)
        )
        postings = list(session.scalars(select(Posting.no).order_by(Posting.no)))
        return {
            "issued": len(numbers),
            "overtaken": session.scalar(select(func.count()).where(Invoice.judged_sha256.is_(None))),
            "gaps": max(numbers) - len(set(numbers)) + (max(postings) - len(set(postings))),
            "duplicates": len(numbers) - len(set(numbers)),
            "chain_ok": not list_chain_breaks(session, seller_id=seller_id),
            "ledger_balanced": not session.scalars(uneven).all() and len(postings) == len(numbers),
        }


def control() -> int:
    """How many numbers a sequence loses in the same storm."""
    import sqlalchemy as sa

    from api.db import transaction

    with transaction() as session:
        session.execute(sa.text("CREATE SEQUENCE control_no"))
        session.execute(sa.text("CREATE TABLE control (no bigint PRIMARY KEY)"))
    crowd(sequence_issuer)
    with transaction() as session:
        highest, count = session.execute(sa.text("SELECT max(no), count(*) FROM control")).one()
        return int(highest - count)


def main() -> None:
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with database():
        seller_id, company_id = seed()
        found: dict[str, Any] = {"invoices": how_many, **documents(how_many)}
        found |= medians(seller_id, company_id, TIMED)
        calm = series_report(seller_id)["issued"]
        killed = crowd(issuer, seller_id, company_id)
        found |= series_report(seller_id)
        found["control_gaps"] = control()
    attempts = ISSUERS * TRIES
    found |= {"attempts": attempts, "killed": killed, "kill_rate": round(killed / attempts, 3)}
    found["lost"] = calm + attempts - killed - found["issued"]  # committed, and not there
    print(json.dumps({name: value for name, value in found.items() if name not in ASKED}))
    print(json.dumps({name: found[name] for name in ASKED}))


if __name__ == "__main__":
    main()
