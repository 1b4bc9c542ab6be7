"""Where a key stands in a TOML file: `tomllib` does not tell."""

from __future__ import annotations

import re

_PART = r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'"""
_HEADER = re.compile(rf"^\s*\[\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*\]")
_KEY = re.compile(rf"^\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*=")


def line_of(text: str, table: tuple[str, ...], key: str) -> int:
    """The line, from 1, of a key in a table; of the table if there is no key, 1 if there is none.

    Tables in headers and dotted keys are followed, inline tables up to the line they start on.
    """
    here: tuple[str, ...] = ()
    best, depth = 1, 0
    wanted = (*table, key) if key else table
    for number, line in enumerate(text.splitlines(), start=1):
        header, assignment = _HEADER.match(line), _KEY.match(line)
        if header is not None:
            here = path = _parts(header[1])
        elif assignment is not None:
            path = (*here, *_parts(assignment[1]))
        else:
            continue
        common = min(len(path), len(wanted))
        if path[:common] == wanted[:common] and common > depth and len(path) <= len(wanted):
            best, depth = number, common
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
