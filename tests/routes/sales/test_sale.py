"""The JSON face of selling: a whole sale by API, strangers answered 404, members without the right 403."""

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.billing import payments
from api.domain.billing.invoices import Invoice
from api.domain.people.accounts import BuyingRight
from api.domain.sales.orders import Order
from tests.world import NOW, make_model, make_user
from tests.world.billing import ADDRESS, Shop, ask, issue, join
from tests.world.programs import Programs
from tests.world.sales import accept, produce


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
