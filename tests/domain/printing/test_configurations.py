"""The configurations of a printer kind: who may give them, and what they change."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import StaffOnly
from api.domain.printing import configurations
from api.domain.printing.beds import (
    Bed,
    BedForm,
    BedPlace,
    ConfigurationFacts,
    MachineFacts,
    UnlistedLine,
    place_bed,
)
from api.domain.printing.configurations import (
    TRIAL_WITHIN,
    ConfigurationStatus,
    KindConfiguration,
    LineInUse,
    LineNotNeeded,
)
from api.domain.printing.kinds import (
    ConfigurationBedWrong,
    ConfigurationNozzleWrong,
    PrinterKind,
    get_or_create_kind,
    settle_machine,
)
from tests.world import NOW, World, make_kind, make_printer, make_site, make_sliced

DELTA = MachineFacts(place_bed(260, 260, BedPlace.ROUND), 300, Decimal("0.4"))
PRUSA = MachineFacts(Bed(250, 210), 210, Decimal("0.4"))


MACRO = UnlistedLine("start_gcode", 2, "PRINT_START BED=[first_layer_bed_temperature]")
GOOD = {"material": "PLA", "quality": "draft", "seconds": 600, "grams": "3.60"}
BAD = {"material": "PLA", "quality": "draft", "code": "nothing-to-print", "params": {}}
S = ConfigurationStatus


def give(
    session: Session,
    world: World,
    *lines: UnlistedLine,
    config_ini: str = "a = 1",
    machine: MachineFacts | None = None,
    actor: User | None = None,
) -> KindConfiguration:
    kind = world.printer.kind
    facts = ConfigurationFacts(machine or kind.machine, lines)
    return configurations.give_configuration(
        session, kind=kind, config_ini=config_ini, facts=facts, actor=actor or world.bob, now=NOW
    )


def finish(session: Session, configuration: KindConfiguration, *tries: dict[str, Any]) -> None:
    configurations.finish_trial(
        session, configuration=configuration, tries=tries or (GOOD,) * 9, drawing={"outline": []}, now=NOW
    )


def verbs(session: Session, kind: PrinterKind) -> list[str]:
    return [change.verb for change in list_changes(session, noun="printer_kind", noun_id=kind.id)]


def trials(session: Session) -> int:
    session.flush()
    return sum(step == "try_configuration" for step, _, _ in session.info.get("steps", []))


def test_a_configuration_is_used_once_its_test_slices_succeeded_and_the_old_one_until_then(
    session: Session, world: World
) -> None:
    kind = world.printer.kind
    old = give(session, world, config_ini="old = 1")
    finish(session, old)
    new = give(session, world, config_ini="new = 1")
    assert (new.status, kind.config_ini) == (S.TRYING, "old = 1")
    finish(session, new)
    assert (new.status, old.status, kind.config_ini) == (S.IN_USE, S.REPLACED, "new = 1")
    assert verbs(session, kind) == ["configuration_given", "configured"] * 2


def test_one_failed_test_slice_refuses_it_and_the_old_one_stays(session: Session, world: World) -> None:
    finish(session, give(session, world, config_ini="old = 1"))
    new = give(session, world, config_ini="new = 1")
    finish(session, new, GOOD, BAD)
    assert (new.status, world.printer.kind.config_ini, new.tries) == (S.REFUSED, "old = 1", [GOOD, BAD])


def test_a_trial_that_ends_twice_or_after_another_was_given_changes_nothing(session: Session, world: World) -> None:
    first = give(session, world, config_ini="first = 1")
    second = give(session, world, config_ini="second = 1")
    finish(session, first)
    assert (first.status, second.status, world.printer.kind.config_ini) == (S.REPLACED, S.TRYING, "")
    finish(session, second)
    finish(session, second, BAD)
    assert (second.status, world.printer.kind.config_ini) == (S.IN_USE, "second = 1")


def test_a_kind_that_was_used_during_the_trial_keeps_its_size(session: Session, world: World) -> None:
    new = give(session, world, machine=PRUSA)
    make_sliced(session, world.site, world.alice)
    finish(session, new)
    assert (new.status, world.printer.kind.width_mm) == (S.REFUSED, 220)
    assert new.tries[-1]["code"] == ConfigurationBedWrong.code()


def test_a_kinds_configuration_is_changed_by_who_staffs_all_its_places(session: Session, world: World) -> None:
    kind = world.printer.kind
    make_printer(session, make_site(session), kind=kind)
    for who in (world.bob, world.alice):
        with pytest.raises(StaffOnly):
            give(session, world, actor=who)
        with pytest.raises(StaffOnly):
            configurations.remove_configuration(session, kind=kind, actor=who, now=NOW)
        with pytest.raises(StaffOnly):
            configurations.allow_line(session, kind=kind, line=MACRO.text, actor=who, now=NOW)
        with pytest.raises(StaffOnly):
            configurations.withdraw_line(session, kind=kind, line_id=1, actor=who, now=NOW)


def test_going_back_replaces_what_waits_and_what_is_used(session: Session, world: World) -> None:
    used, waiting = give(session, world), None
    finish(session, used)
    waiting = give(session, world, MACRO)
    configurations.remove_configuration(session, kind=world.printer.kind, actor=world.bob, now=NOW)
    assert (used.status, waiting.status, world.printer.kind.config_ini) == (S.REPLACED, S.REPLACED, "")


def test_a_line_off_the_list_holds_it_until_a_named_person_answers_for_each(session: Session, world: World) -> None:
    end = UnlistedLine("end_gcode", 1, "PRINT_END")
    held, kind = give(session, world, MACRO, end), world.printer.kind
    assert (held.status, trials(session)) == (S.HELD, 0)
    allowed = configurations.allow_line(session, kind=kind, line=MACRO.text, actor=world.bob, now=NOW)
    assert (held.status, allowed.allowed_by, allowed.allowed_at) == (S.HELD, world.bob.id, NOW)
    configurations.allow_line(session, kind=kind, line=end.text, actor=world.bob, now=NOW)
    assert (held.status, trials(session)) == (S.TRYING, 1)
    # The next configuration with the same lines needs no second answer.
    assert give(session, world, MACRO, end).status == S.TRYING


@pytest.mark.parametrize("line", ["M500", "print_start", ""])
def test_nobody_answers_for_a_line_that_no_configuration_has(session: Session, world: World, line: str) -> None:
    give(session, world, MACRO)
    with pytest.raises(LineNotNeeded):
        configurations.allow_line(session, kind=world.printer.kind, line=line, actor=world.bob, now=NOW)


def test_an_answer_can_be_withdrawn_but_not_under_a_configuration_in_use(session: Session, world: World) -> None:
    trying, kind = give(session, world, MACRO), world.printer.kind
    allowed = configurations.allow_line(session, kind=kind, line=MACRO.text, actor=world.bob, now=NOW)
    configurations.withdraw_line(session, kind=kind, line_id=allowed.id, actor=world.bob, now=NOW)
    assert (trying.status, configurations.list_allowed_lines(session, kind)) == (S.HELD, [])
    assert (allowed.withdrawn_by, allowed.withdrawn_at) == (world.bob.id, NOW)
    again = configurations.allow_line(session, kind=kind, line=MACRO.text, actor=world.bob, now=NOW)
    finish(session, trying)
    with pytest.raises(LineInUse):
        configurations.withdraw_line(session, kind=kind, line_id=again.id, actor=world.bob, now=NOW)
    configurations.remove_configuration(session, kind=kind, actor=world.bob, now=NOW)
    configurations.withdraw_line(session, kind=kind, line_id=again.id, actor=world.bob, now=NOW)
    with pytest.raises(NotFound):
        configurations.withdraw_line(session, kind=kind, line_id=again.id, actor=world.bob, now=NOW)


def test_a_trial_that_lost_its_worker_is_asked_for_again(session: Session, world: World) -> None:
    give(session, world)
    session.info["steps"] = []
    configurations.enqueue_lost_trials(session, now=NOW + TRIAL_WITHIN)
    assert trials(session) == 0
    configurations.enqueue_lost_trials(session, now=NOW + TRIAL_WITHIN + timedelta(seconds=1))
    assert trials(session) == 1


def test_a_kind_that_nobody_has_used_takes_its_facts_from_the_configuration(session: Session, world: World) -> None:
    kind = get_or_create_kind(session, machine=MachineFacts(Bed(220, 220), 250, Decimal("0.6")))
    world.printer.kind = kind
    session.flush()
    finish(session, give(session, world, machine=PRUSA))
    assert (kind.machine, kind.name, kind.volume_mm) == (PRUSA, "250 × 210 × 210 mm, 0.4 mm", (250, 210, 210))


def test_a_configuration_that_contradicts_a_kind_in_use_is_refused_at_once(session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    with pytest.raises(ConfigurationBedWrong):
        give(session, world, machine=PRUSA)


@pytest.mark.parametrize(
    ("machine", "bed"),
    [
        (MachineFacts(Bed(220, 220, -110, -110), 250, Decimal("0.4")), Bed(220, 220, -110, -110)),
        (MachineFacts(Bed(225, 225, 3, 3), 250, Decimal("0.4")), Bed(220, 220, 5.5, 5.5)),
        (MachineFacts(Bed(219.5, 220), 249.5, Decimal("0.40")), Bed(220, 220, -0.25, 0)),
    ],
)
def test_a_kind_in_use_keeps_its_size_and_lies_in_the_middle_of_the_machines_bed(
    session: Session, machine: MachineFacts, bed: Bed
) -> None:
    assert settle_machine(make_kind(session), machine, is_used=True) == MachineFacts(bed, 250, Decimal("0.4"))


@pytest.mark.parametrize(
    "machine",
    [
        PRUSA,
        MachineFacts(Bed(220, 220), 200, Decimal("0.4")),
        MachineFacts(place_bed(260, 260, BedPlace.ROUND), 300, Decimal("0.4")),
    ],
)
def test_a_bed_too_small_for_a_kind_in_use_is_refused(session: Session, machine: MachineFacts) -> None:
    with pytest.raises(ConfigurationBedWrong, match="has 220 × 220 × 250 mm"):
        settle_machine(make_kind(session), machine, is_used=True)


def test_another_nozzle_than_that_of_a_kind_in_use_is_refused(session: Session) -> None:
    machine = MachineFacts(Bed(220, 220), 250, Decimal("0.6"))
    with pytest.raises(ConfigurationNozzleWrong, match=r"nozzle of 0\.6 mm, but .* has 0\.4 mm"):
        settle_machine(make_kind(session), machine, is_used=True)


@pytest.mark.parametrize("machine", [PRUSA, DELTA])
def test_a_kind_in_use_takes_another_size_only_when_a_person_says_so(session: Session, machine: MachineFacts) -> None:
    assert settle_machine(make_kind(session), machine, is_used=True, takes_size=True) == machine


def test_parts_may_fill_the_square_in_a_round_bed(session: Session) -> None:
    kind = get_or_create_kind(session, machine=MachineFacts(place_bed(260, 260, BedPlace.ROUND), 300, Decimal("0.4")))
    assert (kind.name, kind.bed_form) == ("⌀ 260 × 300 mm, 0.4 mm", BedForm.ROUND)
    assert kind.volume_mm == pytest.approx((183.8, 183.8, 300), abs=0.1)
