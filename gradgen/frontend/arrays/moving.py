"""Operations that are not elementwise: what each primitive is called here, and its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jax import lax

from gradgen.frontend.arrays.dims import dim_of, shape_of
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.ir.code import Attribute

Attributes = tuple[tuple[str, Attribute], ...]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class NoTextError(Exception):
    """A form of a primitive that cannot be written; the message says what of it."""


def operation_of(eqn: Eqn) -> tuple[str, Attributes] | None:
    """The operation of an equation with one result, and its attributes but for the shape.

    None if it is not known. Raises NoTextError for a form that is not.
    """
    name = eqn.primitive.name
    read = _READERS.get(name)
    return None if read is None else (_RENAMED.get(name, name), read(eqn.params, eqn))


def _nothing(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    return ()


def _axes(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    return (("axes", tuple(map(int, params["axes"]))),)


def _cumulative(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    return ("axis", int(params["axis"])), ("reverse", bool(params["reverse"]))


def _einsum(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    (left_inner, right_inner), (left_batch, right_batch) = params["dimension_numbers"]
    shared = (*left_inner, *left_batch), (*right_inner, *right_batch)
    left_rank, right_rank = (v.aval.ndim for v in eqn.invars)
    left = list(_LETTERS[:left_rank])
    right = list(_LETTERS[left_rank : left_rank + right_rank])
    for i, j in (
        *zip(left_inner, right_inner, strict=True),
        *zip(left_batch, right_batch, strict=True),
    ):
        right[j] = left[i]
    result = [left[i] for i in left_batch]
    result += [c for i, c in enumerate(left) if i not in shared[0]]
    result += [c for j, c in enumerate(right) if j not in shared[1]]
    wanted = params.get("preferred_element_type")
    dtype = eqn.invars[0].aval.dtype
    if (wanted is not None and wanted != dtype) or eqn.invars[1].aval.dtype != dtype:
        raise NoTextError("its products are of another dtype than its operands")
    spec = f"{''.join(left)},{''.join(right)}->{''.join(result)}"
    return (("spec", spec), *_precision(params.get("precision")))


def _precision(precision: Any) -> Attributes:
    """Of matrix products, where it is not the usual one."""
    chosen = precision if isinstance(precision, tuple) else (precision,)
    names = {getattr(p, "name", str(p)) for p in chosen if p is not None}
    if not names or names == {"DEFAULT"}:
        return ()
    if len(names) > 1:
        raise NoTextError("its two operands have different precisions")
    return (("precision", names.pop()),)


def _slice(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    strides = params["strides"] or (1,) * len(params["start_indices"])
    return (
        ("starts", shape_of(params["start_indices"])),
        ("limits", shape_of(params["limit_indices"])),
        ("strides", tuple(map(int, strides))),
        ("full", tuple(
            dim_of(limit) == dim_of(size)
            for limit, size in zip(params["limit_indices"], eqn.invars[0].aval.shape, strict=True)
        )),
    )  # fmt: skip


def gather(eqn: Eqn) -> Attributes:
    """What a gather does, but for its operands."""
    params = eqn.params
    numbers = params["dimension_numbers"]
    fields = (
        "offset_dims", "collapsed_slice_dims", "start_index_map",
        "operand_batching_dims", "start_indices_batching_dims",
    )  # fmt: skip
    return (
        *((field, tuple(map(int, getattr(numbers, field)))) for field in fields),
        ("slice_sizes", shape_of(params["slice_sizes"])),
        *_promises(params),
        *(
            (("fill_value", str(params["fill_value"])),)
            if params.get("fill_value") is not None
            else ()
        ),
    )


def _scatter(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    numbers = params["dimension_numbers"]
    fields = (
        "update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims",
        "operand_batching_dims", "scatter_indices_batching_dims",
    )  # fmt: skip
    return (
        *((field, tuple(map(int, getattr(numbers, field)))) for field in fields),
        *_promises(params),
    )


def _promises(params: Mapping[str, Any]) -> Attributes:
    return (
        ("indices_are_sorted", bool(params["indices_are_sorted"])),
        ("unique_indices", bool(params["unique_indices"])),
        ("mode", params["mode"].name if params["mode"] is not None else "FILL_OR_DROP"),
    )


def _pad(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    return (("config", tuple(tuple(map(dim_of, one)) for one in params["padding_config"])),)


def _argmax(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    return (("axis", int(params["axes"][0])),)


def _conv(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    numbers = params["dimension_numbers"]
    wanted = params.get("preferred_element_type")
    if wanted is not None and wanted != eqn.invars[0].aval.dtype:
        raise NoTextError("its products are of another dtype than its operands")
    return (
        ("strides", tuple(map(int, params["window_strides"]))),
        ("padding", tuple(tuple(map(dim_of, one)) for one in params["padding"])),
        ("lhs_dilation", tuple(map(int, params["lhs_dilation"]))),
        ("rhs_dilation", tuple(map(int, params["rhs_dilation"]))),
        ("lhs_spec", tuple(map(int, numbers.lhs_spec))),
        ("rhs_spec", tuple(map(int, numbers.rhs_spec))),
        ("out_spec", tuple(map(int, numbers.out_spec))),
        ("groups", dim_of(params["feature_group_count"])),
        ("batches", dim_of(params["batch_group_count"])),
        *_precision(params.get("precision")),
    )


def _window(params: Mapping[str, Any], eqn: Eqn) -> Attributes:
    return (
        ("window", tuple(map(int, params["window_dimensions"]))),
        ("strides", tuple(map(int, params["window_strides"]))),
        ("padding", tuple(tuple(map(dim_of, one)) for one in params["padding"])),
        ("base_dilation", tuple(map(int, params["base_dilation"]))),
        ("window_dilation", tuple(map(int, params["window_dilation"]))),
    )


_RENAMED = {
    "random_wrap": "wrap_key",
    "random_unwrap": "unwrap_key",
    "random_split": "split_key",
    "random_fold_in": "fold_in",
    "dot_general": "einsum",
    "broadcast_in_dim": "broadcast",
    "squeeze": "reshape",
    "scatter-add": "scatter_add",
    "scatter-mul": "scatter_mul",
    "scatter-min": "scatter_min",
    "scatter-max": "scatter_max",
    "conv_general_dilated": "conv",
}
_READERS: dict[str, Callable[[Mapping[str, Any], Eqn], Attributes]] = {
    "dot_general": _einsum,
    "broadcast_in_dim": lambda p, e: (("dims", tuple(map(int, p["broadcast_dimensions"]))),),
    "random_wrap": _nothing,
    "random_unwrap": _nothing,
    "random_split": _nothing,
    "random_fold_in": _nothing,
    "reshape": _nothing,
    "squeeze": _nothing,
    "transpose": lambda p, e: (("permutation", tuple(map(int, p["permutation"]))),),
    "iota": lambda p, e: (("dimension", int(p["dimension"])),),
    **dict.fromkeys(
        ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"), _axes
    ),
    "argmax": _argmax,
    "argmin": _argmax,
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _cumulative),
    "slice": _slice,
    "rev": lambda p, e: (("axes", tuple(map(int, p["dimensions"]))),),
    "pad": _pad,
    "concatenate": lambda p, e: (("axis", int(p["dimension"])),),
    "dynamic_slice": lambda p, e: (("sizes", shape_of(p["slice_sizes"])),),
    "dynamic_update_slice": _nothing,
    **dict.fromkeys(
        ("scatter", "scatter-add", "scatter-mul", "scatter-min", "scatter-max"), _scatter
    ),
    "sort": lambda p, e: (
        ("axis", int(p["dimension"])),
        ("stable", bool(p["is_stable"])),
        ("keys", int(p["num_keys"])),
    ),
    "top_k": lambda p, e: (("axis", int(p["axis"])), ("k", dim_of(p["k"]))),
    **dict.fromkeys(
        ("reduce_window_sum", "reduce_window_max", "reduce_window_min", "reduce_window_mul"),
        _window,
    ),
    "conv_general_dilated": _conv,
}

MODES = lax.GatherScatterMode
"""By name: what is done with indices that lie outside."""
