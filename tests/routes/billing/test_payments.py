"""The JSON face of payments: a checkout, and the webhook of the gateway."""

from fastapi import FastAPI
from sqlalchemy.orm import Session

from api.adapters.gateways import FakeGateway
from api.domain.billing import payments
from api.routes.billing.payments import get_gateway
from tests.world import NOW
from tests.world.billing import Shop, issue
from tests.world.programs import Face, Programs


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
