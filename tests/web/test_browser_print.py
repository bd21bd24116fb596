"""A real Chromium on our pages: from a file to a followed print, with scripts and without, on wide and narrow."""

from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.runs import list_runs, record_progress
from api.domain.printing.slices import Slice, SliceStatus
from printers.reconcile import utc_now
from tests import corpus
from tests.world import make_model, make_run, make_sliced
from tests.world.chromium import House

pytestmark = pytest.mark.real


@pytest.fixture
def stl(tmp_path: Path) -> Path:
    path = tmp_path / "hook.stl"
    path.write_bytes(corpus.cube())
    return path


def test_a_file_becomes_a_part_in_3d_beside_its_price_and_is_handed_in(
    chromium: Browser, house: House, stl: Path
) -> None:
    page = house.open(chromium, "alice")
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{house.url}/print")
    page.set_input_files("#file", stl)
    page.wait_for_url("**/print/*")
    page.wait_for_selector(".viewer[data-shown=yes] canvas")
    before = page.inner_text("#offer .price b")
    page.locator("#copies").fill("10")
    page.wait_for_function("old => document.querySelector('#offer .price b').textContent !== old", arg=before)
    page.click("#choices button.main")
    page.wait_for_url("**/jobs/*")
    assert "Being prepared" in page.inner_text("#job")
    assert complaints == []


def test_the_same_works_without_scripts(chromium: Browser, house: House, stl: Path) -> None:
    page = house.open(chromium, "alice", scripts=False)
    page.goto(f"{house.url}/print")
    page.set_input_files("#file", stl)
    page.click("#upload button.main")
    page.wait_for_url("**/print/*")
    assert "incl. VAT" in page.inner_text("#offer")
    page.click("#choices button.main")
    page.wait_for_url("**/jobs/*")
    assert "Being prepared" in page.inner_text("#job")


def test_the_exact_price_arrives_while_the_choices_rest(chromium: Browser, house: House) -> None:
    with Session(house.engine) as session, session.begin():
        model_id = make_model(session, session.merge(house.world.alice)).id
    page = house.open(chromium, "alice")
    page.goto(f"{house.url}/print/{model_id}")
    page.wait_for_selector("#offer [data-awaited]", state="attached")
    with Session(house.engine) as session, session.begin():
        made = session.scalars(select(Slice)).one()
        made.status, made.seconds, made.grams, made.gcode_key = SliceStatus.READY, 3600, Decimal(10), "gcode/none"
    page.wait_for_selector("#offer >> text=incl. VAT, exact price")
    assert page.inner_text("#offer .price b") == "€3.24"
    page.click("#choices button.main")
    page.wait_for_url("**/jobs/*")
    assert "No. 1 in the queue" in page.inner_text("#job")


def test_a_refused_file_says_why_without_leaving_the_page(chromium: Browser, house: House, tmp_path: Path) -> None:
    bad = tmp_path / "bad.stl"
    bad.write_bytes(corpus.cube()[:300])
    page = house.open(chromium, "alice")
    page.goto(f"{house.url}/print")
    page.set_input_files("#file", bad)
    page.wait_for_selector("#upload-said .error")
    assert "cut short" in page.inner_text("#upload-said")


def queued(house: House) -> int:
    """Alice's sliced job, printing on the printer of the place."""
    with Session(house.engine) as session, session.begin():
        job = make_sliced(session, session.merge(house.world.site), session.merge(house.world.alice))
        make_run(session, session.merge(house.world.printer), progress=0.1)
        return job.id


def test_progress_arrives_without_a_reload(chromium: Browser, house: House) -> None:
    job_id = queued(house)
    page = house.open(chromium, "alice")
    with page.expect_request(lambda request: "/live" in request.url):
        page.goto(f"{house.url}/jobs/{job_id}")
    page.evaluate("window.sameLoad = true")
    page.wait_for_selector("text=10%")
    with Session(house.engine) as session, session.begin():
        run = list_runs(session, job_id=job_id)[0]
        record_progress(session, run=run, progress=0.64, left_s=60, print_s=100, now=utc_now())
    page.wait_for_selector("text=64%")
    assert page.evaluate("window.sameLoad")


def test_cancelling_asks_once_by_name(chromium: Browser, house: House) -> None:
    job_id = queued(house)
    page = house.open(chromium, "alice")
    page.goto(f"{house.url}/jobs/{job_id}")
    page.click("text=Cancel this print")
    page.click("button:has-text('Cancel “hook.stl”')")
    page.wait_for_selector("#job[data-status=cancelled]")
    with Session(house.engine) as session:
        assert session.get_one(Job, job_id).status == JobStatus.CANCELLED


MEMBER = ["/", "/print", "/jobs", "/me", "/help", "/api/docs", "/wall"]
STAFF = ["/staff", "/staff/log", "/staff/mail", "/staff/printers/new"]


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_screen_or_breaks_the_policy(chromium: Browser, house: House, width: int) -> None:
    job_id = queued(house)
    wrong: list[str] = []
    paths = {"alice": [*MEMBER, f"/jobs/{job_id}"], "bob": [*STAFF, f"/staff/printers/{house.world.printer.id}"]}
    for who, own in paths.items():
        page = house.open(chromium, who, width=width, lang="fr")
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        for path in own:
            page.goto(house.url + path)
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append(f"{path} overflows at {width}")
    assert wrong == []


#: Controls that nothing names, and buttons too small for a finger.
UNUSABLE = """() => [...document.querySelectorAll('main :is(button, input:not([type=hidden]), select, textarea)')]
    .filter(e => e.offsetParent)
    .filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label')) ||
                 (e.tagName === 'BUTTON' && e.getBoundingClientRect().height < 44))
    .map(e => location.pathname + ' ' + e.outerHTML.slice(0, 80))"""


def test_every_control_has_a_name_and_is_big_enough_to_touch(chromium: Browser, house: House) -> None:
    wrong: list[str] = []
    for who, paths in {"alice": MEMBER, "bob": STAFF}.items():
        page = house.open(chromium, who, width=390)
        for path in paths:
            page.goto(house.url + path)
            wrong += page.evaluate(UNUSABLE)
    assert wrong == []
