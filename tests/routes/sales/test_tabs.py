"""The JSON face of tabs and of the desk: billed and sold once, to nobody else's people, by the staff of the till."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.sales import tabs
from tests.world import HOUR, NOW, make_user
from tests.world.billing import ADDRESS, PAST, Shop, make_room, stay
from tests.world.documents import make_buyer
from tests.world.programs import Program, Programs
from tests.world.sales import print_for


@pytest.fixture
def room(session: Session, shop: Shop) -> Any:
    return make_room(session, shop)


def test_a_tab_is_billed_by_parts_and_each_part_once(
    session: Session, program: Programs, shop: Shop, room: Any
) -> None:
    bob, url = program(shop.world.bob), f"/sellers/{shop.seller.id}/tabs"
    first, second = (stay(session, shop, room=room, start=PAST + n * 3 * HOUR) for n in range(2))
    (tab,) = bob("GET", url).json()["items"]
    assert [each["id"] for each in tab["owed"]] == [first.id, second.id]
    body = {"organisation_id": shop.company.id, "booking_ids": [second.id]}
    made = [bob("POST", f"{url}/bill", json=body) for _ in range(2)]

    assert [answer.status_code for answer in made] == [201, 409]
    assert made[0].json()["total_cents"] == 3000
    assert bob("GET", f"/invoices/{made[0].json()['id']}/sources/list").json() == [f"booking:{second.id}"]
    rest = bob("POST", f"{url}/bill", json={"organisation_id": shop.company.id, "purchase_order": "BC-1"}).json()
    assert rest["net_cents"] == 2500
    assert bob("GET", url).json() == {"items": [], "next": None}


def test_the_same_key_bills_once_and_answers_twice(session: Session, program: Programs, shop: Shop, room: Any) -> None:
    bob = program(shop.world.bob)
    stay(session, shop, room=room, start=PAST)
    url, body = f"/sellers/{shop.seller.id}/tabs/bill", {"organisation_id": shop.company.id}
    made = [bob("POST", url, json=body, headers={"Idempotency-Key": "one"}).json() for _ in range(2)]

    assert made[0] == made[1]


def test_money_is_taken_at_the_desk_with_an_address_asked_once(
    session: Session, program: Programs, shop: Shop, room: Any
) -> None:
    bob, alice = program(shop.world.bob), shop.world.alice
    stay(session, shop, room=room, start=PAST, organisation_id=None)
    job = print_for(session, shop)
    owed = bob("GET", f"/sellers/{shop.seller.id}/owed", params={"user_id": alice.id}).json()["items"]
    assert [(each["what"], each["net_cents"]) for each in owed] == [("booking", 2500), ("job", job.net_cents)]
    url, body = f"/sellers/{shop.seller.id}/sales", {"user_id": alice.id, "means": "cash", "job_ids": [job.id]}
    missing = bob("POST", url, json=body)
    assert (missing.status_code, missing.json()["field"]) == (422, "address")
    paid = bob("POST", url, json={**body, "address": ADDRESS}).json()
    other = bob("POST", url, json={"user_id": alice.id, "means": "card", "total_cents": 3000}).json()

    assert (paid["open_cents"], other["total_cents"]) == (0, 3000)
    till = bob("GET", f"/sellers/{shop.seller.id}/till").json()
    assert till == {"cash_cents": paid["total_cents"], "card_cents": 3000}
    assert {each["id"] for each in program(alice)("GET", "/invoices").json()["items"]} == {paid["id"], other["id"]}


def test_tabs_and_what_a_person_owes_come_in_pages(session: Session, program: Programs, shop: Shop, room: Any) -> None:
    bob, alice = program(shop.world.bob), shop.world.alice
    job = print_for(session, shop)
    own = [stay(session, shop, room=room, start=PAST + n * 2 * HOUR, organisation_id=None).id for n in range(2)]
    stay(session, shop, room=room, start=PAST + 4 * HOUR)
    stay(session, shop, room=room, start=PAST + 6 * HOUR, organisation_id=shop.world.acme.id, user=shop.world.charlie)
    owed, tab = [
        read_pages(bob, f"/sellers/{shop.seller.id}/{path}limit=1") for path in (f"owed?user_id={alice.id}&", "tabs?")
    ]

    assert [(each["what"], each["id"]) for each in owed] == [("booking", own[0]), ("booking", own[1]), ("job", job.id)]
    assert [each["organisation_id"] for each in tab] == sorted([shop.company.id, shop.world.acme.id])


def read_pages(program: Program, url: str) -> list[dict[str, Any]]:
    """The items of a list whose pages hold one each."""
    items, cursor = [], ""
    while True:
        page = program("GET", f"{url}{cursor}").json()
        (item,) = page["items"]
        items.append(item)
        if page["next"] is None:
            return items
        cursor = f"&cursor={page['next']}"


def test_a_wrong_address_and_a_changed_total_are_told(
    session: Session, program: Programs, shop: Shop, room: Any
) -> None:
    bob, url = program(shop.world.bob), f"/sellers/{shop.seller.id}/sales"
    stay(session, shop, room=room, start=PAST, organisation_id=None)
    body = {"user_id": shop.world.alice.id, "means": "cash"}
    wrong = bob("POST", url, json={**body, "address": {**ADDRESS, "city": " "}})
    changed = bob("POST", url, json={**body, "address": ADDRESS, "total_cents": 2999})

    assert (wrong.status_code, wrong.json()["code"]) == (422, "incomplete-address")
    assert (changed.status_code, changed.json()["code"]) == (409, "total-changed")


def test_a_buyer_says_the_cost_centre(session: Session, program: Programs, shop: Shop, room: Any) -> None:
    booked = stay(session, shop, room=room, start=PAST)
    centre = organisations.add_cost_centre(
        session, organisation=shop.company, actor=shop.world.alice, code="A", name="A"
    )
    url, said = f"/bookings/{booked.id}/cost-centre", {"cost_centre_id": centre.id}
    assert program(make_user(session))("PUT", url, json=said).status_code == 404
    assert program(shop.world.alice)("PUT", url, json=said).status_code == 204

    assert tabs.list_tabs(session, seller=shop.seller, now=NOW)[0].cost_centre_id == centre.id


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "tabs"),
        ("POST", "tabs/bill"),
        ("GET", "tabs/refused"),
        ("GET", "owed?user_id=1"),
        ("POST", "sales"),
        ("GET", "till"),
    ],
)
def test_members_and_strangers_find_no_till(
    session: Session, program: Programs, shop: Shop, method: str, path: str
) -> None:
    body = {"tabs/bill": {"organisation_id": shop.company.id}, "sales": {"user_id": 1, "means": "cash"}}.get(path)
    for person in (shop.world.alice, make_user(session)):
        assert program(person)(method, f"/sellers/{shop.seller.id}/{path}", json=body).status_code == 404


def test_staff_read_what_the_clock_could_not_invoice(session: Session, program: Programs, shop: Shop) -> None:
    assert program(shop.world.bob)("GET", f"/sellers/{shop.seller.id}/tabs/refused").json() == []
    tabs.save_address(session, user=shop.world.alice, address=make_buyer().address, now=NOW)
    assert tabs.find_address(session, user=shop.world.alice) == make_buyer().address
