"""The payment gateways: the fake passes the same contract as the client of Stripe, against a local Stripe."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response

from api.adapters.gateways import FakeGateway, StripeGateway, sign
from api.domain.billing import payments
from api.domain.billing.payments import (
    WebhookForged,
)
from tests.serving import served
from tests.world import NOW

SECRET = "whsec_test"


def fake_stripe() -> FastAPI:
    """What we use of Stripe: checkouts that are idempotent by key, and refunds."""
    app, made = FastAPI(), {}

    @app.post("/v1/checkout/sessions")
    async def create(request: Request) -> Any:
        key = request.headers["idempotency-key"]
        async with request.form() as form:
            if int(str(form["line_items[0][price_data][unit_amount]"])) <= 0:
                return Response(status_code=400)
        made.setdefault(key, f"cs_{len(made) + 1}")
        return {"id": made[key], "url": f"https://pay.example/{made[key]}"}

    @app.get("/v1/checkout/sessions/{name}")
    async def show(name: str) -> Any:
        return {"id": name, "payment_intent": f"pi_{name}"} if name in made.values() else Response(status_code=404)

    @app.post("/v1/refunds")
    async def refund(request: Request) -> Any:
        return {"id": f"re_{request.headers['idempotency-key']}"}

    return app


@pytest.fixture(params=["fake", "stripe"])
def gateway(request: pytest.FixtureRequest) -> Iterator[payments.PaymentGateway]:
    """The fake passes the same contract as the real client (against a local Stripe)."""
    if request.param == "fake":
        yield FakeGateway(webhook_secret=SECRET)
        return
    with served(fake_stripe()) as url:
        client = StripeGateway(key="sk_test", webhook_secret=SECRET, base_url=url)
        yield client
        client.close()


def checkout(gateway: payments.PaymentGateway, *, key: str = "i-1", cents: int = 1200) -> payments.NewCheckout:
    return gateway.create_checkout(number="F2026-00001", cents=cents, email=None, key=key, back_url="https://a.example")


def test_contract_a_checkout_repeats_by_key_and_refunds(gateway: payments.PaymentGateway) -> None:
    first = checkout(gateway)

    assert checkout(gateway) == first
    assert checkout(gateway, key="i-2") != first
    assert gateway.refund(reference=first.reference, cents=10, key="r") == gateway.refund(
        reference=first.reference, cents=10, key="r"
    )
    with pytest.raises(payments.GatewayTrouble) as told:
        gateway.refund(reference="cs_unknown", cents=1, key="x")
    assert told.value.permanent
    with pytest.raises(payments.GatewayTrouble):
        checkout(gateway, key="i-3", cents=0)


def message(reference: str, cents: int, *, event: str = "evt_1", status: str = "paid") -> bytes:
    paid = {"id": reference, "payment_status": status, "amount_total": cents, "currency": "eur"}
    return json.dumps({"id": event, "type": "checkout.session.completed", "data": {"object": paid}}).encode()


def test_contract_only_a_fresh_and_right_signature_is_believed(gateway: payments.PaymentGateway) -> None:
    body, at = message("cs_1", 1200), int(NOW.timestamp())
    good = sign(SECRET, body, at=at)

    assert gateway.read_webhook(body, {"stripe-signature": good}, now=NOW).paid_cents == 1200
    forged = {
        "tampered": (body.replace(b"1200", b"1"), good),
        "wrong secret": (body, sign("whsec_other", body, at=at)),
        "stale": (body, sign(SECRET, body, at=at - 400)),
        "missing": (body, ""),
        "no time": (body, good.partition(",")[2]),
        "not json": (b"{", sign(SECRET, b"{", at=at)),
    }
    for raw, header in forged.values():
        with pytest.raises(WebhookForged):
            gateway.read_webhook(raw, {"stripe-signature": header}, now=NOW)


@pytest.mark.parametrize("secret", ["", " "])
def test_without_a_secret_nothing_is_believed(secret: str) -> None:
    """Who knows the reference of a checkout could else sign with the empty key that it was paid."""
    stripe = StripeGateway(key="sk_test", webhook_secret=secret)
    paid = {"id": "cs_1", "payment_status": "paid", "amount_total": 12345}
    event = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": paid}}
    body = json.dumps(event).encode()
    header = {"stripe-signature": sign(secret, body, at=int(NOW.timestamp()))}
    with pytest.raises(WebhookForged):
        stripe.read_webhook(body, header, now=NOW)
    stripe.close()
