"""What a program sends as JSON: only the fields that we know, each of the kind that the API's description names."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

_KINDS: dict[str, tuple[type, ...]] = {
    "integer": (int, float),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


class Body(BaseModel):
    """A request body. Pydantic alone would take `false` for the number 0, and a number for a day."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def refuse_other_kinds(cls, sent: Any) -> Any:
        """Raises ValueError for a value of a JSON kind that the schema of its field does not have."""
        if isinstance(sent, dict):
            schema = _schema_of(cls)
            properties = schema.get("properties", {})
            for name, value in sent.items():
                if name in properties and not _has_kind(value, properties[name], schema.get("$defs", {})):
                    raise ValueError(f"{name} is of another kind than the description says")
        return sent


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _has_kind(value: object, schema: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether the JSON kind of `value`, and of what an array holds, is one of the schema's."""
    if "$ref" in schema:
        return _has_kind(value, others[schema["$ref"].rpartition("/")[2]], others)
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return any(_has_kind(value, choice, others) for choice in choices)
    # What JSON does not have was put in by our own code, which fills such a body to show it.
    if not isinstance(value, str | int | float | list | dict | None):
        return True
    kind = schema.get("type")
    # Python counts True among the numbers.
    if kind is not None and (not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    items = schema.get("items")
    return not isinstance(value, list) or items is None or all(_has_kind(each, items, others) for each in value)
