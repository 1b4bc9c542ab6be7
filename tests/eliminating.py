"""Graphs, orders and plain references for tests of elimination."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from itertools import product

from gradgen.elimination.accumulation import Accumulation
from gradgen.ir.graph import Edge, LinearGraph, Order, Vertex
from gradgen.ir.plan import Plan

KINDS = ("unit", "constant", "mask", "variable")

Values = dict[tuple[int, int], Fraction]


def build(
    independents: int, dependents: Iterable[int], edges: Iterable[tuple[int, int, str]]
) -> LinearGraph:
    """The graph with these edges; its vertices are v0, v1 and so on."""
    listed = sorted(edges)
    count = 1 + max(t for _, t, _ in listed)
    graph = LinearGraph(
        tuple(Vertex(f"v{v}", f"v{v}", path=f"v{v}") for v in range(count)),
        tuple(range(independents)),
        tuple(sorted(dependents)),
        tuple(Edge(s, t, kind, (f"c{t}_{s}",)) for s, t, kind in listed),
    )
    graph.check()
    return graph


def plain(independents: int, dependents: Iterable[int], pairs: str) -> LinearGraph:
    """A graph of variable edges, given as `0-2 1-2`."""
    ends = [tuple(map(int, pair.split("-"))) for pair in pairs.split()]
    return build(independents, dependents, [(s, t, "variable") for s, t in ends])


def random_graph(
    chance: random.Random,
    independents: int,
    inner: int,
    dependents: int,
    kinds: tuple[str, ...] = KINDS,
) -> LinearGraph:
    """A random graph without dead ends: independents first, dependents last."""
    last = independents + inner
    pairs = set()
    for target in range(independents, last + dependents):
        below = min(target, last)
        sources = chance.sample(range(below), chance.randint(1, min(3, below)))
        pairs.update((source, target) for source in sources)
    for source in range(last):
        if not any(s == source for s, _ in pairs):
            low = max(source + 1, independents)
            pairs.add((source, chance.randint(low, last + dependents - 1)))
    edges = [(s, t, chance.choice(kinds)) for s, t in sorted(pairs)]
    return build(independents, range(last, last + dependents), edges)


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


def by_paths(graph: LinearGraph, values: Values) -> Values:
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


def cheapest_vertex_order(graph: LinearGraph, objective: str) -> int:
    """The cost of the cheapest vertex order: subsets of vertices in order of their size."""
    start = frozenset((e.source, e.target, e.kind) for e in graph.edges)
    best = {frozenset(): (0, start)}
    for _ in graph.intermediates:
        found: dict = {}
        for done, (cost, edges) in best.items():
            for v in set(graph.intermediates) - done:
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
        edges = [(s, t) for s, found in enumerate(state.successors) for t in sorted(found)]
        legal = [("front", s, t) for s, t in edges if t in graph.intermediates]
        legal += [("back", s, t) for s, t in edges if s in graph.intermediates]
        if not legal:
            return Order("edge", graph.fingerprint, tuple(steps), "test")
        direction, s, t = chance.choice(legal)
        getattr(state, direction)(s, t)
        steps.append(f"{direction} v{s}>v{t}")
