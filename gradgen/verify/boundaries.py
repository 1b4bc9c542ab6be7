"""Points on ties: exactly on each comparison of the trace, and the floats on both sides of it.

A comparison is a pair of values. Where one of them is an input, it is set equal to the other. Else
a point is sought by bisection along one input, between two random points on different sides. The
search uses numpy; the last steps use JAX's own bits, and end in two neighbouring floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from gradgen.ir.code import Atom, Const, Instruction, Var, is_float, is_zero, live_code
from gradgen.ir.trace import Trace
from gradgen.verify.evaluate import Evaluator
from gradgen.verify.floats import Array, from_ordinal, ordinal, step, widest

MAX_COMPARISONS = 40
_SUBSTITUTIONS, _CROSSINGS = 2, 2
"""For each comparison: how many points are made by substitution, and by bisection."""
_WINDOW = 64
"""How many floats around numpy's answer are searched with JAX's bits."""

_PAIRS = {"eq", "ne", "lt", "le", "gt", "ge", "max", "min"}
_ROUNDING = {"floor": 0.0, "ceil": 0.0, "round": 0.5}


@dataclass(frozen=True)
class Boundary:
    """Where `left - right` changes sign; with `grid`, where `left` passes an integer plus it."""

    left: Atom
    right: Atom
    grid: float | None = None


def boundaries(trace: Trace) -> list[Boundary]:
    """Every comparison of floats in the trace, in the primal and in the rules of derivatives."""
    code = (*trace.primal, *trace.partials)
    definitions = {i.target: i for i in code}
    floats = {i.variable for i in trace.inputs if is_float(i.dtype)}
    floats |= {i.target for i in code if is_float(i.dtype)}
    found: dict[frozenset[Atom], Boundary] = {}
    for instruction in code:
        for boundary in _boundaries_of(instruction):
            boundary = _without_difference(boundary, definitions)
            sides = frozenset((boundary.left, boundary.right))
            if len(sides) == 2 and sides & floats:
                found.setdefault(sides, boundary)
    chosen = list(found.values())
    if len(chosen) <= MAX_COMPARISONS:
        return chosen
    return [chosen[k * len(chosen) // MAX_COMPARISONS] for k in range(MAX_COMPARISONS)]


def _boundaries_of(instruction: Instruction) -> Iterator[Boundary]:
    operands = instruction.operands
    if instruction.op in _PAIRS:
        yield Boundary(operands[0], operands[1])
    elif instruction.op == "clamp":
        yield Boundary(operands[1], operands[0])
        yield Boundary(operands[1], operands[2])
    elif instruction.op in ("abs", "sign"):
        yield Boundary(operands[0], Const(0.0))
    elif instruction.op in _ROUNDING and isinstance(operands[0], str):
        yield Boundary(operands[0], Const(0.0), _ROUNDING[instruction.op])


def _without_difference(boundary: Boundary, definitions: Mapping[Var, Instruction]) -> Boundary:
    """`a - b` against 0 is `a` against `b`."""
    if is_zero(boundary.right) and isinstance(boundary.left, str) and boundary.grid is None:
        definition = definitions.get(boundary.left)
        if definition is not None and definition.op == "sub":
            left, right = definition.operands
            return Boundary(left, right)
    return boundary


class Search:
    """Looks for the boundaries of a trace from random points in one dtype."""

    def __init__(
        self, trace: Trace, found: Sequence[Boundary], drawn: Sequence[Array], working: str
    ) -> None:
        """`drawn` are the random points, whose number is that of every exact evaluation."""
        self._boundaries = found
        self._inputs = [i.variable for i in trace.inputs]
        self._is_float = [is_float(i.dtype) for i in trace.inputs]
        self._drawn = drawn
        self._count = len(drawn[0])
        atoms = [atom for b in found for atom in (b.left, b.right)]
        self._code = live_code((*trace.primal, *trace.partials), atoms)
        self._exactly = Evaluator(working, exact=True)
        self._roughly = Evaluator(working, exact=False)
        self._dependencies = _dependencies(self._code, self._inputs)

    def points(self, rng: np.random.Generator) -> list[list[Any]]:
        """Points on and beside the boundaries, each a list over the inputs."""
        found = [*self._substituted(rng), *self._bisected(rng)]
        unique: dict[tuple[bytes, ...], list[Any]] = {}
        for point in found:
            if all(np.all(np.isfinite(np.float64(x))) for x in point):
                unique.setdefault(tuple(np.asarray(x).tobytes() for x in point), point)
        return list(unique.values())

    def _substituted(self, rng: np.random.Generator) -> Iterator[list[Any]]:
        """Where one side is an input, that input set to the value of the other side."""
        targets = []
        for boundary in self._boundaries:
            for side, other in ((boundary.left, boundary.right), (boundary.right, boundary.left)):
                if not isinstance(side, str) or side not in self._inputs:
                    continue
                position = self._inputs.index(side)
                if self._is_float[position] and side not in self._depends(other):
                    rows = rng.integers(0, self._count, _SUBSTITUTIONS)
                    targets += [(boundary, other, position, int(row)) for row in rows]
        if not targets:
            return
        rows = np.array([row for _, _, _, row in targets])
        leaves = [values[rows] for values in self._drawn]
        values = self._exact(leaves)
        for number, (boundary, other, position, _) in enumerate(targets):
            base = [leaf[number] for leaf in leaves]
            dtype = base[position].dtype
            if boundary.grid is not None:
                tie = np.asarray(np.floor(np.float64(base[position])) + boundary.grid, dtype)
            else:
                tie = np.asarray(self._side(other, values, number), dtype)
            for near in (tie, step(tie, 1), step(tie, -1)):
                yield _replaced(base, position, near)
            if tie == 0:
                yield _replaced(base, position, np.asarray(-0.0, dtype))

    def _bisected(self, rng: np.random.Generator) -> Iterator[list[Any]]:
        """Neighbouring floats, along one input, on different sides of a boundary."""
        brackets = self._brackets(rng)[: self._count]
        if not brackets:
            return
        which = [boundary for boundary, *_ in brackets]
        offsets = np.array([offset for _, _, _, _, offset in brackets])
        positions = np.array([position for _, position, *_ in brackets])
        low_points = [point for _, _, point, _, _ in brackets]
        leaves = [np.array([p[k] for p in low_points]) for k in range(len(self._inputs))]
        low = np.array([ordinal(p[k]) for p, k in zip(low_points, positions, strict=True)])
        high = np.array([ordinal(other) for _, _, _, other, _ in brackets])
        rough_low, rough_high = self._halve(which, offsets, leaves, positions, low, high, False)
        # the sides in JAX's bits may change a few floats from where numpy puts it
        direction = np.where(high > low, 1, -1)
        near_low = rough_low - direction * _WINDOW
        near_high = rough_high + direction * _WINDOW
        near_low = np.where((near_low - low) * direction < 0, low, near_low)
        near_high = np.where((high - near_high) * direction < 0, high, near_high)
        exact_low, exact_high = self._halve(
            which, offsets, leaves, positions, near_low, near_high, True
        )
        for number, position in enumerate(positions):
            base = [leaf[number] for leaf in leaves]
            dtype = base[position].dtype
            for place in (
                exact_low[number], exact_high[number], exact_high[number] + direction[number],
            ):  # fmt: skip
                value = from_ordinal(np.asarray(place), dtype)
                yield _replaced(base, int(position), value)

    def _halve(
        self,
        which: Sequence[Boundary],
        offsets: Array,
        leaves: Sequence[Array],
        positions: Array,
        low: Array,
        high: Array,
        exact: bool,
    ) -> tuple[Array, Array]:
        """Bisect every bracket down to neighbouring floats."""

        def above(place: Array) -> Array:
            moved = [leaf.copy() for leaf in leaves]
            for k in set(positions.tolist()):
                rows = positions == k
                moved[k][rows] = from_ordinal(place[rows], moved[k].dtype)
            values = self._exact(moved) if exact else self._rough(moved)
            return np.array(
                [
                    self._difference(boundary, values, number) >= offsets[number]
                    for number, boundary in enumerate(which)
                ]
            )

        at_low = above(low)
        while np.any(open_ := ~_adjacent(low, high)):
            middle = np.where(open_, _between(low, high), low)
            same = above(middle) == at_low
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        return low, high

    def _brackets(
        self, rng: np.random.Generator
    ) -> list[tuple[Boundary, int, list[Any], Any, float]]:
        """(boundary, input, a point, the input's value on the other side, offset)."""
        values = self._rough(self._drawn)
        found = []
        for boundary in self._boundaries:
            difference = self._difference(boundary, values, slice(None))
            difference = np.broadcast_to(difference, (self._count,))
            for _ in range(_CROSSINGS):
                crossing = self._crossing(boundary, difference, rng)
                if crossing is not None:
                    found.append(crossing)
        return found

    def _crossing(
        self, boundary: Boundary, difference: Array, rng: np.random.Generator
    ) -> tuple[Boundary, int, list[Any], Any, float] | None:
        """Walk from one random point to another, input by input, until the side changes."""
        offset = 0.0
        finite = np.flatnonzero(np.isfinite(difference))
        if boundary.grid is not None and len(finite):
            start = difference[rng.choice(finite)]
            offset = float(np.floor(start)) + 1.0 - boundary.grid
        below = finite[difference[finite] < offset]
        above = finite[difference[finite] >= offset]
        if not len(below) or not len(above):
            return None
        start_row, end_row = int(rng.choice(below)), int(rng.choice(above))
        order = rng.permutation(len(self._inputs))
        path = [[values[start_row] for values in self._drawn]]
        for position in order:
            path.append(_replaced(path[-1], int(position), self._drawn[position][end_row]))
        leaves = [np.array([p[k] for p in path]) for k in range(len(self._inputs))]
        values = self._rough(leaves)
        sides = self._difference(boundary, values, slice(None))
        sides = np.broadcast_to(sides >= offset, (len(path),))
        for number, position in enumerate(order):
            if not sides[number] and sides[number + 1] and self._is_float[position]:
                other = path[number + 1][position]
                return boundary, int(position), path[number], other, offset
        return None

    def _difference(self, boundary: Boundary, values: Mapping[Var, Any], rows: Any) -> Array:
        left = self._side(boundary.left, values, rows)
        if boundary.grid is not None:
            return widest(left)
        with np.errstate(all="ignore"):
            return np.asarray(widest(left) - widest(self._side(boundary.right, values, rows)))

    def _side(self, atom: Atom, values: Mapping[Var, Any], rows: Any) -> Any:
        if isinstance(atom, Const):
            return atom.value
        array = np.asarray(values[atom])
        return array if array.ndim == 0 else array[rows]

    def _rough(self, leaves: Sequence[Array]) -> Mapping[Var, Any]:
        return self._roughly.run(self._code, dict(zip(self._inputs, leaves, strict=True)))

    def _exact(self, leaves: Sequence[Array]) -> Mapping[Var, Any]:
        """In JAX's bits, on as many points as there are random ones: nothing is compiled anew."""
        missing = self._count - len(leaves[0])
        padded = [
            jax.device_put(np.concatenate([leaf, drawn[:missing]]))
            for leaf, drawn in zip(leaves, self._drawn, strict=True)
        ]
        values = self._exactly.run(self._code, dict(zip(self._inputs, padded, strict=True)))
        wanted = {a for b in self._boundaries for a in (b.left, b.right) if isinstance(a, str)}
        return {variable: np.asarray(values[variable]) for variable in wanted}

    def _depends(self, atom: Atom) -> frozenset[Var]:
        return frozenset() if isinstance(atom, Const) else self._dependencies[atom]


def _opposite(low: Array, high: Array) -> Array:
    """Where zero lies strictly between; the difference of such ordinals could overflow."""
    return np.asarray((np.minimum(low, high) < 0) & (np.maximum(low, high) > 0))


def _adjacent(low: Array, high: Array) -> Array:
    opposite = _opposite(low, high)
    return np.asarray(
        ~opposite & (np.abs(np.where(opposite, 0, high) - np.where(opposite, 0, low)) <= 1)
    )


def _between(low: Array, high: Array) -> Array:
    opposite = _opposite(low, high)
    return np.where(opposite, 0, low + (np.where(opposite, low, high) - low) // 2)


def _dependencies(code: Sequence[Instruction], inputs: Sequence[Var]) -> dict[Var, frozenset[Var]]:
    """On which inputs each variable depends."""
    found = {variable: frozenset((variable,)) for variable in inputs}
    for instruction in code:
        found[instruction.target] = frozenset().union(*(found[v] for v in instruction.variables))
    return found


def _replaced(point: Sequence[Any], position: int, value: Any) -> list[Any]:
    changed = list(point)
    changed[position] = value
    return changed
