"""The JSON face of the money: what it refuses to staff without that right, and the requests of two persons."""

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import payments
from api.domain.billing.invoices import closed_until
from api.domain.billing.payments import PaymentMeans
from api.domain.people import roles
from api.domain.people.roles import Level
from tests.world import NOW, make_user
from tests.world.billing import TODAY, Shop, issue, let_handle_money
from tests.world.programs import Program, Programs

BANK = {"iban": "FR14 2004 1010 0505 0001 3M02 606", "bic": "PSSTFRPPLIL", "bank_name": "Banque Autre"}
# Everything below `/sellers/{seller}`, and the verbs of invoices and payments, that only who handles the money may do.
MONEY = [
    ("GET", "/sellers/{seller}/fec?start=2026-01-01&end=2027-01-01", None),
    ("GET", "/sellers/{seller}/ledger.csv?start=2026-01-01&end=2027-01-01", None),
    ("GET", "/sellers/{seller}/chain", None),
    ("GET", "/sellers/{seller}/bank-lines", None),
    ("GET", "/sellers/{seller}/proposals", None),
    ("GET", "/sellers/{seller}/tabs/refused", None),
    ("GET", "/sellers/{seller}/money-rights", None),
    ("POST", "/sellers/{seller}/money-rights", {"email": "x@example.org"}),
    ("DELETE", "/sellers/{seller}/money-rights/1", None),
    ("GET", "/sellers/{seller}/money-requests", None),
    ("POST", "/sellers/{seller}/money-requests/1/confirm", None),
    ("POST", "/sellers/{seller}/money-requests/1/withdraw", None),
    ("POST", "/sellers/{seller}/bank", BANK),
    ("POST", "/sellers/{seller}/close", {"until": "2026-10-31"}),
    ("POST", "/sellers/{seller}/top-ups", {"user_id": 1, "means": "cash", "cents": 500_000}),
    ("POST", "/sellers/{seller}/reminders", None),
    ("POST", "/sellers/{seller}/bank-lines/1/ignore", None),
    ("GET", "/invoices?seller_id={seller}", None),
    ("GET", "/invoices/{invoice}", None),
    ("POST", "/invoices/{invoice}/credit", {"reason": "x"}),
    ("POST", "/invoices/{invoice}/payments", {"means": "cash", "cents": 1}),
    ("POST", "/invoices/{invoice}/flow", {"status": "200"}),
    ("POST", "/payments/{payment}/reverse", {"reason": "x"}),
]


@pytest.fixture
def manager(session: Session, shop: Shop, program: Programs) -> Program:
    """Dan manages the place and does not handle its money."""
    dan = make_user(session, "Dan")
    roles.grant(session, user=dan, site_id=shop.world.site.id, level=Level.MANAGER, now=NOW)
    return program(dan)


@pytest.mark.parametrize(("method", "path", "body"), MONEY, ids=[f"{method} {path}" for method, path, _ in MONEY])
def test_a_manager_without_the_right_to_the_money_finds_none_of_it(
    session: Session, shop: Shop, manager: Program, method: str, path: str, body: dict[str, object] | None
) -> None:
    invoice = issue(session, shop)
    facts = {"means": PaymentMeans.CASH, "cents": 100, "received_on": TODAY, "key": "k", "now": NOW}
    payment = payments.pay(session, invoice=invoice, **facts)
    url = path.format(seller=shop.seller.id, invoice=invoice.id, payment=payment.id)

    assert manager(method, url, json=body).status_code == 404
    assert manager("GET", "/sellers").json() == []


def test_staff_sell_at_the_till_without_the_right(session: Session, shop: Shop, manager: Program) -> None:
    seller = shop.seller.id
    assert manager("GET", f"/sellers/{seller}/till").json() == {"cash_cents": 0, "card_cents": 0}
    assert manager("GET", f"/sellers/{seller}/tabs").json()["items"] == []
    assert manager("GET", f"/sellers/{seller}/owed?user_id={shop.world.alice.id}").json()["items"] == []


