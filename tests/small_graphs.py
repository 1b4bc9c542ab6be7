"""Random typed graphs without dead ends, and what their best vertex orders cost, by brute force."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import permutations
from pathlib import Path

from gradgen.elimination.accumulate import Accumulation
from gradgen.ir.graph import Edge, LinearGraph, PartialKind, Vertex
from gradgen.ir.graph_file import read_graph

KINDS: tuple[PartialKind, ...] = ("unit", "constant", "mask", "variable")
WEIGHTS = ((1, 1, 1, 1), (3, 1, 1, 2), (5, 2, 0, 5), (0, 0, 0, 1), (4, 0, 0, 1))
FOLDER = Path(__file__).parent / "data" / "graphs"


def stored(name: str) -> LinearGraph:
    return read_graph((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def graphs(count: int, largest: int, seed: int) -> Iterator[LinearGraph]:
    """So many graphs with 2 to `largest` intermediates, with few and many edges, of all kinds."""
    chance = random.Random(seed)
    while count:
        graph = _graph(chance, chance.randint(2, largest))
        if graph is not None:
            count -= 1
            yield graph


def _graph(chance: random.Random, inner: int) -> LinearGraph | None:
    independents, dependents = chance.randint(1, 4), chance.randint(1, 3)
    last = independents + inner
    most = chance.choice((1, 2, 2, 3))
    pairs = set()
    for target in range(independents, last + dependents):
        below = min(target, last)
        for source in chance.sample(range(below), min(below, chance.randint(1, most))):
            pairs.add((source, target))
    for source in range(last):
        if all(source != s for s, _ in pairs):
            low = max(source + 1, independents)
            pairs.add((source, chance.randint(low, last + dependents - 1)))
    weights = chance.choice(WEIGHTS)
    graph = LinearGraph(
        tuple(Vertex(f"v{v}", f"v{v}") for v in range(last + dependents)),
        tuple(range(independents)),
        tuple(range(last, last + dependents)),
        tuple(Edge(s, t, chance.choices(KINDS, weights)[0]) for s, t in sorted(pairs)),
    )
    try:
        graph.check()
    except ValueError:
        return None
    return graph


def step_cost(state: Accumulation, vertex: int, objective: str) -> int:
    if objective == "muls":
        return state.cost(vertex)
    return len(state.predecessors[vertex]) * len(state.successors[vertex])


def price_of(graph: LinearGraph, objective: str, steps: Iterable[int]) -> int:
    """What eliminating vertices one after the other costs, by the engine."""
    state = Accumulation(graph)
    total = 0
    for vertex in steps:
        total += step_cost(state, vertex, objective)
        state.eliminate(vertex)
    return total


def optimum(graph: LinearGraph, objective: str, first: tuple[int, ...] = ()) -> int:
    """The least cost of the orders that begin with some vertices; over subsets, by the engine."""
    start = Accumulation(graph)
    paid = 0
    for vertex in first:
        paid += step_cost(start, vertex, objective)
        start.eliminate(vertex)
    best = {frozenset(first): (paid, start)}
    for _ in range(len(graph.intermediates) - len(first)):
        following: dict[frozenset[int], tuple[int, Accumulation]] = {}
        for eliminated, (cost, state) in best.items():
            for vertex in set(graph.intermediates) - eliminated:
                after = eliminated | {vertex}
                total = cost + step_cost(state, vertex, objective)
                if after not in following:
                    state_after = deepcopy(state)
                    state_after.eliminate(vertex)
                    following[after] = total, state_after
                elif total < following[after][0]:
                    following[after] = total, following[after][1]
        best = following
    return min(cost for cost, _ in best.values())


def optimum_of_permutations(graph: LinearGraph, objective: str) -> int:
    """The least cost of all orders, one by one."""
    costs = []
    for order in permutations(graph.intermediates):
        state = Accumulation(graph)
        cost = 0
        for vertex in order:
            cost += step_cost(state, vertex, objective)
            state.eliminate(vertex)
        costs.append(cost)
    return min(costs)
