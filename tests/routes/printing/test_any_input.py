"""Whatever a program sends to the printing routes, the answer is never a 5xx: right, or a problem that says what."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from api.examples import example_of
from tests.world import World, make_job, make_model
from tests.world.programs import Program

NOUNS = ("models", "jobs", "printers", "sites", "materials", "probes")
#: What programs send by mistake, and people on purpose.
ODD: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**63, 10**30, 1.5, -0.0, 1e308, "", "x", "\x00", "a\x00b", "𝕏" * 300, "é" * 100_000,
    "../../etc/passwd", "1; DROP TABLE jobs", "\ud800", [], [1], {}, {"a": {"b": [None]}}, "NaN",
    "2026-11-23T12:00:00Z", "0001-01-01T00:00:00+14:00", "http://[::1", "http://127.0.0.1:99999", "1e400",
]  # fmt: skip
IDS = ["0", "-1", "1", "x", "9223372036854775807", "9223372036854775808", "1" * 40, "%00", "%F0%9F%92%A9", "1.0"]


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path after /api/v1, operation) of the printing routes."""
    document = app.openapi()
    return [
        (method.upper(), path.removeprefix("/api/v1"), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith(tuple(f"/api/v1/{noun}" for noun in NOUNS))
    ]


def bodies(app: FastAPI, operation: dict[str, Any], chance: random.Random) -> list[Any]:
    """Bodies around the right one: each field odd in turn, missing, one too many, and no object at all."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return [None]
    right = example_of(content["schema"], app.openapi()["components"]["schemas"])
    made: list[Any] = [right, {}, [], None, {**right, "more": 1}]
    for field in right:
        made += [{**right, field: odd} for odd in chance.sample(ODD, 12)]
        made.append({name: value for name, value in right.items() if name != field})
    return made


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_no_input_makes_a_printing_route_fail(
    app: FastAPI, request: pytest.FixtureRequest, session: Session, world: World, who: str
) -> None:
    chance, program = random.Random(2), request.getfixturevalue(who)
    ids = [str(make_model(session, world.alice).id), str(make_job(session, world.site, world.alice).id)]
    failed = []
    for method, path, operation in operations(app):
        for body in bodies(app, operation, chance):
            where = re.sub(r"\{[^}]+\}", lambda _: chance.choice(IDS + ids), path)
            answer = send(program, method, where, body)
            if answer >= 500:
                failed.append((answer, method, where, str(body)[:200]))
    assert failed == []


def send(program: Program, method: str, where: str, body: Any) -> int:
    try:
        return program(method, where, json=body).status_code if body is not None else program(method, where).status_code
    except UnicodeEncodeError:
        return 0  # half a character cannot be sent as JSON at all


@pytest.mark.parametrize("path", ["/models", "/jobs"])
@pytest.mark.parametrize("query", ["cursor=x", "cursor=" + "9" * 40, "cursor=%00", "limit=0", "limit=-1", "limit=1e9"])
def test_an_odd_page_is_no_failure(alice: Program, path: str, query: str) -> None:
    assert alice("GET", f"{path}?{query}").status_code < 500


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {"content": b"\xff\xfe", "headers": {"content-type": "application/json"}},
        {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}},
        {"content": b"x=1", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"--X\r\n", "headers": {"content-type": "multipart/form-data; boundary=X"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        {"data": {"file": "no file"}},
        {"files": {"file": ("", b"")}},
        {"files": {"other": ("a.stl", b"solid")}},
        {"files": {"file": ("\x00é" * 300, b"solid")}},
    ],
)
@pytest.mark.parametrize("path", ["/models", "/jobs", "/probes"])
def test_a_body_that_is_none_is_no_failure(alice: Program, path: str, sent: dict[str, Any]) -> None:
    assert 400 <= alice("POST", path, **sent).status_code < 500