def test_an_administrator_gives_the_right_and_takes_it_back(session: Session, shop: Shop, program: Programs) -> None:
    admin, charlie = program(make_user(session, "Root", is_admin=True)), program(shop.world.charlie)
    url, email = f"/sellers/{shop.seller.id}/money-rights", shop.world.charlie.email
    assert program(shop.world.bob)("POST", url, json={"email": email}).status_code == 403
    assert admin("POST", url, json={"email": email}).status_code == 204
    assert admin("POST", url, json={"email": email}).status_code == 409
    assert admin("POST", url, json={"email": "nobody@example.org"}).status_code == 422
    assert {each["email"]: bool(each["since"]) for each in charlie("GET", url).json()}[email]
    assert admin("DELETE", f"{url}/{shop.world.charlie.id}").status_code == 204

    assert charlie("GET", url).status_code == 404


def ask_and_confirm(shop: Shop, program: Programs, path: str, body: dict[str, str]) -> dict[str, object]:
    """Bob asks, charlie confirms; what was shown of the request."""
    bob, charlie = program(shop.world.bob), program(shop.world.charlie)
    url = f"/sellers/{shop.seller.id}"
    asked = bob("POST", f"{url}/{path}", json=body)
    assert asked.status_code == 202
    assert bob("POST", f"{url}/{path}", json=body).status_code == 409
    (pending,) = charlie("GET", f"{url}/money-requests").json()
    confirm = f"{url}/money-requests/{pending['id']}/confirm"
    assert [bob("POST", confirm).status_code, charlie("POST", confirm).status_code] == [403, 200]
    assert charlie("POST", confirm).status_code == 409
    shown: dict[str, object] = pending
    return shown


def test_other_bank_details_take_a_second_person(session: Session, shop: Shop, program: Programs) -> None:
    let_handle_money(session, shop.world.charlie, shop.seller)
    shown = ask_and_confirm(shop, program, "bank", BANK)

    assert shown["new_iban"] == "FR14 … 2606"
    session.refresh(shop.seller)
    assert shop.seller.iban == "FR1420041010050500013M02606"


def test_a_closing_takes_a_second_person(session: Session, shop: Shop, program: Programs) -> None:
    let_handle_money(session, shop.world.charlie, shop.seller)
    shown = ask_and_confirm(shop, program, "close", {"until": "2026-10-31"})

    assert shown["until"] == str(closed_until(session, seller_id=shop.seller.id)) == "2026-10-31"


def test_a_request_is_withdrawn_and_who_is_alone_has_to_wait(shop: Shop, program: Programs) -> None:
    bob, url = program(shop.world.bob), f"/sellers/{shop.seller.id}"
    request = bob("POST", f"{url}/bank", json=BANK).json()
    answer = bob("POST", f"{url}/money-requests/{request['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "wait-not-over")
    assert bob("POST", f"{url}/money-requests/{request['id']}/withdraw").json()["status"] == "withdrawn"

    assert bob("GET", f"{url}/money-requests").json() == []
    assert bob("POST", f"{url}/money-requests/0/confirm").status_code == 404


@pytest.mark.parametrize("field", ["iban", "bic"])
def test_wrong_bank_details_are_named(shop: Shop, program: Programs, field: str) -> None:
    answer = program(shop.world.bob)("POST", f"/sellers/{shop.seller.id}/bank", json={**BANK, field: "FR76"})

    assert answer.status_code == 422


def test_nobody_sells_credit_to_themselves(shop: Shop, program: Programs) -> None:
    body = {"user_id": shop.world.bob.id, "means": "cash", "cents": 500_000}
    answer = program(shop.world.bob)("POST", f"/sellers/{shop.seller.id}/top-ups", json=body)

    assert (answer.status_code, answer.json()["code"]) == (403, "own-money")
