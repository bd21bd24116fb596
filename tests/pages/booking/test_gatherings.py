"""Gatherings on the pages of the staff: announced, attended, called off."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import gatherings
from api.domain.booking.gatherings import Gathering, GatheringStatus
from api.domain.places.sites import Resource
from api.domain.places.skills import create_skill, has_skill
from tests.world import NOW, World
from tests.world.browsers import Browser


def test_a_training_is_announced_and_who_came_is_authorised(
    bob: Browser, alice: Browser, session: Session, world: World, room: Resource
) -> None:
    skill = create_skill(session, slug="laser", name="Laser", now=NOW)
    typed = {"title": "Formation", "day": "2026-11-25", "at": "14:00", "ends": "16:00", "seats": "6"}
    wrong = bob.post("/staff/gatherings/new", {**typed, "ends": "13:00"})
    assert (wrong.status_code, 'id="error-end"' in wrong.text) == (422, True)
    assert bob.post("/staff/gatherings/new", {**typed, "price": "x"}).status_code == 422

    answer = bob.post("/staff/gatherings/new", {**typed, "skill_id": str(skill.id), "resources": [str(room.id)]})
    made = session.scalars(select(Gathering)).one()
    seat = gatherings.register(session, gathering=made, user=world.alice, now=NOW)

    assert answer.headers["location"] == f"/staff/gatherings/{made.slug}"
    assert "Event" in alice.get(f"/book/{room.id}").text
    assert bob.post(f"/staff/gatherings/{made.slug}/came/{seat.id}").status_code == 303
    assert has_skill(session, user_id=world.alice.id, skill_id=skill.id, at=NOW)
    assert bob.post(f"/staff/gatherings/{made.slug}/came/{seat.id}").status_code == 409


def test_a_gathering_is_called_off_and_its_room_is_free(
    bob: Browser, session: Session, world: World, room: Resource
) -> None:
    start = NOW + timedelta(days=2)
    made = gatherings.announce(
        session,
        site=world.site,
        title="Concert",
        start=start,
        end=start + timedelta(hours=2),
        seats=5,
        actor=world.bob,
        resources=[room],
        now=NOW,
    )
    assert "Concert" in bob.get("/staff/gatherings").text
    assert bob.post(f"/staff/gatherings/{made.slug}/call-off").status_code == 303
    session.refresh(made)
    assert made.status == GatheringStatus.CANCELLED
    assert bob.post(f"/staff/gatherings/{made.slug}/call-off").status_code == 409


def test_an_event_on_a_holiday_is_published_when_it_is_confirmed(bob: Browser, session: Session, world: World) -> None:
    world.site.closed_on_holidays = True
    typed = {"title": "Noël", "day": "2026-12-25", "at": "14:00", "ends": "16:00", "seats": "6"}
    form = bob.post("/staff/gatherings/new", typed)

    assert form.status_code == 422
    assert "closed on 25 Dec" in form.text
    assert 'name="is_confirmed" value="yes" aria-invalid' in form.text
    assert 'name="is_confirmed"' not in bob.get("/staff/gatherings/new").text
    assert bob.post("/staff/gatherings/new", {**typed, "is_confirmed": "yes"}).status_code == 303
    assert session.scalars(select(Gathering.title)).all() == ["Noël"]
