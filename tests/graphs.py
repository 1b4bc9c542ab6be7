"""Graphs for tests: given by their edges, drawn at random in three ways, and those of reference."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from gradgen.ir.graph import Edge, LinearGraph, PartialKind, Vertex
from gradgen.ir.graph_file import read_graph

KINDS: tuple[PartialKind, ...] = ("unit", "constant", "mask", "variable")
FOLDER = Path(__file__).parent / "data" / "graphs"
REFERENCE_COSTS = {
    "lif_2023": {"forward": 27, "reverse": 25, "markowitz": 23, "best": 22},
    "human_heart_dipole": {"forward": 240, "reverse": 172, "markowitz": 194, "best": 148},
    "propane_combustion": {"forward": 151, "reverse": 90, "markowitz": 111, "best": 88},
    "roe_flux_1d": {"forward": 620, "reverse": 364, "markowitz": 407, "best": 295},
    "robot_arm_6dof": {"forward": 397, "reverse": 301, "markowitz": 288, "best": 221},
}
"""Under `edges`: those of heuristics as published, the best as proved (docs/research/bounds.md)."""
PROVED = [(name, costs["best"]) for name, costs in REFERENCE_COSTS.items() if name != "roe_flux_1d"]
"""The best costs that are proved within a second."""
_WEIGHTS = ((1, 1, 1, 1), (3, 1, 1, 2), (5, 2, 0, 5), (0, 0, 0, 1), (4, 0, 0, 1))


def graph_with_edges(
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


def variable_graph(independents: int, dependents: Iterable[int], pairs: str) -> LinearGraph:
    """A graph of variable edges, given as `0-2 1-2`."""
    ends = [tuple(map(int, pair.split("-"))) for pair in pairs.split()]
    return graph_with_edges(independents, dependents, [(s, t, "variable") for s, t in ends])


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
    return graph_with_edges(independents, range(last, last + dependents), edges)


def random_local_graph(seed: int, inner: int, *, near: int = 8, typed: bool = True) -> LinearGraph:
    """A graph with `inner` intermediates, each fed by one to three of the `near` before it."""
    chance = random.Random(seed)
    independents, dependents = chance.randint(1, 4), chance.randint(1, 3)
    last = independents + inner
    kinds = (*KINDS, "variable", "variable") if typed else ("variable",)
    pairs = set()
    for target in range(independents, last + dependents):
        below = range(max(0, min(target, last) - near), min(target, last))
        pairs |= {(s, target) for s in chance.sample(below, min(len(below), chance.randint(1, 3)))}
    for source in range(last):
        if not any(s == source for s, _ in pairs):
            low = max(source + 1, independents)
            pairs.add((source, chance.randint(low, min(low + near, last + dependents - 1))))
    edges = [(s, t, chance.choice(kinds)) for s, t in sorted(pairs)]
    return graph_with_edges(independents, range(last, last + dependents), edges)


def small_graphs(count: int, largest: int, seed: int) -> Iterator[LinearGraph]:
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
    weights = chance.choice(_WEIGHTS)
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


def reference_graph(name: str) -> LinearGraph:
    """A reference graph, by the name of its file."""
    return read_graph((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
