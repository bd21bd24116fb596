"""No page is wider than its window: on a narrow phone, at 400 % zoom, and with letters of twice the size."""

import pytest
from playwright.sync_api import Browser
from sqlalchemy.orm import Session

from tests.world import make_model, make_sliced
from tests.world.chromium import House

pytestmark = pytest.mark.real

PAGES = {
    "alice": ["/", "/print", "/print/{model}", "/jobs/{job}", "/book", "/book/{printer}", "/agenda", "/me", "/org/new"],
    "bob": ["/staff", "/staff/hours", "/staff/rules", "/staff/money", "/jobs/{job}", "/staff/printers/{printer}"],
}


@pytest.fixture
def ids(house: House) -> dict[str, int]:
    with Session(house.engine, expire_on_commit=False) as session, session.begin():
        site, alice = session.merge(house.world.site), session.merge(house.world.alice)
        model = make_model(session, alice, "a-long-name-without-any-space-of-a-part-that-somebody-drew.stl")
        job = make_sliced(session, site, alice, model=model)
        return {"model": model.id, "job": job.id, "printer": house.world.printer.id}


@pytest.mark.parametrize(("width", "letters"), [(320, "100%"), (360, "100%"), (390, "200%")])
def test_no_page_scrolls_sideways(
    chromium: Browser, house: House, ids: dict[str, int], width: int, letters: str
) -> None:
    wide = []
    for who, paths in PAGES.items():
        page = house.open(chromium, who, width=width, lang="fr")
        for path in paths:
            page.goto(house.url + path.format(**ids))
            page.evaluate("letters => { document.documentElement.style.fontSize = letters; }", letters)
            if (reach := page.evaluate("document.documentElement.scrollWidth")) > width:
                wide.append((path, reach))
        page.context.close()
    assert wide == []
