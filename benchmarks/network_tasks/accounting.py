"""AlphaGrad's accounting of products (Lohoff and Neftci, *Optimizing automatic differentiation with
deep reinforcement learning*, 2024), as a table for gradgen's search on arrays.

A multiplication is counted for each element of a product, also where a factor is one: sums and
differences have ones as partials, which are stored. Copies are free: transpositions, broadcasts,
slices, reshapes, concatenations. But they are not sparse, so that what a slice, a reshape or a
concatenation was applied to is stored in full from there on. A reshape is carried along until
there is a partial on its other side to apply it to; all other copies are applied at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from gradgen.elimination.joining import Edges, Vertex
from gradgen.ir.patterns import Pattern, product
from gradgen.search.arrays.states import Code, Eliminations, Priced

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Copy:
    """A movement of data from an array of one shape to one of another."""

    source: Sizes
    target: Sizes
    moved: Pattern | None = None
    """Where each axis goes; None where what it is applied to is stored in full."""
    waits: bool = False


@dataclass(frozen=True)
class Term:
    """A partial that is stored, after some copies; or these alone."""

    stored: Pattern | None
    copies: tuple[Copy, ...] = ()
    """From the source on."""


def full(rows: Sizes, columns: Sizes) -> Pattern:
    """The pattern of a partial without zeros, all of which is stored."""
    labels = range(len(rows) + len(columns))
    dims = dict(enumerate((*rows, *columns)))
    return Pattern.of(
        tuple(labels[: len(rows)]), tuple(labels[len(rows) :]), frozenset(labels), dims
    )[0]


class Accounting:
    """The table: terms by number, their products with what they take, and their sums."""

    objectives = ("muls",)

    def __init__(self) -> None:
        self._known: list[Term] = []
        self._codes: dict[Term, Code] = {}
        self._products: dict[tuple[Code, Code], tuple[Code, tuple[int]]] = {}
        self._sums: dict[tuple[Code, Code], Code] = {}

    def code(self, term: Term) -> Code:
        """The number of a term."""
        if term not in self._codes:
            self._codes[term] = len(self._known)
            self._known.append(term)
        return self._codes[term]

    def term(self, code: Code) -> Term:
        """The term of a number."""
        return self._known[code]

    def product(self, left: Code, right: Code) -> tuple[Code, tuple[int]]:
        """A product and its multiplications."""
        if (left, right) not in self._products:
            found, price = _product(self._known[left], self._known[right])
            self._products[left, right] = self.code(found), (price,)
        return self._products[left, right]

    def sum(self, one: Code, other: Code) -> Code:
        """A sum; it is always one term."""
        if (one, other) not in self._sums:
            found = _sum(_applied(self._known[one]), _applied(self._known[other]))
            self._sums[one, other] = self.code(Term(found))
        return self._sums[one, other]

    def stored(self, code: Code) -> int:
        """How many numbers a term stores; none if it is copies alone."""
        stored = self._known[code].stored
        return 0 if stored is None else prod(int(stored.dims[label]) for label in stored.held)


def _product(left: Term, right: Term) -> tuple[Term, int]:
    if right.stored is None:
        stored, copies = left.stored, _joined(right.copies + left.copies)
        while stored is not None and copies and not copies[-1].waits:
            stored, copies = _before(stored, copies[-1]), copies[:-1]
        return Term(stored, copies), 0
    moved = right.stored
    for copy in left.copies:
        moved = _after(copy, moved)
    if left.stored is None:
        return Term(moved, right.copies), 0
    found = product(left.stored, moved).pattern
    return Term(found, right.copies), multiplications(left.stored, moved)


def _joined(copies: tuple[Copy, ...]) -> tuple[Copy, ...]:
    """Reshapes that follow one another are one."""
    found: list[Copy] = []
    for copy in copies:
        if found and found[-1].waits and copy.waits:
            copy = Copy(found.pop().source, copy.target, waits=True)
        found.append(copy)
    return tuple(found)


def _after(copy: Copy, stored: Pattern) -> Pattern:
    if copy.moved is None:
        return full(copy.target, tuple(int(stored.dims[label]) for label in stored.columns))
    return product(copy.moved, stored).pattern


def _before(stored: Pattern, copy: Copy) -> Pattern:
    if copy.moved is None:
        return full(tuple(int(stored.dims[label]) for label in stored.rows), copy.source)
    return product(stored, copy.moved).pattern


def _applied(term: Term) -> Pattern:
    """A term without copies that wait."""
    copies, stored = list(term.copies), term.stored
    if stored is None:
        last = copies.pop()
        stored = last.moved if last.moved is not None else full(last.target, last.source)
    for copy in reversed(copies):
        stored = _before(stored, copy)
    return stored


def _sum(one: Pattern, other: Pattern) -> Pattern:
    """Both are diagonal where the sum is; values are stored where either has some."""
    dims = dict(enumerate(one.dims[label] for label in one.rows))
    rows, columns = tuple(dims), []
    held = {k for k in rows if one.rows[k] in one.held or other.rows[k] in other.held}
    for k, (a, b) in enumerate(zip(one.columns, other.columns, strict=True), start=len(rows)):
        shared = [i for i in rows if one.rows[i] == a and other.rows[i] == b]
        dims[k] = one.dims[a]
        columns.append(shared[0] if shared else k)
    held |= {label for label in (*rows, *columns) if label not in rows or label not in columns}
    return Pattern.of(rows, tuple(columns), frozenset(held), dims)[0]


def multiplications(left: Pattern, right: Pattern) -> int:
    """What a product takes: the sizes of the axes on which it has elements, multiplied."""

    def size(pattern: Pattern, label: int) -> int:
        return int(pattern.dims[label])

    count = prod(size(left, r) for r in left.rows if r not in left.columns and r in left.held)
    count *= prod(size(right, c) for c in right.columns if c not in right.rows and c in right.held)
    number = [all(size(p, label) == 1 for label in p.held) for p in (left, right)]
    for column, row in zip(left.columns, right.rows, strict=True):
        diagonal = column in left.rows and row in right.columns
        valued = column in left.held or row in right.held
        # two diagonals without values count where just one of them is a number times the identity
        if not diagonal or valued or number[0] != number[1]:
            count *= max(size(left, column), size(right, row))
    return count


def markowitz(accounting: Accounting, eliminations: Eliminations) -> Priced:
    """AlphaGrad's greedy order: by the elements of a vertex that edges into it and out of it touch.

    A full partial touches all of the vertex, a diagonal one one element; copies count as one edge.
    """

    def degree(edges: Edges[Code], vertex: Vertex) -> int:
        out = [term for terms in edges.out[vertex].values() for term in terms]
        into = [term for s in edges.into[vertex] for term in edges.out[s][vertex]]
        return sum(touched(c, _columns) for c in out) * sum(touched(c, _rows) for c in into)

    def touched(code: Code, side: Callable[[Pattern], tuple[int, ...]]) -> int:
        stored = accounting.term(code).stored
        if stored is None:
            return 1
        if not {*stored.rows} & {*stored.columns}:
            return prod(int(stored.dims[label]) for label in side(stored))
        return prod(int(stored.dims[r]) for r in stored.rows if r not in stored.columns)

    edges, remaining, steps = eliminations.start, list(eliminations.intermediates), []
    while remaining:
        vertex = min(remaining, key=lambda v: (degree(edges, v), v))
        edges = eliminations.without(edges, vertex)
        remaining.remove(vertex)
        steps.append(vertex)
    found = eliminations.priced(tuple(steps), "markowitz")
    assert found is not None
    return found


def _rows(pattern: Pattern) -> tuple[int, ...]:
    return pattern.rows


def _columns(pattern: Pattern) -> tuple[int, ...]:
    return pattern.columns
