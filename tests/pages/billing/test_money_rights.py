"""Pages of who handles the money, and of what waits for a second person."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from api import deps
from api.domain.billing import money_requests
from api.domain.people.accounts import User
from api.domain.people.passwords import hash_password
from tests.pages.billing.test_money import entity
from tests.world import NOW, PASSWORD, make_user
from tests.world.billing import Shop, issue, let_handle_money
from tests.world.browsers import Browser

pytestmark = pytest.mark.usefixtures("data_dir")

OTHER = "FR1420041010050500013M02606"


@pytest.fixture
def admin(session: Session, log_in: Callable[[User], Browser]) -> Browser:
    return log_in(make_user(session, "Root", is_admin=True))


def ask(browser: Browser, shop: Shop) -> str:
    """Another IBAN by the form of the legal entity; the page of the requests."""
    url: str = browser.post(f"/staff/sellers/{shop.seller.id}", entity(shop.seller, iban=OTHER)).headers["location"]
    return url


def pending_id(session: Session, shop: Shop) -> int:
    ((request, _),) = money_requests.list_pending(session, seller=shop.seller, now=NOW)
    return request.id


def test_an_administrator_gives_and_withdraws_the_right_by_address(
    shop: Shop, admin: Browser, bob: Browser, charlie: Browser
) -> None:
    url = f"/staff/sellers/{shop.seller.id}/people"
    assert charlie.get(url).status_code == 404
    assert 'id="error-email"' in admin.post(url, {"email": "nobody@example.org"}).text
    assert admin.post(url, {"email": charlie.user.email}).status_code == 303
    assert charlie.user.email in bob.get(url).text
    # Only administrators are shown the form, and only they may send it.
    assert 'name="email"' not in bob.get(url).text
    assert bob.post(url, {"email": charlie.user.email}).status_code == 403
    assert "Handles the money of" in charlie.get("/me").text
    assert admin.post(f"{url}/{charlie.user.id}/withdraw").status_code == 303

    assert charlie.get(url).status_code == 404
    assert "Handles the money of" not in charlie.get("/me").text


def test_a_treasurer_without_a_role_finds_the_pages_of_money_and_no_others(
    session: Session, shop: Shop, alice: Browser
) -> None:
    assert alice.get("/staff/money").status_code == 403
    let_handle_money(session, alice.user, shop.seller)

    for page in ("/staff/money", "/staff/books", "/staff/sellers"):
        assert alice.get(page).status_code == 200, page
        assert "/staff/calendar" not in alice.get(page).text
    assert alice.get("/staff/calendar").status_code == 403


def test_a_manager_without_the_right_sees_pages_without_money(session: Session, shop: Shop, charlie: Browser) -> None:
    invoice = issue(session, shop)
    for page in ("/staff/money", "/staff/books", "/staff/sellers"):
        text = charlie.get(page).text
        assert "An administrator can give you that right." in text, page
        assert invoice.number not in text
        assert shop.seller.iban[-4:] not in text
    for url in (f"/invoices/{invoice.id}", f"/staff/sellers/{shop.seller.id}"):
        assert charlie.get(url).status_code == 404, url
    assert charlie.get("/staff/till").status_code == 200


def test_another_iban_waits_for_a_second_person_and_is_seen_by_both(
    session: Session, shop: Shop, bob: Browser, charlie: Browser
) -> None:
    let_handle_money(session, charlie.user, shop.seller)
    old = shop.seller.iban
    url = ask(bob, shop)
    assert shop.seller.iban == old
    confirm = f"{url}/{pending_id(session, shop)}/confirm"
    assert "Another person who handles this money" in bob.get(url).text
    for page in (url, "/staff/sellers"):
        assert "FR14 2004" in charlie.get(page).text, page
        assert confirm in charlie.get(page).text, page
    assert bob.post(confirm).status_code == 403
    assert charlie.post(confirm).status_code == 303

    assert shop.seller.iban == OTHER
    assert " → ".join(money_requests.mask_iban(iban) for iban in (old, OTHER)) in charlie.get(url).text
    assert charlie.post(confirm).status_code == 409


def test_a_request_is_withdrawn_on_the_page(session: Session, shop: Shop, bob: Browser) -> None:
    url = ask(bob, shop)
    request_id = pending_id(session, shop)
    assert bob.post(f"{url}/{request_id}/withdraw").status_code == 303
    assert "Nothing to confirm." in bob.get(url).text

    assert bob.post(f"{url}/{request_id}/withdraw").status_code == 409
    assert bob.post(f"{url}/0/withdraw").status_code == 404


def test_who_is_alone_confirms_with_the_password_a_day_later(
    session: Session, shop: Shop, bob: Browser, app: FastAPI
) -> None:
    bob.user.password_hash = hash_password(PASSWORD)
    url = ask(bob, shop)
    confirm = f"{url}/{pending_id(session, shop)}/confirm"
    assert "you can confirm alone from" in bob.get(url).text
    assert bob.post(confirm, {"password": PASSWORD}).status_code == 409

    async def next_day() -> object:
        return NOW + timedelta(hours=25)

    app.dependency_overrides[deps.clock] = next_day
    for wrong in ("", "not this one"):
        answer = bob.post(confirm, {"password": wrong})
        assert (answer.status_code, 'id="error-password"' in answer.text) == (422, True), wrong
    assert bob.post(confirm, {"password": PASSWORD}).status_code == 303

    assert shop.seller.iban == OTHER
