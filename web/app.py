"""Puts the application together: the JSON routes, the pages, and their guards."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Scope

import api.routes
import printers.address  # errors are stored by their names, and told here
import printers.configuration
import printers.slicer  # its errors are stored by name, and shown as texts of these classes
import web.pages
from api import problems
from api.answers import add_answers
from api.db import conninfo
from api.deps import DbSession, refuse_forgery
from api.examples import add_examples
from api.heartbeats import which_work
from api.problems import Problem
from web.hardening import Hardened
from web.live import Live
from web.render import STATIC, show_problem, text_for

# For programs: errors are answered in JSON there, whatever the client accepts.
FOR_PROGRAMS = ("/api/", "/octoprint/", "/healthz", "/readyz")


class Application(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        # `add_middleware` would put it inside the handler of unforeseen errors, whose answers would lack the headers.
        return Hardened(super().build_middleware_stack())

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description, with every answer, and an example for every body."""
        if self.openapi_schema is None:
            routes = [route for router in routers() for route in router.routes if isinstance(route, APIRoute)]
            self.openapi_schema = add_answers(add_examples(super().openapi()), routes)
        return self.openapi_schema


def make_app() -> FastAPI:
    """The application. Every module below `api/routes` or `web/pages` that has a `router` is included."""
    app = Application(
        title="Établi",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_forgery)],
    )
    problems.install(app, show=show, words=text_for)
    app.state.live = Live(conninfo)
    # Routes and pages may not import `printers`; those that take a configuration find its reader here.
    app.state.read_configuration = printers.configuration.read_configuration
    app.include_router(health)
    # The menu shows what these name (`render.NAVIGATION`).
    paths: set[str] = set()
    for router in routers():
        app.include_router(router)
        paths |= {str(getattr(route, "path", "")) for route in router.routes}
    app.state.paths = frozenset(paths)
    app.mount("/static", Static(directory=STATIC, check_dir=False), name="static")
    return app


def routers() -> Iterator[APIRouter]:
    for package in (api.routes, web.pages):
        for module in _modules(package):
            if isinstance(router := getattr(module, "router", None), APIRouter):
                yield router


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    prefix = f"{package.__name__}."
    for name in sorted(module.name for module in pkgutil.walk_packages(package.__path__, prefix)):
        yield importlib.import_module(name)


def show(request: Request, problem: Problem) -> Response:
    """Programs get JSON; people a page in their language, or the login when it is missing."""
    if request.url.path.startswith(FOR_PROGRAMS) and request.url.path != "/api/docs":
        return problems.as_json(request, problem)
    if problem.status == 401:
        return _to_login(request)
    return show_problem(request, problem)


def _to_login(request: Request) -> Response:
    """Log in, then come back to this page."""
    # A POST cannot be repeated after the login, so it leads to the first page.
    back = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        back += f"?{request.url.query}"
    target = str(request.url_for("log_in_page").include_query_params(next=back).replace(scheme="", netloc=""))
    if request.headers.get("hx-request") == "true":
        # htmx would follow a 303 and put the login form where a part of the page was.
        return Response(headers={"HX-Redirect": target})
    return Response(status_code=303, headers={"Location": target})


class Static(StaticFiles):
    """The files of `web/static`. An address with a stamp (`render.static`) never changes its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        # It makes the bundles, and is no part of the pages.
        if path.endswith(".mjs"):
            raise HTTPException(404)
        answer = await super().get_response(path, scope)
        stamped = b"v=" in scope.get("query_string", b"")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if stamped else "no-cache"
        return answer


health = APIRouter(include_in_schema=False)


@health.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok")


@health.get("/readyz")
def readyz(session: DbSession, workers: bool = False) -> JSONResponse:
    """Whether this process can serve pages (the database answers and has our tables), and which workers are alive.

    503 when it cannot; with `?workers=true`, for a monitor, also when a worker is silent. Without, silent workers take
    no page away: `etabli up` waits for this address before it starts them.
    """
    try:
        session.execute(sa.text("SELECT version_num FROM alembic_version"))
        alive = which_work(session)
    except SQLAlchemyError:
        session.rollback()  # Else the commit at the end of the request would fail, and answer 500.
        return JSONResponse({"ready": False, "database": False}, status_code=503)
    ready = all(alive.values()) or not workers
    return JSONResponse({"ready": ready, "database": True} | alive, status_code=200 if ready else 503)


app = make_app()
