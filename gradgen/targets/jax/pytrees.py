"""Expressions that take the user's containers apart and put them together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from gradgen.ir.pytree import NodeKind, Structure, join
from gradgen.ir.trace import Argument
from gradgen.targets.jax.layout import Doc, Group, call, flat, prefixed, quote, tuple_of
from gradgen.targets.jax.ownership import users


def accesses(structure: Structure, expression: str, path: str) -> Iterator[tuple[str, str]]:
    """Each leaf's dotted path with the expression that reads it: `params["tau"]`, `state.v`."""
    if structure.kind == "none":
        return
    if structure.is_leaf:
        yield path or "out", expression
        return
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from accesses(child, _access(structure, expression, key, path), join(path, key))


def _access(structure: Structure, expression: str, key: str, path: str) -> str:
    if structure.kind == "parts":
        return f"_parts({expression}, {len(structure.keys)}, {quote(path)})[{key}]"
    if structure.is_array:
        return f"_{structure.kind}({expression}, {len(structure.keys)})[{key}]"
    if structure.kind in ("tuple", "list"):
        return f"{expression}[{key}]"
    if structure.kind in ("dict", "mapping"):
        return f"{expression}[{_item(structure, key)}]"
    return f"{expression}.{key}"


def guards(structure: Structure, expression: str, path: str) -> Iterator[str]:
    """Statements that refuse containers which the source would do something else with."""
    found, where = structure.closed, quote(path)
    if "class" in found:
        kind = "tuple" if structure.kind == "parts" else structure.kind
        yield f"_of_class({expression}, {kind}, {where})"
    if "parts" in found:
        keys = flat(tuple_of(list(map(quote, structure.keys))))
        due = keys if structure.kind == "dict" else str(len(structure.keys))
        yield f"_without_others({expression}, {due}, {where})"
    if "order" in found:
        yield f"_in_order({expression}, {where})"
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from guards(child, _access(structure, expression, key, path), join(path, key))


def _item(structure: Structure, key: str) -> str:
    """A key of a dict or of another mapping as it is written."""
    return key if structure.kind == "mapping" and key.isdecimal() else quote(key)


def construct(
    structure: Structure,
    leaf: Callable[[str], Doc],
    constructors: Mapping[str, str],
    path: str = "",
) -> Doc:
    """An expression that builds a pytree; `leaf` gives each leaf's expression by its path.

    `constructors` says by class name what builds the user's own containers: `type(state)` where an
    argument has that type, so that the result has exactly the caller's type. What copies an object
    has its path, and so has what fills a mapping, of dicts. Of an object all that is static stays
    as it is, and so does what is None here and hidden from JAX.
    """
    if structure.kind == "none":
        return "None"
    if structure.is_leaf:
        return leaf(path or "out")
    children = [
        construct(child, leaf, constructors, join(path, key))
        for key, child in zip(structure.keys, structure.children, strict=True)
    ]
    match structure.kind:
        case "object":
            parts = zip(structure.keys, structure.children, children, strict=True)
            values = [
                prefixed(f"{k}=", doc)
                for k, child, doc in parts
                if child.kind != "static" and not (k in structure.hidden and doc == "None")
            ]
            copying = constructors.get(path) or constructors[structure.type_name or ""]
            return call(copying, values)
        case "tuple" | "parts":
            return tuple_of(children)
        case "list":
            return Group("[", tuple(children), "]")
        case "rows" | "columns":
            return stacked(structure, children)
        case "dict" | "mapping":
            keyed = zip(structure.keys, children, strict=True)
            written = (prefixed(f"{_item(structure, k)}: ", c) for k, c in keyed)
            items = Group("{", tuple(written), "}")
            filling = constructors.get(path) if structure.kind == "mapping" else None
            return items if filling is None else call(filling, [items])
    keyed = zip(structure.keys, children, strict=True)
    name = structure.type_name or ""
    return call(constructors.get(name, users(name)), [prefixed(f"{k}=", c) for k, c in keyed])


def stacked(structure: Structure, parts: Sequence[Doc]) -> Doc:
    """An array with these parts along the axis that it has its variables along."""
    axis: list[Doc] = ["axis=-1"] if structure.kind == "columns" else []
    return call("jnp.stack", [Group("[", tuple(parts), "]"), *axis])


def with_arrays_whole(structure: Structure) -> Structure:
    """The structure with a leaf in place of each array that has variables along an axis."""
    if structure.is_array:
        return Structure("float")
    return replace(structure, children=tuple(map(with_arrays_whole, structure.children)))


def arrays_in(structure: Structure, path: str = "") -> dict[str, tuple[Structure, tuple[str, ...]]]:
    """The arrays that have variables along an axis, by path, each with the paths of those."""
    if structure.is_array:
        return {path or "out": (structure, tuple(part for part, _ in structure.leaves(path)))}
    parts = zip(structure.keys, structure.children, strict=True)
    found = (arrays_in(child, join(path, key)) for key, child in parts)
    return {path: array for each in found for path, array in each.items()}


def constructors_of(arguments: Sequence[Argument]) -> dict[str, str]:
    """For each class among the arguments' containers: the expression for the type passed.

    For each object, by its path, that for what copies it, and for each mapping that is no dict
    that for what fills one like it.
    """
    found: dict[str, str] = {}

    def visit(structure: Structure, expression: str, path: str) -> None:
        if structure.kind == "object":
            found[path] = f"_copying({expression})"
        elif structure.kind == "mapping":
            count = len(list(structure.leaves()))
            found[path] = f"_filling({expression}, {count}, {quote(path)})"
            return
        elif structure.type_name is not None:
            found.setdefault(structure.type_name, f"type({expression})")
        for key, child in zip(structure.keys, structure.children, strict=True):
            visit(child, _access(structure, expression, key, path), join(path, key))

    for argument in arguments:
        visit(argument.structure, users(argument.name), argument.name)
    return found


def object_classes(arguments: Sequence[Argument]) -> dict[str, str]:
    """The path of an object of each class, for results of that class."""
    found: dict[str, str] = {}

    def visit(structure: Structure, path: str) -> None:
        if structure.kind == "object":
            found.setdefault(structure.type_name or "", path)
        for key, child in zip(structure.keys, structure.children, strict=True):
            visit(child, join(path, key))

    for argument in arguments:
        visit(argument.structure, argument.name)
    return found


def classes_needed(structures: Sequence[Structure]) -> tuple[str, ...]:
    """The names of the user's classes within structures that can be made by name, each once."""
    found: dict[str, None] = {}

    def visit(structure: Structure) -> None:
        if structure.type_name is not None and structure.kind not in ("object", "mapping"):
            found[structure.type_name] = None
        for child in structure.children:
            visit(child)

    for structure in structures:
        visit(structure)
    return tuple(found)


def paths_of(kind: NodeKind, structure: Structure, path: str) -> Iterator[str]:
    """The paths of what is of this kind within a structure."""
    if structure.kind == kind:
        yield path
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from paths_of(kind, child, join(path, key))
