"""Constant strings in what is read: pieces of f-strings, sums, and what is compared with them."""

from __future__ import annotations

import ast

import libcst as cst

from gradgen.frontend.reading.uses import Value


def unescaped(node: cst.FormattedString, text: str) -> str:
    """A part of an f-string as it is when the program runs."""
    plain = text.replace("{{", "{").replace("}}", "}")
    prefix = node.prefix.lower().replace("f", "")
    return str(ast.literal_eval(f"{prefix}{node.quote}{plain}{node.quote}"))


def concatenated(left: Value, right: Value) -> str | None:
    """The two as one string; None if they are no constant strings."""
    if isinstance(left.constant, str) and isinstance(right.constant, str):
        return left.constant + right.constant
    return None


def has_string(value: Value) -> bool:
    """Whether a value is a string, or a display of strings."""
    return isinstance(value.constant, str) or any(has_string(p) for p in value.parts or ())
