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
    body = [inner] if len(inner) <= WIDTH and not doc.collection else _rows(doc, indent)
    return [f"{space}{prefix}{doc.opening}", *body, f"{space}{doc.closing}{suffix}"]


def _rows(doc: Group, indent: int) -> list[str]:
    """The items of what stands at an indent, one below the other."""
    return [part for item in doc.items for part in layout("", item, ",", indent + 4)]


def filled(prefix: str, doc: Group) -> list[str]:
    """Lines that hold prefix and document, an item a line, or filled with parts of it.

    For what is seldom read: formatters are to be told to leave it.
    """
    rows = [line for item in doc.items for line in _filled([item], 4)]
    return [f"{prefix}{doc.opening}", *rows, doc.closing]


def _filled(items: Sequence[Doc], indent: int) -> list[str]:
    """The items with commas: what has brackets on lines of its own, the rest side by side."""
    space, lines, row = " " * indent, list[str](), ""
    for item in items:
        text = f"{flat(item)},"
        if row and (isinstance(item, Group) or len(space + row) + 1 + len(text) > WIDTH):
            lines.append(space + row)
            row = ""
        if isinstance(item, str):
            row = f"{row} {text}".lstrip()
        elif len(space + text) <= WIDTH:
            lines.append(space + text)
        else:
            inner = _filled(item.items, indent + 4)
            lines += [space + item.opening, *inner, f"{space}{item.closing},"]
    return [*lines, space + row] if row else lines


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
    bare = len(names) > 1
    target = Group("", tuple(names), "") if bare else tuple_of(names)
    return _assigned(target, value, indent)


def statement(text: str, indent: int = 0) -> list[str]:
    """An assignment or a return, which stands on one line, on as many as it needs."""
    (node,) = ast.parse(text).body
    match node:
        case ast.Assign(targets=[target], value=value):
            return _assigned(_document(text, target), _document(text, value), indent)
        case ast.Return(value=ast.expr() as value):
            return returned(_document(text, value), indent)
    return [f"{' ' * indent}{text}"]


def returned(value: Doc, indent: int) -> list[str]:
    """`return value`; several values have brackets where they need more than a line."""
    lines = layout("return ", value, "", indent)
    if len(lines) == 1 or isinstance(value, str) or value.opening:
        return lines
    return layout("return ", replace(value, opening="(", closing=")"), "", indent)


def _assigned(target: Doc, value: Doc, indent: int) -> list[str]:
    """`target = value`; what is too long is broken on the right, or else on the left."""
    space, left = " " * indent, f"{flat(target)} = "
    lines = layout(left, value, "", indent)
    if len(lines[0]) <= WIDTH:
        return lines
    if isinstance(value, Group) and indent + len(left) < WIDTH:
        return [f"{space}{left}(", *layout("", value, "", indent + 4), f"{space})"]
    if isinstance(target, str):
        return lines
    return [f"{space}(", *_rows(target, indent), *layout(") = ", value, "", indent)]


def literal(text: str) -> Doc:
    """A literal, or a call with keywords, as a document that can be laid out."""
    return _literal(ast.parse(text, mode="eval").body)


def _document(text: str, node: ast.expr) -> Doc:
    """A part of a text as a document, written as it is there."""

    def source(node: ast.expr) -> str:
        return ast.get_source_segment(text, node) or ""

    match node:
        case ast.Call(func=ast.Name() | ast.Attribute() as function):
            items = [_document(text, a) for a in node.args]
            items += [prefixed(f"{k.arg}=", _document(text, k.value)) for k in node.keywords]
            return call(source(function), items)
        case ast.Tuple(elts=elements):
            items = [_document(text, e) for e in elements]
            bare = elements and node.col_offset == elements[0].col_offset
            return Group("", tuple(items), "") if bare else tuple_of(items)
        case ast.List(elts=elements):
            return Group("[", tuple(_document(text, e) for e in elements), "]")
        case ast.Lambda(body=body):
            return prefixed(source(node).removesuffix(source(body)), _document(text, body))
        case ast.Subscript(value=inner) | ast.Call(func=inner):
            found = _document(text, inner)
            if isinstance(found, Group):
                more = source(node).removeprefix(source(inner))
                return replace(found, closing=found.closing + more)
    return source(node)


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
