"""A graph under elimination as sets of neighbours, for search in plain Python.

Sets of vertices are the bits of integers. Both objectives are one here: `edges` is `muls` on the
graph whose partials are all variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradgen.elimination.kinds import is_free, product_kind, sum_kind
from gradgen.ir.graph import LinearGraph, PartialKind
from gradgen.ir.plan import ProductObjective

KINDS: tuple[PartialKind, ...] = ("unit", "mask", "constant", "variable")
UNIT, MASK, CONSTANT, VARIABLE = range(4)
_PRODUCT = [[KINDS.index(product_kind(a, b)) for b in KINDS] for a in KINDS]
_SUM = [[KINDS.index(sum_kind(a, b)) for b in KINDS] for a in KINDS]
_PAID = [(a, b) for a in range(4) for b in range(4) if not is_free(KINDS[a], KINDS[b])]

Neighbours = list[int]
"""Four disjoint sets of vertices: those behind edges of each kind, in the order of KINDS."""


def members(vertices: int) -> Iterator[int]:
    """The vertices in a set, in ascending order."""
    while vertices:
        low = vertices & -vertices
        yield low.bit_length() - 1
        vertices ^= low


def union(neighbours: Neighbours) -> int:
    """The neighbours behind edges of any kind."""
    return neighbours[0] | neighbours[1] | neighbours[2] | neighbours[3]


class Remainder:
    """What is left of a graph when some of its intermediates are eliminated."""

    def __init__(self, graph: LinearGraph, objective: ProductObjective) -> None:
        count = len(graph.vertices)
        self.into: list[Neighbours] = [[0, 0, 0, 0] for _ in range(count)]
        """Predecessors of each vertex."""
        self.out: list[Neighbours] = [[0, 0, 0, 0] for _ in range(count)]
        """Successors of each vertex."""
        self.independents = sum(1 << v for v in graph.independents)
        self.dependents = sum(1 << v for v in graph.dependents)
        self.remaining = sum(1 << v for v in graph.intermediates)
        """The intermediates that are not eliminated yet."""
        for edge in graph.edges:
            kind = VARIABLE if objective == "edges" else KINDS.index(edge.kind)
            self.into[edge.target][kind] |= 1 << edge.source
            self.out[edge.source][kind] |= 1 << edge.target

    def copy(self) -> Remainder:
        """An independent copy."""
        other = object.__new__(Remainder)
        # a vertex's four sets are replaced together, never changed, so that copies may share them
        other.into, other.out = list(self.into), list(self.out)
        other.independents, other.dependents = self.independents, self.dependents
        other.remaining = self.remaining
        return other

    def cost(self, vertex: int) -> int:
        """What eliminating a vertex now costs."""
        into = [n.bit_count() for n in self.into[vertex]]
        out = [n.bit_count() for n in self.out[vertex]]
        return sum(into[a] * out[b] for a, b in _PAID)

    def eliminate(self, vertex: int) -> int:
        """Eliminate an intermediate, and return what it cost."""
        cost = self.cost(vertex)
        into, out = self.into[vertex], self.out[vertex]
        bit = 1 << vertex
        for kind in range(4):
            for source in members(into[kind]):
                self.out[source] = _joined(self.out[source], bit, kind, out)
            for target in members(out[kind]):
                self.into[target] = _joined(self.into[target], bit, kind, into)
        self.into[vertex] = [0, 0, 0, 0]
        self.out[vertex] = [0, 0, 0, 0]
        self.remaining &= ~bit
        return cost

    def eliminate_all(self, vertices: Iterable[int]) -> int:
        """Eliminate intermediates one after the other, and return the sum of the costs."""
        return sum(self.eliminate(vertex) for vertex in vertices)


def _joined(present: Neighbours, bit: int, kind: int, beyond: Neighbours) -> Neighbours:
    """Neighbours when the one in `bit`, behind an edge of a kind, gives way to those beyond it."""
    products = [0, 0, 0, 0]
    for other in range(4):
        products[_PRODUCT[kind][other]] |= beyond[other]
    before, new = union(present), union(products)
    joined = [
        (old & ~new) | (product & ~before) for old, product in zip(present, products, strict=True)
    ]
    if before & new:
        for a in range(4):
            for b in range(4):
                joined[_SUM[a][b]] |= present[a] & products[b]
    return [n & ~bit for n in joined]
