"""The pytree that a step function returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.tracing.carried import require_available
from gradgen.frontend.tracing.containers import children_of, fields_of
from gradgen.frontend.tracing.instances import children_of_instance, within
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.pytree import Columns, NodeKind, Rows, Structure, leaf
from gradgen.ir.source import Source


def read_result(
    source: Source, value: Any, signature: Signature
) -> tuple[Structure, tuple[str, ...]]:
    """The structure of a traced result, and its leaves' dotted paths in JAX's order.

    A result that is a single leaf has the path `out`. Raises GradgenError for containers that a
    generated file cannot build.
    """
    structure = _structure(source, value, signature)
    paths = tuple(path or "out" for path, _ in structure.leaves() if _.kind != "none")
    return structure, paths


def _structure(source: Source, value: Any, signature: Signature) -> Structure:
    if value is None:
        return leaf("none")
    keys_of_object = signature.object_keys(value)
    if keys_of_object is not None:
        return _object(source, value, keys_of_object, signature)
    kind = _container_kind(value)
    if kind is None:
        if jax.tree_util.treedef_is_leaf(jax.tree.structure(value)):
            return leaf(_leaf_kind(value))
        raise error_in(
            source,
            f"'{source.function}' returns a {type(value).__name__}, which a generated file cannot "
            "build",
            hint="return tuples, lists, dicts, NamedTuples or registered dataclasses",
        )
    # one level at a time: JAX decides the order of the children
    fields = fields_of(type(value))
    type_name = None if fields is None else type(value).__name__
    if type_name is not None:
        require_available(source, type(value), signature.arguments, signature.classes)
    try:
        keys = None if fields is None else children_of(type(value), fields)
    except GradgenError as error:
        raise error.located(source.path, source.position.line, source.position.column) from None
    children, tree = jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    try:
        jax.tree.unflatten(tree, [object() for _ in children])
    except Exception as error:
        raise error_in(
            source,
            f"the class {type_name} does not take what JAX puts in place of its parts: it raises "
            f"{type(error).__name__}",
            hint="convert values in the functions that use them, not when an instance is made",
        ) from error
    if keys is None:
        keys = tuple(_key(source, path) for path, _ in children)
    if fields is not None and set(keys) != set(fields):
        raise error_in(
            source,
            f"the {kind} {type_name} has static fields, which are not supported in a result, or "
            "parts that are not its fields",
            hint=f"register {type_name} with jax.tree_util.register_dataclass, all of its fields "
            "as data, or return a tuple",
        )
    return Structure(
        kind, keys, tuple(_structure(source, v, signature) for _, v in children), type_name
    )


def _object(source: Source, value: Any, keys: tuple[str, ...], signature: Signature) -> Structure:
    """The structure of a result of the class of an argument, which is built by copying that."""
    seen = children_of_instance(value)
    kept = signature.is_kept(value)
    if set(seen) != set(keys) or not kept:
        what = "does not show all of its numbers to JAX" if kept else "has other static parts"
        raise error_in(
            source,
            f"'{source.function}' returns a {type(value).__name__} which {what}",
            hint="return what changes in a tuple, a dict or a NamedTuple",
        )
    children = tuple(_structure(source, within(getattr(value, k)), signature) for k in seen)
    return Structure("object", tuple(seen), children, type(value).__name__)


def _key(source: Source, path: Any) -> str:
    """The key of a part of a tuple, a list or a dict."""
    key = getattr(path[0], "key", None)
    if isinstance(path[0], jax.tree_util.DictKey) and not isinstance(key, str):
        raise error_in(
            source,
            f"'{source.function}' returns a dict with the key {key!r}",
            hint="keys have to be strings; or return a tuple or a list",
        )
    return jax.tree_util.keystr(path, simple=True)


def _container_kind(value: Any) -> NodeKind | None:
    if isinstance(value, Rows):
        return "columns" if isinstance(value, Columns) else "rows"
    if isinstance(value, tuple):
        return "namedtuple" if hasattr(value, "_fields") else "tuple"
    if isinstance(value, list):
        return "list"
    if type(value) is dict:
        return "dict"
    if dataclasses.is_dataclass(value):
        return "dataclass"
    return None


def _leaf_kind(value: Any) -> Any:
    dtype = jax.numpy.result_type(value)
    kind = "key" if jax.numpy.issubdtype(dtype, jax.dtypes.prng_key) else dtype.kind
    if kind == "b":
        return "bool"
    return "int" if kind in ("i", "u", "key") else "float"
