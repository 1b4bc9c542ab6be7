"""The graph of a function: a vertex for each equation, and partials as AlphaGrad has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from benchmarks.network_tasks.accounting import Accounting, Copy, Term
from gradgen.elimination.joining import Vertex, edges_of
from gradgen.ir.patterns import Label, Pattern
from gradgen.search.arrays.states import Eliminations, Steps


@dataclass(frozen=True)
class Graph:
    """A traced function: vertices are its inputs, then its equations."""

    closed: Any
    accounting: Accounting
    eliminations: Eliminations
    shapes: tuple[tuple[int, ...], ...]
    """Of the vertices."""


def traced(function: Callable[..., Any], arguments: Sequence[Any]) -> Graph:
    """The graph of a function, differentiated by all arguments."""
    closed = jax.make_jaxpr(function)(*arguments)
    jaxpr, accounting = closed.jaxpr, Accounting()
    number = numbers(closed)
    given = [
        (number[variable], number[eqn.outvars[0]], accounting.code(term))
        for eqn in jaxpr.eqns
        for variable, term in _terms(eqn)
    ]
    inner = [v for eqn in jaxpr.eqns for v in eqn.outvars if v not in jaxpr.outvars]
    edges = edges_of(len(number), given, accounting.sum)
    intermediates: Steps = tuple(number[v] for v in inner)
    shapes = tuple(variable.aval.shape for variable in number)
    return Graph(closed, accounting, Eliminations(accounting, edges, intermediates), shapes)


def numbers(closed: Any) -> dict[Any, Vertex]:
    """The vertices by variable."""
    jaxpr = closed.jaxpr
    variables = [*jaxpr.invars, *(v for eqn in jaxpr.eqns for v in eqn.outvars)]
    return {variable: k for k, variable in enumerate(variables)}


def _terms(eqn: Any) -> Iterator[tuple[Any, Term]]:
    """The partial of an equation by each of its operands."""
    name = eqn.primitive.name
    if name == "stop_gradient":
        return
    for k, variable in enumerate(eqn.invars):
        if hasattr(variable, "val"):
            continue  # a number
        if name in _COPIES:
            yield variable, Term(None, (_copy(eqn, variable),))
        elif name == "dot_general":
            yield variable, Term(_contraction(eqn, k))
        elif name in ("reduce_sum", "reduce_max", "reduce_min"):
            yield variable, Term(_reduction(eqn))
        else:
            yield variable, Term(_elementwise(eqn, k))


_COPIES = ("transpose", "broadcast_in_dim", "slice", "reshape", "concatenate")


def _pattern(
    rows: Sequence[Label], columns: Sequence[Label], dims: dict[Label, int], held: Any
) -> Pattern:
    return Pattern.of(tuple(rows), tuple(columns), frozenset(held), dims)[0]  # type: ignore[arg-type]


def _copy(eqn: Any, variable: Any) -> Copy:
    name, source, target = eqn.primitive.name, variable.aval.shape, eqn.outvars[0].aval.shape
    if name == "transpose":
        dims = dict(enumerate(source))
        return Copy(source, target, _pattern(eqn.params["permutation"], [*dims], dims, ()))
    if name == "broadcast_in_dim":
        dims = dict(enumerate(target))
        columns = []
        for place, size in zip(eqn.params["broadcast_dimensions"], source, strict=True):
            label = int(place) if size == target[place] else len(dims)
            dims.setdefault(label, size)
            columns.append(label)
        return Copy(source, target, _pattern(range(len(target)), columns, dims, ()))
    return Copy(source, target, waits=name == "reshape")


def _contraction(eqn: Any, slot: int) -> Pattern:
    """By one factor: the other one."""
    (inner, batch), shapes = eqn.params["dimension_numbers"], [v.aval.shape for v in eqn.invars]
    labels = [[*range(len(shapes[0]))], [len(shapes[0]) + k for k in range(len(shapes[1]))]]
    for i, j in (*zip(*inner, strict=True), *zip(*batch, strict=True)):
        labels[1][j] = labels[0][i]
    rows = [labels[0][i] for i in batch[0]]
    for side in (0, 1):
        summed = {*inner[side], *batch[side]}
        rows += [label for k, label in enumerate(labels[side]) if k not in summed]
    dims = {
        label: size
        for side, shape in zip(labels, shapes, strict=True)
        for label, size in zip(side, shape, strict=True)
    }
    return _pattern(rows, labels[slot], dims, labels[1 - slot])


def _reduction(eqn: Any) -> Pattern:
    """Of a sum ones, along what is summed; of extrema a choice for each element."""
    axes, dims = eqn.params["axes"], dict(enumerate(eqn.invars[0].aval.shape))
    held = axes if eqn.primitive.name == "reduce_sum" else dims
    return _pattern([k for k in dims if k not in axes], [*dims], dims, held)


def _elementwise(eqn: Any, slot: int) -> Pattern:
    """A diagonal; by a single number, or one that is stretched, what is stretched is full."""
    shape, given = eqn.outvars[0].aval.shape, eqn.invars[slot].aval.shape
    dims = dict(enumerate(shape))
    if given == ():
        return _pattern([*dims], [], dims, [*dims])
    columns = []
    for k, (due, size) in enumerate(zip(shape, given, strict=True)):
        columns.append(k if due == size else len(shape) + k)
        dims.setdefault(columns[-1], size)
    values = shape
    if len(eqn.invars) == 2 and given == shape:
        other = eqn.invars[1 - slot].aval.shape
        # a factor, or ones in the shape of what is added; a quotient by its dividend the divisor
        by_dividend = eqn.primitive.name == "div" and slot == 0
        if by_dividend or eqn.primitive.name in ("mul", "add", "sub"):
            values = other
    alone = int(np.prod(values)) == 1
    spread = zip(shape, values, strict=True) if len(values) == len(shape) else ()
    held = [] if alone else [k for k, (due, size) in enumerate(spread) if due == size]
    return _pattern(range(len(shape)), columns, dims, held)
