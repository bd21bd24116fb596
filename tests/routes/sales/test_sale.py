"""The JSON face of selling: a whole sale by API, strangers answered 404, members without the right 403."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.adapters.gateways import FakeGateway
from api.domain.billing import organisations, payments
from api.domain.billing.invoices import Invoice
from api.domain.people.accounts import BuyingRight, User
from api.domain.sales.orders import Order
from api.routes.billing.payments import get_gateway
from tests.world import NOW, make_model, make_user
from tests.world.billing import Shop, ask, issue, join
from tests.world.documents import make_siren, make_siret
from tests.world.programs import Face, Program
from tests.world.sales import accept, produce

Programs = Callable[[User], Program]
ADDRESS = {"lines": ["1 rue des Essais"], "postcode": "48000", "city": "Mende"}


def test_an_organisation_is_entered_once_and_read_back(program: Programs, shop: Shop) -> None:
    alice = program(shop.world.alice)
    siren = make_siren(77)
    body = {"name": "Atelier 77", "address": ADDRESS, "siren": siren, "siret": make_siret(siren)}
    made = [alice("POST", "/organisations", json=body, headers={"Idempotency-Key": "one"}) for _ in range(2)]

    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json() == made[1].json()
    read = alice("GET", f"/organisations/{made[0].json()['slug']}").json()
    assert read["billing"]["siret"] == make_siret(siren)


def test_a_wrong_key_is_told_at_its_field(program: Programs, shop: Shop) -> None:
    body = {"name": "X", "address": ADDRESS, "siren": "123456789"}
    answer = program(shop.world.alice)("POST", "/organisations", json=body)

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "wrong-siren", "siren")


def quote_body(session: Session, shop: Shop, **line: Any) -> dict[str, Any]:
    model = make_model(session, shop.world.alice)
    line = {"model_id": model.id, "material": "PLA", "quantity": 2, **line}
    return {"organisation_id": shop.company.id, "site_id": shop.world.site.id, "lines": [line]}


def test_a_sale_from_quote_to_paid_invoice(session: Session, program: Programs, shop: Shop) -> None:
    alice, bob = program(shop.world.alice), program(shop.world.bob)
    quote = alice("POST", "/quotes", json=quote_body(session, shop)).json()
    assert alice("GET", f"/quotes/{quote['id']}/pdf").content.startswith(b"%PDF")
    said = {"purchase_order": "BC-9", "total_cents": quote["total_cents"]}
    order = alice("POST", f"/quotes/{quote['id']}/accept", json=said).json()
    produce(session, shop, session.get_one(Order, order["id"]))
    assert bob("POST", f"/orders/{order['id']}/deliver").json()["status"] == "delivered"
    assert alice("GET", f"/orders/{order['id']}/delivery-note").content.startswith(b"%PDF")
    invoice = bob("POST", f"/orders/{order['id']}/invoice").json()

    assert (invoice["number"], invoice["total_cents"]) == ("F2026-00001", quote["total_cents"])
    assert alice("GET", f"/invoices/{invoice['id']}/pdf").status_code == 404  # still being drawn
    statement = f"Date;Libelle;Montant\n24/11/2026;VIR {invoice['number']};{invoice['total_cents'] / 100:.2f}\n"
    url = f"/sellers/{shop.seller.id}/bank-statements"
    found = bob("POST", url, files={"file": ("releve.csv", statement.encode())}).json()["proposals"]
    line = found[0]["line"]["id"]
    bob("POST", f"/sellers/{shop.seller.id}/bank-lines/{line}/confirm", json={"invoice_id": invoice["id"]})
    assert alice("GET", f"/invoices/{invoice['id']}").json()["open_cents"] == 0
    lines = alice("GET", f"/organisations/{shop.company.slug}/statement").json()[0]["lines"]
    assert [line["balance_cents"] for line in lines] == [quote["total_cents"], 0]


@pytest.mark.parametrize(
    ("line", "code"),
    [({"quantity": -1}, "copies-wrong"), ({"quantity": 0}, "copies-wrong"), ({"material": "ZZZ"}, "material-unknown")],
)
def test_a_wrong_line_is_named(
    session: Session, program: Programs, shop: Shop, line: dict[str, Any], code: str
) -> None:
    answer = program(shop.world.alice)("POST", "/quotes", json=quote_body(session, shop, **line))

    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_no_price_can_be_sent(session: Session, program: Programs, shop: Shop) -> None:
    body = quote_body(session, shop, unit_price="0.01")

    assert program(shop.world.alice)("POST", "/quotes", json=body).status_code == 422


def test_a_quote_for_anothers_organisation_is_not_found(session: Session, program: Programs, shop: Shop) -> None:
    body = {**quote_body(session, shop), "organisation_id": shop.world.acme.id}

    assert program(shop.world.alice)("POST", "/quotes", json=body).status_code == 404


@pytest.fixture
def things(session: Session, shop: Shop) -> dict[str, int | str]:
    """One of each, all of alice's company."""
    order = accept(session, shop, ask(session, shop))
    invoice = issue(session, shop)
    payment = payments.pay(
        session,
        invoice=invoice,
        means=payments.PaymentMeans.CASH,
        cents=1,
        received_on=invoice.issued_on,
        key="one",
        now=NOW,
    )
    return {
        "org": shop.company.slug,
        "quote": ask(session, shop).id,
        "order": order.id,
        "invoice": invoice.id,
        "seller": shop.seller.id,
        "payment": payment.id,
        "alice": shop.world.alice.id,
    }


