"""`/api/docs`: the OpenAPI description as a page to read, without any script."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response

from web.render import Reader

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Operation:
    """One path and method, as the page shows it; `body` is (name, type, required, description) of each field."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    body: list[tuple[str, str, bool, str]]
    example: str
    answers: list[tuple[str, str]]


@router.get("/api/docs")
def api_docs(reader: Reader) -> Response:
    openapi = reader.request.app.openapi()
    groups: dict[str, list[Operation]] = {}
    for path, methods in openapi["paths"].items():
        for method, details in methods.items():
            tag = (details.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(openapi, method.upper(), path, details))
    return reader.page("api_docs.html", groups=groups)


def _operation(openapi: dict[str, Any], method: str, path: str, details: dict[str, Any]) -> Operation:
    # Each of our operations takes one type of body, so the first is the only one.
    content = details.get("requestBody", {}).get("content", {})
    first: dict[str, Any] = next(iter(content.values()), {})
    schema = _resolve(openapi, first.get("schema", {}))
    example = schema.get("example") or next(iter(schema.get("examples", [])), None)
    return Operation(
        method=method,
        path=path,
        summary=details.get("summary", ""),
        description=details.get("description", ""),
        parameters=details.get("parameters", []),
        body=_fields(schema),
        example=json.dumps(example, indent=2, ensure_ascii=False) if example else "",
        answers=[(status, answer.get("description", "")) for status, answer in details.get("responses", {}).items()],
    )


def _resolve(openapi: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if reference := schema.get("$ref"):
        schema = openapi["components"]["schemas"].get(reference.rsplit("/", 1)[-1], {})
    return schema


def _fields(schema: dict[str, Any]) -> list[tuple[str, str, bool, str]]:
    required = schema.get("required", [])
    return [
        (name, _type(field), name in required, field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    # Pydantic writes an optional field as anyOf [type, null].
    if choices := field.get("anyOf"):
        return " | ".join(_type(choice) for choice in choices)
    if reference := field.get("$ref"):
        return str(reference).rsplit("/", 1)[-1]
    return str(field.get("format") or field.get("type", ""))
