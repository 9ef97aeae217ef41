"""JSON objects with one meaning: no key twice, no NaN, UTF-8 only."""

import json
from typing import Any, NoReturn


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``; raises ValueError for anything else.

    Two parsers may take different ones of two equal keys: such an object is refused on any level.
    """
    try:
        parsed = _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if type(parsed) is not dict:
        raise ValueError("not a JSON object")
    return parsed


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


# Made once: json.loads with hooks makes one at each call.
_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
