"""When a part is printed is not when it can be had: the place may be shut then. Each date that is shown knows it."""

from datetime import UTC, date, datetime, time

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.messages.notifications import Mail, notify_job
from api.domain.people.accounts import Locale
from api.domain.places.sites import set_hours
from api.domain.printing.jobs import JobStatus
from tests.world import HOUR, NOW, World, make_run, make_sliced
from tests.world.billing import Shop, ask
from tests.world.browsers import Browser
from tests.world.sales import accept


@pytest.fixture(autouse=True)
def weekend(session: Session, world: World) -> None:
    """Attended on Mondays to Fridays from 9 to 14, and NOW is Monday 13:00; prints run unattended."""
    set_hours(session, site=world.site, rows=[(day, time(9), time(14), True) for day in range(5)])
    world.site.prints_unattended = True
    session.flush()


def test_the_page_of_a_job_says_when_it_is_printed_and_when_it_can_be_had(
    alice: Browser, session: Session, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice, seconds=4 * 3600)
    page = alice.get(f"/jobs/{job.id}").text
    assert "Expected to be printed" in page
    assert "It can be collected from" in page
    assert 'datetime="2026-11-24T08:00:00+00:00"' in page
    assert "tomorrow 09:00" in page


def test_what_is_ready_while_staff_are_there_is_simply_ready(alice: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice, seconds=60)
    page = alice.get(f"/jobs/{job.id}").text
    assert "Ready around" in page
    assert "It can be collected from" not in page


def test_a_print_that_runs_says_when_it_can_be_had(alice: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice, seconds=4 * 3600)
    make_run(session, world.printer, progress=0.5, left_s=4 * 3600)
    page = alice.get(f"/jobs/{job.id}").text
    assert "tomorrow 09:00" in page


def test_a_printed_part_says_from_when_it_is_handed_over(alice: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    job.status, job.ended_at = JobStatus.PRINTED, NOW
    set_hours(session, site=world.site, rows=[(2, time(9), time(14), True)])
    session.flush()
    page = alice.get(f"/jobs/{job.id}").text
    assert "It can be collected from" in page
    assert "Wed 25 Nov 09:00</time>" in page


@pytest.mark.parametrize(("now", "words"), [(NOW, "staff are there until 14:00"), (NOW + 3 * HOUR, "from Tuesday")])
def test_the_letter_says_when_it_can_be_had(session: Session, world: World, now: datetime, words: str) -> None:
    world.alice.locale = Locale.EN
    job = make_sliced(session, world.site, world.alice)
    notify_job(session, job_id=job.id, verb="printed", since="x", now=now)
    assert words in session.scalars(select(Mail)).one().body


def test_a_quote_promises_a_day_on_which_somebody_is_there(session: Session, shop: Shop) -> None:
    friday_evening = datetime(2026, 11, 27, 20, tzinfo=UTC)
    shop.world.printer.looked_at = shop.world.printer.reached_at = friday_evening
    session.flush()
    quote = ask(session, shop, now=friday_evening)
    assert quote.promised_on == date(2026, 11, 30)
    order = accept(session, shop, quote, now=friday_evening)
    assert order.promised_on == date(2026, 11, 30)
