"""Containers whose other parts, class or order the source makes something of: found by trial.

The generated code takes the parts that the source was traced with. It is the source's function if
nothing else of what is passed matters, and whether it does is tried: with keys that the code asks
for and others that it cannot know, with one more component, with another class of the same sort,
with keys in another order.
"""

from __future__ import annotations

import ast
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.frontend.tracing.integers import integers_of
from gradgen.frontend.tracing.recording import record
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.code import Atom, Const, DType, Instruction, Var
from gradgen.ir.identity import stable_names
from gradgen.ir.pytree import Aspect, Structure, join
from gradgen.ir.source import Source


@dataclass(frozen=True)
class Doing:
    """What a source does with its arguments, so that it can be compared."""

    results: Any
    """What it returns, whatever the order in which that is computed."""
    steps: Any
    """The code itself, with its derivative rules."""


def returned(
    value: Any,
    atoms: Sequence[Atom],
    dtypes: Sequence[DType],
    primal: Sequence[Instruction],
    inputs: Mapping[Var, str],
) -> Any:
    """A result, in its containers, by what is computed for it of the inputs."""
    names = stable_names(primal, inputs)
    parts = [atom if isinstance(atom, Const) else names[atom] for atom in atoms]
    return jax.tree.structure(value), parts, list(dtypes)


def what_it_does(source: Source, function: Callable[..., Any], signature: Signature) -> Doing:
    """What the step of one neuron does."""
    integers = integers_of(source, function, signature)
    one = record(source, function, signature, "float32", integers=integers)
    inputs = {f"x{k}": leaf.path for k, leaf in enumerate(signature.leaves)}
    atoms = [atom for tensor in one.outputs for atom in tensor.flat]
    results = returned(one.result, atoms, one.dtypes, one.tape.primal, inputs)
    return Doing(results, (one.tape.primal, one.tape.partials, one.tape.custom, atoms))


def with_closed(
    source: Source, signature: Signature, trace: Callable[[Signature], Doing]
) -> Signature:
    """The signature, whose containers say in what those that are passed may not differ."""
    places: dict[str, str] = {}
    for argument in signature.arguments:
        places |= _containers(argument.structure, argument.name)
    if not places:
        return signature
    usual = trace(signature)

    def changed(change: Change, paths: Collection[str]) -> Doing:
        return trace(replace(signature, passed=lambda p, c: change(c) if p in paths else c))

    def is_same(aspect: Aspect, change: Change, paths: Collection[str]) -> bool:
        found = changed(change, paths)
        return found.results == usual.results if aspect == "order" else found == usual

    def matters(aspect: Aspect, change: Change, path: str) -> bool:
        try:
            return not is_same(aspect, change, {path})
        except Exception as error:  # whatever its code raises: it did something with other parts
            refused = places[path] != "dict" and _is_unpacked(error)
            return aspect == "parts" and not refused

    known = _strings(source)
    with suppress(Exception):  # to JAX, such dicts are no containers
        changed(lambda items: _Asked(items, known), [p for p, k in places.items() if k == "dict"])
    closed: dict[str, set[Aspect]] = {path: set() for path in places}
    for aspect, kinds, change in _changes(known):
        paths = [path for path, kind in places.items() if kind in kinds]
        with suppress(Exception):
            if is_same(aspect, change, paths):
                continue
        for path in paths:
            if aspect not in closed[path] and matters(aspect, change, path):
                closed[path].add(aspect)

    def settled(structure: Structure, path: str) -> Structure:
        parts = zip(structure.keys, structure.children, strict=True)
        children = tuple(settled(child, join(path, key)) for key, child in parts)
        return replace(structure, children=children, closed=tuple(sorted(closed.get(path, ()))))

    arguments = (replace(a, structure=settled(a.structure, a.name)) for a in signature.arguments)
    return replace(signature, arguments=tuple(arguments))


def _containers(structure: Structure, path: str) -> Iterator[tuple[str, str]]:
    """The paths of what Python's own containers are passed for, with their kinds.

    Of other mappings, each call makes sure that they have as many leaves.
    """
    if structure.kind == "mapping":
        return
    if structure.kind in ("dict", "tuple", "list", "parts"):
        yield path, structure.kind
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from _containers(child, join(path, key))


Change = Callable[[Any], Any]
"""From a container to another one, which has the same parts and maybe more."""


def _changes(known: Collection[Any]) -> Iterator[tuple[Aspect, Collection[str], Change]]:
    """What is tried, with the kinds of containers that it is tried with."""
    # code may look for numbers, or for what is like the rest; it cannot branch on what is traced
    for alike in (False, True):
        yield "parts", ("dict",), partial(_with_others, known, alike)
        yield "parts", ("tuple", "list"), partial(_with_one_more, alike)
    yield "class", ("dict",), OrderedDict
    yield "class", ("tuple", "parts"), list
    yield "class", ("list",), tuple
    yield "order", ("dict",), lambda items: dict(reversed(items.items()))


_NUMBER = 0.6180339


def _with_others(known: Collection[Any], alike: bool, items: dict[Any, Any]) -> dict[Any, Any]:
    """A dict with other keys before those that it has, and behind them."""
    other = jax.tree.leaves([_NUMBER, items])[-1] if alike else jnp.float32(_NUMBER)
    others = {key: other for key in (*known, "another key") if key not in items}
    return {"a key before": other} | items | others


def _with_one_more(alike: bool, parts: Any) -> Any:
    """A tuple or a list with one component more than it has."""
    return type(parts)((*parts, parts[-1] if alike and parts else jnp.float32(_NUMBER)))


class _Asked(dict[Any, Any]):
    """A dict that notes the keys that it is asked for and does not have."""

    def __init__(self, items: dict[Any, Any], asked: set[Any]) -> None:
        super().__init__(items)
        self._asked = asked

    def __contains__(self, key: object) -> bool:
        self._asked.add(key)
        return super().__contains__(key)

    def __missing__(self, key: Any) -> Any:
        self._asked.add(key)
        raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self._asked.add(key)
        return super().get(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        self._asked.add(key)
        return super().pop(key, *default)


def _strings(source: Source) -> set[Any]:
    """The strings in a source, each of which may be a key."""
    nodes = ast.walk(ast.parse(source.text))
    values = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {value for value in values if isinstance(value, str)}


def _is_unpacked(error: BaseException | None) -> bool:
    """Whether the source itself says that there is one component too many."""
    while error is not None:
        if isinstance(error, ValueError) and str(error).startswith("too many values to unpack"):
            return True
        error = error.__cause__ or error.__context__
    return False
