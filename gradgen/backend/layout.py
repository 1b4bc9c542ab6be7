"""Lays out bracketed expressions the way black and ruff do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradgen.backend.printer import WIDTH


@dataclass(frozen=True)
class Group:
    """Items in brackets: `head(item, item)`; `always_comma` for a tuple of one."""

    opening: str
    items: tuple[Doc, ...]
    closing: str
    always_comma: bool = False

    def flat(self) -> str:
        """Everything on one line."""
        comma = "," if self.always_comma else ""
        return f"{self.opening}{', '.join(map(flat, self.items))}{comma}{self.closing}"


Doc = str | Group


def flat(doc: Doc) -> str:
    """A document on one line."""
    return doc if isinstance(doc, str) else doc.flat()


def layout(prefix: str, doc: Doc, suffix: str = "", indent: int = 0) -> list[str]:
    """Lines that hold prefix, document and suffix: one if it fits, else broken at the brackets."""
    space = " " * indent
    line = f"{space}{prefix}{flat(doc)}{suffix}"
    if len(line) <= WIDTH or isinstance(doc, str) or not doc.items:
        return [line]
    inner = f"{space}    {', '.join(map(flat, doc.items))}"
    if len(inner) <= WIDTH and not doc.always_comma:
        body = [inner]
    else:
        body = [part for item in doc.items for part in layout("", item, ",", indent + 4)]
    return [f"{space}{prefix}{doc.opening}", *body, f"{space}{doc.closing}{suffix}"]


def call(function: str, arguments: Sequence[Doc]) -> Group:
    """A call."""
    return Group(f"{function}(", tuple(arguments), ")")


def tuple_of(items: Sequence[Doc]) -> Doc:
    """A tuple in brackets."""
    if not items:
        return "()"
    return Group("(", tuple(items), ")", always_comma=len(items) == 1)


def unpack(names: Sequence[str], value: Doc, indent: int) -> list[str]:
    """`a, b = value`; nothing is bound where there are no names."""
    if not names:
        return []
    targets = ", ".join(names) + ("," if len(names) == 1 else "")
    lines = layout(f"{targets} = ", value, "", indent)
    if len(lines[0]) <= WIDTH:
        return lines
    return layout("", tuple_of(names), f" = {flat(value)}", indent)
