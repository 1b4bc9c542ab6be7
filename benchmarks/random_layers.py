"""Random steps of layers as graphs with patterns, to train a general network on.

Operations are those of layers: products with matrices, biases, what is elementwise, sums along axes
and their broadcasts, transpositions. What is eliminated is the graph of a vector product, or of the
whole Jacobian.
"""

from __future__ import annotations

import random

from gradgen.elimination.array_table import Table
from gradgen.elimination.joining import edges_of
from gradgen.ir.patterns import Pattern, vector
from gradgen.search.arrays.states import Eliminations
from gradgen.search.task import Task, patterned_task

Shape = tuple[int, ...]
_SIZES = (2, 3, 5, 8, 16, 32, 64, 128, 256)
_BATCHES = (1, 4, 16, 32, 64)


class _Layer:
    """A layer while it is written; values are vertices by number, with shapes."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.edges: list[tuple[int, int, Pattern]] = []

    def value(self, shape: Shape, *operands: tuple[int, Pattern]) -> int:
        """What an operation makes of operands, with the patterns of its partials by them."""
        number = len(self.shapes)
        self.shapes.append(shape)
        self.edges += [(v, number, pattern) for v, pattern in operands]
        return number

    def elementwise(self, *operands: tuple[int, str]) -> int:
        """Of values of one shape, with the kinds of their partials: unit, constant, variable."""
        shape = self.shapes[operands[0][0]]
        return self.value(shape, *((v, _diagonal(shape, kind)) for v, kind in operands))

    def product(self, x: int, weights: int) -> int:
        """(..., m) times (m, n)."""
        rows, (m, n) = self.shapes[x], self.shapes[weights]
        labels = [*range(len(rows) + 1)]
        *lead, inner, outer = labels
        dims = {**dict(enumerate(rows)), outer: n}
        by_x = _pattern([*lead, outer], [*lead, inner], [inner, outer], dims)
        by_weights = _pattern([*lead, outer], [inner, outer], [*lead, inner], dims)
        # by the weights the output's axis is a delta, along which nothing is stored
        del m
        return self.value((*rows[:-1], n), (x, by_x), (weights, by_weights))

    def broadcast(self, x: int, shape: Shape, kept: tuple[int, ...]) -> int:
        """To a shape of which some axes are those of the value."""
        dims = dict(enumerate(shape))
        return self.value(shape, (x, _pattern([*dims], kept, [], dims, free=True)))

    def summed(self, x: int, axis: int) -> int:
        shape = self.shapes[x]
        dims = dict(enumerate(shape))
        rows = [k for k in dims if k != axis]
        return self.value(
            tuple(shape[k] for k in rows), (x, _pattern(rows, [*dims], [], dims, free=True))
        )

    def transposed(self, x: int) -> int:
        shape = self.shapes[x]
        dims = dict(enumerate(shape))
        turned = [*reversed(dims)]
        return self.value(shape[::-1], (x, _pattern(turned, [*dims], [], dims, free=True)))


def _pattern(rows, columns, held, dims, *, free=False) -> Pattern:  # type: ignore[no-untyped-def]
    return Pattern.of(tuple(rows), tuple(columns), frozenset(held), dims, free=free)[0]


def _diagonal(shape: Shape, kind: str) -> Pattern:
    dims = dict(enumerate(shape))
    held = [*dims] if kind == "variable" else []
    return _pattern([*dims], [*dims], held, dims, free=kind == "unit")


def random_layer(chance: random.Random, most: int) -> Task:
    """The task of a random layer of at most about so many intermediates."""
    layer = _Layer()
    batch, *sizes = chance.choice(_BATCHES), *(chance.choice(_SIZES) for _ in range(3))
    inputs = [layer.value((batch, chance.choice(sizes))) for _ in range(chance.randint(1, 3))]
    values = list(inputs)
    count = chance.randint(5, most)
    while len(layer.shapes) - len(inputs) < count:
        recent = values[-6:] if chance.random() < 0.8 else values
        x = chance.choice(recent)
        values += _operation(layer, chance, x, values, sizes, inputs)
    read = {source for source, _, _ in layer.edges}
    outputs = [v for v in range(len(layer.shapes)) if v not in read and v not in inputs]
    if chance.random() < 0.35:
        outputs = [_loss(layer, chance, outputs)]
    return _task(layer, inputs, outputs, whole=chance.random() < 0.5)


def _operation(
    layer: _Layer,
    chance: random.Random,
    x: int,
    values: list[int],
    sizes: list[int],
    inputs: list[int],
) -> list[int]:
    """The values that an operation on one adds, parameters not among them."""
    shape = layer.shapes[x]
    alike = [v for v in values if layer.shapes[v] == shape and v != x]
    drawn = chance.random()
    if drawn < 0.3:
        kind = chance.choice(("unit", "constant", "variable", "variable"))
        return [layer.elementwise((x, kind))]
    if drawn < 0.6 and alike:
        kinds = chance.choice((("unit", "unit"), ("variable", "variable"), ("unit", "constant")))
        other = chance.choice(alike)
        return [layer.elementwise((x, kinds[0]), (other, kinds[1]))]
    if drawn < 0.75 and len(shape) == 2:
        weights = layer.value((shape[1], chance.choice(sizes)))
        inputs.append(weights)
        return [layer.product(x, weights)]
    if drawn < 0.85 and len(shape) == 2:
        bias = layer.value(shape[1:])
        inputs.append(bias)
        spread = layer.broadcast(bias, shape, (1,))
        kinds = chance.choice((("unit", "unit"), ("variable", "variable")))
        return [layer.elementwise((x, kinds[0]), (spread, kinds[1]))]
    if drawn < 0.95 and len(shape) == 2:
        axis = chance.randint(0, 1)
        total = layer.summed(x, axis)
        if chance.random() < 0.5:
            total = layer.elementwise((total, "variable"))
        spread = layer.broadcast(total, shape, (1 - axis,))
        return [total, spread, layer.elementwise((x, "variable"), (spread, "variable"))]
    return [layer.transposed(x)] if len(shape) == 2 else [layer.elementwise((x, "variable"))]


def _loss(layer: _Layer, chance: random.Random, outputs: list[int]) -> int:
    """A single number of all outputs."""
    parts = []
    for v in outputs:
        if chance.random() < 0.6:
            v = layer.elementwise((v, "variable"))
        while layer.shapes[v]:
            v = layer.summed(v, 0)
        parts.append(v)
    while len(parts) > 1:
        one, other = parts.pop(), parts.pop()
        parts.append(layer.elementwise((one, "unit"), (other, "unit")))
    return layer.elementwise((parts[0], "constant"))


def _task(layer: _Layer, inputs: list[int], outputs: list[int], *, whole: bool) -> Task:
    """Of the whole Jacobian, or of the outputs' sum, weighted with cotangents."""
    edges = list(layer.edges)
    shapes = list(layer.shapes)
    if not whole:
        end = len(shapes)
        shapes.append(())
        edges += [(v, end, vector(shapes[v])) for v in outputs]
        outputs = [end]
    below = _reached(inputs, [(s, t) for s, t, _ in edges])
    above = _reached(outputs, [(t, s) for s, t, _ in edges])
    kept = sorted(below & above)
    number = {v: k for k, v in enumerate(kept)}
    table = Table({}, {})
    given = [
        (number[s], number[t], table.elemental(pattern, str(s), str(t)))
        for s, t, pattern in edges
        if s in number and t in number
    ]
    inner = tuple(number[v] for v in kept if v not in inputs and v not in outputs)
    eliminations = Eliminations(table, edges_of(len(kept), given, table.sum), inner)
    names = [f"v{k}" for k in range(len(kept))]
    return patterned_task(eliminations, [shapes[v] for v in kept], names, "random layer")


def _reached(starts: list[int], edges: list[tuple[int, int]]) -> set[int]:
    found, waiting = set(starts), list(starts)
    out: dict[int, list[int]] = {}
    for s, t in edges:
        out.setdefault(s, []).append(t)
    while waiting:
        for t in out.get(waiting.pop(), ()):
            if t not in found:
                found.add(t)
                waiting.append(t)
    return found
