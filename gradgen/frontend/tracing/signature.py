"""How to call the source: its arguments, its traced leaves, and what is bound or copied."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax

from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.instances import attributes_of, rebuilt, within
from gradgen.frontend.tracing.values import part_of
from gradgen.ir.code import DType
from gradgen.ir.pytree import Structure, join, leaf
from gradgen.ir.trace import Argument


@dataclasses.dataclass(frozen=True)
class ExampleLeaf:
    """What an example has in the place of a leaf."""

    shape: tuple[int, ...]
    dtype: DType


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One traced leaf of the arguments."""

    path: str
    kind: str
    """`float`, `int` or `bool`."""
    wrt: bool
    given: ExampleLeaf | None = None
    """None where there is no example, or none of this argument."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """How to call the source: its arguments, its traced leaves and the objects bound to it."""

    arguments: tuple[Argument, ...]
    leaves: tuple[Leaf, ...]
    bound: Mapping[str, Any]
    """Static arguments, and static fields of arguments, by dotted path."""
    classes: Mapping[str, type]
    """The containers that structures name."""
    examples: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Arguments by name, as far as there are examples: what others like them are made of.

    The instance that a method is read with is among them.
    """
    passed: Callable[[str, Any], Any] = lambda path, container: container
    """What is passed in the place of an object, a dict, a tuple or a list, by its path."""

    def bind(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of the source, from its traced leaves in order."""
        remaining = iter(values)
        positional: list[Any] = []
        keyword: dict[str, Any] = {}
        for argument in self.arguments:
            like = self.examples.get(argument.name)
            value = self._build(argument.structure, remaining, argument.name, like)
            if argument.keyword_only:
                keyword[argument.name] = value
            else:
                positional.append(value)
        return tuple(positional), keyword

    def leaves_of(self, positional: Sequence[Any], keyword: Mapping[str, Any]) -> list[Any]:
        """The traced leaves of such arguments, in order."""
        by_position = (a.name for a in self.arguments if not a.keyword_only)
        given = dict(zip(by_position, positional, strict=True)) | dict(keyword)

        def visit(structure: Structure, value: Any) -> Iterator[Any]:
            if structure.kind in ("none", "static"):
                return
            if structure.is_leaf:
                yield value
                return
            for key, child in zip(structure.keys, structure.children, strict=True):
                yield from visit(child, part_of(value, structure, key))

        return [leaf for a in self.arguments for leaf in visit(a.structure, given[a.name])]

    def call(self, function: Callable[..., Any], values: Sequence[Any]) -> Any:
        """Call the source's function with its traced leaves in order."""
        positional, keyword = self.bind(values)
        return function(*positional, **keyword)

    def avals(
        self, working: str, shapes: Mapping[int, tuple[int, ...]] = MappingProxyType({})
    ) -> list[Any]:
        """Stand-ins for the leaves in one precision: numbers, but for those of these shapes."""
        dtypes = {"float": working, "int": "int32", "bool": "bool"}
        return [
            jax_compat.shaped(shapes.get(k, ()), dtypes[leaf.kind])
            for k, leaf in enumerate(self.leaves)
        ]

    def object_keys(self, value: Any) -> tuple[str, ...] | None:
        """What is traced of an object whose class is that of one among the arguments, else None.

        None too where several are of that class: which of them is copied would be a guess.
        """
        found = [structure for kind, structure, _ in self._objects() if kind is type(value)]
        return tuple(key for key, _ in _traced_parts(found[0])) if len(found) == 1 else None

    def is_kept(self, value: Any) -> bool:
        """Whether what is static of a result is that of the argument of its class."""
        like = next((x for x in self.examples.values() if type(x) is type(value)), None)
        return like is None or all(
            name in (self.object_keys(value) or ()) or part is getattr(like, name, None)
            for name, part in attributes_of(value).items()
        )

    def without_objects(self, tree: Any) -> Any:
        """The pytree with tuples of what is traced in place of objects, which may be no pytrees."""
        objects = {
            kind: self._without_kept(structure, path) for kind, structure, path in self._objects()
        }

        def taken_apart(part: Any) -> Any:
            structure = objects.get(type(part))
            return part if structure is None else _taken_apart(structure, part)

        return jax.tree.map(taken_apart, tree, is_leaf=lambda part: type(part) in objects)

    def _objects(self) -> Iterator[tuple[type, Structure, str]]:
        """The classes of the objects among the arguments, with what they hold, and their paths."""

        def visit(
            structure: Structure, value: Any, path: str
        ) -> Iterator[tuple[type, Structure, str]]:
            if structure.kind == "object":
                yield type(value), structure, path
            for key, child in zip(structure.keys, structure.children, strict=True):
                if not child.is_leaf:
                    yield from visit(child, part_of(value, structure, key), join(path, key))

        for argument in self.arguments:
            if argument.name in self.examples:
                example = self.examples[argument.name]
                yield from visit(argument.structure, example, argument.name)

    def _without_kept(self, structure: Structure, path: str) -> Structure:
        """The structure with what a gradient keeps of its argument as static: see `hidden`."""
        chosen = {leaf.path for leaf in self.leaves if leaf.wrt}
        children = tuple(
            leaf("static")
            if key in structure.hidden and child.is_leaf and join(path, key) not in chosen
            else self._without_kept(child, join(path, key))
            for key, child in zip(structure.keys, structure.children, strict=True)
        )
        return dataclasses.replace(structure, children=children)

    def _build(self, structure: Structure, values: Iterator[Any], path: str, like: Any) -> Any:
        """A pytree of the given structure, filled with values in order and with what is bound.

        Objects are copies of what is in their place in `like`, and JAX makes mappings like it.
        """
        if structure.kind == "none":
            return None
        if structure.kind == "static":
            return self.bound[path]
        if structure.is_leaf:
            return next(values)
        if structure.kind == "mapping":
            leaves = [next(values) for _ in structure.leaves()]
            return jax.tree.unflatten(jax.tree.structure(like), leaves)
        known = {} if like is None else _parts(structure, like)
        children = [
            self._build(child, values, join(path, key), known.get(key))
            for key, child in zip(structure.keys, structure.children, strict=True)
        ]
        match structure.kind:
            case "object":
                parts = dict(zip(structure.keys, children, strict=True))
                return self.passed(path, rebuilt(like, parts))
            case "tuple" | "parts":
                return self.passed(path, tuple(children))
            case "list":
                return self.passed(path, children)
            case "dict":
                return self.passed(path, dict(zip(structure.keys, children, strict=True)))
        assert structure.type_name is not None
        container = self.classes[structure.type_name]
        return container(**dict(zip(structure.keys, children, strict=True)))


def _parts(structure: Structure, value: Any) -> dict[str, Any]:
    """The parts of a container that hold others, None where there is none."""
    return {
        key: None if value is None else part_of(value, structure, key)
        for key, child in zip(structure.keys, structure.children, strict=True)
        if not child.is_leaf
    }


def _traced_parts(structure: Structure) -> list[tuple[str, Structure]]:
    """The parts of a container in which something is traced, or may be."""
    parts = zip(structure.keys, structure.children, strict=True)
    return [(key, child) for key, child in parts if child.kind != "static"]


def _taken_apart(structure: Structure, value: Any) -> Any:
    """What is traced of an object or of a part of one: objects as tuples, None for what is not."""
    value = within(value)
    if value is None or structure.is_leaf:
        return None if structure.kind == "static" else value
    traced = {
        key: _taken_apart(child, part_of(value, structure, key))
        for key, child in _traced_parts(structure)
    }
    match structure.kind:
        case "object":
            return tuple(traced.values())
        case "dict":
            return {key: traced.get(key) for key in structure.keys}
    children = [traced.get(key) for key in structure.keys]
    return type(value)(*children) if hasattr(value, "_fields") else type(value)(children)
