"""Laying a part on another side from its page: which positions are offered, and what goes with the part."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.people.accounts import Membership, Organisation
from api.domain.printing.library import Model
from api.settings import settings
from tests import corpus
from tests.world import NOW, World
from tests.world.browsers import Browser

pytestmark = pytest.mark.usefixtures("data_dir")


def upload(browser: Browser, *sides: float) -> str:
    """The address of its page."""
    files = {"file": ("rod.stl", corpus.binary(corpus.box(*sides)))}
    return str(browser.post("/print", files=files).headers["location"])


def offered(page: str) -> list[str]:
    """The positions beside the price."""
    return re.findall(r'<button form="turn" name="position" value="(\w+)"', page)


def test_what_is_too_long_is_turned_with_its_choices(alice: Browser, session: Session, world: World) -> None:
    page = upload(alice, 230, 10, 10)
    shown = alice.get(f"{page}?copies=3&quality=fine").text
    assert "would fit" in shown
    assert '<input type="hidden" form="turn" name="copies" value="3">' in shown
    assert offered(shown) == ["on_left", "diagonal"]
    answer = alice.post(f"{page}/turn", {"position": "on_left", "copies": "3", "quality": "fine"})
    assert answer.status_code == 303
    model = session.scalars(select(Model).where(Model.deleted_at.is_(None))).one()
    assert answer.headers["location"] == f"/print/{model.id}?quality=fine&copies=3"
    assert (model.name, model.size_z_mm) == ("rod.stl", 230)
    # It fits now, so nothing is offered beside the price any more.
    assert offered(alice.get(answer.headers["location"]).text) == []


def test_a_turn_is_undone(alice: Browser, session: Session) -> None:
    page = upload(alice, 10, 20, 30)
    answer = alice.post(f"{page}/turn", {"position": "on_front"})
    cookies = f"session={alice.cookie}; flash={answer.cookies['flash']}"
    turned = alice.get(answer.headers["location"], headers={"cookie": cookies})
    assert f'action="{page}/restore"' in turned.text
    assert alice.post(f"{page}/restore").status_code == 303
    assert "10 × 20 × 30" in alice.get(page).text


@pytest.mark.parametrize("position", ["", "sideways"])
def test_another_position_is_no_page(alice: Browser, session: Session, position: str) -> None:
    page = upload(alice, 10, 20, 30)
    assert alice.post(f"{page}/turn", {"position": position}).status_code == 404
    assert session.scalars(select(Model.deleted_at)).all() == [None]


def test_a_part_of_another_and_one_whose_file_is_gone_are_not_turned(
    alice: Browser, charlie: Browser, session: Session
) -> None:
    page = upload(alice, 10, 20, 30)
    assert charlie.post(f"{page}/turn", {"position": "on_front"}).status_code == 404
    session.scalars(select(Model)).one().purged_at = NOW
    session.flush()
    assert alice.post(f"{page}/turn", {"position": "on_front"}).status_code == 404


def test_a_part_of_an_organisation_stays_beside_the_copy_of_another_member(
    alice: Browser, charlie: Browser, session: Session, world: World
) -> None:
    page = upload(alice, 10, 20, 30)
    company = Organisation(name="Menuiserie", slug="menuiserie", created_at=NOW - timedelta(days=1))
    session.add(company)
    session.flush()
    session.add(Membership(organisation_id=company.id, user_id=world.charlie.id, since=NOW))
    drawn = session.scalars(select(Model)).one()
    drawn.organisation_id = company.id
    session.flush()

    assert charlie.post(f"{page}/turn", {"position": "on_front"}).status_code == 303
    turned = session.scalars(select(Model).where(Model.id != drawn.id)).one()
    assert (drawn.deleted_at, turned.owner_id, turned.organisation_id) == (None, world.charlie.id, company.id)


def test_without_room_the_page_says_so_and_nothing_changes(
    alice: Browser, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = upload(alice, 10, 20, 30)
    monkeypatch.setattr(settings(), "files_limit_mb", 0)
    answer = alice.post(f"{page}/turn", {"position": "on_front"})
    assert answer.status_code == 409
    assert "remove some of them first" in answer.text
    assert session.scalars(select(Model.deleted_at)).all() == [None]
