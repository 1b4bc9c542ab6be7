"""Orders, values and plain references for tests of elimination."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from itertools import permutations, product

from gradgen.elimination.accumulation import Accumulation
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import Plan
from gradgen.search.exact.reductions import reduce
from gradgen.search.exact.remainder import Remainder, members
from gradgen.search.exact.separators import vertex_bound

Values = dict[tuple[int, int], Fraction]


def order_of(graph: LinearGraph, steps: Iterable[int]) -> Order:
    names = tuple(graph.vertices[v].name for v in steps)
    return Order("vertex", graph.fingerprint, names, "test")


def shuffled_intermediates(graph: LinearGraph, seed: int) -> list[int]:
    steps = list(graph.intermediates)
    random.Random(seed).shuffle(steps)
    return steps


def random_vertex_order(graph: LinearGraph, chance: random.Random) -> Order:
    steps = [graph.vertices[v].name for v in graph.intermediates]
    chance.shuffle(steps)
    return Order("vertex", graph.fingerprint, tuple(steps), "test")


def random_numbers(graph: LinearGraph, chance: random.Random) -> Values:
    """A rational number for every edge, of the kind that the edge says."""
    choices = {
        "unit": lambda: Fraction(chance.choice((-1, 1))),
        "mask": lambda: Fraction(chance.choice((-1, 0, 1))),
        "constant": lambda: Fraction(chance.randint(2, 9), 7),
        "variable": lambda: Fraction(chance.randint(-9, 9), chance.randint(1, 9)),
    }
    return {(e.source, e.target): choices[e.kind]() for e in graph.edges}


def carry_out(plan: Plan, values: Values) -> Values:
    """Do what a plan says, in rational numbers."""
    known = [values[e.source, e.target] for e in plan.graph.edges]
    for step in plan.steps:
        left, right = known[step.left], known[step.right]
        assert step.target == len(known)
        known.append(left * right if step.op == "mul" else left + right)
    return {(source, target): known[value] for target, source, value in plan.entries}


def jacobian_by_paths(graph: LinearGraph, values: Values) -> Values:
    """The Jacobian by its definition: the sum over all paths of the products along them."""
    found: Values = {}
    for start in graph.independents:
        stack = [(start, Fraction(1))]
        while stack:
            vertex, weight = stack.pop()
            if vertex in graph.dependents:
                found[start, vertex] = found.get((start, vertex), Fraction(0)) + weight
            for edge in graph.edges:
                if edge.source == vertex:
                    stack.append((edge.target, weight * values[vertex, edge.target]))
    return found


def price(left: str, right: str, objective: str) -> int:
    """What a product costs, in COSTS' words: docs/costs.md."""
    pair = {left, right}
    return int(objective == "edges" or not (pair & {"unit", "mask"} or pair == {"constant"}))


def kind_of_product(left: str, right: str) -> str:
    pair = {left, right} - {"unit"}
    if not pair:
        return "unit"
    return pair.pop() if len(pair) == 1 and pair != {"variable"} else "variable"


def kind_of_sum(left: str, right: str) -> str:
    return "constant" if {left, right} <= {"unit", "constant"} else "variable"


def least_cost(graph: LinearGraph, objective: str, first: Iterable[int] = ()) -> int:
    """Of the vertex orders that begin with some: subsets of the others in order of their size."""
    edges = frozenset((e.source, e.target, e.kind) for e in graph.edges)
    paid = 0
    for v in first:
        edges, spent = eliminate_vertex(edges, v, objective)
        paid += spent
    rest = set(graph.intermediates).difference(first)
    best = {frozenset[int](): (paid, edges)}
    for _ in rest:
        found: dict = {}
        for done, (cost, edges) in best.items():
            for v in rest - done:
                after, spent = eliminate_vertex(edges, v, objective)
                known = found.get(done | {v})
                if known is None or cost + spent < known[0]:
                    found[done | {v}] = cost + spent, after
        best = found
    ((cost, _),) = best.values()
    return cost


def eliminate_vertex(edges: frozenset, v: int, objective: str) -> tuple[frozenset, int]:
    """Edges as (source, target, kind) without a vertex, and what it costs."""
    kinds = {(s, t): kind for s, t, kind in edges if v not in (s, t)}
    into = [(s, kind) for s, t, kind in edges if t == v]
    out = [(t, kind) for s, t, kind in edges if s == v]
    cost = 0
    for (s, a), (t, b) in product(into, out):
        cost += price(a, b, objective)
        kind = kind_of_product(a, b)
        kinds[s, t] = kind_of_sum(kinds[s, t], kind) if (s, t) in kinds else kind
    return frozenset((s, t, kind) for (s, t), kind in kinds.items()), cost


def random_edge_order(graph: LinearGraph, chance: random.Random) -> Order:
    """Eliminate a random edge at a random end, until none is left to eliminate."""
    state = Accumulation(graph)
    steps = []
    while True:
        edges = [(s, t) for s in range(len(graph.vertices)) for t in sorted(state.successors(s))]
        legal = [("front", s, t) for s, t in edges if t in graph.intermediates]
        legal += [("back", s, t) for s, t in edges if s in graph.intermediates]
        if not legal:
            return Order("edge", graph.fingerprint, tuple(steps), "test")
        direction, s, t = chance.choice(legal)
        getattr(state, direction)(s, t)
        steps.append(f"{direction} v{s}>v{t}")


def step_cost(state: Accumulation, vertex: int, objective: str) -> int:
    if objective == "muls":
        return state.cost(vertex)
    return len(state.predecessors(vertex)) * len(state.successors(vertex))


def cost_of_vertices(graph: LinearGraph, objective: str, steps: Iterable[int]) -> int:
    """What eliminating vertices one after the other costs, by the engine."""
    state = Accumulation(graph)
    total = 0
    for vertex in steps:
        total += step_cost(state, vertex, objective)
        state.eliminate(vertex)
    return total


def bound_by_separators(graph: LinearGraph) -> int:
    """A lower bound under `edges` that no search has to look for: each vertex by itself."""
    state = Remainder(graph, "edges")
    _, safe = reduce(state)
    return safe + sum(vertex_bound(state, vertex) for vertex in members(state.remaining))


def least_cost_of_permutations(graph: LinearGraph, objective: str) -> int:
    """The least cost of all vertex orders, one by one, by the engine."""
    costs = []
    for order in permutations(graph.intermediates):
        state = Accumulation(graph)
        cost = 0
        for vertex in order:
            cost += step_cost(state, vertex, objective)
            state.eliminate(vertex)
        costs.append(cost)
    return min(costs)
