"""The pytree that a step function returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from gradgen.errors import GradgenError
from gradgen.ir.pytree import NodeKind, Structure, leaf
from gradgen.ir.source import Source


def read_result(source: Source, value: Any) -> tuple[Structure, tuple[str, ...]]:
    """The structure of a traced result, and its leaves' dotted paths in JAX's order.

    A result that is a single leaf has the path `out`. Raises GradgenError for containers that a
    generated file cannot build.
    """
    structure = _structure(source, value)
    paths = tuple(path or "out" for path, _ in structure.leaves() if _.kind != "none")
    return structure, paths


def _structure(source: Source, value: Any) -> Structure:
    if value is None:
        return leaf("none")
    kind = _container_kind(value)
    if kind is None:
        if jax.tree_util.treedef_is_leaf(jax.tree.structure(value)):
            return leaf(_leaf_kind(value))
        raise GradgenError(
            f"'{source.function}' returns a {type(value).__name__}, which a generated file cannot "
            "build",
            hint="return tuples, lists, dicts, NamedTuples or registered dataclasses",
            path=source.path,
            line=source.position.line,
            column=source.position.column,
        )
    # one level at a time: JAX decides the order of the children
    children, _ = jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    keys = tuple(jax.tree_util.keystr(path, simple=True) for path, _ in children)
    if kind == "dataclass" and set(keys) != {f.name for f in dataclasses.fields(value)}:
        raise GradgenError(
            f"the dataclass {type(value).__name__} has static fields, which are not supported",
            path=source.path,
            line=source.position.line,
        )
    type_name = type(value).__name__ if kind in ("namedtuple", "dataclass") else None
    return Structure(kind, keys, tuple(_structure(source, v) for _, v in children), type_name)


def _container_kind(value: Any) -> NodeKind | None:
    if isinstance(value, tuple):
        return "namedtuple" if hasattr(value, "_fields") else "tuple"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "dict"
    if dataclasses.is_dataclass(value):
        return "dataclass"
    return None


def _leaf_kind(value: Any) -> Any:
    kind = jax.numpy.result_type(value).kind
    if kind == "b":
        return "bool"
    return "int" if kind in "iu" else "float"
