"""Trials of a configuration: nine cubes through the real slicer before it is used."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.db import transaction
from api.domain.printing import configurations
from api.domain.printing.configurations import ConfigurationStatus, KindConfiguration
from api.domain.printing.kinds import PrinterKind
from printers.configuration import read_configuration
from printers.trials import try_configuration
from tests.printers.parts import configuration
from tests.world import make_material, make_world

S = ConfigurationStatus


def give(config_ini: str) -> int:
    """A workshop with three materials, whose kind is given this configuration."""
    with transaction() as session:
        world = make_world(session)
        for code in ("PETG", "TPU"):
            make_material(session, code)
        return configurations.give_configuration(
            session,
            kind=world.printer.kind,
            config_ini=config_ini,
            facts=read_configuration(config_ini),
            actor=world.bob,
            now=datetime.now(UTC),
        ).id


def look(configuration_id: int) -> tuple[KindConfiguration, PrinterKind]:
    with transaction() as session:
        found = session.get_one(KindConfiguration, configuration_id)
        return found, found.kind


@pytest.mark.real
def test_nine_slices_that_succeed_bring_it_into_use_with_a_picture(installation: Path) -> None:
    purge = "G1 Y-3 F1000\\nG1 X60 E9 F1000"
    given = give(configuration(start_gcode=f"G90\\nM83\\nG28\\nG1 Z0.3 F240\\n{purge}"))
    try_configuration(given)
    try_configuration(given)  # a second run changes nothing
    done, kind = look(given)
    assert (done.status, kind.config_ini) == (S.IN_USE, done.config_ini)
    assert len({(each["material"], each["quality"]) for each in done.tries}) == 9
    assert all(each["seconds"] > 60 for each in done.tries)
    assert done.drawing["purge"] == [[0, -3, 60, -3]]
    x, y, right, back = done.drawing["part"]
    assert ((x + right) / 2, (y + back) / 2) == pytest.approx((110, 110), abs=0.1)
    assert right - x == pytest.approx(20, abs=1)


@pytest.mark.real
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"end_gcode": "M104 S{my_own_temperature[0]}"}, "my_own_temperature"),
        ({"start_gcode": "G28\\nG1 Z-0.5"}, "Z -0.5 mm is outside the machine"),
    ],
)
def test_a_configuration_that_cannot_be_sliced_is_not_used_and_its_error_told_in_full(
    installation: Path, changes: dict[str, str], reason: str
) -> None:
    given = give(configuration(**changes))
    try_configuration(given)
    done, kind = look(given)
    assert (done.status, kind.config_ini) == (S.REFUSED, "")
    assert all(reason in " ".join(each["params"].values()) for each in done.tries)
    assert len(done.drawing["outline"]) == 4


def test_without_a_slicer_it_waits_and_what_is_used_stays(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = give(configuration())
    monkeypatch.setenv("PATH", "")
    try_configuration(given)
    waiting, kind = look(given)
    assert (waiting.status, waiting.tries, kind.config_ini) == (S.TRYING, [], "")
