"""Configurations of one kind are decided about one after the other, whoever asks at once."""

from collections.abc import Callable
from threading import Barrier

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.people.accounts import User
from api.domain.printing import configurations
from api.domain.printing.beds import ConfigurationFacts, UnlistedLine
from api.domain.printing.configurations import (
    AllowedLine,
    ConfigurationStatus,
    KindConfiguration,
    list_allowed_lines,
)
from api.domain.printing.kinds import PrinterKind
from tests.world import NOW, World, make_world
from tests.world.races import Connect, race_sessions

S = ConfigurationStatus
MACRO = UnlistedLine("start_gcode", 2, "PRINT_START")
Work = Callable[[Session, Barrier], object]


@pytest.fixture
def world(connect: Connect) -> World:
    with connect.begin() as session:
        return make_world(session)


def here(session: Session, world: World) -> tuple[PrinterKind, User]:
    return session.get_one(PrinterKind, world.printer.kind_id), session.get_one(User, world.bob.id)


def give(world: World, *lines: UnlistedLine) -> Work:
    def work(session: Session, barrier: Barrier) -> object:
        kind, bob = here(session, world)
        facts = ConfigurationFacts(kind.machine, lines)
        barrier.wait()
        return configurations.give_configuration(
            session, kind=kind, config_ini="a = 1", facts=facts, actor=bob, now=NOW
        ).id

    return work


def allow(world: World) -> Work:
    def work(session: Session, barrier: Barrier) -> object:
        kind, bob = here(session, world)
        barrier.wait()
        return configurations.allow_line(session, kind=kind, line=MACRO.text, actor=bob, now=NOW).id

    return work


def withdraw(world: World, line_id: int) -> Work:
    def work(session: Session, barrier: Barrier) -> object:
        kind, bob = here(session, world)
        barrier.wait()
        return configurations.withdraw_line(session, kind=kind, line_id=line_id, actor=bob, now=NOW)

    return work


def finish(configuration_id: int) -> Work:
    def work(session: Session, barrier: Barrier) -> object:
        configuration = session.get_one(KindConfiguration, configuration_id)
        barrier.wait()
        return configurations.finish_trial(
            session, configuration=configuration, tries=[{"seconds": 1}], drawing={}, now=NOW
        )

    return work


def alone(connect: Connect, work: Work) -> int:
    with connect.begin() as session:
        made = work(session, Barrier(1))
        assert isinstance(made, int)
        return made


def statuses(connect: Connect) -> list[ConfigurationStatus]:
    with connect() as session:
        return sorted(session.scalars(select(KindConfiguration.status)))


def test_of_four_given_at_once_the_last_one_waits(connect: Connect, world: World) -> None:
    outcomes = race_sessions(connect, [give(world) for _ in range(4)])
    assert all(isinstance(outcome, int) for outcome in outcomes)
    assert statuses(connect) == [S.REPLACED] * 3 + [S.TRYING]


def test_four_people_who_answer_for_a_line_at_once_are_one_answer(connect: Connect, world: World) -> None:
    alone(connect, give(world, MACRO))
    race_sessions(connect, [allow(world) for _ in range(4)])
    with connect() as session:
        assert len(session.scalars(select(AllowedLine)).all()) == 1
    assert statuses(connect) == [S.TRYING]


@pytest.mark.parametrize("_", range(5))
def test_no_line_is_withdrawn_under_a_configuration_that_comes_into_use(connect: Connect, world: World, _: int) -> None:
    configuration_id = alone(connect, give(world, MACRO))
    line_id = alone(connect, allow(world))
    race_sessions(connect, [finish(configuration_id), withdraw(world, line_id)])
    with connect() as session:
        kind = session.get_one(PrinterKind, world.printer.kind_id)
        lines = [each.line for each in list_allowed_lines(session, kind)]
    assert (statuses(connect), lines) in [([S.IN_USE], [MACRO.text]), ([S.HELD], [])]


@pytest.mark.parametrize("_", range(5))
def test_a_trial_that_ends_as_another_is_given_leaves_one_truth(connect: Connect, world: World, _: int) -> None:
    configuration_id = alone(connect, give(world))
    race_sessions(connect, [finish(configuration_id), give(world)])
    with connect() as session:
        config_ini = session.get_one(PrinterKind, world.printer.kind_id).config_ini
    assert (statuses(connect), bool(config_ini)) in [([S.IN_USE, S.TRYING], True), ([S.REPLACED, S.TRYING], False)]
