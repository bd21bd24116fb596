"""The exact price on the page of choices: asked for by a POST, shown once it is sliced, with or without scripts."""

import subprocess
import sys
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.printing.library import Model
from api.domain.printing.slices import Slice, mark_failed, mark_ready
from printers import slicer
from tests.world import NOW, make_model
from tests.world.browsers import Browser

QUICK = {"hx-request": "true"}


@pytest.fixture
def model(session: Session, alice: Browser) -> Model:
    return make_model(session, alice.user)


def ask(browser: Browser, model: Model, **choices: str) -> httpx.Response:
    return browser.post(f"/print/{model.id}/price", choices, headers=QUICK)


def the_slice(session: Session) -> Slice:
    return session.scalars(select(Slice)).one()


def ready(session: Session) -> None:
    facts: dict[str, Any] = {"gcode_key": "gcode/none.gcode", "size": 1000, "sha1": "0" * 40, "now": NOW}
    mark_ready(session, slice_=the_slice(session), seconds=3600, grams=Decimal(10), **facts)


def test_looking_at_the_page_slices_nothing(alice: Browser, session: Session, model: Model) -> None:
    for path in (f"/print/{model.id}", f"/print/{model.id}/price"):
        page = alice.get(path).text
        assert "Estimate from the shape" in page
        assert 'hx-trigger="load delay:1200ms"' in page
    assert session.scalars(select(Slice)).all() == []


def test_asking_keeps_the_estimate_and_looks_again_until_it_is_sliced(
    alice: Browser, session: Session, model: Model
) -> None:
    waiting = ask(alice, model).text
    assert "Estimate from the shape" in waiting
    assert "Slicing in progress" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    assert ask(alice, model, awaited="yes").status_code == 204
    ready(session)
    done = ask(alice, model, awaited="yes").text
    assert "€3.24" in done
    assert "incl. VAT, exact price" in done
    assert "1\xa0h" in done
    assert "Estimate from" not in done
    assert "hx-post" not in done


def test_what_is_sliced_is_exact_from_the_first_look(alice: Browser, session: Session, model: Model) -> None:
    ask(alice, model, quality="fine")
    ready(session)
    assert "incl. VAT, exact price" in alice.get(f"/print/{model.id}?quality=fine").text
    assert "incl. VAT, exact price" not in alice.get(f"/print/{model.id}").text


def test_a_part_that_cannot_be_sliced_says_why_and_the_asking_ends(
    alice: Browser, session: Session, model: Model
) -> None:
    ask(alice, model)
    mark_failed(session, slice_=the_slice(session), code=slicer.NothingToPrint.code(), params={}, again=False, now=NOW)
    page = ask(alice, model, awaited="yes").text
    assert "The slicer found nothing to print" in page
    assert "hx-post" not in page


def test_without_scripts_a_button_asks_and_the_choices_stay(alice: Browser, session: Session, model: Model) -> None:
    assert "Calculate the exact price" in alice.get(f"/print/{model.id}").text
    answer = alice.post(f"/print/{model.id}/price", {"copies": "3", "note": "for the fête"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/print/{model.id}?copies=3&note=for+the+f%C3%AAte"
    page = alice.get(answer.headers["location"]).text
    assert "Check again" in page
    assert the_slice(session).copies == 3


def test_the_pages_have_the_slicers_words_although_another_process_slices() -> None:
    program = "import web.app; from web.reasons import *; print([e.code() for e in all_errors(DomainError)])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert repr(slicer.NothingToPrint.code()) in told.stdout


def test_a_wrong_choice_is_told_and_nothing_is_sliced(alice: Browser, session: Session, model: Model) -> None:
    page = ask(alice, model, copies="0").text
    assert "between 1 and 500" in page
    assert session.scalars(select(Slice)).all() == []


def test_a_stranger_may_ask_no_price(charlie: Browser, session: Session, model: Model) -> None:
    assert ask(charlie, model).status_code == 404
    assert session.scalars(select(Slice)).all() == []
