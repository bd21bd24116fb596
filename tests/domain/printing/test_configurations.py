"""The configurations of a printer kind: who may give them, and what they change."""

from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from api.domain.core.changes import list_changes
from api.domain.people.roles import StaffOnly
from api.domain.printing import configurations
from api.domain.printing.beds import Bed, BedForm, BedPlace, MachineFacts, place_bed
from api.domain.printing.kinds import (
    ConfigurationBedWrong,
    ConfigurationNozzleWrong,
    get_or_create_kind,
    settle_machine,
)
from tests.world import NOW, World, make_kind

DELTA = MachineFacts(place_bed(260, 260, BedPlace.ROUND), 300, Decimal("0.4"))
PRUSA = MachineFacts(Bed(250, 210), 210, Decimal("0.4"))


def test_a_kinds_configuration_is_changed_by_who_staffs_all_its_places_and_written_down(
    session: Session, world: World
) -> None:
    kind = world.printer.kind
    configurations.use_configuration(
        session, kind=kind, config_ini="a = 1", machine=kind.machine, actor=world.bob, now=NOW
    )
    configurations.remove_configuration(session, kind=kind, actor=world.bob, now=NOW)
    changes = list_changes(session, noun="printer_kind", noun_id=kind.id)
    assert [change.verb for change in changes] == ["configured", "configuration_removed"]
    with pytest.raises(StaffOnly):
        configurations.use_configuration(
            session, kind=kind, config_ini="a = 1", machine=kind.machine, actor=world.alice, now=NOW
        )


def test_a_kind_that_nobody_has_used_takes_its_facts_from_the_configuration(session: Session, world: World) -> None:
    kind = get_or_create_kind(session, machine=MachineFacts(Bed(220, 220), 250, Decimal("0.6")))
    configurations.use_configuration(session, kind=kind, config_ini="a = 1", machine=PRUSA, actor=world.bob, now=NOW)
    assert (kind.machine, kind.name, kind.volume_mm) == (PRUSA, "250 × 210 × 210 mm, 0.4 mm", (250, 210, 210))


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


def test_parts_may_fill_the_square_in_a_round_bed(session: Session) -> None:
    kind = get_or_create_kind(session, machine=MachineFacts(place_bed(260, 260, BedPlace.ROUND), 300, Decimal("0.4")))
    assert (kind.name, kind.bed_form) == ("⌀ 260 × 300 mm, 0.4 mm", BedForm.ROUND)
    assert kind.volume_mm == pytest.approx((183.8, 183.8, 300), abs=0.1)
