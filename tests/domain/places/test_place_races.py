"""Two people at once who decide about a place: each verb locks what it reads, so neither wipes what the other did."""

from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.booking.feeds import Feed, open_feed
from api.domain.booking.kits import KitItem, create_kit, put_in_service, take_out_of_service
from api.domain.booking.rules import Policy, Rule, set_rule
from api.domain.people import accounts
from api.domain.people.accounts import ApiToken, Login, LoginFailed, LoginSession, User
from api.domain.people.roles import Level, Role, grant
from api.domain.places.conventions import Convention, resume_convention, sign_convention, suspend_convention
from api.domain.places.doors import Door, DoorUse, add_door, log_use, renew_door
from api.domain.places.sites import OpeningHours, Site, set_hours
from api.domain.places.skills import Authorisation, SkillNameTaken, authorise, create_skill, revoke_authorisation
from tests.world import HOUR, NOW, World, make_user, make_world
from tests.world.races import Connect, Waits, count_rows, on, overlap

LATER = NOW + HOUR


@pytest.fixture
def world(connect: Connect) -> World:
    with connect.begin() as session:
        return make_world(session)


@pytest.fixture
def convention(connect: Connect, world: World) -> Convention:
    dates = {"signed_on": date(2026, 1, 1), "starts_on": date(2026, 1, 1), "ends_on": date(2027, 1, 1)}
    facts: dict[str, Any] = {
        "site": world.site,
        "party": world.alice,
        "people": [world.alice],
        "areas": [],
        "hours": [],
    }
    with connect.begin() as session:
        return sign_convention(session, actor=world.bob, now=NOW, **facts, **dates)


def suspend(session: Session, convention: Convention, bob: User) -> None:
    suspend_convention(session, convention=convention, actor=bob, now=NOW)


def suspend_later(session: Session, convention: Convention, bob: User) -> None:
    suspend_convention(session, convention=convention, actor=bob, now=LATER)


def resume(session: Session, convention: Convention, bob: User) -> None:
    resume_convention(session, convention=convention, actor=bob, now=LATER)


@pytest.mark.parametrize(("second", "suspended_at"), [(suspend_later, NOW), (resume, None)])
def test_a_convention_is_as_the_last_of_two_managers_left_it(
    connect: Connect, world: World, convention: Convention, second: Callable[..., None], suspended_at: object
) -> None:
    rows = convention, world.bob
    assert overlap(connect, on(suspend, *rows), on(second, *rows)) == (None, None)
    with connect() as session:
        assert session.get_one(Convention, convention.id).suspended_at == suspended_at


