"""Days and numbers at the ends, and what only looks like a number, in every field of every page: none fails."""

import re
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from api.domain.places.sites import Resource
from tests.web.test_guards import every_route
from tests.world import World, make_model, make_sliced
from tests.world.billing import Shop
from tests.world.browsers import Browser

TEMPLATES = Path(__file__).resolve().parents[2] / "web" / "templates"
NAMES = sorted(
    # With a wrong token every form would be refused before it is read.
    {name for page in TEMPLATES.rglob("*.html") for name in re.findall(r'name="([a-z_]+)"', page.read_text())}
    - {"csrf"}
)
# Fields that the pages name by a macro.
NAMES += ["day", "at", "until", "first_on", "last_on", "starts_on", "ends_on", "wanted_on", "valid_from", "quantity"]
DAYS = re.compile(r"day|until|_on$|_from$|start|end$|date")
# What every field holds, and what those hold that take a day.
ENDS = [
    ("9" * 5000, "9999-12-31"),
    ("²", "0001-01-01"),
    ("-1", "9999-12-31T23:59:59"),
    ("2147483648", "2199-12-31"),
    ("NaN", "1990-01-01"),
    ("1e400", "1e400"),
    ("1", "9999-12-31"),
    ("1\x00", "\x00"),
]


@pytest.fixture
def ids(session: Session, world: World, shop: Shop, room: Resource) -> dict[str, str]:
    """Things that are there, for the parameters of the addresses."""
    job = make_sliced(session, world.site, world.bob)
    session.flush()
    numbers = {
        "job_id": job.id,
        "model_id": make_model(session, world.bob).id,
        "printer_id": world.printer.id,
        "resource_id": room.id,
        "seller_id": shop.seller.id,
        "user_id": world.alice.id,
    }
    return {name: str(number) for name, number in numbers.items()} | {
        "slug": world.site.slug,
        "what": "kind",
        "which": "room",
    }


def filled(path: str, ids: dict[str, str]) -> str:
    """The address with an id where one belongs."""
    path = re.sub(r"\{run_id[^}]*\}", "00000000-0000-0000-0000-000000000000", path)
    return re.sub(r"\{(\w+)[^}]*\}", lambda match: ids.get(match[1], "1"), path)


PAGES = [
    (method, path) for method, path in every_route() if not path.startswith(("/api", "/live", "/logout", "/feeds"))
]


@pytest.mark.parametrize(("value", "day"), ENDS)
def test_no_page_fails_at_the_ends(bob: Browser, ids: dict[str, str], value: str, day: str) -> None:
    bob.user.is_admin = True
    form = {name: day if DAYS.search(name) else value for name in NAMES} | {"at": "23:59"}
    # An address has a limit of its own.
    query = {name: text[:40] for name, text in form.items()}
    failures, refusals = [], []
    for method, path in PAGES:
        address = filled(path, ids)
        if method == "GET":
            answer = bob.get(address, params=query)
        elif method == "POST":
            answer = bob.post(address, form)
        else:
            continue
        if answer.status_code >= 500:
            failures.append((method, path, answer.status_code))
        if answer.status_code == 403:
            refusals.append(path)
    assert len(PAGES) > 100
    assert refusals == []
    assert failures == []
