"""The terms of a graph of arrays as numbers, with a table of their products, sums and prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from gradgen.elimination.array_costs import EdgeValue, bytes_of, crossing, crossing_map
from gradgen.elimination.array_graphs import END, ArrayGraph, Term
from gradgen.elimination.joining import Edges, edges_of
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_plan import ArrayObjective
from gradgen.ir.array_trace import Applied, Operator, Passed
from gradgen.ir.code import Var
from gradgen.ir.patterns import Pattern, product, total, vector
from gradgen.ir.program import ACCUMULATION, Program, Section
from gradgen.ir.shapes import Shape, Sizes, size

Code = int
Cost = tuple[int, ...]
"""By objective."""


@dataclass(frozen=True)
class _Map:
    """A linear map that is applied, to a target."""

    operator: Operator
    target: Var


@dataclass(frozen=True)
class _Held(EdgeValue):
    """A value, and whether it was computed: an elemental one is there when it is read first."""

    computed: bool


class Table:
    """What terms are to a search: patterns, and linear maps, by number.

    An operator can be applied to a vector alone: to what one number varies with, or varies.
    """

    def __init__(
        self,
        shapes: Mapping[Var, Shape],
        sizes: Sizes,
        objectives: Sequence[ArrayObjective] = ("muls",),
    ) -> None:
        """`shapes` are those of a graph's vertices."""
        self._shapes, self._sizes = shapes, sizes
        self.objectives = tuple(objectives)
        self._crosses = "locality" in self.objectives
        self._known: list[_Held | _Map] = []
        self._codes: dict[_Held, Code] = {}
        self._bytes: dict[Code, int] = {}
        self._products: dict[tuple[Code, Code], tuple[Code, Cost] | None] = {}
        self._sums: dict[tuple[Code, Code], Code | None] = {}

    def elemental(self, term: Pattern | Operator, source: Var, target: Var) -> Code:
        """The number of a pattern, or of an operator, on an edge of the graph."""
        if isinstance(term, Operator):
            self._known.append(_Map(term, target))
            return len(self._known) - 1
        return self._code(_Held(term, END in (source, target), computed=False))

    def product(self, left: Code, right: Code) -> tuple[Code, Cost] | None:
        """The product of d k / d j and d j / d i and what it costs; None if there is none."""
        key = left, right
        try:
            return self._products[key]
        except KeyError:
            found = self._products[key] = self._product(self._known[left], self._known[right])
            return found

    def sum(self, one: Code, other: Code) -> Code | None:
        """The sum of two terms; None where they are to stay two."""
        key = one, other
        try:
            return self._sums[key]
        except KeyError:
            found = self._sums[key] = self._sum(self._known[one], self._known[other])
            return found

    def size(self, code: Code) -> int:
        """The bytes that a value takes where it is held."""
        if code not in self._bytes:
            known = self._known[code]
            self._bytes[code] = (
                bytes_of(known.pattern, self._sizes) if isinstance(known, _Held) else 0
            )
        return self._bytes[code]

    def stored(self, code: Code) -> int:
        """How many numbers a term stores; none for a linear map."""
        known = self._known[code]
        if not isinstance(known, _Held):
            return 0
        dims = known.pattern.dims
        return prod(size(dims[label], self._sizes) for label in known.pattern.held)

    def is_computed(self, code: Code) -> bool:
        """Whether a value is a product or a sum."""
        known = self._known[code]
        return isinstance(known, _Held) and known.computed

    def _code(self, value: _Held) -> Code:
        # which operation multiplies is of no importance to what it costs, and to some objectives
        # neither is what else there is to a value
        known = replace(
            value,
            pattern=replace(value.pattern, contracts=False),
            is_vector=value.is_vector and self._crosses,
            computed=value.computed and "peak" in self.objectives,
        )
        if known not in self._codes:
            self._known.append(known)
            self._codes[known] = len(self._known) - 1
        return self._codes[known]

    def _sum(self, left: _Held | _Map, right: _Held | _Map) -> Code | None:
        if not isinstance(left, _Held) or not isinstance(right, _Held):
            return None
        pattern = total(left.pattern, right.pattern)
        if pattern is None:
            return None
        computed = left.computed or right.computed
        return self._code(replace(left, pattern=pattern, computed=computed))

    def _product(self, left: _Held | _Map, right: _Held | _Map) -> tuple[Code, Cost] | None:
        if isinstance(left, _Held) and isinstance(right, _Held):
            found = product(left.pattern, right.pattern)
            muls = found.multiplications(left.pattern, right.pattern, self._sizes)
            value = _Held(found.pattern, left.is_vector or right.is_vector, computed=True)
            crossed = crossing(left, right, self._sizes) if self._crosses else 0
            return self._code(value), self._cost(muls, crossed)
        if isinstance(left, _Held):
            assert isinstance(right, _Map)
            operator, vector = right.operator, left
            applied: Applied | None = operator.transposed
            pattern = applied_to_row(left.pattern, self._shapes[operator.source])
            argument = self._shapes[right.target]
        elif isinstance(right, _Held):
            operator, vector = left.operator, right
            applied = operator.pushed
            pattern = applied_to_column(operator, right.pattern, self._shapes[left.target])
            argument = self._shapes[operator.source]
        else:
            return None
        if pattern is None or applied is None:
            return None
        crossed = crossing_map(operator, vector.pattern, self._sizes) if self._crosses else 0
        value = replace(vector, pattern=pattern, computed=True)
        muls, _ = applied_counts(applied, argument, self._shapes, self._sizes)
        return self._code(value), self._cost(muls, crossed)

    def _cost(self, muls: int, crossed: int) -> Cost:
        """By objective; what is held is no cost of one product."""
        costs: dict[ArrayObjective, int] = {"muls": muls, "peak": 0, "locality": crossed}
        return tuple(costs[objective] for objective in self.objectives)


def applied_counts(
    applied: Applied, argument: Shape, shapes: Mapping[Var, Shape], sizes: Sizes
) -> tuple[int, int]:
    """The multiplications and additions of a linear map, as code, on an argument of this shape."""
    given = {**shapes, applied.argument: argument}
    program = Program(tuple(given), (Section(ACCUMULATION, applied.code),), ())
    counts = dict(count_arrays(program, given, sizes).counts)
    return counts["mul"].at(sizes), counts["add"].at(sizes)


def applied_to_row(left: Pattern, source: Shape) -> Pattern | None:
    """The pattern of a cotangent that is pulled through an operator; None if it is none."""
    if left.rows:
        return None
    return vector(source)


def applied_to_column(operator: Operator, right: Pattern, target: Shape) -> Pattern | None:
    """The pattern of a tangent that is pushed through an operator; None where that cannot be."""
    if right.columns or operator.pushed is None:
        return None
    return vector(target, rows=True)


def coded(
    graph: ArrayGraph, sizes: Sizes, objectives: Sequence[ArrayObjective] = ("muls",)
) -> tuple[Table, Edges[Code]]:
    """A graph's edges as numbers, with the table of these."""
    table = Table(graph.shapes, sizes, objectives)
    number = {v: k for k, v in enumerate(graph.vertices)}

    def code(term: Term, source: Var, target: Var) -> Code:
        assert not isinstance(term, Passed)
        found = term if isinstance(term, Operator) else term.pattern
        return table.elemental(found, source, target)

    given = (
        (number[source], number[target], code(term, source, target))
        for source, target, terms in graph.edges
        for term in terms
    )
    return table, edges_of(len(graph.vertices), given, table.sum)
