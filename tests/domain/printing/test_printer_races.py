"""Two at once about a printer, a model, a slice or a run: who comes second sees what the first did."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.core.base import Base
from api.domain.core.errors import NotFound, Stale
from api.domain.messages.purges import ModelFiles, hide_model
from api.domain.people.accounts import User
from api.domain.places.sites import Site
from api.domain.places.timeline import Hold, HoldReason
from api.domain.pricing.materials import Colour
from api.domain.printing import jobs, library, printers, runs
from api.domain.printing.library import Model
from api.domain.printing.maintenance import keep_maintenance, set_maintenance
from api.domain.printing.printers import PlateBusy, Printer
from api.domain.printing.runs import Run, RunCommand, RunStatus, claim_next
from tests.world import (
    HOUR,
    NOW,
    World,
    make_model,
    make_request,
    make_sliced,
    make_world,
    world_in,
)
from tests.world.races import Connect, Waits, on, overlap
from tests.world.runs import start_print

Act = Callable[..., object]
MANY_DAYS = timedelta(days=60)


@pytest.fixture
def world(connect: Connect) -> World:
    with connect.begin() as session:
        return make_world(session, stagger_s=0)


@pytest.fixture
def rows(connect: Connect, world: World) -> tuple[Base, ...]:
    """The printer and bob; a cube of alice is sliced and waits."""
    with connect.begin() as session:
        make_sliced(session, session.get_one(Site, world.site.id), session.get_one(User, world.alice.id))
    return world.printer, world.bob


def clear(session: Session, printer: Printer, bob: User) -> None:
    runs.clear_plate(session, printer=printer, actor=bob, now=NOW)


def unclear(session: Session, printer: Printer, bob: User) -> None:
    runs.unclear_plate(session, printer=printer, actor=bob, now=NOW)


def fill(session: Session, printer: Printer, bob: User) -> None:
    printers.fill_plate(session, printer=printer, now=NOW)


def claim(session: Session, printer: Printer, bob: User) -> None:
    assert claim_next(session, printer_id=printer.id, now=NOW) is not None


def print_by_hand(session: Session, printer: Printer, bob: User) -> None:
    facts: dict[str, Any] = {"machine": "printing", "path": "x.gcode"}
    printers.record_observation(session, printer_id=printer.id, now=NOW, **facts)
    printers.fill_plate(session, printer=printer, now=NOW)


def set_plate(connect: Connect, world: World, *, clear: bool) -> None:
    with connect.begin() as session:
        session.get_one(Printer, world.printer.id).plate_clear = clear


@pytest.mark.parametrize("act", [claim, print_by_hand])
def test_no_plate_is_cleared_of_what_begins_at_this_moment(connect: Connect, rows: tuple[Base, ...], act: Act) -> None:
    first, second = overlap(connect, on(act, *rows), on(clear, *rows))
    assert first is None
    assert isinstance(second, PlateBusy)


@pytest.mark.parametrize("act", [unclear, fill])
def test_a_plate_that_was_cleared_meanwhile_is_not_left_clear(
    connect: Connect, world: World, rows: tuple[Base, ...], act: Act
) -> None:
    set_plate(connect, world, clear=False)
    assert overlap(connect, on(clear, *rows), on(act, *rows)) == (None, None)
    with connect() as session:
        assert not session.get_one(Printer, world.printer.id).plate_clear


def test_what_is_claimed_while_a_wrong_click_is_taken_back_is_cancelled(
    connect: Connect, world: World, rows: tuple[Base, ...]
) -> None:
    assert overlap(connect, on(claim, *rows), on(unclear, *rows)) == (None, None)
    with connect() as session:
        assert session.scalars(select(Run.command)).all() == [RunCommand.CANCEL]
        assert not session.get_one(Printer, world.printer.id).plate_clear


def test_of_two_filaments_the_one_said_last_is_loaded(connect: Connect, world: World) -> None:
    white, black = world.material.colours

    def load(session: Session, printer: Printer, colour: Colour, bob: User) -> None:
        material = printer.material
        assert material is not None
        printers.load_filament(session, printer=printer, material=material, colour=colour, actor=bob, now=NOW)

    works = (on(load, world.printer, colour, world.bob) for colour in (black, white))
    assert overlap(connect, *works) == (None, None)
    with connect() as session:
        assert session.get_one(Printer, world.printer.id).colour_id == white.id


def test_of_two_keys_the_one_given_last_is_used_with_its_version(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        session.get_one(Printer, world.printer.id).server_version = "1"

    def renew(key: str, version: str) -> Act:
        facts = {"sealed_key": key, "server_version": version, "now": NOW}
        return lambda session, printer, bob: printers.renew_key(session, printer=printer, actor=bob, **facts)

    works = (on(renew(*facts), world.printer, world.bob) for facts in (("a", "2"), ("b", "1")))
    assert overlap(connect, *works) == (None, None)
    with connect() as session:
        printer = session.get_one(Printer, world.printer.id)
        assert (printer.sealed_key, printer.server_version) == ("b", "1")


def switch(on_: bool) -> Act:
    facts = {"on": on_, "note": "buse", "now": NOW}
    return lambda session, printer, bob: set_maintenance(session, printer=printer, actor=bob, **facts)


def live_holds(session: Session) -> int:
    live = select(func.count()).where(Hold.reason == HoldReason.MAINTENANCE, Hold.released_at.is_(None))
    return session.scalar(live) or 0


def test_maintenance_is_as_the_last_of_two_said(connect: Connect, world: World) -> None:
    works = (on(switch(is_on), world.printer, world.bob) for is_on in (True, False))
    assert overlap(connect, *works) == (None, None)
    with connect() as session:
        assert not session.get_one(Printer, world.printer.id).in_maintenance
        assert live_holds(session) == 0


def test_the_sweep_holds_nothing_of_a_printer_that_is_given_back_at_this_moment(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        switch(True)(session, session.get_one(Printer, world.printer.id), world.bob)

    def sweep(session: Session, printer: Printer, bob: User) -> None:
        keep_maintenance(session, now=NOW)

    works = on(switch(False), world.printer, world.bob), on(sweep, world.printer, world.bob)
    assert overlap(connect, *works) == (None, None)
    with connect() as session:
        assert live_holds(session) == 0


def test_a_hold_that_was_given_back_does_not_come_back(connect: Connect, world: World) -> None:
    """Another worker ends the print that this one has just seen at three tenths, with five hours to go."""
    with connect.begin() as session:
        alive = world_in(session, world)
        run = start_print(session, alive)
        run.progress, run.left_s = 0.3, 5 * 3600

    def end(session: Session, run: Run) -> None:
        runs.finish(session, run=run, outcome=RunStatus.CANCELLED, now=NOW + HOUR / 60)

    def keep(session: Session, run: Run) -> None:
        assert run.hold is not None
        runs.keep_hold(session, run=run, now=NOW + HOUR / 60)

    def read_hold(session: Session, turn: Waits) -> object:
        assert session.get_one(Run, run.id).hold is not None
        return on(keep, run)(session, turn)

    assert overlap(connect, on(end, run), read_hold) == (None, None)
    with connect() as session:
        hold = session.get_one(Run, run.id).hold
        assert hold is not None
        assert hold.end == NOW + HOUR / 60


@pytest.mark.parametrize("ways", [("delete", "restore"), ("restore", "delete")])
def test_a_model_is_where_the_last_of_two_clicks_put_it(connect: Connect, world: World, ways: tuple[str, str]) -> None:
    with connect.begin() as session:
        model = make_model(session, session.get_one(User, world.alice.id))
        model.deleted_at = NOW if ways[0] == "restore" else None

    def act(way: str) -> Act:
        def click(session: Session, model: Model, alice: User) -> None:
            if way == "delete":
                library.delete_model(session, model=model, actor=alice, now=NOW)
            else:
                library.restore_model(session, model_id=model.id, actor=alice, now=NOW)

        return click

    assert overlap(connect, *(on(act(way), model, world.alice) for way in ways)) == (None, None)
    with connect() as session:
        assert (session.get_one(Model, model.id).deleted_at is None) == (ways[1] == "restore")


def test_of_two_turns_at_once_one_copy_is_kept(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        model = make_model(session, session.get_one(User, world.alice.id))

    def turn(session: Session, model: Model, alice: User) -> None:
        turned = make_model(session, alice)
        library.put_in_place(session, turned=turned, model=model, actor=alice, now=NOW)

    first, second = overlap(connect, on(turn, model, world.alice), on(turn, model, world.alice))
    assert (first, type(second)) == (None, Stale)
    with connect() as session:
        assert len(session.scalars(select(Model).where(Model.deleted_at.is_(None))).all()) == 1


@pytest.fixture
def secret(connect: Connect, world: World) -> Model:
    """A confidential model of long ago, whose files are to be deleted."""
    with connect.begin() as session:
        return make_model(session, session.get_one(User, world.alice.id), confidential=True)


def hide(session: Session, model: Model, alice: User, site: Site) -> ModelFiles | None:
    return hide_model(session, model_id=model.id, now=NOW + MANY_DAYS, after_days=30)


def draft(session: Session, model: Model, alice: User, site: Site) -> int:
    return jobs.create_job(session, owner=alice, request=make_request(session, site, model), now=NOW + MANY_DAYS).id


def take_back(session: Session, model: Model, alice: User, site: Site) -> None:
    library.restore_model(session, model_id=model.id, actor=alice, now=NOW + MANY_DAYS)


def test_a_model_that_is_being_handed_in_keeps_its_files(connect: Connect, world: World, secret: Model) -> None:
    rows = secret, world.alice, world.site
    first, files = overlap(connect, on(draft, *rows), on(hide, *rows))
    assert isinstance(first, int)
    assert files is None


@pytest.mark.parametrize("act", [draft, take_back])
def test_a_model_whose_files_are_being_deleted_is_gone(connect: Connect, world: World, secret: Model, act: Act) -> None:
    with connect.begin() as session:
        session.get_one(Model, secret.id).deleted_at = NOW + MANY_DAYS if act is take_back else None
    rows = secret, world.alice, world.site
    files, second = overlap(connect, on(hide, *rows), on(act, *rows))
    assert isinstance(files, ModelFiles)
    assert isinstance(second, NotFound)
