"""JSON schemas in the words of a reader: the tables of fields."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from apex_actors.protocol import ErrorCode
from apex_actors.protocol.wire_schema import REF
from reference.markdown import table

Schema = Mapping[str, Any]

_PLAIN: Final = {"boolean": "true or false", "null": "null"}


def fields(
    schemas: Mapping[str, Schema],
    name: str,
    *,
    head: str = "field",
    without: Iterable[str] = ("type",),
) -> Iterator[str]:
    """The table of an object's fields; nothing where it has none. `?` marks what may be left out."""
    schema = schemas[name]
    required = schema.get("required", ())
    rows = [
        (
            f"`{field}`" + ("" if field in required else "?"),
            values(schemas, shape) + _default(shape),
            shape.get("description", ""),
        )
        for field, shape in schema.get("properties", {}).items()
        if field not in without
    ]
    if rows:
        yield from table((head, "value", "meaning"), rows)
        yield ""


def values(schemas: Mapping[str, Schema], shape: Schema) -> str:
    """What a value may be."""
    match shape:
        case {"$ref": reference}:
            return _reference(schemas, reference.removeprefix(REF))
        case {"anyOf": kinds}:
            return " or ".join(dict.fromkeys(values(schemas, kind) for kind in kinds))
        case {"const": value}:
            return f"`{value}`"
        case {"enum": members}:
            return listed(members, last=", ")
        case {"type": "array", "items": items}:
            return f"list of {values(schemas, items)}"
        case _:
            return _simple(shape)


def listed(names: Iterable[str], *, last: str = " or ") -> str:
    """`a`, `b` or `c`."""
    *others, final = [f"`{name}`" for name in names]
    return last.join([", ".join(others), final]) if others else final


def spaced(name: str) -> str:
    """`ThreadSummary` → `thread summary`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def _reference(schemas: Mapping[str, Schema], name: str) -> str:
    if name == ErrorCode.__name__:
        return "[a code](#error-codes)"
    if "enum" in schemas[name]:
        return listed(schemas[name]["enum"], last=", ")
    words = spaced(name)
    return f"[{words}](#{words.replace(' ', '-')})" if "properties" in schemas[name] else "any JSON"


def _simple(shape: Schema) -> str:
    match shape:
        case {"format": "uuid"}:
            return "UUID"
        case {"format": "date-time"}:
            return "time"
        case {"type": "string"}:
            return _text(shape)
        case {"type": "integer" | "number" as kind}:
            return ("whole number" if kind == "integer" else "number") + _range(shape)
        case _:
            return _PLAIN.get(shape.get("type", ""), "object")


def _text(shape: Schema) -> str:
    if "maxLength" in shape:
        return f"text of 1 to {shape['maxLength']:,} characters"
    return "text, not empty" if "minLength" in shape else "text"


def _range(shape: Schema) -> str:
    least, most = shape.get("minimum"), shape.get("maximum")
    # The range of the database says nothing to a reader.
    if most is not None and most < 2**53:
        return f" from {least:g} to {most:g}"
    if "exclusiveMinimum" in shape:
        return f" > {shape['exclusiveMinimum']:g}"
    return "" if least is None else f" ≥ {least:g}"


def _default(shape: Schema) -> str:
    default = shape.get("default")
    return "" if default is None else f"; default `{default}`"
