"""A person reads what they will pay, VAT included; an organisation reads prices without it."""

from urllib.parse import urlencode

import pytest
from sqlalchemy.orm import Session

from api.domain.pricing.legal import Regime
from tests.world import World
from tests.world.billing import START, Shop, make_room, make_shop, stay
from tests.world.browsers import Browser

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.mark.parametrize(
    ("regime", "for_company", "texts"),
    [
        (Regime.PAYER, False, ("€30.00", "incl. VAT")),
        (Regime.PAYER, True, ("€25.00", "excl. VAT")),
        (Regime.FRANCHISE, False, ("€25.00", "")),
        (Regime.FRANCHISE, True, ("€25.00", "")),
    ],
)
def test_the_price_of_a_booking_is_the_one_that_its_payer_pays(
    session: Session, world: World, alice: Browser, regime: Regime, for_company: bool, texts: tuple[str, str]
) -> None:
    shop = make_shop(session, world=world, regime=regime)
    booking = stay(session, shop, organisation_id=shop.company.id if for_company else None)
    page = alice.get(f"/bookings/{booking.id}").text

    assert texts[0] in page
    assert [words for words in ("incl. VAT", "excl. VAT") if words in page] == [texts[1]] * bool(texts[1])


def test_the_form_shows_what_the_booking_will_show(session: Session, shop: Shop, alice: Browser) -> None:
    room = make_room(session, shop)
    at = START.astimezone(shop.world.site.zone)
    query = {"day": f"{at:%Y-%m-%d}", "at": f"{at:%H:%M}", "minutes": "120"}
    own = alice.get(f"/book/{room.id}/offer?{urlencode(query)}").text
    form = alice.get(f"/book/{room.id}").text

    assert "€30.00" in own
    assert "incl. VAT" in own
    # The late fee of 5 euros bears VAT, too.
    assert "costs €6.00" in form
