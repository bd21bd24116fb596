"""Are invoices legal, right to the cent, fast and without gaps? Prints one JSON object on its last line.

1. 200 random documents against XSD, schematrons, an independent recount, and the printed page.
2. Issue a 4-line invoice on a real database and release its PDF: median seconds.
3. 8 processes issue in parallel, and a quarter of their transactions is killed: numbers, hash chain, ledger.
4. Negative control: the same with a database sequence leaves gaps.
The line before the last says how part 3 went and what the times consist of.
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

# Each of 8 processes makes 32 attempts, of which exactly a quarter is killed.
ISSUERS, TRIES, CRASHES = 8, 32, 8
TODAY = date(2026, 11, 23)
# Timed invoices, after some that compile the rules and load the fonts.
TIMED, WARM_UP = 30, 2
# The last line, in this order.
REPORTED = (
    "invoices", "xsd_failures", "en16931_failures", "fr_failures", "sum_failures", "print_failures",
    "median_s_4_lines", "gaps", "duplicates", "chain_ok", "control_gaps",
)  # fmt: skip


@contextmanager
def database() -> Iterator[Path]:
    """A temporary PostgreSQL with our tables; yields the data directory."""
    from api.adapters.postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="etabli-bench-") as name:
        folder = Path(name)
        # Started as root, PostgreSQL runs under an account of its own, which must be able to pass this folder.
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
    """The ids of a seller and of an organisation to bill."""
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
    """One transaction; `crash` kills the process after everything is written and before the commit."""
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
    """Failures by check, over random documents: 1 to 60 lines, three rates, franchise, public, credit, consumers."""
    from api.adapters.facturx import FRENCH, generate, is_b2b, validate
    from api.adapters.pdf import render_invoice
    from api.adapters.proofread import release_faults
    from tests.world.documents import make_random_document

    failures = dict.fromkeys(("xsd_failures", "en16931_failures", "fr_failures", "sum_failures", "print_failures"), 0)
    names = {"xsd": "xsd_failures", "recount": "sum_failures", FRENCH: "fr_failures"}
    for number in range(how_many):
        document = make_random_document(number)
        xml = generate(document)
        faults = validate(xml, document.profile, b2b=is_b2b(document), document=document)
        for source in {fault.source for fault in faults}:
            failures[names.get(source, "en16931_failures")] += 1
        failures["sum_failures"] += not sums_agree(xml, document)
        pdf = render_invoice(document, xml, stamp=datetime(2026, 11, 23, tzinfo=UTC))
        failures["print_failures"] += bool(release_faults(pdf, xml)) or not print_agrees(pdf, xml)
    return failures


def print_agrees(pdf: bytes, xml: bytes) -> bool:
    """Whether a foreign reader (pypdf) finds the sum to pay of the XML beside its label."""
    import io
    import re

    from lxml import etree
    from pypdf import PdfReader

    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    printed = re.findall(r"^(?:Net à payer|À votre crédit)\s+([\d\u202f]+),(\d\d)\u00a0€", text, re.M)
    stated = [each.text for each in etree.fromstring(xml).iter("{*}DuePayableAmount")]
    return [f"{whole.replace(chr(0x202F), '')}.{rest}" for whole, rest in printed] == stated


def cents(euros: Fraction) -> int:
    """Half away from zero, in exact fractions."""
    whole, rest = divmod(abs(euros) * 100, 1)
    return int(whole + (rest >= Fraction(1, 2))) * (1 if euros >= 0 else -1)


def sums_agree(xml: bytes, document: Any) -> bool:
    """Recompute the XML from its quantities and prices, by code that shares nothing with the product."""
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
        allowances = sum(
            numbers(".//ram:SpecifiedLineTradeSettlement/ram:SpecifiedTradeAllowanceCharge/ram:ActualAmount", line)
        )
        [net] = numbers(".//ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount", line)
        if cents(quantity * price) - cents(Fraction(allowances)) != cents(net):
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
    """Medians of a 4-line invoice in a warm process: seconds to the released PDF, to the number, and of the processor.

    On a machine that others load, only the processor's own seconds say what the work costs.
    """
    from api.adapters.invoicing import judge, render_invoice
    from tests.world.documents import make_document

    draft = make_document(issued_on=TODAY)
    spent: dict[str, list[float]] = {"median_s_4_lines": [], "median_s_number": [], "median_cpu_s_4_lines": []}
    for turn in range(repeats + WARM_UP):
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        invoice_id = issue_one(seller_id, company_id, draft, judge)
        numbered_s = time.perf_counter()
        render_invoice(invoice_id)
        if turn >= WARM_UP:
            spent["median_s_4_lines"].append(time.perf_counter() - start_s)
            spent["median_s_number"].append(numbered_s - start_s)
            spent["median_cpu_s_4_lines"].append(time.process_time() - start_cpu_s)
    return {name: round(statistics.median(each), 3) for name, each in spent.items()}


def issuer(place: int, attempts: Any, seller_id: int, company_id: int) -> None:
    """One process: issues until it is killed, or until TRIES attempts were made in its place.

    `attempts` lives in shared memory, so that the process that replaces a killed one goes on counting.
    """
    from tests.world.billing import accept_all
    from tests.world.documents import make_document

    crashes = crash_turns(place)
    while attempts.value < TRIES:
        attempts.value += 1
        draft = replace(make_document(issued_on=TODAY), notes=(f"bench {place} {attempts.value}",))
        issue_one(seller_id, company_id, draft, accept_all, crash=attempts.value in crashes)


def crash_turns(place: int) -> set[int]:
    """Which attempts (from 1) are killed."""
    return set(random.Random(place).sample(range(1, TRIES + 1), CRASHES))


def sequence_issuer(place: int, attempts: Any) -> None:
    """The negative control: a number from a database sequence, and the same crashes."""
    import psycopg

    from api.settings import settings

    crashes = crash_turns(place)
    with psycopg.connect(settings().database_url.replace("+psycopg", "")) as connection:
        while attempts.value < TRIES:
            attempts.value += 1
            connection.execute("INSERT INTO control (no) VALUES (nextval('control_no'))")
            if attempts.value in crashes:
                os.kill(os.getpid(), 9)
            connection.commit()


def crowd(target: Any, *arguments: Any) -> int:
    """8 processes at once; each killed one is replaced until all attempts were made. Returns how many were killed."""
    # Forked from a server that holds nothing of ours: a child must not share database connections with its parent.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["api.domain.billing.invoices", "api.domain.billing.organisations", "tests.world.billing", "psycopg"]
    )
    places = [context.Value("i", 0, lock=False) for _ in range(ISSUERS)]
    running: dict[int, Any] = {}
    killed = 0
    while True:
        for place, attempts in enumerate(places):
            if place not in running and attempts.value < TRIES:
                running[place] = context.Process(target=target, args=(place, attempts, *arguments))
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
    """Gaps, duplicates, hash chain and balance, by the tables.

    `overtaken` counts invoices whose number another process took between the dry run and the lock: above 0, they
    really ran in parallel.
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
    """How many numbers a database sequence loses under the same kills."""
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
        figures: dict[str, Any] = {"invoices": how_many, **documents(how_many)}
        figures |= medians(seller_id, company_id, TIMED)
        issued_before = series_report(seller_id)["issued"]
        killed = crowd(issuer, seller_id, company_id)
        figures |= series_report(seller_id)
        figures["control_gaps"] = control()
    attempts = ISSUERS * TRIES
    figures |= {"attempts": attempts, "killed": killed, "kill_rate": round(killed / attempts, 3)}
    figures["lost"] = issued_before + attempts - killed - figures["issued"]  # committed, and not there
    print(json.dumps({name: value for name, value in figures.items() if name not in REPORTED}))
    print(json.dumps({name: figures[name] for name in REPORTED}))


if __name__ == "__main__":
    main()
