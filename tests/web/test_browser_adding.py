"""Staff add a printer in a real Chromium, by a key that a person grants on the page of a real OctoPrint."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from api.adapters.seal import unseal
from api.db import transaction
from api.domain.people import accounts, roles
from api.domain.people.roles import Level
from api.domain.printing.printers import Printer, get_printer, state_of
from api.domain.printing.states import PrinterState
from printers.lab import OctoPrintServer
from printers.octoprint import OctoPrint
from printers.probing import probe_printer
from printers.reconcile import reconcile
from tests.octoprints import decide
from tests.serving import served
from tests.world import make_material, make_site, make_user
from tests.world.chromium import WAIT_MS
from web.app import make_app

pytestmark = pytest.mark.real


@pytest.fixture
def page(chromium: Browser, installation: Path) -> Iterator[Page]:
    """The staff's page for a new printer, in bob's browser."""
    now = datetime.now(UTC)
    with transaction() as session:
        site, bob = make_site(session), make_user(session, "Bob", locale=accounts.Locale.EN)
        roles.grant(session, user=bob, site_id=site.id, level=Level.STAFF, now=now)
        make_material(session)
        token = accounts.open_session(session, user=bob, now=now)
    with served(make_app()) as url:
        context = chromium.new_context(viewport={"width": 1280, "height": 844}, locale="en", base_url=url)
        context.add_cookies([{"name": "session", "value": token, "url": url}])
        opened = context.new_page()
        opened.set_default_timeout(WAIT_MS)
        opened.goto("/staff/printers/new")
        yield opened
        context.close()


def ask_for(page: Page, address: str) -> int:
    """Send the form without a key; the look that was asked for."""
    page.fill("#url", address)
    page.click("form:has(#url) button.main")
    page.wait_for_selector("#probe[data-status=asked]")
    return int(page.url.rsplit("/", 1)[-1])


def added(page: Page) -> Printer:
    with transaction() as session:
        return get_printer(session, int(page.url.rsplit("/", 1)[-1]))


def test_a_printer_is_added_by_a_key_that_a_person_grants_on_octoprints_page(
    page: Page, octoprint: OctoPrintServer
) -> None:
    probe_id = ask_for(page, octoprint.url.removeprefix("http://"))
    probe_printer(probe_id)
    page.wait_for_selector("#probe[data-status=waiting]")  # it comes by itself
    assert page.get_attribute("#probe a.button.main", "href") == octoprint.url
    decide(octoprint, grant=True)
    probe_printer(probe_id)
    page.wait_for_selector("text=Connected: OctoPrint 1.")
    page.fill("#name", "Cobalt")
    page.click("form.card button.main")
    page.wait_for_selector("text=Cobalt is added")
    printer = added(page)
    key = unseal(printer.sealed_key, about=octoprint.url)
    assert key not in (octoprint.key, octoprint.admin_key)
    assert OctoPrint(octoprint.url, key).probe().missing_rights == ()
    reconcile(printer.id)
    page.reload()
    page.click("text=Cobalt: plate cleared")
    page.wait_for_selector("text=plate cleared by Bob")
    assert state_of(added(page), has_run=False, now=datetime.now(UTC)) == PrinterState.READY


def test_a_refusal_on_octoprints_page_is_told_with_the_next_step(page: Page, octoprint: OctoPrintServer) -> None:
    probe_id = ask_for(page, octoprint.url)
    probe_printer(probe_id)
    decide(octoprint, grant=False)
    probe_printer(probe_id)
    page.wait_for_selector("#probe[data-status=failed]")
    assert "refused" in page.inner_text("#probe")
    page.click("text=Try again")
    page.wait_for_url("**/staff/printers/new?**")
    assert page.input_value("[name=url]") == octoprint.url
