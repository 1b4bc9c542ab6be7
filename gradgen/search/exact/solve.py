"""Exact search: the cheapest vertex order, proved, or an order and how far it may be from it.

Reductions take what can be eliminated without loss and split the rest into parts. A part of few
vertices is searched in plain Python; a larger one by bounds from blocks and compiled A*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradgen.elimination.accumulate import resolve
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.search.exact.allowance import Allowance
from gradgen.search.exact.bounds import SMALL, describe, partition_bound
from gradgen.search.exact.reductions import parts, reduce
from gradgen.search.exact.remainder import Remainder
from gradgen.search.exact.subset_search import search_subsets
from gradgen.search.heuristics import propose, vertex_order

WORK_PER_SECOND = 2_500_000
"""What a second of effort stands for, in the units of an Allowance: at most two thirds of what a
processor of 2020 does in that time."""
_EXPANSIONS = (20_000, 50_000, 100_000, 1 << 62)
"""Sets that A* expands with the partition of each stage; with the last, all it may."""
_NODES = 1 << 23
"""Sets that A* keeps in memory at most; about 50 bytes each."""


@dataclass(frozen=True)
class ExactResult:
    """An order and what is known about it."""

    order: Order
    """The cheapest order found: `upper` if nothing is cheaper, now with what is proved of it."""
    cost: int
    """Of the order."""
    lower_bound: int
    """No vertex order costs less."""
    proved: bool
    """Whether the two are equal."""
    bound_by: str
    """How the bound was found."""


@dataclass(frozen=True)
class _Part:
    """What is known about one part of a graph."""

    order: tuple[int, ...]
    cost: int
    bound: int
    bound_by: str


def solve(
    graph: LinearGraph,
    objective: ProductObjective,
    *,
    upper: Order | None = None,
    effort: float,
) -> ExactResult:
    """The cheapest vertex order, as far as it can be found and proved with so much effort.

    `upper` is a good order, if one is known. `effort` is work in units of WORK_PER_SECOND, so that
    the same graph has the same result on every machine; what it does not count are the proof in
    plain Python of a bound that meets the order's cost, which takes some 10 seconds for a block of
    16 vertices, and compilation, some 15 seconds once. Small graphs are solved whatever the effort.

    Raises OrderMismatchError if `upper` is for another graph.
    """
    allowance = Allowance(effort * WORK_PER_SECOND)
    known = [resolve(graph, order) for order in ((upper,) if upper else ()) + propose(graph)]
    state = Remainder(graph, objective)
    costs = [state.copy().eliminate_all(order) for order in known]
    first, value = reduce(state)
    steps, cost, bound = list(first), value, value
    reasons = []
    for part in parts(state):
        if part.bit_count() <= SMALL:
            order, paid = search_subsets(state, part)
            found = _Part(tuple(order), paid, paid, "exact search")
        else:
            orders = [tuple(v for v in order if part >> v & 1) for order in known]
            found = _search(state, part, orders, allowance)
        steps += found.order
        cost += found.cost
        bound += found.bound
        reasons.append(found.bound_by)
    bound_by = max(reasons, key=lambda r: (r.startswith("blocks"), r), default="reductions")
    best = min(costs)
    if upper is not None and costs[0] <= min(cost, best):
        proved = costs[0] == bound
        kept = replace(upper, proved_optimal=proved)
        return ExactResult(kept, costs[0], bound, proved, bound_by)
    if best < cost:
        steps, cost = list(known[costs.index(best)]), best
    proved = cost == bound
    found_by = "exact search"
    order_ = vertex_order(graph, steps, found_by, proved_optimal=proved)
    return ExactResult(order_, cost, bound, proved, bound_by)


def _search(
    state: Remainder,
    part: int,
    orders: Sequence[tuple[int, ...]],
    allowance: Allowance,
) -> _Part:
    """Bounds and A* in turn, with better and better partitions."""
    # numba is not needed for small graphs
    from gradgen.search.exact.astar import search_below
    from gradgen.search.exact.part_arrays import arrays_of
    from gradgen.search.exact.partitions import STAGES, BlockValues, improve, singles

    arrays = arrays_of(state, part)
    blocks = singles(arrays)
    cost, order = min((state.copy().eliminate_all(order), order) for order in orders)
    values = BlockValues(arrays, allowance)
    bound, bound_by = 0, ""
    for stage, expansions in zip(STAGES, _EXPANSIONS, strict=True):
        previous, blocks = blocks, improve(values, blocks, stage)
        if blocks == previous and stage != STAGES[-1]:
            continue
        value = values.total(blocks)
        named = arrays.named_blocks(blocks)
        if value == cost and partition_bound(state, named) == cost:
            return _Part(order, cost, cost, describe(named))
        found = search_below(
            arrays,
            [sorted(block) for block in blocks],
            cost,
            expansions=expansions,
            nodes=_NODES,
            allowance=allowance,
        )
        if found.order is not None:
            return _Part(arrays.named(found.order), found.bound, found.bound, "exact search")
        if found.bound > bound:
            bound = found.bound
            bound_by = "exact search" if bound > value else describe(named)
        if found.finished:
            return _Part(order, cost, cost, "exact search")
        if allowance.spent():
            break
    return _Part(order, cost, bound, bound_by)
