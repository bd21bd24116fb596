"""The pages of printing: upload, choose, hand in, follow, cancel; by who may, in words that help."""

import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.people.accounts import Locale
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.library import RESTORE_WITHIN, Model
from api.domain.printing.runs import RunCommand, RunStatus
from api.settings import settings
from tests import corpus
from tests.world import NOW, World, make_job, make_model, make_printer, make_run, make_site, make_sliced, make_submitted
from tests.world.browsers import Browser

pytestmark = pytest.mark.usefixtures("data_dir")


def upload(browser: Browser, content: bytes, name: str = "hook.stl", **headers: str) -> httpx.Response:
    return browser.post("/print", files={"file": (name, content)}, headers=headers)


def test_an_uploaded_part_leads_to_its_choices_and_price(alice: Browser, session: Session) -> None:
    answer = upload(alice, corpus.cube())
    model = session.scalars(select(Model)).one()
    assert (answer.status_code, answer.headers["location"]) == (303, f"/print/{model.id}")
    page = alice.get(answer.headers["location"]).text
    assert "20 × 20 × 20" in page
    assert "incl. VAT" in page


def test_a_script_is_told_where_to_go(alice: Browser) -> None:
    answer = upload(alice, corpus.cube(), **{"hx-request": "true"})
    assert answer.status_code == 200
    assert answer.headers["hx-redirect"].startswith("/print/")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"solid no\n", "STL"), (corpus.cube()[:200], "cut short"), (b"PK\x03\x04" + bytes(100), "3MF")],
)
def test_a_bad_file_comes_back_with_its_reason_at_the_field(
    alice: Browser, session: Session, content: bytes, said: str
) -> None:
    answer = upload(alice, content)
    assert answer.status_code == 422
    assert 'id="error-file"' in answer.text
    assert said in answer.text
    assert session.scalars(select(Model)).all() == []


def test_no_file_at_all_says_so(alice: Browser) -> None:
    answer = alice.post("/print")
    assert answer.status_code == 422
    assert "First choose an STL file" in answer.text


def test_a_file_over_the_limit_is_refused_while_it_arrives(alice: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "upload_limit_mb", 1)
    answer = upload(alice, bytes(3_000_000))
    assert answer.status_code == 413
    assert "1 MB" in answer.text


def test_a_part_too_large_says_which_way_and_offers_to_shrink(alice: Browser, session: Session) -> None:
    model = make_model(session, alice.user, size_x_mm=440.0)
    page = alice.get(f"/print/{model.id}").text
    assert "This model is too large" in page
    assert "Print at 50%" in page


def test_a_part_drawn_in_inches_is_put_right_by_one_click(alice: Browser, session: Session) -> None:
    page = alice.get(upload(alice, corpus.binary(corpus.box(2, 2, 2))).headers["location"]).text
    assert "If it was drawn in inches, it is really 50.8 mm" in page
    assert "scale=2540" in page


def test_a_piece_that_begins_in_mid_air_is_told_before_anything_is_paid(alice: Browser) -> None:
    parts = np.concatenate((corpus.box(30, 20, 5), corpus.box(5, 5, 5, at=(10, 5, 31))))
    page = alice.get(upload(alice, corpus.binary(parts)).headers["location"]).text
    assert "Pieces that begin in mid-air: 1." in page
    assert "mid-air" not in alice.get(upload(alice, corpus.cube()).headers["location"]).text


def test_materials_and_colours_are_named_in_the_readers_language(
    alice: Browser, session: Session, world: World
) -> None:
    world.material.name, world.material.name_en = "PLA souple", "Soft PLA"
    world.material.colours[0].name, world.material.colours[0].name_en = "Blanc", "White"
    model = make_model(session, alice.user)
    english = alice.get(f"/print/{model.id}").text
    alice.user.locale = Locale.FR
    french = alice.get(f"/print/{model.id}").text
    assert ("Soft PLA" in english, "White" in english, "Blanc" in english) == (True, True, False)
    assert ("PLA souple" in french, "Blanc" in french, "White" in french) == (True, True, False)


