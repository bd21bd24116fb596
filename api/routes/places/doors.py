"""Reports of door devices: every try at a code, signed by the secret of the door. Opening itself needs no route."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from pydantic import AwareDatetime, BaseModel, Field

from api.bodies import Body
from api.deps import DbSession, Now
from api.domain.booking.door_reports import CodeAttempt, ReportOutOfTime, check_signature, record_report
from api.domain.places.doors import Door, DoorUse, get_door
from api.settings import settings

router = APIRouter(prefix="/api/v1", tags=["doors"])


class TryIn(Body):
    """One try at the door; of the code its last two digits."""

    # Of any year: a device that has lost its clock says 1970.
    at: AwareDatetime
    accepted: bool
    hint: str = Field(pattern=r"^[0-9]{0,2}$")


class ReportIn(Body):
    tries: list[TryIn] = Field(min_length=1, max_length=500)


class UseOut(BaseModel):
    """One try as it was written; `error` names what kept it from being written."""

    at: datetime
    accepted: bool
    booking_id: int | None = None
    error: str | None = None


class ReportOut(BaseModel):
    uses: list[UseOut]


async def raw_body(request: Request) -> bytes:
    # The signature is of the bytes as they came; JSON written anew from the parsed report would differ. FastAPI has
    # read the body already and keeps it.
    return await request.body()


# A dependency, because those come before the report is looked at: a stranger learns nothing of what a report must hold.
def signing_door(
    door_id: int,
    body: Annotated[bytes, Depends(raw_body)],
    session: DbSession,
    x_door_signature: Annotated[str, Header()] = "",
) -> Door:
    """The door that signed this body; NotFound for any other sender."""
    door = get_door(session, door_id)
    check_signature(settings().secret("doors").encode(), door=door, body=body, signature=x_door_signature)
    return door


@router.post("/doors/{door_id}/uses")
def report(door: Annotated[Door, Depends(signing_door)], tries: ReportIn, session: DbSession, now: Now) -> ReportOut:
    """Tell us of each try, once or more often. Header `X-Door-Signature`: HMAC-SHA256 of the body by the door's secret,
    in hexadecimal; 404 when it does not fit. A try whose time cannot be right is not written, and named in the answer;
    422 when none can."""
    master = settings().secret("doors").encode()
    attempts = [CodeAttempt(each.at, each.accepted, each.hint) for each in tries.tries]
    uses = record_report(session, master=master, door=door, attempts=attempts, now=now)
    return ReportOut(uses=[_use_out(each, use) for each, use in zip(tries.tries, uses, strict=True)])


def _use_out(attempt: TryIn, use: DoorUse | None) -> UseOut:
    if use is None:
        return UseOut(at=attempt.at, accepted=attempt.accepted, error=ReportOutOfTime.code())
    return UseOut(at=use.at, accepted=use.accepted, booking_id=use.booking_id)
