"""Lays out bracketed expressions the way black and ruff do."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradgen.targets.jax.ownership import users

WIDTH = 88
"""Of lines, at most."""


@dataclass(frozen=True)
class Group:
    """Items in brackets: `head(item, item)`.

    The items of a collection stand one a line where they do not fit on the line of the brackets;
    the arguments of a call may share a line of their own.
    """

    opening: str
    items: tuple[Doc, ...]
    closing: str
    collection: bool = True

    def flat(self) -> str:
        """Everything on one line."""
        comma = "," if self.opening.endswith("(") and self.collection and self.is_single else ""
        return f"{self.opening}{', '.join(map(flat, self.items))}{comma}{self.closing}"

    @property
    def is_single(self) -> bool:
        """Whether there is just one item: a tuple then needs its comma."""
        return len(self.items) == 1


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
    if len(inner) <= WIDTH and not doc.collection:
        body = [inner]
    else:
        body = [part for item in doc.items for part in layout("", item, ",", indent + 4)]
    return [f"{space}{prefix}{doc.opening}", *body, f"{space}{doc.closing}{suffix}"]


def in_body(prefix: str, doc: Doc) -> list[str]:
    """Lines that are indented by four later."""
    return [line.removeprefix("    ") for line in layout(prefix, doc, "", 4)]


def call(function: str, arguments: Sequence[Doc]) -> Group:
    """A call."""
    return Group(f"{function}(", tuple(arguments), ")", collection=False)


def tuple_of(items: Sequence[Doc]) -> Doc:
    """A tuple in brackets."""
    if not items:
        return "()"
    return Group("(", tuple(items), ")")


def unpack(names: Sequence[str], value: Doc, indent: int) -> list[str]:
    """`a, b = value`; nothing is bound where there are no names."""
    if not names:
        return []
    targets = ", ".join(names) if len(names) > 1 else f"({names[0]},)"
    lines = layout(f"{targets} = ", value, "", indent)
    if len(lines[0]) <= WIDTH:
        return lines
    space = " " * indent
    items = [f"{space}    {name}," for name in names]
    return [f"{space}(", *items, *layout(") = ", value, "", indent)]


def literal(text: str) -> Doc:
    """A literal, or a call with keywords, as a document that can be laid out."""
    return _literal(ast.parse(text, mode="eval").body)


def expression(text: str) -> Doc:
    """A call, with calls among its arguments, as a document that can be laid out."""
    return _expression(ast.parse(text, mode="eval").body)


def _expression(node: ast.expr) -> Doc:
    match node:
        case ast.Call(func=function, args=arguments, keywords=keywords):
            items = [_expression(a) for a in arguments]
            items += [prefixed(f"{k.arg}=", _expression(k.value)) for k in keywords]
            return call(ast.unparse(function), items)
        case ast.Tuple(elts=elements):
            return tuple_of([_expression(e) for e in elements])
        case ast.List(elts=elements):
            return Group("[", tuple(_expression(e) for e in elements), "]")
        case ast.Constant(value=str() as value):
            return quote(value)
    return ast.unparse(node)


def _literal(node: ast.expr) -> Doc:
    match node:
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            items = [prefixed(f"{flat(_literal(k))}: ", _literal(v)) for k, v in pairs if k]
            return Group("{", tuple(items), "}")
        case ast.List(elts=items):
            return Group("[", tuple(map(_literal, items)), "]")
        case ast.Tuple(elts=items):
            return tuple_of([_literal(item) for item in items])
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            return call(users(name), [prefixed(f"{k.arg}=", _literal(k.value)) for k in keywords])
        case ast.Constant(value=str() as value):
            return quote(value)
    return ast.unparse(node)


def prefixed(prefix: str, doc: Doc) -> Doc:
    """The document with text in front of it."""
    return prefix + doc if isinstance(doc, str) else replace(doc, opening=prefix + doc.opening)


def quote(text: str) -> str:
    """A string literal in double quotes."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    return character if character.isprintable() else repr(character)[1:-1]
