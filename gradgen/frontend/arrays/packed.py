"""State variables that are packed into one array, a place of an axis each: read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradgen.ir.pytree import join

_FRONT = (("...",), ("batch",), ("batch", "n"))
"""The axes of neurons, by how many slices stand in front of an index; none for `...`."""


@dataclass(frozen=True)
class Packed:
    """An argument, or a part of one, whose variables lie along an axis."""

    path: str
    axes: tuple[str, ...]
    front: tuple[str, ...]
    """The axes that neurons have: those of one of its variables."""


def packed_arguments(text: str, line: int) -> tuple[Packed, ...]:
    """What the function whose `def` is in this line takes apart by constant places of one axis.

    Read are indices (`y[:, 0]`, `y[..., 0]`, `y[0]`), `jnp.split(y, 2, -1)`, and unpacking of
    `jnp.moveaxis(y, -1, 0)`, `jnp.unstack(y, axis=-1)` and `y.T`.
    """
    definitions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef))
    function = next(node for node in definitions if node.lineno == line)
    found: dict[str, Packed] = {}
    for node in ast.walk(function):
        for packed in _packed(node):
            known = found.get(packed.path)
            if known is None or _size(known) < _size(packed):
                found[packed.path] = packed
    return tuple(found.values())


def _size(packed: Packed) -> int:
    """How many variables there are, as far as one use tells."""
    return max((int(axis) for axis in packed.axes if axis.isdecimal()), default=0)


def _packed(node: ast.AST) -> Iterator[Packed]:
    match node:
        case ast.Subscript(value=array, slice=ast.Tuple(elts=[*front, ast.expr() as last])):
            place = _constant(last)
            path = path_of(array)
            before = _slices(front)
            if place is not None and path is not None and before is not None:
                yield Packed(path, (*before, str(_least(place))), before)
        case ast.Subscript(value=array, slice=index):
            place, path = _constant(index), path_of(array)
            if place is not None and path is not None:
                yield Packed(path, (str(_least(place)), "n"), ("n",))
        case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Call() as call):
            yield from _unpacked(len(parts), call)
        case ast.Assign(
            targets=[ast.Tuple(elts=parts)], value=ast.Attribute(value=array, attr="T")
        ):
            path = path_of(array)
            if path is not None:
                yield Packed(path, ("n", str(len(parts))), ("n",))


def _unpacked(count: int, call: ast.Call) -> Iterator[Packed]:
    """The argument of a call whose result is unpacked into so many names."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    path = path_of(call.args[0]) if call.args else None
    numbers = [_constant(a) for a in [*call.args[1:], *(k.value for k in call.keywords)]]
    if path is None or -1 not in numbers:
        return
    if name == "split" and count in numbers:
        yield Packed(path, ("...", f"{count}*n"), ("...", "n"))
    elif name in ("moveaxis", "unstack"):
        yield Packed(path, ("...", str(count)), ("...",))


def _least(place: int) -> int:
    """The least size of an axis that has this place."""
    return place + 1 if place >= 0 else -place


def _slices(front: Sequence[ast.expr]) -> tuple[str, ...] | None:
    """The axes of neurons where `...` or full slices stand in front of an index."""
    match front:
        case [ast.Constant(value=value)] if value is ...:
            return _FRONT[0]
        case [*_] if all(isinstance(part, ast.Slice) for part in front):
            return _FRONT[len(front)] if len(front) < len(_FRONT) else None
    return None


def _constant(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
    return None


def path_of(node: ast.AST) -> str | None:
    """The dotted path of an expression such as `state[0].v`; None if it is something else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=key):
            before = path_of(inner)
        case ast.Subscript(value=inner, slice=ast.Constant(value=str() | int() as key)):
            before = path_of(inner)
        case _:
            return None
    return None if before is None else join(before, str(key))
