"""The JSON face of payment terms: a buyer asks, staff find the request and answer it."""

import pytest
from sqlalchemy.orm import Session

from tests.world import make_user
from tests.world.billing import Shop
from tests.world.programs import Program, Programs


@pytest.fixture
def alice(program: Programs, shop: Shop) -> Program:
    """She has asked for 45 days and one invoice a month."""
    alice, path = program(shop.world.alice), f"/organisations/{shop.company.slug}"
    billing = alice("GET", path).json()["billing"]
    asked = alice("PUT", path, json={**billing, "terms_days": 45, "monthly": True}).json()
    assert (asked["billing"]["terms_days"], asked["requested_terms"]) == (30, {"terms_days": 45, "monthly": True})
    return alice


def test_staff_find_the_request_and_grant_what_they_will(alice: Program, program: Programs, shop: Shop) -> None:
    bob = program(shop.world.bob)
    (row,) = bob("GET", "/terms-requests").json()
    assert (row["organisation"], row["terms_days"], row["monthly"]) == (shop.company.slug, 45, True)
    assert row["requested_by"] == shop.world.alice.name
    path = f"/organisations/{shop.company.slug}/terms"
    granted = bob("PUT", path, json={"terms_days": 45, "monthly": False}).json()
    assert (granted["billing"]["terms_days"], granted["requested_terms"]) == (45, None)
    assert bob("GET", "/terms-requests").json() == []
    # An older look at the list: there is nothing left to decline.
    assert bob("POST", f"{path}/decline").json()["code"] == "no-terms-request"


def test_staff_decline_it_and_nothing_changes(alice: Program, program: Programs, shop: Shop) -> None:
    bob = program(shop.world.bob)
    declined = bob("POST", f"/organisations/{shop.company.slug}/terms/decline").json()
    assert (declined["billing"]["terms_days"], declined["requested_terms"]) == (30, None)
    assert bob("GET", "/terms-requests").json() == []


def test_only_who_handles_the_money_answers(alice: Program, program: Programs, session: Session, shop: Shop) -> None:
    path, terms = f"/organisations/{shop.company.slug}/terms", {"terms_days": 45, "monthly": False}
    stranger = program(make_user(session))
    assert [each("GET", "/terms-requests").status_code for each in (alice, stranger)] == [403, 403]
    assert [each("PUT", path, json=terms).status_code for each in (alice, stranger)] == [403, 404]
    assert [each("POST", f"{path}/decline").status_code for each in (alice, stranger)] == [403, 404]
