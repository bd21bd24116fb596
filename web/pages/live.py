"""`/live?about=job:5,printer:1`: the stream that tells a page when to fetch a part again."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from api.deps import DbSession, LoginNeeded, MaybeUser
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.printing import jobs
from web.live import Listener, Live, TooManyStreams
from web.throttle import network_of

router = APIRouter(include_in_schema=False)

MOST_SUBJECTS = 100


@router.get("/live")
def live(request: Request, session: DbSession, user: MaybeUser, about: str = "") -> StreamingResponse:
    """Jobs only for those who may see them (else 404), printers for anybody: their tiles hang on the wall."""
    subjects = frozenset(about.split(",")) - {""}
    # A page that heard of only some of its parts would show the others as they were; without a stream it refreshes.
    if len(subjects) > MOST_SUBJECTS:
        raise TooManyStreams()
    for subject in subjects:
        check_subject(session, subject, user)
    broadcaster: Live = request.app.state.live
    listener = Listener(True, str(user.id)) if user else Listener(False, network_of(request))
    broadcaster.require_room(listener)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(broadcaster.events(subjects, listener), media_type="text/event-stream", headers=headers)


def check_subject(session: DbSession, subject: str, user: User | None) -> None:
    """Raises NotFound, or LoginNeeded, when the user may not hear of the subject."""
    # At most 18 digits: more would not fit a number of the database.
    match = re.fullmatch(r"(job|printer):(\d{1,18})", subject)
    if match is None:
        raise NotFound()
    if match[1] == "job":
        if user is None:
            raise LoginNeeded()
        jobs.get_job(session, int(match[2]), user=user)
