"""The document of the API: every route says what it is for, and shows a body that one can copy."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from api.bodies import Body
from api.bounds import Day
from api.examples import example_of
from tests.world import World
from tests.world.programs import Face, Programs

PRINTING = tuple(f" /api/v1/{noun}" for noun in ("models", "jobs", "printers", "sites", "materials", "probes"))


def operations(app: FastAPI) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def without_example(operation: dict[str, Any]) -> bool:
    answers = [answer for code, answer in operation["responses"].items() if code.startswith("2")]
    contents = [
        body.get("content", {}).get("application/json") for body in [operation.get("requestBody", {}), *answers]
    ]
    return any(content and not content.keys() & {"example", "examples"} for content in contents)


def test_every_body_has_an_example(app: FastAPI) -> None:
    assert [name for name, operation in operations(app) if without_example(operation)] == []


def test_every_printing_route_says_what_it_is_for(app: FastAPI) -> None:
    silent = [name for name, operation in operations(app) if not operation.get("description")]
    assert [name for name in silent if any(printing in name for printing in PRINTING)] == []


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        ({"type": "string", "examples": ["PLA"]}, "PLA"),
        ({"type": "string", "format": "date"}, "2026-11-23"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"anyOf": [{"type": "null"}, {"type": "number"}]}, 1.0),
        ({"enum": ["draft", "fine"]}, "draft"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}, [{"price_cents": 1240, "self": {}}]),
        ({"type": "array", "prefixItems": [{"type": "boolean"}]}, [False]),
        ({"type": "object"}, {}),
        ({"type": "string", "minLength": 2}, "xx"),
    ],
)
def test_an_example_is_made_of_what_the_schema_says(schema: dict[str, Any], example: object) -> None:
    thing = {"type": "object", "properties": {"price_cents": {"type": "integer"}, "self": {"type": "object"}}}
    assert example_of(schema, {"Thing": thing}) == example


def test_a_schema_that_holds_itself_ends(app: FastAPI) -> None:
    again = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Again"}}}
    assert str(example_of(again, {"Again": again})).count("next") < 10


def test_the_api_is_described_with_examples(face: Face) -> None:
    schemas = face.get("/api/v1/openapi.json").json()["components"]["schemas"]
    assert schemas["JobIn"]["example"]["model_id"] == 1
    assert schemas["ModelOut"]["properties"]["name"]["examples"]


def test_reading_where_one_can_only_write_is_another_method(app: FastAPI, face: Face) -> None:
    answers = {
        path: face.get(re.sub(r"\{[^}]+\}", "1", path)).status_code
        for path, methods in app.openapi()["paths"].items()
        # An organisation may be called "join": there the address is one that may be read.
        if "get" not in methods and path != "/api/v1/organisations/join"
    }
    assert {path: status for path, status in answers.items() if status != 405} == {}


def test_every_operation_says_what_it_refuses_and_in_our_shape(app: FastAPI) -> None:
    document = app.openapi()
    for name, operation in operations(app):
        answers = operation["responses"]
        assert {"401", "429"} <= answers.keys(), name
        assert "{" not in name or "404" in answers, name
        assert name.startswith("GET") or {"403", "409", "422"} <= answers.keys(), name
        assert "requestBody" not in operation or "413" in answers, name
        refusals = [answer for code, answer in answers.items() if code >= "4"]
        assert all(list(answer["content"]) == ["application/problem+json"] for answer in refusals), name
    assert "HTTPValidationError" not in str(document)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/bookings", 401),
        ("GET", "/api/v1/jobs/0", 404),
        ("GET", "/api/v1/gatherings/nowhere", 404),
        ("GET", f"/api/v1/jobs/{2**63}", 422),
        ("GET", "/api/v1/jobs?cursor=x", 422),
        ("POST", "/api/v1/bookings", 401),
        ("POST", "/api/v1/feeds", 401),
        ("POST", "/api/v1/feeds", 422),
    ],
)
def test_a_refusal_is_one_that_the_description_names(
    app: FastAPI, face: Face, program: Programs, world: World, method: str, path: str, status: int
) -> None:
    if status == 401:
        answer = face.request(method, path, json={"resource_id": 1} if method == "POST" else None)
    else:
        answer = program(world.alice)(method, path.removeprefix("/api/v1"), json={"resource_id": False})
    schema = app.openapi()["components"]["schemas"]["Problem"]

    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json().keys() - schema["properties"].keys()) == (status, set())
    assert set(schema["required"]) <= answer.json().keys()


def test_every_body_refuses_what_it_does_not_know(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    bodies = {
        name: content["schema"]["$ref"].rpartition("/")[2]
        for name, operation in operations(app)
        if (content := operation.get("requestBody", {}).get("content", {}).get("application/json"))
        and "$ref" in content["schema"]
    }
    assert len(bodies) > 30
    assert {name: body for name, body in bodies.items() if schemas[body].get("additionalProperties", True)} == {}


@pytest.mark.parametrize(
    ("body", "is_good"),
    [
        ({"count": 1, "day": "2026-11-23"}, True),
        ({"count": 1.0, "day": None, "many": [1, 2]}, True),
        ({"count": False}, False),
        ({"count": "1"}, False),
        ({"count": 1, "day": 3}, False),
        ({"count": 1, "many": [True]}, False),
        ({"count": 1, "other": 1}, False),
    ],
)
def test_a_value_of_another_kind_is_refused(body: dict[str, Any], is_good: bool) -> None:
    class Example(Body):
        count: int
        day: Day | None = None
        many: tuple[int, ...] = ()

    if is_good:
        assert Example.model_validate(body).count == 1
    else:
        with pytest.raises(ValidationError):
            Example.model_validate(body)
