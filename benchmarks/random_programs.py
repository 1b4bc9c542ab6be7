"""Random graphs in the likeness of programs, to train a general network on."""

from __future__ import annotations

import random
from collections.abc import Iterable

from gradgen.ir.graph import Edge, LinearGraph, PartialKind, Vertex

_UNARY: tuple[PartialKind, ...] = ("variable", "variable", "variable", "constant", "unit")
_BINARY: tuple[tuple[PartialKind, PartialKind], ...] = (
    ("unit", "unit"),
    ("unit", "unit"),
    ("unit", "constant"),
    ("variable", "variable"),
    ("variable", "variable"),
    ("variable", "unit"),
    ("mask", "mask"),
)


def random_program(chance: random.Random, intermediates: int) -> LinearGraph:
    """A graph with about so many intermediates: each operation reads one or two earlier values.

    Values that nothing has read yet are read first, more or less often, which makes the graph
    narrow or broad; some values are read again and again, as a membrane potential is.
    """
    inputs = chance.randint(2, 10)
    narrow = chance.uniform(0.3, 0.9)
    popular = chance.sample(range(inputs), min(inputs, chance.randint(1, 3)))
    unread = list(range(inputs))
    edges: list[tuple[int, int, PartialKind]] = []
    count = inputs
    outputs = chance.randint(1, 6)
    while count < inputs + intermediates or len(unread) > outputs:
        joining = count >= inputs + intermediates
        kinds = (chance.choice(_UNARY),) if chance.random() < 0.35 else chance.choice(_BINARY)
        if joining:
            kinds = chance.choice(_BINARY)
        operands: list[int] = []
        for _ in kinds:
            fresh = [v for v in unread if v not in operands]
            if fresh and (joining or chance.random() < narrow):
                operands.append(fresh[-1] if chance.random() < 0.5 else chance.choice(fresh))
                continue
            old = popular if chance.random() < 0.3 else range(max(0, count - 12), count)
            left = [v for v in old if v not in operands]
            operands.append(chance.choice(left or [v for v in range(count) if v not in operands]))
        edges += [(v, count, kind) for v, kind in zip(operands, kinds, strict=True)]
        unread = [v for v in unread if v not in operands] + [count]
        count += 1
    return graph_of(inputs, count, unread, edges)


def graph_of(
    inputs: int, count: int, outputs: Iterable[int], edges: list[tuple[int, int, PartialKind]]
) -> LinearGraph:
    """The graph of values by number, inputs first; what no output depends on is left out."""
    chosen = {v for v in outputs if v >= inputs}
    read = set(chosen)
    for source, target, _ in sorted(edges, key=lambda edge: -edge[1]):
        if target in read:
            read.add(source)
    # what an output is read for further is an intermediate, so that the output is a copy of it
    copied = {
        v: count + k for k, v in enumerate(sorted(chosen & {s for s, t, _ in edges if t in read}))
    }
    edges = [edge for edge in edges if edge[1] in read]
    edges += [(v, copy, "unit") for v, copy in copied.items()]
    dependents = sorted((chosen - copied.keys()) | set(copied.values()))
    independents = [v for v in range(inputs) if v in read]
    inner = [v for v in sorted(read) if v >= inputs and v not in dependents]
    number = {v: k for k, v in enumerate((*independents, *inner, *dependents))}
    first = len(independents) + len(inner)
    graph = LinearGraph(
        tuple(Vertex(f"v{k}", f"v{k}") for k in range(len(number))),
        tuple(range(len(independents))),
        tuple(range(first, len(number))),
        tuple(Edge(s, t, k) for s, t, k in sorted((number[s], number[t], k) for s, t, k in edges)),
    )
    graph.check()
    return graph
