"""The partials of a graph of single numbers as numbers, with a table of their products and sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from gradgen.elimination.joining import Edges, edges_of
from gradgen.elimination.kinds import is_free, product_kind, sum_kind
from gradgen.ir.graph import LinearGraph, PartialKind
from gradgen.ir.plan import STORED, NumberObjective

Code = int
Cost = tuple[int, ...]
"""By objective."""

_KINDS: tuple[PartialKind, ...] = get_args(PartialKind)


class KindTable:
    """What partials are to a search: kinds by number, and by another one where they are computed.

    They take a place each where they exist at run time, as in `gradgen.ir.plan.Plan.peak`.
    """

    def __init__(self, objectives: Sequence[NumberObjective]) -> None:
        self.objectives = tuple(objectives)

    def product(self, left: Code, right: Code) -> tuple[Code, Cost]:
        """The product of two partials and what it costs; what is held is no cost of a product."""
        kinds = _kind(left), _kind(right)
        costs = {"edges": 1, "muls": int(not is_free(*kinds)), "peak": 0}
        return self._computed(product_kind(*kinds)), tuple(costs[name] for name in self.objectives)

    def sum(self, one: Code, other: Code) -> Code:
        """The sum of two partials, which is always one."""
        return self._computed(sum_kind(_kind(one), _kind(other)))

    def size(self, code: Code) -> int:
        """One for what exists at run time."""
        return int(_kind(code) in STORED)

    def stored(self, code: Code) -> int:
        """How many numbers a partial stores."""
        return self.size(code)

    def is_computed(self, code: Code) -> bool:
        """Whether a partial is a product or a sum."""
        return code >= len(_KINDS)

    def _computed(self, kind: PartialKind) -> Code:
        # but for what is held, it is of no importance
        return _KINDS.index(kind) + len(_KINDS) * ("peak" in self.objectives)


def _kind(code: Code) -> PartialKind:
    return _KINDS[code % len(_KINDS)]


def coded_kinds(
    graph: LinearGraph, objectives: Sequence[NumberObjective]
) -> tuple[KindTable, Edges[Code]]:
    """A graph's edges as numbers, with the table of these."""
    table = KindTable(objectives)
    given = ((e.source, e.target, _KINDS.index(e.kind)) for e in graph.edges)
    return table, edges_of(len(graph.vertices), given, table.sum)