def test_what_filament_is_waited_for_is_said_by_its_name(alice: Browser, session: Session, world: World) -> None:
    world.material.colours[1].name_en = "Jet black"
    job = make_sliced(session, world.site, alice.user, colour=world.material.colours[1])
    assert "Staff must load PLA jet black first." in alice.get(f"/jobs/{job.id}").text


def test_an_ended_print_can_be_printed_again_from_the_list(alice: Browser, session: Session, world: World) -> None:
    job = make_submitted(session, world.site, alice.user)
    alice.post(f"/jobs/{job.id}/cancel")
    page = alice.get("/jobs").text
    assert re.search(rf'<a class="button" href="/print/{job.model_id}\?[^"]*scale=100">Print again</a>', page)


def test_the_price_follows_each_choice(alice: Browser, session: Session) -> None:
    model = make_model(session, alice.user)
    one, ten = (alice.get(f"/print/{model.id}/price?copies={copies}").text for copies in (1, 10))
    assert "<html" not in one
    assert one != ten


@pytest.mark.parametrize(
    ("choice", "value", "said"),
    [("copies", "0", "between 1 and 500"), ("copies", "x", "between 1 and 500"), ("scale", "x", "Enter a number"),
     ("scale", "NaN", "Enter a number"), ("scale", "0,0001", "a scale"), ("material", "WOOD", "is not available")],
)  # fmt: skip
def test_a_wrong_choice_is_said_beside_it(alice: Browser, session: Session, choice: str, value: str, said: str) -> None:
    model = make_model(session, alice.user)
    answer = alice.post(f"/print/{model.id}", {choice: value, "note": "with <care>"})
    assert answer.status_code == 422
    assert said in answer.text
    assert "with &lt;care&gt;" in answer.text
    assert session.scalars(select(Job)).all() == []


def test_handing_in_makes_a_submitted_job_with_the_choices(alice: Browser, session: Session) -> None:
    model = make_model(session, alice.user)
    answer = alice.post(f"/print/{model.id}", {"copies": "3", "scale": "50", "colour": "black", "quality": "fine"})
    job = session.scalars(select(Job)).one()
    assert answer.headers["location"] == f"/jobs/{job.id}"
    assert (job.status, job.copies, float(job.scale)) == (JobStatus.SUBMITTED, 3, 0.5)
    assert job.colour is not None
    assert job.colour.code == "black"


def test_a_strangers_model_and_job_do_not_exist(
    alice: Browser, charlie: Browser, session: Session, world: World
) -> None:
    model = make_model(session, alice.user)
    job = make_submitted(session, world.site, alice.user, model=model)
    for path in (f"/print/{model.id}", f"/print/{model.id}/price", f"/jobs/{job.id}", f"/live?about=job:{job.id}"):
        assert charlie.get(path).status_code == 404
    for path in (f"/print/{model.id}", f"/print/{model.id}/delete", f"/jobs/{job.id}/cancel"):
        assert charlie.post(path).status_code == 404


def test_a_job_that_waits_says_where_it_stands_and_why(alice: Browser, session: Session, world: World) -> None:
    world.printer.plate_clear = False
    job = make_sliced(session, world.site, alice.user)
    page = alice.get(f"/jobs/{job.id}").text
    assert "No. 1 in the queue" in page
    assert f"{world.printer.name} has a plate to clear" in page


def test_a_printing_job_shows_its_progress_in_full_page_and_fragment(
    alice: Browser, session: Session, world: World
) -> None:
    job = make_sliced(session, world.site, alice.user)
    make_run(session, world.printer, progress=0.42, left_s=600)
    page, fragment = (
        alice.get(f"/jobs/{job.id}").text,
        alice.get(f"/jobs/{job.id}", headers={"hx-request": "true"}).text,
    )
    assert "42%" in page
    assert "42%" in fragment
    assert "<html" not in fragment


def test_cancelling_a_running_print_requests_its_end(alice: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, alice.user)
    run = make_run(session, world.printer)
    assert alice.post(f"/jobs/{job.id}/cancel").status_code == 303
    assert (job.status, run.command) == (JobStatus.CANCELLED, RunCommand.CANCEL)


