"""The document of the API: every route says what it is for, and shows a body that one can copy."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from api.examples import example_of
from tests.world.programs import Face

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
