"""`SingleThreadRoute`: a route that does all its work in one thread of the pool.

FastAPI hands each sync dependency and the endpoint itself to a thread one by one: the session, the user, the key, the
verb, the commit. For a booking, which many people send at the same second, that was a third of the processor time
(measured). This route reads the body, then does the same work in one thread. It leaves out the solving of dependencies
and no check: a request without a token, with a body that is not plain JSON of the right shape or with a bad key goes
the ordinary way, where the forgery check of the forms and the words of the errors are. The forgery check itself is not
needed here, because a token is not sent by a browser on its own (`deps.refuse_forgery`).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api import deps

# As `Header(min_length=1, max_length=200)` of `deps.idempotent_call`.
KEY_LENGTHS = range(1, 201)
PARAMETERS = {"body", "session", "user", "now", "idempotent"}


class SingleThreadRoute(APIRoute):
    """For an endpoint `(body, session, user, now, idempotent) -> BaseModel`, written like any other of FastAPI."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        ordinary, model = super().get_route_handler(), self._body_model()

        async def handle(request: Request) -> Response:
            body = await _read_body(request, model)
            key = request.headers.get("idempotency-key")
            if body is None or (key is not None and len(key) not in KEY_LENGTHS):
                return await ordinary(request)
            now = await _now(request)
            # The same limit as `deps.session`: a thread that waits for a connection would block one that has it.
            async with deps.connection_limit(request):
                return await run_in_threadpool(self._answer, request=request, body=body, key=key, now=now)

        return handle

    def _body_model(self) -> type[BaseModel]:
        model = self.body_field.field_info.annotation if self.body_field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{self.path} has no body to read")
        if inspect.signature(self.endpoint).parameters.keys() != PARAMETERS:
            raise TypeError(f"{self.path} takes other parameters than {sorted(PARAMETERS)}")
        return model

    def _answer(self, *, request: Request, body: BaseModel, key: str | None, now: Any) -> Response:
        response = Response(status_code=self.status_code or 200, media_type="application/json")
        # The transaction ends before the answer leaves, as with `DbSession`.
        with deps.transaction_of(request) as session:
            user = deps.require_user(request, session, now)
            call = deps.IdempotentCall.of(request, response, session=session, user=user, now=now, key=key)
            out: BaseModel = self.endpoint(body=body, session=session, user=user, now=now, idempotent=call)
        response.body = out.model_dump_json().encode()
        response.headers["content-length"] = str(len(response.body))
        return response


async def _read_body(request: Request, model: type[BaseModel]) -> BaseModel | None:
    """None when the ordinary way must answer."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if not deps.token_of(request) or media_type != "application/json":
        return None
    try:
        return model.model_validate_json(await request.body())
    except (ValidationError, ClientDisconnect):
        return None


# FastAPI would solve it; tests put their own in its place, as for every other route.
async def _now(request: Request) -> Any:
    clock: Callable[[], Awaitable[object]] = request.app.dependency_overrides.get(deps.clock, deps.clock)
    return await clock()