def test_an_authorisation_revoked_twice_is_so_since_the_first_time(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        skill = create_skill(session, slug="laser", name="Laser", now=NOW)
        facts: dict[str, Any] = {"user": world.alice, "actor": world.bob, "site_id": world.site.id}
        authorisation = authorise(session, skill=skill, now=NOW, **facts)

    def revoke(now: object) -> Callable[..., None]:
        return lambda session, row, bob: revoke_authorisation(session, authorisation=row, actor=bob, now=now)

    rows = authorisation, world.bob
    assert overlap(connect, on(revoke(NOW), *rows), on(revoke(LATER), *rows)) == (None, None)
    with connect() as session:
        assert session.get_one(Authorisation, authorisation.id).revoked_at == NOW


def test_a_training_of_one_name_is_made_once(connect: Connect, world: World) -> None:
    def create(session: Session, site: Site) -> int:
        return create_skill(session, slug="laser", name="Laser", now=NOW).id

    _, second = overlap(connect, on(create, world.site), on(create, world.site))
    assert isinstance(second, SkillNameTaken)


@pytest.fixture
def door(connect: Connect, world: World) -> Door:
    with connect.begin() as session:
        return add_door(session, site=world.site, name="Cour", actor=world.bob, now=NOW)


def test_a_door_renewed_by_two_at_once_has_two_new_secrets(connect: Connect, world: World, door: Door) -> None:
    def renew(session: Session, door: Door, bob: User) -> None:
        renew_door(session, door=door, actor=bob, now=NOW)

    assert overlap(connect, on(renew, door, world.bob), on(renew, door, world.bob)) == (None, None)
    with connect() as session:
        assert session.get_one(Door, door.id).generation == 3


def test_a_report_that_is_sent_again_while_it_is_written_stands_once(connect: Connect, door: Door) -> None:
    def log(session: Session, door: Door) -> int:
        return log_use(session, door=door, at=NOW, accepted=True, code="1234", booking_id=None, now=NOW).id

    first, second = overlap(connect, on(log, door), on(log, door))
    assert first == second
    assert count_rows(connect, DoorUse) == 1


def test_of_two_weeks_set_at_once_one_is_left(connect: Connect, world: World) -> None:
    def open_on(day: int) -> Callable[..., None]:
        return lambda session, site: set_hours(session, site=site, rows=[(day, time(9), time(12), True)])

    assert overlap(connect, on(open_on(1), world.site), on(open_on(2), world.site)) == (None, None)
    with connect() as session:
        days = session.scalars(select(OpeningHours.weekday).where(OpeningHours.site_id == world.site.id))
        assert list(days) == [2]


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_rules_set_at_once_the_second_stands_whole(connect: Connect, world: World, is_first: bool) -> None:
    def rule(minutes: int) -> Callable[..., int]:
        facts = {"policy": Policy(max_minutes=minutes), "kind": world.printer.resource.kind, "now": NOW}
        return lambda session, site: set_rule(session, site=site, **facts).id

    if not is_first:
        with connect.begin() as session:
            rule(60)(session, world.site)

    def read_and_set(session: Session, site: Site) -> int:
        return rule(60)(session, site)

    def with_rule(session: Session, turn: Waits) -> object:
        rules = session.scalars(select(Rule)).all()  # as the page does, before it sets one
        assert len(rules) == (0 if is_first else 1)
        return on(read_and_set, world.site)(session, turn)

    first, second = overlap(connect, on(rule(120), world.site), with_rule)
    assert first == second
    with connect() as session:
        assert session.scalars(select(Rule.max_minutes)).all() == [60]


def test_an_item_that_was_damaged_meanwhile_is_whole_when_its_kit_is_back_in_service(
    connect: Connect, world: World
) -> None:
    with connect.begin() as session:
        site = session.merge(world.site)
        kit = create_kit(session, site=site, name="VR", members=[], items=[("Casque", "S-1")], now=NOW)
        item = kit.items[0]

    def damage(session: Session, item: KitItem, kit: Any, bob: User) -> None:
        take_out_of_service(session, kit=kit, item=item, why="verre fendu", actor=bob, now=NOW)

    def mend(session: Session, item: KitItem, kit: Any, bob: User) -> None:
        put_in_service(session, kit=kit, actor=bob, now=LATER)

    rows = item, kit, world.bob
    assert overlap(connect, on(damage, *rows), on(mend, *rows)) == (None, None)
    with connect() as session:
        assert session.get_one(KitItem, item.id).damaged_at is None


def test_of_two_calendar_addresses_opened_at_once_one_is_good(connect: Connect, world: World) -> None:
    def open_one(session: Session, alice: User) -> str:
        return open_feed(session, user=alice, now=NOW)

    overlap(connect, on(open_one, world.alice), on(open_one, world.alice))
    with connect() as session:
        assert session.scalar(select(func.count()).where(Feed.revoked_at.is_(None))) == 1


@pytest.mark.parametrize("has_role", [True, False])
def test_of_two_levels_given_at_once_the_second_stands(connect: Connect, world: World, has_role: bool) -> None:
    with connect.begin() as session:
        user = session.get_one(User, world.alice.id) if has_role else make_user(session)

    def give(level: Level) -> Callable[..., None]:
        def act(session: Session, user: User, site: Site) -> None:
            grant(session, user=user, site_id=site.id, level=level, now=NOW)

        return act

    def read_and_give(session: Session, turn: Waits) -> object:
        session.scalars(select(Role)).all()
        return on(give(Level.MEMBER), user, world.site)(session, turn)

    assert overlap(connect, on(give(Level.STAFF), user, world.site), read_and_give) == (None, None)
    with connect() as session:
        assert session.scalar(select(Role.level).where(Role.user_id == user.id)) == Level.MEMBER


@pytest.fixture
def login(connect: Connect, world: World) -> tuple[str, LoginSession]:
    """Alice's browser, as it was two hours ago."""
    with connect.begin() as session:
        token = accounts.open_session(session, user=world.alice, now=NOW - 2 * HOUR)
        session.flush()
        return token, session.scalars(select(LoginSession)).one()


def test_who_logs_out_breaks_no_request_that_is_being_answered(
    connect: Connect, login: tuple[str, LoginSession]
) -> None:
    token, row = login

    def leave(session: Session, row: LoginSession) -> None:
        accounts.log_out(session, token=token)

    def look(session: Session, row: LoginSession) -> bool:
        return accounts.find_session_user(session, token=token, now=NOW) is not None

    assert overlap(connect, on(leave, row), on(look, row)) == (None, True)
    with connect() as session:
        assert accounts.find_session_user(session, token=token, now=NOW) is None


def test_a_session_is_ended_once_by_two_clicks(connect: Connect, world: World, login: tuple[str, LoginSession]) -> None:
    row = login[1]

    def close(session: Session, row: LoginSession, alice: User) -> None:
        accounts.close_session(session, user=alice, session_id=row.id)

    first, second = overlap(connect, on(close, row, world.alice), on(close, row, world.alice))
    assert first is None
    assert isinstance(second, accounts.NotFound)


@pytest.mark.parametrize("is_disabled_first", [True, False])
def test_nobody_stays_logged_in_on_an_account_that_is_closed_meanwhile(
    connect: Connect, world: World, is_disabled_first: bool
) -> None:
    with connect.begin() as session:
        session.get_one(User, world.alice.id).password_hash = "hash"

    def log_in(session: Session, alice: User, bob: User) -> None:
        accounts.log_in(session, login=Login(alice.id, "hash"), password_hash="hash", now=NOW)

    def disable(session: Session, alice: User, bob: User) -> None:
        accounts.disable(session, user=alice, actor=bob, now=NOW)

    acts = [disable, log_in] if is_disabled_first else [log_in, disable]
    first, second = overlap(connect, *(on(act, world.alice, world.bob) for act in acts))
    assert first is None
    assert isinstance(second, LoginFailed) == is_disabled_first
    with connect() as session:
        assert session.scalars(select(LoginSession)).all() == []


def test_a_token_revoked_while_it_is_used_is_revoked(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        secret = accounts.issue_token(session, user=world.alice, name="x", now=NOW)
        session.flush()
        token = session.scalars(select(ApiToken)).one()

    def revoke(session: Session, token: ApiToken, alice: User) -> None:
        accounts.revoke_token(session, user=alice, token_id=token.id, now=NOW)

    def use(session: Session, token: ApiToken, alice: User) -> None:
        accounts.find_token_user(session, token=secret, now=NOW)

    for acts in ([use, revoke], [revoke, use]):
        assert overlap(connect, *(on(act, token, world.alice) for act in acts)) == (None, None)
    with connect() as session:
        assert accounts.find_token_user(session, token=secret, now=NOW) is None
