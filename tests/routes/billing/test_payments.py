"""The JSON face of payments: a checkout, and the webhook of the gateway."""

from fastapi import FastAPI
from sqlalchemy.orm import Session

from api.adapters.gateways import FakeGateway
from api.domain.billing import payments
from api.domain.billing.payments import Movement
from api.routes.billing.payments import get_gateway
from tests.world import NOW
from tests.world.billing import TODAY, Shop, issue
from tests.world.programs import Face, Programs


def test_a_statement_comes_in_pages(session: Session, program: Programs, shop: Shop) -> None:
    bills = [issue(session, shop) for _ in range(3)]
    alice, url = program(shop.world.alice), f"/organisations/{shop.company.slug}/statement?limit=2"
    (last,) = alice("GET", url).json()
    (first,) = alice("GET", f"{url}&seller_id={last['seller_id']}&cursor={last['next']}").json()

    assert [line["piece"] for page in (first, last) for line in page["lines"]] == [bill.number for bill in bills]
    assert (first["next"], last["lines"][-1]["balance_cents"]) == (None, 3 * bills[0].total_cents)
    assert alice("GET", f"{url}&seller_id=0").json() == []


def test_bank_lines_and_proposals_come_in_pages(session: Session, program: Programs, shop: Shop) -> None:
    bob, bill = program(shop.world.bob), issue(session, shop)
    movements = [Movement(TODAY, 1, "VIR"), Movement(TODAY, 2, f"VIR {bill.number}")]
    lines = payments.import_lines(session, seller=shop.seller, lines=movements, actor=None, now=NOW)
    ids = []
    for path in ("bank-lines", "proposals"):
        url = f"/sellers/{shop.seller.id}/{path}?limit=1"
        first = bob("GET", url).json()
        second = bob("GET", f"{url}&cursor={first['next']}").json()
        assert second["next"] is None
        ids.append([(each.get("line") or each)["id"] for page in (first, second) for each in page["items"]])

    assert ids == [[line.id for line in lines], [lines[1].id]]


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
