"""Every absolute address is below the public address of the installation, however that is written in the settings."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from api.adapters.gateways import FakeGateway
from api.domain.people import accounts
from api.routes.billing.payments import get_gateway
from api.settings import settings
from tests.world import NOW
from tests.world.billing import Shop, issue
from tests.world.browsers import Browser

ROOT = Path(__file__).resolve().parents[2]
HOST = "https://etabli.example"
SECRET = r"[\w-]{20,}"


@pytest.fixture(params=["", "/", "/atelier", "/atelier/"])
def base(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(settings(), "base_url", HOST + request.param)
    return re.escape((HOST + request.param).rstrip("/"))


@pytest.fixture
def token(session: Session, shop: Shop) -> dict[str, str]:
    return {"authorization": f"Bearer {accounts.issue_token(session, user=shop.world.alice, name='x', now=NOW)}"}


def invite(alice: Browser, shop: Shop) -> str:
    return alice.post(f"/org/{shop.company.slug}/invitations", {"email": "x@example.org", "buying": "viewer"}).text


def test_a_page_shows_addresses_that_can_be_reached(alice: Browser, shop: Shop, base: str) -> None:
    assert re.search(rf"<code>{base}/feeds/{SECRET}\.ics</code>", alice.post("/agenda/feed").text)
    assert re.search(rf"\W{base}/org/join\?token={SECRET}", invite(alice, shop))


def test_a_program_gets_addresses_that_can_be_reached(
    alice: Browser, app: FastAPI, session: Session, shop: Shop, token: dict[str, str], base: str
) -> None:
    app.dependency_overrides[get_gateway] = lambda: FakeGateway(webhook_secret="whsec")
    invoice = issue(session, shop)
    feed = alice.client.post("/api/v1/feeds", json={}, headers=token).json()["url"]
    checkout = alice.client.post(f"/api/v1/invoices/{invoice.id}/checkout", headers=token).json()["url"]

    assert re.fullmatch(rf"{base}/feeds/{SECRET}\.ics", feed)
    assert re.match(rf"{base}/invoices/{invoice.id}#", checkout)


def test_without_a_public_address_it_is_the_one_by_which_the_request_came(
    alice: Browser, shop: Shop, token: dict[str, str]
) -> None:
    base = re.escape(str(alice.client.base_url).rstrip("/"))
    feed = re.search(r"<code>(http.*)</code>", alice.post("/agenda/feed").text)

    assert feed
    assert alice.client.get(feed[1]).status_code == 200
    assert re.search(rf"\W{base}/org/join\?token={SECRET}", invite(alice, shop))
    assert re.fullmatch(
        rf"{base}/feeds/{SECRET}\.ics", alice.client.post("/api/v1/feeds", json={}, headers=token).json()["url"]
    )


def test_one_function_makes_all_absolute_addresses() -> None:
    sources = [path for folder in ("api", "web", "printers") for path in (ROOT / folder).rglob("*.py")]
    readers = {path.name for path in sources if re.search(r"settings\(\)\.base_url", path.read_text())}
    # `deps` compares the host of a form's origin, and makes no address.
    assert readers == {"addresses.py", "deps.py"}
