"""Graphs for tests of searches: random ones, and the reference graphs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

from eliminating import KINDS, build

from gradgen.ir.graph import LinearGraph, Order

GRAPHS = Path(__file__).parent / "data" / "graphs"


def random_graph(seed: int, inner: int, *, near: int = 8, typed: bool = True) -> LinearGraph:
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
    return build(independents, range(last, last + dependents), edges)


def reference(name: str) -> LinearGraph:
    """A reference graph; a dependent that is read further gets one of its own."""
    data = json.loads((GRAPHS / f"{name}.json").read_text())
    edges = [tuple(edge) for edge in data["edges"]]
    read = {s for s, _, _ in edges}
    count = 1 + max(t for _, t, _ in edges)
    dependents = []
    for v in data["dependents"]:
        if v in read:
            edges.append((v, count, "unit"))
            v, count = count, count + 1
        dependents.append(v)
    order = [v for v in range(count) if v not in dependents] + sorted(dependents)
    number = {v: k for k, v in enumerate(order)}
    moved = [(number[s], number[t], kind) for s, t, kind in edges]
    return build(data["independents"], [number[v] for v in dependents], moved)


def order_of(graph: LinearGraph, steps: Iterable[int]) -> Order:
    names = tuple(graph.vertices[v].name for v in steps)
    return Order("vertex", graph.fingerprint, names, "test")


def shuffled(graph: LinearGraph, seed: int) -> list[int]:
    steps = list(graph.intermediates)
    random.Random(seed).shuffle(steps)
    return steps