READS = [
    "/organisations/{org}",
    "/organisations/{org}/members",
    "/organisations/{org}/statement",
    "/organisations/{org}/cost-centres",
    "/quotes/{quote}",
    "/quotes/{quote}/pdf",
    "/orders/{order}",
    "/orders/{order}/delivery-note",
    "/invoices/{invoice}",
    "/invoices/{invoice}/pdf",
    "/invoices/{invoice}/xml",
    "/invoices/{invoice}/payments/list",
    "/invoices/{invoice}/flow/list",
    "/invoices?organisation={org}",
    "/invoices?seller_id={seller}",
    "/sellers/{seller}/fec?start=2026-01-01&end=2027-01-01",
    "/sellers/{seller}/ledger.csv?start=2026-01-01&end=2027-01-01",
    "/sellers/{seller}/e-reporting?start=2026-01-01&end=2027-01-01",
    "/sellers/{seller}/bank-lines",
    "/sellers/{seller}/proposals",
    "/sellers/{seller}/chain",
]
WRITES: list[tuple[str, dict[str, Any] | None]] = [
    ("/organisations/{org}/invitations", {"email": "a@example.org"}),
    ("/organisations/{org}/cost-centres", {"code": "a", "name": "A"}),
    ("/quotes/{quote}/accept", {}),
    ("/quotes/{quote}/offer", None),
    ("/quotes/{quote}/decline", {}),
    ("/quotes/{quote}/withdraw", None),
    ("/orders/{order}/parts/1/check", {"good": 1}),
    ("/orders/{order}/deliver", None),
    ("/orders/{order}/deposit", {"percent": "30"}),
    ("/orders/{order}/invoice", None),
    ("/orders/{order}/cancel", None),
    ("/invoices/{invoice}/credit", {"reason": "x"}),
    ("/invoices/{invoice}/payments", {"means": "cash", "cents": 1}),
    ("/invoices/{invoice}/render", None),
    ("/invoices/{invoice}/flow", {"status": "200"}),
    ("/sellers/{seller}/close", {"until": "2026-10-31"}),
    ("/sellers/{seller}/top-ups", {"user_id": 1, "means": "cash", "cents": 1}),
    ("/sellers/{seller}/reminders", None),
    ("/payments/{payment}/reverse", {"reason": "x"}),
]


def test_a_stranger_finds_nothing(session: Session, program: Programs, shop: Shop, things: dict[str, Any]) -> None:
    """Charlie is a manager too, but of another place that has a seller of its own."""
    from tests.world.billing import add_seller  # noqa: PLC0415

    elsewhere = session.get_one(type(shop.world.site), shop.world.site.id + 1)
    add_seller(session, site=elsewhere, prefix="X")
    charlie = program(shop.world.charlie)
    before = session.scalar(select(func.count()).select_from(Invoice))
    answers = {path: charlie("GET", path.format(**things)).status_code for path in READS}
    answers |= {path: charlie("POST", path.format(**things), json=body).status_code for path, body in WRITES}

    assert {path: status for path, status in answers.items() if status != 404} == {}
    assert session.scalar(select(func.count()).select_from(Invoice)) == before


def test_a_buyer_is_not_staff(program: Programs, shop: Shop, things: dict[str, Any]) -> None:
    """Alice sees her things, but what staff do is 403 (a seller's books are 404: she has nothing there)."""
    alice = program(shop.world.alice)
    for path, body in WRITES:
        if path.startswith(("/orders", "/quotes/{quote}/offer", "/quotes/{quote}/decline")):
            assert alice("POST", path.format(**things), json=body).status_code == 403, path
        if path.startswith(("/invoices", "/sellers", "/payments")):
            assert alice("POST", path.format(**things), json=body).status_code == 404, path


def test_a_viewer_reads_and_buys_nothing(
    session: Session, program: Programs, shop: Shop, things: dict[str, Any]
) -> None:
    dana = make_user(session)
    join(session, shop, dana, BuyingRight.VIEWER)
    viewer = program(dana)

    assert viewer("GET", f"/quotes/{things['quote']}").status_code == 200
    assert viewer("POST", f"/quotes/{things['quote']}/accept", json={}).status_code == 403
    assert viewer("PUT", f"/organisations/{things['org']}", json={"name": "X", "address": ADDRESS}).status_code == 403


def test_an_invitation_is_joined(session: Session, program: Programs, shop: Shop) -> None:
    dana = make_user(session)
    body = {"email": dana.email, "buying": "buyer", "monthly_cents": 5000}
    token = program(shop.world.alice)("POST", f"/organisations/{shop.company.slug}/invitations", json=body).json()
    assert program(dana)("POST", "/organisations/join", json=token).status_code == 200

    [_, (member, _, limit)] = organisations.list_members(session, organisation=shop.company)
    assert (member.user_id, limit) == (dana.id, 5000)


def test_a_checkout_is_paid_by_its_webhook_only_once(
    session: Session, app: FastAPI, face: Face, program: Programs, shop: Shop
) -> None:
    fake = FakeGateway(webhook_secret="whsec")
    app.dependency_overrides[get_gateway] = lambda: fake
    invoice = issue(session, shop)
    alice = program(shop.world.alice)
    reference = alice("POST", f"/invoices/{invoice.id}/checkout").json()["url"].partition("#fake-")[2]
    assert payments.open_cents(session, invoice=invoice) > 0
    body, headers = fake.pay(reference, now=NOW)
    url = "/api/v1/gateways/fake/webhook"
    answers = [face.request("POST", url, content=body, headers=headers) for _ in range(2)]

    assert [answer.json()["outcome"] for answer in answers] == ["paid", "replayed"]
    assert payments.open_cents(session, invoice=invoice) == 0
    assert face.request("POST", url, content=body + b" ", headers=headers).status_code == 400
    assert alice("POST", f"/invoices/{invoice.id}/checkout").status_code == 409
