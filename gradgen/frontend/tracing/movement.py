"""Primitives that move data about, and short reductions, on arrays of scalars."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
from jax import lax

from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.interpret import Interpreter, Tensor, element, handles
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.frontend.tracing.rules import vertices_of
from gradgen.ir.code import Atom, Const, is_float
from gradgen.ir.trace import Elemental


@handles("squeeze", "expand_dims")
def _same_order(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    return [operands[0].reshape(eqn.outvars[0].aval.shape)]


@handles("reshape")
def _reshape(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    order = eqn.params["dimensions"]
    rows = operands[0] if order is None else operands[0].transpose(order)
    return [rows.reshape(eqn.outvars[0].aval.shape)]


@handles("broadcast_in_dim")
def _broadcast(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    shape = eqn.outvars[0].aval.shape
    axes = eqn.params["broadcast_dimensions"]
    stretched = [1] * len(shape)
    for position, axis in enumerate(axes):
        stretched[axis] = operands[0].shape[position]
    return [np.broadcast_to(operands[0].reshape(stretched), shape)]


@handles("transpose")
def _transpose(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    return [operands[0].transpose(eqn.params["permutation"])]


@handles("rev")
def _reverse(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    return [np.flip(operands[0], eqn.params["dimensions"])]


@handles("slice")
def _slice(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    starts, limits = eqn.params["start_indices"], eqn.params["limit_indices"]
    strides = eqn.params["strides"] or (1,) * len(starts)
    spans = tuple(slice(*span) for span in zip(starts, limits, strides, strict=True))
    return [operands[0][spans]]


@handles("concatenate")
def _concatenate(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    return [np.concatenate(operands, axis=eqn.params["dimension"])]


@handles("stack")
def _stack(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    return [np.stack(operands, axis=eqn.params["axis"])]


@handles("split")
def _split(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    cuts = np.cumsum([int(size) for size in eqn.params["sizes"]])[:-1]
    return list(np.split(operands[0], cuts, axis=eqn.params["axis"]))


@handles("unstack")
def _unstack(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    axis = eqn.params["axis"]
    rows = np.moveaxis(operands[0], axis, 0)
    return [element(rows, i) for i in range(len(rows))]


@handles("iota")
def _iota(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    aval = eqn.outvars[0].aval
    counts = np.arange(aval.shape[eqn.params["dimension"]])
    shape = [1] * len(aval.shape)
    shape[eqn.params["dimension"]] = -1
    values = np.broadcast_to(counts.reshape(shape), aval.shape).astype(aval.dtype)
    return [interpreter.constant(values)]


@handles("select_n")
def _select(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    which, *cases = operands
    aval = eqn.outvars[0].aval
    dtype = interpreter.dtype(aval)
    result = cases[0]
    for number, case in enumerate(cases[1:], start=1):
        chosen = np.empty(aval.shape, object)
        wide: Tensor = np.broadcast_to(which, aval.shape)
        for index in np.ndindex(aval.shape):
            condition: Atom = wide[index]
            if eqn.invars[0].aval.dtype != bool:
                number_const = Const(number, interpreter.dtype(eqn.invars[0].aval))
                condition = interpreter.emit(eqn, "eq", (condition, number_const), "bool")
            operands_ = (condition, case[index], result[index])
            chosen[index] = interpreter.emit(eqn, "select", operands_, dtype)
        result = chosen
    return [result]


@handles("pad", "tile", "dynamic_slice", "dynamic_update_slice", "gather", "scatter")
def _move(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """Let JAX itself move numbered places: whatever arrives where tells what to move."""
    data_operands = {"pad": 2, "dynamic_update_slice": 2, "scatter": 3}.get(eqn.primitive.name, 1)
    moved: list[Atom] = [Const(float("nan"))]

    def numbered(tensor: Tensor) -> Any:
        places = np.arange(len(moved), len(moved) + tensor.size, dtype=np.int32)
        moved.extend(tensor.reshape(-1))
        return jax.numpy.asarray(places.reshape(tensor.shape))

    arguments = []
    for position, tensor in enumerate(operands):
        is_index = position >= data_operands or (eqn.primitive.name == "scatter" and position == 1)
        if not is_index:
            arguments.append(numbered(tensor))
            continue
        if any(isinstance(atom, str) for atom in tensor.reshape(-1)):
            raise interpreter.unsupported(
                eqn, "an index depends on a traced value", hint="index with constants"
            )
        values = np.array([a.value for a in tensor.reshape(-1)]).reshape(tensor.shape)
        arguments.append(jax.numpy.asarray(values.astype(eqn.invars[position].aval.dtype)))
    params = dict(eqn.params)
    if "fill_value" in params:
        params["fill_value"] = 0
    with jax.ensure_compile_time_eval():
        places = np.asarray(eqn.primitive.bind(*arguments, **params))
    result = np.empty(places.shape, object)
    for index in np.ndindex(places.shape):
        result[index] = moved[places[index]]
    return [result]


_REDUCTIONS = {
    "reduce_sum": "add",
    "reduce_prod": "mul",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_and": "and",
    "reduce_or": "or",
    "reduce_xor": "xor",
    "cumsum": "add",
    "cumprod": "mul",
}


@handles(*(name for name in _REDUCTIONS if name.startswith("reduce")))
def _reduce(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    op = _REDUCTIONS[eqn.primitive.name]
    axes = tuple(eqn.params["axes"])
    tensor = operands[0]
    kept = [axis for axis in range(tensor.ndim) if axis not in axes]
    shape = tuple(tensor.shape[axis] for axis in kept)
    rows = tensor.transpose((*kept, *axes)).reshape((*shape, -1))
    if rows.shape[-1] == 0:
        raise interpreter.unsupported(eqn, "a reduction over an empty axis is not supported")
    dtype = interpreter.dtype(eqn.outvars[0].aval)
    result = np.empty(shape, object)
    for index in np.ndindex(shape):
        total, *rest = rows[index]
        for atom in rest:
            total = interpreter.emit(eqn, op, (total, atom), dtype)
        result[index] = total
    several = rows.shape[-1] > 2 and op in ("max", "min") and is_float(dtype)
    return _share_among_ties(interpreter, eqn, rows, result) if several else [result]


def _share_among_ties(
    interpreter: Interpreter, eqn: Eqn, rows: Tensor, result: Tensor
) -> list[Tensor]:
    """Vertices whose derivative is shared equally by all that attain the extremum, as in JAX.

    A chain of operations on two would halve it again and again.
    """
    if not interpreter.wants_rules:
        return [result]
    dtype = interpreter.dtype(eqn.outvars[0].aval)
    (vertices,) = vertices_of(interpreter, eqn, [result])
    for index in np.ndindex(result.shape):
        extremum = vertices[index]
        with interpreter.writing_partials():
            attains = [
                interpreter.emit(
                    eqn,
                    "convert",
                    (interpreter.emit(eqn, "eq", (atom, extremum), "bool"),),
                    dtype,
                    (("from", "bool"),),
                )
                for atom in rows[index]
            ]
            count = attains[0]
            for mask in attains[1:]:
                count = interpreter.emit(eqn, "add", (count, mask), dtype)
            shares = [interpreter.emit(eqn, "div", (mask, count), dtype) for mask in attains]
        pairs = zip(rows[index], shares, strict=True)
        partials = tuple((atom, share) for atom, share in pairs if isinstance(atom, str))
        interpreter.tape.custom.append(Elemental(extremum, eqn.primitive.name, partials))
    return [vertices]


@handles("argmax", "argmin")
def _extremum_index(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """The first place of the largest (smallest) element; a nan counts as such."""
    comparison = "gt" if eqn.primitive.name == "argmax" else "lt"
    aval = eqn.outvars[0].aval
    dtype = interpreter.dtype(aval)
    kind = interpreter.dtype(eqn.invars[0].aval)
    rows = np.moveaxis(operands[0], eqn.params["axes"][0], -1)
    result = np.empty(aval.shape, object)
    for index in np.ndindex(aval.shape):
        best: Atom = rows[index][0]
        place: Atom = Const(0, dtype)
        for k, atom in enumerate(rows[index][1:], start=1):
            better = interpreter.emit(eqn, comparison, (atom, best), "bool")
            if is_float(kind):
                new = interpreter.emit(eqn, "ne", (atom, atom), "bool")
                old = interpreter.emit(eqn, "eq", (best, best), "bool")
                first_nan = interpreter.emit(eqn, "and", (new, old), "bool")
                better = interpreter.emit(eqn, "or", (better, first_nan), "bool")
            best = interpreter.emit(eqn, "select", (better, atom, best), kind)
            place = interpreter.emit(eqn, "select", (better, Const(k, dtype), place), dtype)
        result[index] = place
    return [result]


@handles("cummax", "cummin")
def _cumulate_extrema(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """In the order in which JAX differentiates it: that decides what each of several ties gets."""
    better = lax.max if eqn.primitive.name == "cummax" else lax.min
    aval, given = eqn.invars[0].aval, eqn.params

    def cumulate(x: Any) -> Any:
        return lax.associative_scan(better, x, reverse=given["reverse"], axis=given["axis"])

    closed = jax.make_jaxpr(cumulate)(jax_compat.shaped(aval.shape, aval.dtype))
    return interpreter.run(closed, operands)


@handles("cumsum", "cumprod")
def _cumulate(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    op = _REDUCTIONS[eqn.primitive.name]
    axis = eqn.params["axis"]
    dtype = interpreter.dtype(eqn.outvars[0].aval)
    rows = np.moveaxis(operands[0], axis, -1).copy()
    if eqn.params["reverse"]:
        rows = rows[..., ::-1]
    for index in np.ndindex(rows.shape[:-1]):
        for k in range(1, rows.shape[-1]):
            pair = (rows[(*index, k - 1)], rows[(*index, k)])
            rows[(*index, k)] = interpreter.emit(eqn, op, pair, dtype)
    if eqn.params["reverse"]:
        rows = rows[..., ::-1]
    return [np.moveaxis(rows, -1, axis)]


@handles("dot_general")
def _dot(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    (left_axes, right_axes), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    left = _grouped(operands[0], left_batch, left_axes)
    right = _grouped(operands[1], right_batch, right_axes)
    aval = eqn.outvars[0].aval
    dtype = interpreter.dtype(aval)
    result = np.empty((left.shape[0], left.shape[1], right.shape[1]), object)
    for b, i, j in itertools.product(*(range(n) for n in result.shape)):
        terms: list[Atom] = []
        for x, y in zip(left[b, i], right[b, j], strict=True):
            terms.append(interpreter.emit(eqn, "mul", (x, y), dtype))
        total = terms[0]
        for term in terms[1:]:
            total = interpreter.emit(eqn, "add", (total, term), dtype)
        result[b, i, j] = total
    return [result.reshape(aval.shape)]


def _grouped(tensor: Tensor, batch: tuple[int, ...], contracted: tuple[int, ...]) -> Tensor:
    """Axes gathered as (batch, free, contracted)."""
    free = [axis for axis in range(tensor.ndim) if axis not in (*batch, *contracted)]
    sizes = [int(np.prod([tensor.shape[a] for a in axes])) for axes in (batch, free, contracted)]
    return tensor.transpose((*batch, *free, *contracted)).reshape(sizes)
