"""The terms of a graph of arrays as numbers, with a table of their products, sums and prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from gradgen.elimination.array_edges import Edges, edges_of
from gradgen.elimination.array_graphs import ArrayGraph, Term
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_trace import Applied, Operator, Passed
from gradgen.ir.code import Var
from gradgen.ir.patterns import Pattern, product, total, vector
from gradgen.ir.program import ACCUMULATION, Program, Section
from gradgen.ir.shapes import Shape, Sizes, size

Code = int


class Table:
    """What terms are to a search: patterns, and linear maps, by number.

    An operator can be applied to a vector alone: to what one number varies with, or varies.
    """

    def __init__(self, shapes: Mapping[Var, Shape], sizes: Sizes) -> None:
        """`shapes` are those of a graph's vertices."""
        self._shapes, self._sizes = shapes, sizes
        self._known: list[Pattern | tuple[Operator, Var]] = []
        self._codes: dict[Pattern, Code] = {}
        self._products: dict[tuple[Code, Code], tuple[Code, int] | None] = {}
        self._sums: dict[tuple[Code, Code], Code | None] = {}

    def code(self, term: Pattern | Operator, target: Var = "") -> Code:
        """The number of a pattern, or of an operator to a target."""
        if isinstance(term, Operator):
            self._known.append((term, target))
            return len(self._known) - 1
        # which operation multiplies is of no importance to what it costs
        pattern = replace(term, contracts=False)
        if pattern not in self._codes:
            self._known.append(pattern)
            self._codes[pattern] = len(self._known) - 1
        return self._codes[pattern]

    def product(self, left: Code, right: Code) -> tuple[Code, int] | None:
        """The product of d k / d j and d j / d i and its multiplications; None if there is none."""
        key = left, right
        if key not in self._products:
            self._products[key] = self._product(self._known[left], self._known[right])
        return self._products[key]

    def sum(self, one: Code, other: Code) -> Code | None:
        """The sum of two terms; None where they are to stay two."""
        key = one, other
        if key not in self._sums:
            terms = self._known[one], self._known[other]
            left, right = terms
            found = None
            if isinstance(left, Pattern) and isinstance(right, Pattern):
                found = total(left, right)
            self._sums[key] = None if found is None else self.code(found)
        return self._sums[key]

    def size(self, code: Code) -> int:
        """How many numbers a term stores; none for a linear map."""
        term = self._known[code]
        if not isinstance(term, Pattern):
            return 0
        return prod(size(term.dims[label], self._sizes) for label in term.held)

    def _product(
        self, left: Pattern | tuple[Operator, Var], right: Pattern | tuple[Operator, Var]
    ) -> tuple[Code, int] | None:
        if isinstance(left, Pattern) and isinstance(right, Pattern):
            found = product(left, right)
            return self.code(found.pattern), found.multiplications(left, right, self._sizes)
        if isinstance(left, Pattern):
            assert not isinstance(right, Pattern)
            operator, middle = right
            applied: Applied | None = operator.transposed
            pattern = applied_to_row(left, self._shapes[operator.source])
            argument = self._shapes[middle]
        elif isinstance(right, Pattern):
            operator, target = left
            applied = operator.pushed
            pattern = applied_to_column(operator, right, self._shapes[target])
            argument = self._shapes[operator.source]
        else:
            return None
        if pattern is None or applied is None:
            return None
        return self.code(pattern), self._price(applied, argument)

    def _price(self, applied: Applied, argument: Shape) -> int:
        """The multiplications of a linear map, as code."""
        given = {**self._shapes, applied.argument: argument}
        program = Program(tuple(given), (Section(ACCUMULATION, applied.code),), ())
        return dict(count_arrays(program, given, self._sizes).counts)["mul"].at(self._sizes)


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


def coded(graph: ArrayGraph, sizes: Sizes) -> tuple[Table, Edges[Code]]:
    """A graph's edges as numbers, with the table of these."""
    table = Table(graph.shapes, sizes)
    number = {v: k for k, v in enumerate(graph.vertices)}

    def code(term: Term, target: Var) -> Code:
        assert not isinstance(term, Passed)
        return table.code(term if isinstance(term, Operator) else term.pattern, target)

    given = (
        (number[source], number[target], code(term, target))
        for source, target, terms in graph.edges
        for term in terms
    )
    return table, edges_of(len(graph.vertices), given, table.sum)
