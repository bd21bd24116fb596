"""The pages of tabs and of the desk: invoiced and paid without JavaScript, mistakes beside their fields, staff only."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import organisations, platform
from api.domain.billing.invoices import Invoice
from api.domain.people.accounts import BuyingRight, User
from tests.world import HOUR, NOW, make_user
from tests.world.billing import PAST, Shop, issue, join, make_room, stay
from tests.world.browsers import Browser
from tests.world.multiply import multiply

ADDRESS = {"street": "1 rue des Essais", "postcode": "48000", "city": "Mende"}


@pytest.fixture
def room(session: Session, shop: Shop) -> Any:
    return make_room(session, shop)


def test_staff_invoice_a_tab_once_from_its_page(session: Session, bob: Browser, shop: Shop, room: Any) -> None:
    stay(session, shop, room=room, start=PAST)
    assert "Réservation : Salle Lot" in bob.get("/staff/tabs").text
    form = {"organisation_id": str(shop.company.id), "cost_centre_id": "", "purchase_order": "BC-5"}
    answers = [bob.post(f"/staff/tabs/{shop.seller.id}/bill", form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 409]
    assert "Nothing to invoice" in answers[1].text
    assert session.scalars(select(Invoice)).one().document.purchase_order == "BC-5"


def test_a_person_pays_what_is_ticked(session: Session, bob: Browser, alice: Browser, shop: Shop, room: Any) -> None:
    both = [stay(session, shop, room=room, start=PAST.replace(hour=h), organisation_id=None) for h in (9, 12)]
    page = f"/staff/till/{shop.seller.id}/{shop.world.alice.id}"
    assert page in bob.get("/staff/till").text
    refused = bob.post(page, {f"booking-{both[0].id}": "1", "means": "cash"})
    paid = bob.post(page, {f"booking-{both[0].id}": "1", "means": "cash", **ADDRESS})

    assert (refused.status_code, paid.status_code) == (422, 303)
    assert 'id="error-address"' in refused.text
    invoice = session.scalars(select(Invoice)).one()
    assert (invoice.total_cents, invoice.due_cents) == (3000, 0)
    own = alice.get("/invoices").text
    assert invoice.number in own
    assert f"Réservation n° {both[1].id}" in own
    assert "1 rue des Essais" in bob.get(page).text


def test_tabs_and_the_till_come_in_pages_of_one_seller(session: Session, bob: Browser, shop: Shop, room: Any) -> None:
    world = shop.world
    companies, people = (shop.company, world.acme), (world.alice, world.charlie)
    for n, (company, person) in enumerate(zip(companies, people, strict=True)):
        start = PAST + 4 * n * HOUR
        stay(session, shop, room=room, start=start, organisation_id=company.id, user=person)
        stay(session, shop, room=room, start=start + 2 * HOUR, organisation_id=None, user=person)
    for path, names in (("/staff/tabs", companies), ("/staff/till", people)):
        first, last = sorted(names, key=lambda each: each.id)
        page = bob.get(f"{path}?limit=1").text
        address = re.findall(r'href="([^"]+)" rel="next"', page)[0].replace("&amp;", "&")
        following = bob.get(address).text

        assert address.startswith(f"{path}?")
        assert f"seller={shop.seller.id}" in address
        assert (f">{first.name}<" in page, f">{last.name}<" in page) == (True, False)
        assert (f">{first.name}<" in following, f">{last.name}<" in following) == (False, True)


def test_a_list_that_a_refused_form_draws_leads_to_pages_that_are_there(
    session: Session, bob: Browser, shop: Shop, room: Any
) -> None:
    booked = stay(session, shop, room=room, start=PAST)
    companies = multiply(session, shop.company, 51, slug="'c' || n", name="'Maison ' || n")
    multiply(session, booked, 51, organisation_id=companies)
    refused = bob.post(f"/staff/tabs/{shop.seller.id}/bill", {"organisation_id": "0"}).text
    address = re.findall(r'href="([^"]+)" rel="next"', refused)[0].replace("&amp;", "&")

    assert bob.get(address).status_code == 200


def test_credit_that_is_too_small_is_told_on_the_page(session: Session, bob: Browser, shop: Shop, room: Any) -> None:
    booked = stay(session, shop, room=room, start=PAST, organisation_id=None)
    form = {f"booking-{booked.id}": "1", "means": "credit", **ADDRESS}
    answer = bob.post(f"/staff/till/{shop.seller.id}/{shop.world.alice.id}", form)

    assert answer.status_code == 409
    assert "Not enough prepaid credit" in answer.text


def test_the_page_tells_what_the_platform_did_not_take(session: Session, bob: Browser, shop: Shop) -> None:
    platform.note_trouble(
        session, invoice=issue(session, shop), platform="afnor", trouble="503 of /v1/flows", permanent=False, now=NOW
    )

    assert "503 of /v1/flows" in bob.get("/staff/tabs").text


def test_members_are_kept_from_the_till(session: Session, alice: Browser, shop: Shop) -> None:
    person = f"/staff/till/{shop.seller.id}/{shop.world.alice.id}"
    for path in ("/staff/tabs", "/staff/till", person):
        assert alice.get(path).status_code == 403
    for path in (f"/staff/tabs/{shop.seller.id}/bill", person):
        assert alice.post(path, {}).status_code == 403


def test_a_buyer_chooses_who_bears_a_booking_and_a_viewer_only_reads(
    session: Session, alice: Browser, log_in: Callable[[User], Browser], shop: Shop, room: Any
) -> None:
    booked, dana = stay(session, shop, room=room, start=PAST), make_user(session)
    join(session, shop, dana, BuyingRight.VIEWER)
    centre = organisations.add_cost_centre(
        session, organisation=shop.company, actor=shop.world.alice, code="R-D", name="Recherche"
    )
    page, viewer = f"/org/{shop.company.slug}/bookings", log_in(dana)
    assert page in alice.get(f"/org/{shop.company.slug}").text
    assert alice.post(f"{page}/{booked.id}", {"cost_centre_id": str(centre.id)}).status_code == 303

    assert f'value="{centre.id}" selected' in alice.get(page).text
    assert "R-D" in viewer.get(page).text
    assert "<select" not in viewer.get(page).text
    assert viewer.post(f"{page}/{booked.id}", {"cost_centre_id": ""}).status_code == 403
    assert log_in(make_user(session)).get(page).status_code == 404


def test_what_is_invoiced_is_borne_by_nobody_else_any_more(
    session: Session, alice: Browser, bob: Browser, shop: Shop, room: Any
) -> None:
    booked = stay(session, shop, room=room, start=PAST)
    bob.post(f"/staff/tabs/{shop.seller.id}/bill", {"organisation_id": str(shop.company.id)})
    answer = alice.post(f"/org/{shop.company.slug}/bookings/{booked.id}", {"cost_centre_id": ""})

    assert answer.status_code == 409
    assert "already been invoiced" in answer.text
