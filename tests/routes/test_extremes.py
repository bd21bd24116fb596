"""Days and numbers at the ends of what can be written: every route of the API refuses or answers, none fails."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from api.domain.places.sites import Resource
from tests.world import World, make_model, make_sliced
from tests.world.billing import Shop
from tests.world.programs import Programs

NUMBERS = ["0", "-1", str(2**31), str(2**63 - 1), str(2**63), "9" * 40]
ENDS = {
    "integer": NUMBERS,
    "number": [*NUMBERS, "1e308", "-1e308", "1e-308", "NaN"],
    "date": ["0001-01-01", "9999-12-31", "0000-00-00", "2026-02-30"],
    "date-time": [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59",
        "1970-01-01T00:00:00Z",
        "2199-12-31T23:59:59Z",
        "1990-01-01T00:00:00+14:00",
    ],
}


def kinds_of(schema: dict[str, Any]) -> Iterator[str]:
    """The kinds of ENDS that a field may have."""
    for choice in [schema, *schema.get("anyOf", [])]:
        for kind in (choice.get("format"), choice.get("type")):
            if kind in ENDS:
                yield kind


def fields_of(body: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each number and day in an example."""
    if isinstance(body, dict | list):
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield from fields_of(value, (*way, key))
    elif not isinstance(body, bool) and body is not None:
        yield way


def ends_of(value: Any) -> list[Any]:
    if isinstance(value, int | float):
        return [json.loads(number) for number in ENDS["number"]]
    for kind, pattern in (("date-time", r"\d{4}-\d\d-\d\dT.*"), ("date", r"\d{4}-\d\d-\d\d")):
        if re.fullmatch(pattern, str(value)):
            return list(ENDS[kind])
    # Amounts may be sent as texts.
    return list(ENDS["number"]) if re.fullmatch(r"[\d.]+", str(value)) else []


def replaced(body: Any, way: tuple[Any, ...], value: Any) -> Any:
    whole = part = copy.deepcopy(body)
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = value
    return whole


def requests_of(path: str, operation: dict[str, Any], ids: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The path with its query, and the body, with one value at an end and the others as usual."""
    parameters = [each for each in operation.get("parameters", []) if each["in"] in ("path", "query")]
    usual = {each["name"]: ids.get(each["name"], "1") for each in parameters if each["in"] == "path"}
    usual |= {
        each["name"]: "2026-11-24" if "date" in set(kinds_of(each["schema"])) else "2026-11-24T10:00:00Z"
        for each in parameters
        if each["in"] == "query" and set(kinds_of(each["schema"])) & {"date", "date-time"}
    }
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    for each in parameters:
        for kind in kinds_of(each["schema"]):
            for end in ENDS[kind]:
                yield address(path, usual | {each["name"]: end}), body
    for way in fields_of(body):
        value = body
        for key in way:
            value = value[key]
        for end in ends_of(value):
            yield address(path, usual), replaced(body, way, end)


def address(path: str, values: dict[str, Any]) -> str:
    query = "&".join(
        f"{name}={str(value).replace('+', '%2B')}" for name, value in values.items() if f"{{{name}" not in path
    )
    return re.sub(r"\{(\w+)[^}]*\}", lambda match: str(values.get(match[1], "1")), path) + f"?{query}"


@pytest.fixture
def ids(session: Session, world: World, shop: Shop, room: Resource) -> dict[str, Any]:
    """Things that are there, for the parameters of the paths."""
    job = make_sliced(session, world.site, world.bob)
    session.flush()
    return {
        "seller_id": shop.seller.id,
        "slug": shop.company.slug,
        "job_id": job.id,
        "model_id": make_model(session, world.bob).id,
        "printer_id": world.printer.id,
        "resource_id": room.id,
        "site_id": world.site.id,
        "user_id": world.bob.id,
        "form": "csv",
        "run_id": "00000000-0000-0000-0000-000000000000",
    }


def test_no_route_fails_at_the_ends(
    app: FastAPI, program: Programs, session: Session, world: World, ids: dict[str, Any]
) -> None:
    world.bob.is_admin = True
    bob, count, failures = program(world.bob), 0, []
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            for url, body in requests_of(path, operation, ids):
                count += 1
                content = None if body is None else json.dumps(body)
                headers = {"content-type": "application/json"}
                answer = bob(method.upper(), url.removeprefix("/api/v1"), content=content, headers=headers)
                if answer.status_code >= 500:
                    failures.append((method, url, body, answer.text[:200]))
    assert count > 1000
    assert failures == []
