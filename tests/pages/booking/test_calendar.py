"""The staff's calendar: a day or a week of the chosen things, small however many things and bookings there are."""

import re
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from api.domain.booking import gatherings
from api.domain.places.sites import Closure, Resource, ResourceKind, create_resource
from api.domain.printing.runs import RunStatus
from tests.world import HOUR, NOW, World
from tests.world.browsers import Browser
from tests.world.multiply import multiply
from tests.world.runs import end_run, start_print

pytestmark = pytest.mark.usefixtures("data_dir")
PHONE = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 Safari/604.1"}
MANY_HOLDS = """
INSERT INTO holds (resource_id, during, reason, about_id, note, created_by, created_at)
SELECT r.id, tstzrange(s.at, s.at + interval '40 minutes'), 'booking', NULL, 'Atelier', NULL, now()
FROM unnest(CAST(:ids AS bigint[])) r(id)
CROSS JOIN (SELECT CAST(:monday AS timestamptz) + n * interval '3 hours' AS at FROM generate_series(0, 54) n) s
"""


def heads(page: str) -> list[str]:
    return re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page)


def test_a_phone_shows_the_day_and_a_desk_the_week(bob: Browser) -> None:
    assert len(heads(bob.get("/staff/calendar").text)) == 7
    phone = bob.get("/staff/calendar", headers=PHONE).text

    assert len(heads(phone)) == 1
    assert 'aria-current="date"' in phone
    assert "Today</a>" in phone


def test_an_event_without_a_room_and_a_closure_are_there(bob: Browser, session: Session, world: World) -> None:
    gatherings.announce(
        session, site=world.site, title="Portes ouvertes", start=NOW, end=NOW + HOUR, seats=9, actor=world.bob, now=NOW
    )
    friday = date(2026, 11, 27)
    session.add(Closure(site_id=world.site.id, first_on=friday, last_on=friday, reason="Inventaire"))
    session.flush()
    page = bob.get("/staff/calendar").text

    assert "Portes ouvertes" in page
    assert "Closed" in heads(page)[4]
    assert "Inventaire" in heads(page)[4]
    assert "Portes ouvertes" not in bob.get("/staff/calendar?view=day&day=2026-11-24").text


def test_a_print_that_is_over_does_not_print_now(bob: Browser, session: Session, world: World) -> None:
    run = start_print(session, world)
    assert "Printing</b>" in bob.get("/staff/calendar").text
    end_run(session, run, RunStatus.FAILED)
    page = bob.get("/staff/calendar").text

    assert "Failed</b>" in page
    assert "Printing</b>" not in page
    assert f"/jobs/{run.job_id}" in page


@pytest.mark.parametrize("query", ["kind=room", "q=sallé", "thing={room}"])
def test_one_chooses_the_things(bob: Browser, session: Session, world: World, room: Resource, query: str) -> None:
    kit = create_resource(session, site=world.site, kind=ResourceKind.VR_KIT, name="Casque", now=NOW)
    names = rows(bob.get("/staff/calendar").text)
    assert {kit.name, room.name, world.printer.name} == set(names)

    page = bob.get("/staff/calendar?view=week&" + query.format(room=room.id)).text
    assert rows(page) == [room.name]
    # The choice goes along to the next week.
    assert query.partition("=")[0] in re.findall(r'href="([^"]*)#times" rel="next"', page)[0]


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a[^>]*>(.*?)</a>', page)


def test_200_things_with_11_000_holds_are_shown_in_pages_of_100_kilobytes(
    bob: Browser, session: Session, world: World, room: Resource
) -> None:
    ids = multiply(session, room, 200, name="'Poste ' || lpad(n::text, 3, '0')")
    monday = NOW.replace(hour=0) - timedelta(days=NOW.weekday())
    session.execute(text(MANY_HOLDS), {"ids": ids, "monday": monday})
    session.execute(text("ANALYZE holds"))
    for view in ("day", "week"):
        page = bob.get(f"/staff/calendar?view={view}&kind=room")
        assert len(page.content) < 100_000
        assert "of 201" in page.text

    shown, url = set[str](), f"/staff/calendar?view={view}&kind=room"
    for _ in range(201 // 8 + 1):
        page = bob.get(url)
        shown |= set(rows(page.text))
        url = "".join(re.findall(r'href="([^"]*)" rel="next">Next →', page.text)).replace("&amp;", "&") or url
    assert len(shown) == 201
