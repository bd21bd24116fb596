"""Materials: found by code whatever its case, offered or refused by name."""

import pytest
from sqlalchemy.orm import Session

from api.domain.pricing.materials import LAYER_MM, ColourUnknown, MaterialUnknown, Quality, get_colour, get_material
from api.domain.pricing.materials import list_materials as offered
from tests.world import make_material


def test_a_material_is_found_whatever_the_case(session: Session) -> None:
    pla = make_material(session)
    assert get_material(session, "pla") is pla
    assert get_colour(pla, "WHITE") is pla.colours[0]


@pytest.mark.parametrize("code", ["", "ABS", "PLA; --", "x" * 500])
def test_an_unknown_material_is_refused_at_its_field(session: Session, code: str) -> None:
    make_material(session)
    with pytest.raises(MaterialUnknown) as raised:
        get_material(session, code)
    assert (raised.value.field, raised.value.params["code"]) == ("material", code[:20])


def test_what_is_not_offered_any_more_is_as_if_unknown(session: Session) -> None:
    pla, petg = make_material(session), make_material(session, "PETG")
    petg.offered = pla.colours[0].offered = False
    session.flush()
    assert offered(session) == [pla]
    with pytest.raises(MaterialUnknown):
        get_material(session, "PETG")
    with pytest.raises(ColourUnknown):
        get_colour(pla, "white")


def test_a_colour_of_another_material_is_refused(session: Session) -> None:
    pla = make_material(session)
    make_material(session, "PETG", colours=("clear",))
    with pytest.raises(ColourUnknown) as raised:
        get_colour(pla, "clear")
    assert raised.value.params == {"material": "PLA", "code": "clear"}


def test_every_quality_has_a_layer_height() -> None:
    assert set(LAYER_MM) == set(Quality)
