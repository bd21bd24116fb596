"""Platforms behind the port `Platform`: by hand, by the neutral API AFNOR XP Z12-013 (Flow Service), and a fake.

No vendor is named here: base URL, token URL and credentials of any *plateforme agréée* are settings.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import lru_cache
from typing import Any

import httpx

from api.domain.billing.platform import FlowStatus, FlowTrouble, Platform
from api.settings import settings

TIMEOUT_S = 30


class ManualDeposit:
    """A person downloads the file, puts it into a portal (Chorus Pro, the platform's page), and types the statuses."""

    name = "manual"

    def send(self, *, number: str, pdf: bytes, sha256: str, public_buyer: bool) -> str:
        return f"manual:{number}"

    def status(self, flow_id: str) -> FlowStatus:
        return FlowStatus.DEPOSITED


class FakePlatformMode(StrEnum):
    """How a fake behaves: as it should, away, late (it took the file, but the answer is lost), or refusing."""

    WELL = "well"
    OFFLINE = "offline"
    SLOW = "slow"
    REFUSES = "refuses"


class FakePlatform:
    """Takes everything once; `answer` sets what became of it, `mode` how it behaves."""

    name = "fake"

    def __init__(self) -> None:
        self._flows: dict[str, FlowStatus] = {}
        self.mode = FakePlatformMode.WELL

    def send(self, *, number: str, pdf: bytes, sha256: str, public_buyer: bool) -> str:
        flow_id = f"fake:{number}"
        if self.mode is FakePlatformMode.OFFLINE:
            raise FlowTrouble("connection refused", permanent=False)
        if self.mode is FakePlatformMode.REFUSES:
            raise FlowTrouble("400 of /v1/flows", permanent=True)
        if self.mode is FakePlatformMode.SLOW:
            self._flows.setdefault(flow_id, FlowStatus.DEPOSITED)
            raise FlowTrouble("timed out", permanent=False)
        if not pdf.startswith(b"%PDF"):
            raise FlowTrouble("not a PDF", permanent=True)
        self._flows.setdefault(flow_id, FlowStatus.DEPOSITED)
        return flow_id

    def status(self, flow_id: str) -> FlowStatus:
        if self.mode in {FakePlatformMode.OFFLINE, FakePlatformMode.SLOW}:
            raise FlowTrouble("connection refused", permanent=False)
        if flow_id not in self._flows:
            raise FlowTrouble(f"no flow {flow_id}", permanent=True)
        return self._flows[flow_id]

    def answer(self, flow_id: str, status: FlowStatus) -> None:
        self._flows[flow_id] = status


class AfnorFlow:
    """AFNOR XP Z12-013, Flow Service 1.x, with OAuth2 client credentials.

    `POST /v1/flows` (multipart), `POST /v1/flows/search`, `GET /v1/flows/{id}`.
    """

    name = "afnor"

    def __init__(
        self, *, base_url: str, token_url: str, client_id: str, client_secret: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._token_url, self._client = token_url, (client_id, client_secret)
        self._token: str | None = None
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, follow_redirects=False)

    def close(self) -> None:
        self._http.close()

    def send(self, *, number: str, pdf: bytes, sha256: str, public_buyer: bool) -> str:
        # A deposit whose answer was lost is there: our number (trackingId) finds it, so nothing is sent twice.
        if (flow_id := self._find(number)) is not None:
            return flow_id
        info = {
            "trackingId": number,
            "name": f"{number}.pdf",
            "flowSyntax": "Factur-X",
            "flowProfile": "CIUS",
            "processingRule": "B2G" if public_buyer else "B2B",
            "sha256": sha256,
        }
        flow = self._request(
            "POST",
            "/v1/flows",
            files={
                "flowInfo": (None, json.dumps(info), "application/json"),
                "file": (f"{number}.pdf", pdf, "application/pdf"),
            },
        )
        return str(flow["flowId"])

    def _find(self, number: str) -> str | None:
        answer = self._request("POST", "/v1/flows/search", json={"limit": 25, "where": {"trackingId": number}})
        flows = answer.get("results") or answer.get("flows") or []
        # A flow in error does not count: the document may be sent again.
        alive = [each for each in flows if each.get("acknowledgement", {}).get("status") != "Error"]
        return str(alive[0]["flowId"]) if alive else None

    def status(self, flow_id: str) -> FlowStatus:
        """Only the acknowledgement (Pending, Ok, Error): life-cycle statuses follow as flows of their own."""
        flow = self._request("GET", f"/v1/flows/{flow_id}", params={"docType": "Metadata"})
        acknowledged = str(flow.get("acknowledgement", {}).get("status", "Pending"))
        return FlowStatus.REJECTED if acknowledged == "Error" else FlowStatus.DEPOSITED

    def _request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        # The token that was kept may have run out: a second try takes a fresh one.
        for fresh in (False, True):
            answer = self._send(method, path, fresh=fresh, **more)
            if answer.status_code != 401:
                break
        if answer.status_code >= 400:
            permanent = answer.status_code < 500 and answer.status_code not in {401, 408, 429}
            raise FlowTrouble(f"{answer.status_code} of {path}", permanent=permanent)
        try:
            content: dict[str, Any] = answer.json()
        except ValueError as e:
            raise FlowTrouble("the answer is no JSON", permanent=False) from e
        return content

    def _send(self, method: str, path: str, *, fresh: bool, **more: Any) -> httpx.Response:
        try:
            if fresh or self._token is None:
                self._token = self._fetch_token()
            return self._http.request(method, path, headers={"Authorization": f"Bearer {self._token}"}, **more)
        except httpx.HTTPError as e:
            raise FlowTrouble(str(e)[:200], permanent=False) from e

    def _fetch_token(self) -> str:
        answer = self._http.post(self._token_url, data={"grant_type": "client_credentials"}, auth=self._client)
        if answer.status_code != 200:
            raise FlowTrouble(f"no token: {answer.status_code}", permanent=answer.status_code in {400, 401, 403})
        return str(answer.json()["access_token"])


@lru_cache
def find_platform() -> Platform | None:
    """Where this installation sends its invoices; None where a person deposits them."""
    config = settings()
    if not config.flow_url:
        return None
    return AfnorFlow(
        base_url=config.flow_url,
        token_url=config.flow_token_url,
        client_id=config.flow_client_id,
        client_secret=config.flow_client_secret,
    )
