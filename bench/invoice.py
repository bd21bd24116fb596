"""Are invoices legal, right to the cent, fast and without gaps? Prints one JSON object on its last line.

1. 200 random documents against XSD, schematrons, an independent recount, and the printed page.
2. Issue a 4-line invoice on a real database and release its PDF: median seconds.
3. 8 processes issue in parallel and a quarter of their transactions is killed by force: numbers, hash chain, ledger.
4. Negative control: the same with a database sequence leaves gaps.
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
from pathlib import Path
from typing import Any

ISSUERS, TRIES, CRASHES = 8, 30, 0.25
TODAY = date(2026, 11, 23)


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
    from api.domain import organisations, sellers
    from api.domain.accounts import User
    from api.domain.legal import Regime
    from tests.billing.make import make_details
    from tests.documents.make import make_bank, make_seller

    now = datetime.now(UTC)
    with transaction() as session:
        owner = User(email="bench@example.org", name="Bench", created_at=now)
        session.add(owner)
        session.flush()
        seller = sellers.add_seller(session, party=make_seller(), bank=make_bank(), regime=Regime.PAYER, now=now)
        company = organisations.found(session, owner=owner, details=make_details(), now=now)
        return seller.id, company.id


def issue_one(seller_id: int, company_id: int, draft: Any, judge: Any, *, crash: bool = False) -> int:
    """One transaction; `crash` kills the process by force after everything is written and before the commit."""
    from api.db import transaction
    from api.domain import invoices
    from api.domain.sellers import Seller

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
    from tests.documents.make import make_random_document

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
        found["print_failures"] += bool(release_faults(pdf, xml))
    return found


def sums_agree(xml: bytes, document: Any) -> bool:
    """Count the XML again from its quantities and prices with nothing of ours: fractions, half away from zero."""
    from fractions import Fraction

    from lxml import etree

    spaces = {
        "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    }
    root = etree.fromstring(xml)

    def numbers(path: str, node: Any = root) -> list[Fraction]:
        return [Fraction(each) for each in node.xpath(path + "/text()", namespaces=spaces)]

    def cents(value: Fraction) -> int:
        whole, rest = divmod(abs(value) * 100, 1)
        return int(whole + (rest >= Fraction(1, 2))) * (1 if value >= 0 else -1)

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
    settlement = root.find(f".//{{{spaces['ram']}}}ApplicableHeaderTradeSettlement")
    for off in settlement.findall("ram:SpecifiedTradeAllowanceCharge", spaces):
        [amount], [rate] = (
            numbers("ram:ActualAmount", off),
            numbers("ram:CategoryTradeTax/ram:RateApplicablePercent", off),
        )
        bases[str(rate)] -= amount
    vat = {rate: cents(base * Fraction(rate) / 100) for rate, base in bases.items()}
    for tax in settlement.findall("ram:ApplicableTradeTax", spaces):
        [rate], [amount] = numbers("ram:RateApplicablePercent", tax), numbers("ram:CalculatedAmount", tax)
        if vat[str(rate)] != cents(amount):
            return False
    total = sum(cents(base) for base in bases.values()) + sum(vat.values())
    [grand] = numbers(".//ram:GrandTotalAmount", settlement)
    return total == cents(grand)


def median_s(seller_id: int, company_id: int, repeats: int) -> tuple[float, float, float]:
    """(seconds from issue to released PDF, of that until the number is there, processor seconds), in a warm process.

    On a machine that others load, only the processor's own seconds say what the work costs.
    """
    from api.adapters.invoicing import judge, render_invoice
    from tests.documents.make import make_document

    draft = make_document(issued_on=TODAY)
    whole, numbered, worked = [], [], []
    for turn in range(repeats + 2):
        start, begun = time.perf_counter(), time.process_time()
        invoice_id = issue_one(seller_id, company_id, draft, judge)
        middle = time.perf_counter()
        render_invoice(invoice_id)
        if turn >= 2:  # the first ones compile the rules and load the fonts
            numbered.append(middle - start)
            whole.append(time.perf_counter() - start)
            worked.append(time.process_time() - begun)
    medians = [round(statistics.median(each), 3) for each in (whole, numbered, worked)]
    return medians[0], medians[1], medians[2]


def issuer(seller_id: int, company_id: int, seed: int, tries: int) -> None:
    """One process: draws documents until it is told to die by force, or is done."""
    from tests.billing.make import accept_all
    from tests.documents.make import make_document

    rng = random.Random(seed)
    for _ in range(tries):
        draft = replace(make_document(issued_on=TODAY), notes=(f"bench {rng.random()}",))
        issue_one(seller_id, company_id, draft, accept_all, crash=rng.random() < CRASHES)


def sequence_issuer(seed: int, tries: int) -> None:
    """The negative control: a number from a database sequence, and the same crashes."""
    import psycopg

    from api.settings import settings

    rng = random.Random(seed)
    with psycopg.connect(settings().database_url.replace("+psycopg", "")) as connection:
        for _ in range(tries):
            connection.execute("INSERT INTO control (no) VALUES (nextval('control_no'))")
            if rng.random() < CRASHES:
                os.kill(os.getpid(), 9)
            connection.commit()


def crowd(target: Any, *arguments: Any) -> int:
    """8 processes at once; a killed one is replaced until 8 x TRIES attempts were made. How many were killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["api.domain.invoices", "api.domain.organisations", "tests.billing.make", "psycopg"])
    killed, seed = 0, 0
    running: list[Any] = []
    while seed < ISSUERS * 4 or running:
        while len(running) < ISSUERS and seed < ISSUERS * 4:
            seed += 1
            worker = context.Process(target=target, args=(*arguments, seed, TRIES // 4))
            worker.start()
            running.append(worker)
        for worker in list(running):
            worker.join(timeout=0.05)
            if worker.exitcode is not None:
                running.remove(worker)
                killed += worker.exitcode == -9
                if worker.exitcode not in (0, -9):
                    raise SystemExit(f"an issuer failed: {worker.exitcode}")
    return killed


def series_report(seller_id: int) -> dict[str, Any]:
    """Gaps, duplicates, hash chain and balance as the tables say."""
    from sqlalchemy import func, select

    from api.db import transaction
    from api.domain.invoices import Invoice, chain_breaks
    from api.domain.ledger import Entry, Posting

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
            "gaps": max(numbers) - len(set(numbers)) + (max(postings) - len(set(postings))),
            "duplicates": len(numbers) - len(set(numbers)),
            "chain_ok": not chain_breaks(session, seller_id=seller_id),
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
        report: dict[str, Any] = {"invoices": how_many, **documents(how_many)}
        times = median_s(seller_id, company_id, 30)
        report |= dict(zip(("median_s_4_lines", "median_s_number", "median_cpu_s_4_lines"), times, strict=True))
        report["killed"] = crowd(issuer, seller_id, company_id)
        report |= series_report(seller_id)
        report["control_gaps"] = control()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
