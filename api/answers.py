"""Completes the OpenAPI document: what each operation answers besides its success, and the bounds of its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.deps import get_current_user
from api.problems import TITLES

PROBLEM = "Problem"
WORDS = {
    "401": "Log in first.",
    "403": TITLES["not_allowed"],
    "404": TITLES["not_found"],
    "408": "This was sent too slowly.",
    "409": TITLES["conflict"],
    "413": "This is larger than is taken.",
    "422": TITLES["invalid"],
    "429": TITLES["busy"],
    "503": "The server is very busy: try again in a moment.",
}
# RFC 9457, with members of ours: as `api.problems.Problem` writes it.
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "urn:etabli:problem: and the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people, in their language."},
        "code": {"type": "string", "description": "For programs: it does not change."},
        "field": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": "string"}},
            "description": "Of a body that was not understood: field, message and code of each fault.",
        },
        "request_id": {"type": "string"},
    },
}
LEAST, MOST = -(2**63), 2**63 - 1
# What came of FastAPI's own description of a 422, which is not what is answered.
FOREIGN = ("HTTPValidationError", "ValidationError")


def add_answers(document: dict[str, Any], routes: Iterable[APIRoute]) -> dict[str, Any]:
    """The document with every answer that its operations may give. `routes` tell which of them need a person."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in FOREIGN:
        schemas.pop(name, None)
    schemas[PROBLEM] = PROBLEM_SCHEMA
    personal = {
        (method, route.path_format) for route in routes if _needs_person(route) for method in route.methods or ()
    }
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            for code in _codes(path, method, operation, needs_person=(method.upper(), path) in personal):
                operation["responses"][code] = _problem(WORDS[code])
    _bound_integers(document.get("paths", {}))
    _bound_integers(schemas)
    return document


def _needs_person(route: APIRoute) -> bool:
    def walk(dependant: Dependant) -> bool:
        return dependant.call is get_current_user or any(walk(each) for each in dependant.dependencies)

    return walk(route.dependant)


def _codes(path: str, method: str, operation: dict[str, Any], *, needs_person: bool) -> Iterable[str]:
    # A wrong token is refused everywhere; so is a read by too many at once.
    yield from ("401", "429", "503")
    writes, has_body = method != "get", "requestBody" in operation
    if needs_person or writes:
        yield "403"
    # What a parameter or a body names may not be there.
    if "{" in path or has_body or operation.get("parameters"):
        yield from ("404", "422")
    if writes:
        yield from ("409", "422")
    if has_body:
        yield from ("408", "413")


def _problem(words: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{PROBLEM}"}
    return {"description": words, "content": {"application/problem+json": {"schema": schema}}}


def _bound_integers(part: Any) -> None:
    """A number beyond 64 bits is refused everywhere: say so where no narrower bound stands."""
    if isinstance(part, dict):
        if part.get("type") == "integer":
            if "exclusiveMinimum" not in part:
                part.setdefault("minimum", LEAST)
            if "exclusiveMaximum" not in part:
                part.setdefault("maximum", MOST)
        for each in part.values():
            _bound_integers(each)
    elif isinstance(part, list):
        for each in part:
            _bound_integers(each)
