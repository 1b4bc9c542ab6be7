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
from gradgen.search.deadline import Deadline
from gradgen.search.exact.bounds import SMALL, describe, partition_bound
from gradgen.search.exact.reductions import parts, reduce
from gradgen.search.exact.remainder import Remainder
from gradgen.search.exact.subset_search import search_subsets
from gradgen.search.heuristics import propose, vertex_order

_EXPANSIONS = (20_000, 50_000, 100_000)
"""Sets that A* expands with the partitions of the first stages; with the last, all it may."""
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
    complete: bool
    """Whether the result is the same on every machine: the budget cut nothing off."""


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
    budget: float,
    expansions: int | None = None,
) -> ExactResult:
    """The cheapest vertex order, as far as it can be found and proved within `budget` seconds.

    `upper` is a good order, if one is known. A search that finishes gives the same result every
    time. `expansions` limits the sets that A* expands with each partition of each part: with it,
    and a budget that suffices, so does one that does not finish. Small graphs are solved whatever
    the budget. The first search of a larger one compiles for some 15 seconds, which the budget
    does not count; the code is kept for later runs. Nor does it count the proof in plain Python of
    a bound that meets the order's cost, which takes some 10 seconds for a block of 16 vertices.

    Raises OrderMismatchError if `upper` is for another graph.
    """
    clock = Deadline(budget)
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
            found = _search(state, part, orders, clock, expansions)
        steps += found.order
        cost += found.cost
        bound += found.bound
        reasons.append(found.bound_by)
    complete = not clock.passed()
    bound_by = max(reasons, key=lambda r: (r.startswith("blocks"), r), default="reductions")
    best = min(costs)
    if upper is not None and costs[0] <= min(cost, best):
        proved = costs[0] == bound
        kept = replace(upper, proved_optimal=proved)
        return ExactResult(kept, costs[0], bound, proved, bound_by, proved or complete)
    if best < cost:
        steps, cost = list(known[costs.index(best)]), best
    proved = cost == bound
    found_by = "exact search"
    order_ = vertex_order(graph, steps, found_by, proved_optimal=proved)
    return ExactResult(order_, cost, bound, proved, bound_by, proved or complete)


def _search(
    state: Remainder,
    part: int,
    orders: Sequence[tuple[int, ...]],
    clock: Deadline,
    expansions: int | None,
) -> _Part:
    """Bounds and A* in turn, with better and better partitions."""
    with clock.paused():
        from gradgen.search.exact.arrays import arrays_of
        from gradgen.search.exact.astar import compile_kernels, search_below
        from gradgen.search.exact.partitions import STAGES, BlockValues, improve, singles

        arrays = arrays_of(state, part)
        blocks = singles(arrays)
        compile_kernels(arrays, [sorted(block) for block in blocks])
    cost, order = min((state.copy().eliminate_all(order), order) for order in orders)
    values = BlockValues(arrays)
    bound, bound_by = 0, ""
    most = expansions if expansions is not None else 1 << 62
    for stage, share in zip(STAGES, (*_EXPANSIONS, most), strict=True):
        previous, blocks = blocks, improve(values, blocks, stage, clock.passed)
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
            expansions=min(share, most),
            nodes=_NODES,
            stop=clock.passed,
        )
        if found.order is not None:
            return _Part(arrays.named(found.order), found.bound, found.bound, "exact search")
        if found.bound > bound:
            bound = found.bound
            bound_by = "exact search" if bound > value else describe(named)
        if found.finished:
            return _Part(order, cost, cost, "exact search")
        if clock.passed():
            break
    return _Part(order, cost, bound, bound_by)
