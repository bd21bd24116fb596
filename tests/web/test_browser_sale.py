"""A sale in a real Chromium on a whole demo: three files, devis, order, prints on a real OctoPrint, invoice, paid."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page
from pypdf import PdfReader

from tests import corpus

pytestmark = pytest.mark.real
PATIENCE_S = 420


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """`etabli demo` with its own PostgreSQL, workers and OctoPrint servers; ends with the test."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    told = tmp_path / "demo.json"
    command = [sys.executable, "-m", "web.command", "demo", "--data", str(tmp_path / "data"), "--port", "0"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, "--json", str(told)], stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(told.exists, process)
            yield json.loads(told.read_text())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process is None or process.poll() is None, "the demo ended"
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.2)


def log_in(chromium: Browser, demo: dict[str, Any], role: str) -> Page:
    page = chromium.new_context(locale="fr", accept_downloads=True).new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{demo['url']}/login")
    page.fill("#email", demo["members"][role]["email"])
    page.fill("#password", demo["members"][role]["password"])
    page.click("main form button.main, main form button")
    page.wait_for_url(lambda url: "/login" not in url)
    return page


def program(demo: dict[str, Any], role: str) -> httpx.Client:
    token = demo["members"][role]["token"]
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{demo['url']}/api/v1", headers=headers, timeout=60, trust_env=False)


def clear_plates(staff: httpx.Client) -> None:
    """What bob does with his hands: takes finished parts off."""
    for printer in staff.get("/printers").json():
        if printer["state"] == "needs_clearing":
            staff.post(f"/printers/{printer['id']}/clear")


@pytest.fixture
def hands(demo: dict[str, Any]) -> Iterator[httpx.Client]:
    with program(demo, "staff") as client:
        yield client


@pytest.fixture
def books(demo: dict[str, Any]) -> Iterator[httpx.Client]:
    with program(demo, "buyer") as client:
        yield client


def test_a_buyer_orders_three_parts_and_they_are_printed_invoiced_and_paid(
    demo: dict[str, Any], chromium: Browser, hands: httpx.Client, books: httpx.Client, tmp_path: Path
) -> None:
    paths = []
    for number in range(3):
        size = 4 + number
        paths.append(tmp_path / f"piece-{number}.stl")
        paths[-1].write_bytes(corpus.binary(corpus.box(size, size, size)))
    buyer, staff = log_in(chromium, demo, "buyer"), log_in(chromium, demo, "staff")
    buyer.goto(f"{demo['url']}/quotes/new")
    buyer.set_input_files("#files", paths)
    buyer.click("main button.main")
    buyer.wait_for_url("**/quotes/new?models=*")
    buyer.click("main button.main")
    buyer.wait_for_url(lambda url: url.rpartition("/")[2].isdecimal())
    quote = books.get(f"/quotes/{buyer.url.rpartition('/')[2]}").json()
    assert len(quote["lines"]) == 3
    assert books.get(f"/quotes/{quote['id']}/pdf").content.startswith(b"%PDF")
    buyer.fill("#purchase_order", "BC-2026-42")
    buyer.click("main form[action$=accept] button")
    buyer.wait_for_url("**/orders/*")
    order_id = buyer.url.rpartition("/")[2]

    def all_printed() -> bool:
        clear_plates(hands)
        return all(part["progress"] == 1 for part in books.get(f"/orders/{order_id}").json()["parts"])

    wait_until(all_printed)
    staff.goto(f"{demo['url']}/orders/{order_id}")
    acts = [f"form[action$='/parts/{position}/check'] button" for position in (1, 2, 3)]
    # The invoice is shown before it is issued.
    acts += ["form[action$='/deliver'] button", "a[href$='/invoice']", "form[action$='/invoice'] button"]
    for act in acts:
        with staff.expect_navigation():
            staff.click(act)
    invoice_id = books.get(f"/orders/{order_id}").json()["invoice_id"]
    wait_until(lambda: books.get(f"/invoices/{invoice_id}").json()["released"])
    invoice = books.get(f"/invoices/{invoice_id}").json()
    assert invoice["total_cents"] == quote["total_cents"]

    buyer.goto(f"{demo['url']}/orders/{order_id}")
    with buyer.expect_download() as download:
        buyer.click(f"a[href$='/invoices/{invoice_id}/pdf']")
    text = "\n".join(page.extract_text() for page in PdfReader(download.value.path()).pages)
    assert invoice["number"] in text
    assert "BC-2026-42" in text

    statement = tmp_path / "releve.csv"
    euros = f"{invoice['total_cents'] // 100},{invoice['total_cents'] % 100:02d}"
    statement.write_text(f"Date;Libelle;Montant\n24/11/2026;VIR {invoice['number']};{euros}\n")
    staff.goto(f"{demo['url']}/staff/money")
    staff.set_input_files("input[name=statement]", statement)
    staff.click("form[action$='/statement'] button")
    staff.click("form[action$='/confirm'] button")
    staff.wait_for_selector("form[action$='/confirm']", state="detached")
    assert books.get(f"/invoices/{invoice_id}").json()["open_cents"] == 0
    buyer.goto(f"{demo['url']}/orders/{order_id}")
    assert "Payée" in buyer.inner_text("main")
