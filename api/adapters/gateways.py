"""Payment gateways behind the port `PaymentGateway`: Stripe Checkout over HTTPS, and a fake of the same contract.

The signature of a message covers its raw body and its time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from api.domain.billing.payments import GatewayTrouble, NewCheckout, WebhookEvent, WebhookForged

# As Stripe's own libraries: an older message may be one that somebody has recorded and sends again.
TOLERANCE_S = 300
TIMEOUT_S = 15
MOST_BYTES = 1_000_000


def sign(secret: str, body: bytes, *, at: int) -> str:
    """The header that Stripe sends: HMAC-SHA256 of "<time>.<body>"."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def check_signature(header: str, secret: str, body: bytes, *, now: datetime) -> None:
    """Raises WebhookForged when no signature of this header is right, when it is too old, or without a secret."""
    # HMAC takes an empty key, and then anybody can sign.
    if not secret.strip():
        raise WebhookForged()
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    stamps = [value for name, value in pairs if name == "t"]
    # While a secret rolls over, the header carries a signature of each.
    signatures = [value for name, value in pairs if name == "v1"]
    if len(stamps) != 1 or not stamps[0].isascii() or not stamps[0].isdigit() or len(stamps[0]) > 12:
        raise WebhookForged()
    expected = sign(secret, body, at=int(stamps[0])).partition("v1=")[2]
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in signatures):
        raise WebhookForged()
    if abs(now.timestamp() - int(stamps[0])) > TOLERANCE_S:
        raise WebhookForged()


def _event(body: bytes) -> WebhookEvent:
    """The parts of a Stripe event that we use; only a paid checkout carries an amount."""
    try:
        event = json.loads(body)
        thing = event["data"]["object"]
        paid = event["type"] in {"checkout.session.completed", "checkout.session.async_payment_succeeded"}
        # A checkout is completed before a slow means of payment (a debit) has paid.
        paid = paid and thing.get("payment_status") == "paid"
        return WebhookEvent(
            id=str(event["id"])[:120],
            reference=str(thing["id"])[:120],
            paid_cents=int(thing["amount_total"]) if paid else None,
            currency=str(thing.get("currency", "eur")).lower(),
        )
    except (ValueError, KeyError, TypeError) as e:
        raise WebhookForged() from e


class StripeGateway:
    """Stripe Checkout. `base_url` is theirs, or a fake's in tests."""

    name = "stripe"

    def __init__(self, *, key: str, webhook_secret: str, base_url: str = "https://api.stripe.com") -> None:
        self._secret = webhook_secret
        self._http = httpx.Client(base_url=base_url, auth=(key, ""), timeout=TIMEOUT_S, follow_redirects=False)

    def close(self) -> None:
        self._http.close()

    def create_checkout(self, *, number: str, cents: int, email: str | None, key: str, back_url: str) -> NewCheckout:
        form = {
            "mode": "payment",
            "client_reference_id": number,
            "success_url": back_url,
            "cancel_url": back_url,
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": "eur",
            "line_items[0][price_data][unit_amount]": str(cents),
            "line_items[0][price_data][product_data][name]": number,
            **({"customer_email": email} if email else {}),
        }
        checkout = self._post("/v1/checkout/sessions", form, key)
        return NewCheckout(str(checkout["id"]), str(checkout["url"]))

    def read_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> WebhookEvent:
        check_signature(headers.get("stripe-signature", ""), self._secret, body, now=now)
        return _event(body)

    def refund(self, *, reference: str, cents: int, key: str) -> str:
        checkout = self._get(f"/v1/checkout/sessions/{reference}")
        refund = self._post("/v1/refunds", {"payment_intent": checkout["payment_intent"], "amount": str(cents)}, key)
        return str(refund["id"])

    def _post(self, path: str, form: dict[str, Any], key: str) -> dict[str, Any]:
        # Stripe answers a repeated key with what it did the first time.
        return self._request("POST", path, data=form, headers={"Idempotency-Key": key})

    def _get(self, path: str) -> dict[str, Any]:
        return self._request("GET", path)

    def _request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **more)
            if len(answer.content) > MOST_BYTES:
                raise GatewayTrouble("answer too large", permanent=True)
            if answer.status_code >= 400:
                # 409: the same key is in work; 429: too many requests. Both pass.
                permanent = answer.status_code < 500 and answer.status_code not in {409, 429}
                raise GatewayTrouble(f"{answer.status_code} of {path}", permanent=permanent)
            content: dict[str, Any] = answer.json()
            return content
        except (httpx.HTTPError, ValueError) as e:
            raise GatewayTrouble(str(e)[:200], permanent=False) from e


class FakeGateway:
    """For demonstrations and tests; `pay()` makes the message that a real gateway would send."""

    name = "fake"

    def __init__(self, *, webhook_secret: str) -> None:
        self._secret = webhook_secret
        self._checkouts: dict[str, tuple[NewCheckout, int]] = {}
        self._refunds: dict[str, str] = {}

    def create_checkout(self, *, number: str, cents: int, email: str | None, key: str, back_url: str) -> NewCheckout:
        if cents <= 0:
            raise GatewayTrouble("nothing to pay", permanent=True)
        if key not in self._checkouts:
            reference = f"cs_fake_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
            self._checkouts[key] = NewCheckout(reference, f"{back_url}#fake-{reference}"), cents
        return self._checkouts[key][0]

    def read_webhook(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> WebhookEvent:
        check_signature(headers.get("stripe-signature", ""), self._secret, body, now=now)
        return _event(body)

    def refund(self, *, reference: str, cents: int, key: str) -> str:
        if reference not in {checkout.reference for checkout, _ in self._checkouts.values()}:
            raise GatewayTrouble(f"no checkout {reference}", permanent=True)
        return self._refunds.setdefault(key, f"re_fake_{len(self._refunds) + 1}")

    def pay(
        self, reference: str, *, now: datetime, cents: int | None = None, event_id: str = ""
    ) -> tuple[bytes, dict[str, str]]:
        """Raw body and headers of the message that the payer has paid."""
        due = next(amount for checkout, amount in self._checkouts.values() if checkout.reference == reference)
        paid = {"id": reference, "payment_status": "paid", "amount_total": cents or due, "currency": "eur"}
        event = {"id": event_id or f"evt_{reference}", "type": "checkout.session.completed", "data": {"object": paid}}
        body = json.dumps(event).encode()
        return body, {"stripe-signature": sign(self._secret, body, at=int(now.timestamp()))}
