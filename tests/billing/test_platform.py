"""Handing invoices to a platform: by hand with typed statuses, or by the neutral API; one contract for all."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy.orm import Session

from api.adapters.flows import AfnorFlow, FakePlatform, ManualDeposit
from api.domain import invoices, platform
from api.domain.errors import NotFound
from api.domain.invoices import Invoice
from api.domain.platform import FlowStatus, FlowTrouble
from tests.billing.make import Shop, issue
from tests.serving import served
from tests.world import NOW


def released(session: Session, shop: Shop) -> Invoice:
    invoice = issue(session, shop)
    facts = {"pdf_key": "a", "pdf_sha256": "0" * 64, "pdf_bytes": 1, "xml_key": "b", "xml_sha256": "1" * 64}
    invoices.release(session, invoice=invoice, now=NOW, **facts)
    return invoice


def test_a_deposit_by_hand_takes_typed_statuses(session: Session, shop: Shop) -> None:
    invoice = released(session, shop)
    flow = platform.note_deposit(
        session, invoice=invoice, platform="manual", flow_id="manual:1", now=NOW, actor=shop.world.bob
    )
    with pytest.raises(platform.RefusalWithoutReason):
        platform.note_status(session, flow=flow, status=FlowStatus.REFUSED, now=NOW)
    platform.note_status(session, flow=flow, status=FlowStatus.PAID, now=NOW)

    assert platform.list_flows(session, invoice_id=invoice.id)[0].status is FlowStatus.PAID
    with pytest.raises(platform.DepositedAlready):
        platform.note_deposit(session, invoice=invoice, platform="manual", flow_id="x", now=NOW)


def test_an_unreleased_invoice_is_not_deposited(session: Session, shop: Shop) -> None:
    with pytest.raises(NotFound):
        platform.note_deposit(session, invoice=issue(session, shop), platform="manual", flow_id="x", now=NOW)


async def read_part(part: Any) -> bytes:
    return part.encode() if isinstance(part, str) else await part.read()


def fake_flow_service() -> FastAPI:
    """The two routes of XP Z12-013 that we use, and a token that runs out after one use."""
    app = FastAPI()
    app.state.flows, app.state.tokens = {}, []

    @app.post("/token")
    async def token(request: Request) -> Any:
        if request.headers["authorization"] != httpx.BasicAuth("id", "secret")._auth_header:
            return Response(status_code=401)
        app.state.tokens.append(f"t{len(app.state.tokens)}")
        return {"access_token": app.state.tokens[-1]}

    def spent(request: Request) -> bool:
        given = request.headers["authorization"].removeprefix("Bearer ")
        known = given in app.state.tokens
        app.state.tokens = ["used"] * len(app.state.tokens)
        return not known

    @app.post("/v1/flows", status_code=202)
    async def send(request: Request) -> Any:
        if spent(request):
            return Response(status_code=401)
        async with request.form() as form:
            info = json.loads(await read_part(form["flowInfo"]))
            raw = await read_part(form["file"])
        if not raw.startswith(b"%PDF"):
            return Response(status_code=400)
        app.state.flows[f"flow-{info['trackingId']}"] = info
        return {"flowId": f"flow-{info['trackingId']}"}

    @app.get("/v1/flows/{flow_id}")
    async def show(flow_id: str, request: Request) -> Any:
        if spent(request):
            return Response(status_code=401)
        found = flow_id in app.state.flows
        return {"acknowledgement": {"status": "Ok"}} if found else Response(status_code=404)

    return app


@pytest.fixture(params=["fake", "afnor"])
def flows(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "fake":
        yield FakePlatform()
        return
    with served(fake_flow_service()) as url:
        client = AfnorFlow(base_url=url, token_url=f"{url}/token", client_id="id", client_secret="secret")
        yield client
        client.close()


def test_contract_a_platform_takes_a_pdf_and_knows_it_later(flows: Any) -> None:
    facts = {"sha256": "0" * 64, "public_buyer": False}
    flow_id = flows.send(number="F2026-00001", pdf=b"%PDF-1.7", **facts)

    assert flows.status(flow_id) is FlowStatus.DEPOSITED
    for attempt in (lambda: flows.send(number="F2", pdf=b"text", **facts), lambda: flows.status("unknown")):
        with pytest.raises(FlowTrouble) as told:
            attempt()
        assert told.value.permanent


def test_a_deposit_by_hand_needs_no_platform() -> None:
    by_hand = ManualDeposit()

    assert by_hand.status(by_hand.send(number="F1", pdf=b"", sha256="", public_buyer=True)) is FlowStatus.DEPOSITED
