"""TOML files with the place of everything in them, which `tomllib` does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gradgen.errors import GradgenError

_PART = r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'"""
_HEADER = re.compile(rf"^\s*\[\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*\]")
_KEY = re.compile(rf"^\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*=")


def document_of(text: str, path: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """What a TOML file says; raises GradgenError, with the place, if it is none."""
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except RecursionError:
        raise GradgenError("not valid TOML: nested too deeply", path=path) from None
    except ValueError as error:  # of a number that is too long as well
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        raise GradgenError(
            f"not valid TOML: {re.sub(r' *[(]at .*[)]$', '', str(error))}",
            path=path,
            line=int(place[1]) if place else text.count("\n") + 1,
            column=int(place[2]) - 1 if place else 0,
        ) from None


def line_of(text: str, table: tuple[str, ...], key: str) -> int:
    """The line, from 1, of a key in a table; of the table if there is no key, 1 if there is none.

    Tables in headers and dotted keys are followed, inline tables up to the line they start on.
    """
    best, depth = 1, 0
    wanted = (*table, key) if key else table
    for number, path in _paths(text):
        common = min(len(path), len(wanted))
        if path[:common] == wanted[:common] and common > depth and len(path) <= len(wanted):
            best, depth = number, common
    return best


@lru_cache(maxsize=1)  # each key of a file is looked for, in one file after the other
def _paths(text: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The lines with a header or an assignment, and the tables and keys that these name."""
    here: tuple[str, ...] = ()
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if (header := _HEADER.match(line)) is not None:
            here = _parts(header[1])
            found.append((number, here))
        elif (assignment := _KEY.match(line)) is not None:
            found.append((number, (*here, *_parts(assignment[1]))))
    return tuple(found)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
