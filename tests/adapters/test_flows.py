"""Platforms for electronic invoices: one contract for the fake and the client of XP Z12-013; what is sent when."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy import select

from api.adapters import files, sending
from api.adapters.flows import AfnorFlow, FakePlatform, FakePlatformMode, ManualDeposit, find_platform
from api.db import transaction
from api.domain.billing import invoices, platform
from api.domain.billing.platform import FlowStatus, FlowTrouble, FlowTry
from api.settings import settings
from tests.serving import served
from tests.world import NOW
from tests.world.billing import DRAWN, issue, make_shop, released

#: How long the client of these tests waits for the service.
HURRY_S = 0.4


async def read_part(part: Any) -> bytes:
    return part.encode() if isinstance(part, str) else await part.read()


def fake_flow_service() -> FastAPI:
    """The three routes of XP Z12-013 that we use, a token that runs out after one use, and the modes of a fake."""
    app = FastAPI()
    app.state.flows, app.state.tokens, app.state.mode = {}, [], FakePlatformMode.WELL

    @app.post("/token")
    async def token(request: Request) -> Any:
        if request.headers["authorization"] != httpx.BasicAuth("id", "secret")._auth_header:
            return Response(status_code=401)
        app.state.tokens.append(f"t{len(app.state.tokens)}")
        return {"access_token": app.state.tokens[-1]}

    def refusal(request: Request) -> Response | None:
        given = request.headers["authorization"].removeprefix("Bearer ")
        known = given in app.state.tokens
        app.state.tokens = ["used"] * len(app.state.tokens)
        if not known:
            return Response(status_code=401)
        return Response(status_code=503) if app.state.mode is FakePlatformMode.OFFLINE else None

    @app.post("/v1/flows/search")
    async def search(request: Request) -> Any:
        if (refused := refusal(request)) is not None:
            return refused
        wanted = (await request.json())["where"]["trackingId"]
        return {"results": [{"flowId": key} for key, info in app.state.flows.items() if info["trackingId"] == wanted]}

    @app.post("/v1/flows", status_code=202)
    async def send(request: Request) -> Any:
        if (refused := refusal(request)) is not None:
            return refused
        async with request.form() as form:
            info = json.loads(await read_part(form["flowInfo"]))
            raw = await read_part(form["file"])
        if app.state.mode is FakePlatformMode.REFUSES or not raw.startswith(b"%PDF"):
            return Response(status_code=400)
        flow_id = f"flow-{len(app.state.flows)}"
        app.state.flows[flow_id] = info
        if app.state.mode is FakePlatformMode.SLOW:
            await asyncio.sleep(2 * HURRY_S)  # it took the file; nobody hears of it
        return {"flowId": flow_id}

    @app.get("/v1/flows/{flow_id}")
    async def show(flow_id: str, request: Request) -> Any:
        if (refused := refusal(request)) is not None:
            return refused
        if app.state.mode is FakePlatformMode.SLOW:
            await asyncio.sleep(2 * HURRY_S)
        found = flow_id in app.state.flows
        return {"acknowledgement": {"status": "Ok"}} if found else Response(status_code=404)

    return app


@dataclass
class Outside:
    """A platform, and what lets it misbehave; `count` is how many flows it holds."""

    platform: Any
    set_mode: Callable[[FakePlatformMode], None]
    count: Callable[[], int]


@pytest.fixture(params=["fake", "afnor"])
def outside(request: pytest.FixtureRequest) -> Iterator[Outside]:
    if request.param == "fake":
        fake = FakePlatform()
        yield Outside(fake, partial(setattr, fake, "mode"), lambda: len(fake._flows))
        return
    service = fake_flow_service()
    with served(service) as url:
        client = AfnorFlow(
            base_url=url, token_url=f"{url}/token", client_id="id", client_secret="secret", timeout_s=HURRY_S
        )
        yield Outside(client, partial(setattr, service.state, "mode"), lambda: len(service.state.flows))
        client.close()


FACTS: dict[str, Any] = {"sha256": "0" * 64, "public_buyer": False}


def test_contract_a_platform_takes_a_pdf_and_knows_it_later(outside: Outside) -> None:
    flows = outside.platform
    flow_id = flows.send(number="F2026-00001", pdf=b"%PDF-1.7", **FACTS)

    assert flows.status(flow_id) is FlowStatus.DEPOSITED
    for attempt in (lambda: flows.send(number="F2", pdf=b"text", **FACTS), lambda: flows.status("unknown")):
        with pytest.raises(FlowTrouble) as told:
            attempt()
        assert told.value.permanent


def test_contract_one_number_is_one_flow_also_when_the_answer_was_lost(outside: Outside) -> None:
    outside.set_mode(FakePlatformMode.SLOW)
    with pytest.raises(FlowTrouble) as told:
        outside.platform.send(number="F2026-00001", pdf=b"%PDF-1.7", **FACTS)
    outside.set_mode(FakePlatformMode.WELL)
    flow_ids = [outside.platform.send(number="F2026-00001", pdf=b"%PDF-1.7", **FACTS) for _ in range(2)]

    assert not told.value.permanent
    assert len(set(flow_ids)) == outside.count() == 1


@pytest.mark.parametrize(("mode", "permanent"), [(FakePlatformMode.OFFLINE, False), (FakePlatformMode.REFUSES, True)])
def test_contract_what_goes_wrong_says_whether_to_try_again(
    outside: Outside, mode: FakePlatformMode, permanent: bool
) -> None:
    outside.set_mode(mode)
    with pytest.raises(FlowTrouble) as told:
        outside.platform.send(number="F2026-00001", pdf=b"%PDF-1.7", **FACTS)

    assert (told.value.permanent, outside.count()) == (permanent, 0)


@pytest.mark.parametrize("mode", [FakePlatformMode.OFFLINE, FakePlatformMode.SLOW])
def test_contract_no_answer_about_a_flow_is_no_status(outside: Outside, mode: FakePlatformMode) -> None:
    flow_id = outside.platform.send(number="F2026-00001", pdf=b"%PDF-1.7", **FACTS)
    outside.set_mode(mode)
    with pytest.raises(FlowTrouble) as told:
        outside.platform.status(flow_id)

    assert not told.value.permanent


def test_a_platform_that_nobody_answers_for_is_tried_again() -> None:
    with served(fake_flow_service()) as url:
        pass
    client = AfnorFlow(base_url=url, token_url=f"{url}/token", client_id="id", client_secret="secret")
    with pytest.raises(FlowTrouble) as told:
        client.send(number="F1", pdf=b"%PDF", **FACTS)
    client.close()

    assert not told.value.permanent


def test_a_deposit_by_hand_needs_no_platform() -> None:
    by_hand = ManualDeposit()

    assert by_hand.status(by_hand.send(number="F1", pdf=b"", sha256="", public_buyer=True)) is FlowStatus.DEPOSITED


def test_the_steps_send_once_note_trouble_and_ask(installation: Path, outside: Outside) -> None:
    """Offline, then well, then running twice; the trouble is noted, the flow is one."""
    files.put("invoices/a.pdf", b"%PDF-1.7 essai")
    with transaction() as session:
        shop = make_shop(session)
        invoice = issue(session, shop)
        invoices.release(session, invoice=invoice, now=NOW, **{**DRAWN, "pdf_key": "invoices/a.pdf"})
    outside.set_mode(FakePlatformMode.OFFLINE)
    sending.send_invoice(invoice.id, to=outside.platform)
    outside.set_mode(FakePlatformMode.WELL)
    for _ in range(2):
        sending.send_invoice(invoice.id, to=outside.platform)
    with transaction() as session:
        (flow,) = platform.list_flows(session, invoice_id=invoice.id)
        assert session.scalars(select(FlowTry.tries)).all() == [1]
    for mode in (FakePlatformMode.OFFLINE, FakePlatformMode.WELL):
        outside.set_mode(mode)
        sending.poll_flow(flow.id, at=outside.platform)

    assert (outside.count(), flow.status, flow.platform) == (1, FlowStatus.DEPOSITED, outside.platform.name)


def test_a_house_without_a_platform_sends_nothing(installation: Path) -> None:
    find_platform.cache_clear()
    with transaction() as session:
        invoice = released(session, make_shop(session))
    sending.enqueue_flows()
    sending.send_invoice(invoice.id)
    sending.poll_flow(1)

    with transaction() as session:
        assert platform.list_flows(session, invoice_id=invoice.id) == []


def test_the_platform_of_the_house_is_a_setting(monkeypatch: pytest.MonkeyPatch, installation: Path) -> None:
    monkeypatch.setattr(settings(), "flow_url", "http://127.0.0.1:9")
    find_platform.cache_clear()
    chosen = find_platform()
    sending.enqueue_flows()  # nothing is due: nobody is called

    assert isinstance(chosen, AfnorFlow)
    chosen.close()
    find_platform.cache_clear()
