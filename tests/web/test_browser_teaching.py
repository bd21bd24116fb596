"""Staff teach a type of printer in a real Chromium: a delta with a macro, tried by the real slicer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import select

from api.db import transaction
from api.domain.people import accounts
from api.domain.printing.beds import BedForm
from api.domain.printing.configurations import KindConfiguration
from printers.trials import try_configuration
from tests.printers import stock
from tests.serving import served
from tests.world import make_material, make_world
from tests.world.chromium import WAIT_MS
from web.app import make_app

pytestmark = pytest.mark.real


@pytest.fixture
def page(chromium: Browser, installation: Path) -> Iterator[Page]:
    """The page of the printer's type, in bob's browser."""
    with transaction() as session:
        world = make_world(session)
        for code in ("PETG", "TPU"):
            make_material(session, code)
        world.bob.locale = accounts.Locale.EN
        token = accounts.open_session(session, user=world.bob, now=datetime.now(UTC))
        path = f"/staff/printers/{world.printer.id}"
    with served(make_app()) as url:
        context = chromium.new_context(viewport={"width": 1280, "height": 844}, locale="en", base_url=url)
        context.add_cookies([{"name": "session", "value": token, "url": url}])
        opened = context.new_page()
        opened.set_default_timeout(WAIT_MS)
        opened.goto(path)
        opened.click("a.button[href^='/staff/kinds/']")
        yield opened
        context.close()


def latest() -> KindConfiguration:
    with transaction() as session:
        query = select(KindConfiguration).order_by(KindConfiguration.id.desc()).limit(1)
        found = session.scalars(query).one()
        assert found.kind
        return found


def test_a_delta_with_a_macro_is_answered_for_tried_and_shown(page: Page, tmp_path: Path) -> None:
    text = stock.exported("FLSun", "FLSun Q5").replace("M107\\nM104 S0", "PARK_NOZZLE\\nM107\\nM104 S0", 1)
    assert "PARK_NOZZLE" in text
    (tmp_path / "delta.ini").write_text(text)
    page.set_input_files("#file", tmp_path / "delta.ini")
    page.click("text=Try this configuration")
    page.wait_for_selector("code:has-text('PARK_NOZZLE')")
    page.click("text=I take responsibility")
    page.wait_for_selector("text=is being tried")
    try_configuration(latest().id)
    page.wait_for_selector("text=9 test slices succeeded")  # it comes by itself
    assert page.locator("svg.bed line.bed-purge").count() > 0
    bed, part = page.locator(".bed-outline").bounding_box(), page.locator(".bed-part").bounding_box()
    assert bed is not None
    assert part is not None
    assert part["width"] == pytest.approx(bed["width"] / 10, rel=0.1)
    assert part["x"] + part["width"] / 2 == pytest.approx(bed["x"] + bed["width"] / 2, abs=3)
    kind = latest().kind
    assert (kind.bed_form, kind.bed_x_mm, kind.height_mm) == (BedForm.ROUND, -100, 200)
