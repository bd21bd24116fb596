"""`/api/v1/probes`: staff have a printer looked at, and add it when it answers. Never shows a key."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from api.adapters.seal import seal
from api.bodies import Body
from api.deps import CurrentUser, DbSession, Now
from api.domain.places.sites import get_site
from api.domain.printing import probes
from api.domain.printing.beds import BedPlace, MachineFacts, place_bed
from api.domain.printing.kinds import get_or_create_kind
from api.domain.printing.probes import Probe, ProbeStatus

router = APIRouter(prefix="/api/v1/probes", tags=["printers"])


class ProbeIn(Body):
    """Without a key OctoPrint is asked for one: a person agrees on its own page within five minutes."""

    site_id: int = Field(examples=[1])
    url: str = Field(max_length=300, examples=["http://octopi.local"])
    key: str = Field(default="", max_length=200, description="API key of a user with few rights; empty: ask for one.")


class ProbeOut(BaseModel):
    id: int
    url: str = Field(examples=["http://octopi.local"])
    status: ProbeStatus = Field(description="asked, waiting (for a person at OctoPrint), answered, failed, used.")
    answer: dict[str, Any] = Field(
        description="version, user, missing and dangerous rights, machine in mm; or the code of what failed.",
        examples=[{"version": "1.11.8", "user": "etabli", "missing": [], "dangerous": []}],
    )

    @classmethod
    def of(cls, probe: Probe) -> ProbeOut:
        return cls(id=probe.id, url=probe.url, status=probe.status, answer=probe.answer)


class AddIn(Body):
    """What the printer is: its name as written on it, and its machine. What is left out is as the printer told."""

    name: str = Field(max_length=120, examples=["Cobalt"])
    volume_mm: tuple[float, float, float] | None = Field(default=None, examples=[(220, 220, 250)])
    nozzle_mm: Decimal | None = Field(default=None, max_digits=4, decimal_places=2, examples=[0.4])
    bed: BedPlace | None = Field(
        default=None, description="Where its origin is: corner or middle; or round, with the origin in the middle."
    )

    def machine(self, answer: MachineFacts | None) -> MachineFacts:
        """What was sent, over what the printer told, over a usual machine."""
        base = answer or MachineFacts(place_bed(220, 220, BedPlace.CORNER), 250, Decimal("0.4"))
        if self.volume_mm is None and self.bed is None:
            return replace(base, nozzle_mm=self.nozzle_mm or base.nozzle_mm)
        width, depth, height = self.volume_mm or (base.bed.width_mm, base.bed.depth_mm, base.height_mm)
        bed = place_bed(width, depth, self.bed or base.bed.place)
        return MachineFacts(bed, height, self.nozzle_mm or base.nozzle_mm)


class AddedOut(BaseModel):
    printer_id: int


@router.post("", status_code=status.HTTP_202_ACCEPTED)
def ask(body: ProbeIn, session: DbSession, user: CurrentUser, now: Now) -> ProbeOut:
    """Staff ask for a look at a printer; read the answer at `/api/v1/probes/{id}`."""
    url = body.url.strip().rstrip("/")
    # People type "octopi.local". The key is sealed for exactly this address, so it is completed before.
    url = url if "://" in url or not url else f"http://{url}"
    sealed_key = seal(body.key, about=url) if body.key else ""
    site = get_site(session, body.site_id)
    return ProbeOut.of(probes.request_probe(session, site=site, url=url, sealed_key=sealed_key, actor=user, now=now))


@router.get("/{probe_id}")
def read(probe_id: int, session: DbSession, user: CurrentUser) -> ProbeOut:
    """What was found so far; another person's is 404."""
    return ProbeOut.of(probes.get_probe(session, probe_id, user=user))


@router.post("/{probe_id}/add", status_code=status.HTTP_201_CREATED)
def add(probe_id: int, body: AddIn, session: DbSession, user: CurrentUser, now: Now) -> AddedOut:
    """Make it a printer of its place; 409 before it has answered. Its plate counts as full until somebody clears it."""
    probe = probes.get_probe(session, probe_id, user=user)
    kind = get_or_create_kind(session, machine=body.machine(probe.machine))
    printer = probes.add_probed(session, probe=probe, name=body.name, kind=kind, actor=user, now=now)
    return AddedOut(printer_id=printer.id)