def test_cancelling_twice_says_that_it_is_over(alice: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, alice.user)
    alice.post(f"/jobs/{job.id}/cancel")
    assert alice.post(f"/jobs/{job.id}/cancel").status_code == 409


def test_the_list_keeps_now_and_before_apart_and_offers_to_print_again(
    alice: Browser, session: Session, world: World
) -> None:
    make_sliced(session, world.site, alice.user)
    gone = make_sliced(session, world.site, alice.user, copies=2)
    alice.post(f"/jobs/{gone.id}/cancel")
    page = alice.get("/jobs").text
    assert page.index("Now") < page.index("Earlier prints")
    assert (
        f"/print/{gone.model_id}?material=PLA&amp;colour=white&amp;quality=standard&amp;copies=2&amp;scale=100" in page
    )


def test_a_draft_of_a_program_can_be_handed_in_by_hand(alice: Browser, session: Session, world: World) -> None:
    job = make_job(session, world.site, alice.user)
    alice.post(f"/jobs/{job.id}/submit")
    assert job.status == JobStatus.SUBMITTED


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 90001*11011 }}",
    "javascript:alert(1)",
    "'-alert(1)-'",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_as_text(
    alice: Browser, bob: Browser, session: Session, world: World, text: str
) -> None:
    world.printer.trouble, world.printer.resource.name = text, text
    job = make_sliced(session, world.site, alice.user, model=make_model(session, alice.user, text), note=text)
    run = make_run(session, world.printer, detail=text)
    run.status = RunStatus.IN_DOUBT
    job.reason = {"text": text}
    alice.user.name = text
    for browser, path in [
        (alice, "/jobs"), (alice, f"/jobs/{job.id}"), (alice, f"/print/{job.model_id}"), (alice, "/me"),
        (bob, "/staff"), (bob, f"/staff/printers/{world.printer.id}"), (bob, "/staff/log"), (bob, "/wall"),
    ]:  # fmt: skip
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "991001011" not in page or "{{" not in text
        assert 'href="javascript' not in page


def test_a_second_printer_that_fits_is_named(alice: Browser, session: Session, world: World) -> None:
    make_printer(session, world.site, "Grande")
    model = make_model(session, alice.user)
    assert "Grande" in alice.get(f"/print/{model.id}").text


@pytest.mark.parametrize("path", ["/print", "/jobs", "/me", "/staff"])
def test_members_pages_ask_for_the_login(
    world: World, anonymous: httpx.Client, path: str, log_in: Callable[..., Browser]
) -> None:
    assert anonymous.get(path).headers["location"].startswith("/login?next=")


def test_a_file_removed_by_mistake_can_be_had_back(alice: Browser, bob: Browser, session: Session) -> None:
    model = make_model(session, alice.user)
    answer = alice.post(f"/print/{model.id}/delete")
    assert alice.get(f"/print/{model.id}").status_code == 404
    page = alice.get("/print", headers={"cookie": f"session={alice.cookie}; flash={answer.cookies['flash']}"}).text
    assert f'action="/print/{model.id}/restore"' in page
    assert bob.post(f"/print/{model.id}/restore").status_code == 404
    assert alice.post(f"/print/{model.id}/restore").status_code == 303
    assert alice.get(f"/print/{model.id}").status_code == 200


def test_after_an_hour_or_a_purge_a_removed_file_is_gone(alice: Browser, session: Session) -> None:
    old, purged = make_model(session, alice.user), make_model(session, alice.user)
    old.deleted_at = NOW - RESTORE_WITHIN - timedelta(seconds=1)
    purged.deleted_at = purged.purged_at = NOW
    assert [alice.post(f"/print/{model.id}/restore").status_code for model in (old, purged)] == [404, 404]


def test_where_the_chosen_place_has_no_printer_the_page_says_who_prints(
    alice: Browser, session: Session, world: World
) -> None:
    here = make_site(session, "La Fabrique", city="Florac")
    path = f"/print/{make_model(session, alice.user).id}"
    cookie = {"cookie": f"session={alice.cookie}; site={here.slug}"}
    assert (
        "La Fabrique has no printer: this is printed at L&#39;Atelier (Mende)." in alice.get(path, headers=cookie).text
    )
    assert "has no printer" not in alice.get(path).text
