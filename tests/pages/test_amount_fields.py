"""Amounts in fields stand as people of that language type them, and both ways of typing are taken."""

import pytest
from sqlalchemy.orm import Session

from api.domain.people.accounts import Locale
from tests.world.billing import Shop, issue
from tests.world.browsers import Browser
from web.formats import as_typed


@pytest.mark.parametrize(
    ("text", "french"),
    [("70.12", "70,12"), ("-0.5", "-0,5"), ("0,4", "0,4"), ("12", "12"), ("1.2.3", "1.2.3"), ("", "")],
)
def test_a_number_is_typed_with_a_comma_in_french_only(text: str, french: str) -> None:
    assert as_typed(Locale.FR, text) == french
    assert as_typed(Locale.EN, text) == text


def test_what_is_open_stands_in_its_field_as_it_is_typed(session: Session, shop: Shop, bob: Browser) -> None:
    cents = issue(session, shop).total_cents
    euros = f"{cents // 100}{{}}{cents % 100:02}"
    assert f'name="amount" inputmode="decimal" value="{euros.format(".")}"' in bob.get("/staff/money").text
    shop.world.bob.locale = Locale.FR
    assert f'name="amount" inputmode="decimal" value="{euros.format(",")}"' in bob.get("/staff/money").text
