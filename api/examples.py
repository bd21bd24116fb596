"""An example for every body of the OpenAPI document that has none, made of the examples of its fields.

For a field without an example its name decides (`_at`, `_cents`, `id`), else its type.
"""

from __future__ import annotations

from typing import Any

# By the end of a field's name; the first that fits, so exact names stand before endings.
BY_NAME: tuple[tuple[str, Any], ...] = (
    ("email", "alice@example.org"),
    ("password", "trois mots simples"),
    ("slug", "atelier"),
    ("city", "Mende"),
    ("timezone", "Europe/Paris"),
    ("price_cents", 1240),
    ("net_cents", 1033),
    ("vat_cents", 207),
    ("_cents", 1240),
    ("grams_each", 24.8),
    ("seconds_each", 5400),
    ("triangles", 12),
    ("volume_mm3", 8000.0),
    ("area_mm2", 2400.0),
    ("bytes", 684),
    ("progress", 0.42),
    ("quality", "standard"),
    ("material", "PLA"),
    ("colour", "black"),
    ("copies", 1),
    ("scale", 1),
    ("left_s", 1800.0),
    ("nozzle_mm", 0.4),
    ("quantity", 1),
)
BY_FORMAT = {
    "date-time": "2026-11-23T12:00:00Z",
    "date": "2026-11-23",
    "time": "09:00:00",
    "uuid": "8d2cff61-951d-4117-8f80-e7e46a453985",
    "email": "alice@example.org",
    "uri": "https://etabli.example/",
}
BY_TYPE: dict[str, Any] = {"integer": 1, "number": 1.0, "boolean": False, "string": "", "null": None}
# Deeper than any body of ours: a schema that contains itself ends here.
DEEPEST = 6


def add_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The document with an `example` beside every JSON body of a request or a successful answer that had none."""
    schemas = document.get("components", {}).get("schemas", {})
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {})]
            bodies += [answer for code, answer in operation.get("responses", {}).items() if code.startswith("2")]
            for body in bodies:
                content = body.get("content", {}).get("application/json")
                if content and not content.keys() & {"example", "examples"}:
                    content["example"] = example_of(content.get("schema", {}), schemas)
    return document


def example_of(schema: dict[str, Any], schemas: dict[str, Any], *, name: str = "", depth: int = 0) -> Any:
    """One value of this schema."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name=name, depth=depth)
    for key in ("example", "default", "const"):
        if key in schema and schema[key] not in (None, ""):
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return next(
            (usual for ending, usual in BY_NAME if name == ending and usual in schema["enum"]), schema["enum"][0]
        )
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return example_of(_first_real(schema[several]), schemas, name=name, depth=depth)
    return _by_type(schema, schemas, name, depth)


def _first_real(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return next((choice for choice in choices if choice.get("type") != "null"), choices[0])


def _by_type(schema: dict[str, Any], schemas: dict[str, Any], name: str, depth: int) -> Any:
    kind = schema.get("type", "object")
    if kind == "array":
        return _array(schema, schemas, name, depth)
    if kind == "object":
        fields = schema.get("properties", {}) if depth < DEEPEST else {}
        return {key: example_of(field, schemas, name=key, depth=depth + 1) for key, field in fields.items()}
    if schema.get("format") in BY_FORMAT:
        return BY_FORMAT[schema["format"]]
    types: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "string": (str,)}
    for ending, usual in BY_NAME:
        if name.endswith(ending) and isinstance(usual, types.get(kind, ())):
            return usual
    return _within(schema, BY_TYPE[kind])


def _array(schema: dict[str, Any], schemas: dict[str, Any], name: str, depth: int) -> list[Any]:
    if "prefixItems" in schema:
        return [example_of(item, schemas, depth=depth + 1) for item in schema["prefixItems"]]
    if depth >= DEEPEST or "items" not in schema:
        return []
    return [example_of(schema["items"], schemas, name=name, depth=depth + 1)]


def _within(schema: dict[str, Any], value: Any) -> Any:
    """Not below the least, not shorter than the shortest."""
    if isinstance(value, str):
        return value.ljust(schema.get("minLength", 0), "x") or "..."
    if isinstance(value, bool) or value is None:
        return value
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    return value if least is None or value >= least else least
