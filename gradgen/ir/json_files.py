"""JSON that anyone may have written: what is expected of it is said type by type.

All functions raise ValueError, with a sentence, for anything else.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from reprlib import repr as short
from typing import Any

LONGEST_LINE = 200


def read_object(text: str, keys: Collection[str]) -> dict[str, Any]:
    """The object that a text holds, which has these keys and perhaps others."""
    try:
        data = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"an object with {', '.join(keys)} is due, not {short(data)}")
    missing = [key for key in keys if key not in data]
    if missing:
        raise ValueError(f"an object with {', '.join(keys)} is due: there is no {missing[0]}")
    return data


def number(value: Any, what: str) -> int:
    """A whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{what}: {short(value)} is no whole number from 0")
    return value


def flag(value: Any, what: str) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        raise ValueError(f"{what}: {short(value)} is neither true nor false")
    return value


def string(value: Any, what: str) -> str:
    """A text that can be written again."""
    if not isinstance(value, str):
        raise ValueError(f"{what}: {short(value)} is not a string")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{what}: {short(value)} is no Unicode")
    return value


def line(value: Any, what: str) -> str:
    """A text on one short line, as people read it."""
    text = string(value, what)
    if not text.isprintable() or len(text) > LONGEST_LINE:
        raise ValueError(f"{what}: {short(value)} is no short line of text")
    return text


def array(value: Any, what: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise ValueError(f"{what}: {short(value)} is not a list")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{short(double)} is there twice")
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")
