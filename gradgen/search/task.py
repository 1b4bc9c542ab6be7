"""A graph with an objective, as learned search sees it: of terms, whatever these stand for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.elimination.joining import Vertex
from gradgen.elimination.kind_table import coded_kinds
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.ir.shapes import Sizes
from gradgen.ir.steps import Direction, EdgeStep, parse_edge_step
from gradgen.search.arrays.annealing import annealed
from gradgen.search.arrays.markowitz import markowitz
from gradgen.search.arrays.portfolio import eliminations_of
from gradgen.search.arrays.states import Eliminations, Priced
from gradgen.search.heuristics import propose
from gradgen.search.portfolio import search
from gradgen.search.tables import PricedGraph, priced_graph

APART = 150
"""Of so many vertices with patterns each is told from the others, so that few terms are numbered
which never come about; of more it would take seconds."""
WORK_PER_SECOND = 200_000
"""Products that a second of budget stands for in annealing on patterns."""
EdgeMove = tuple[Direction, Vertex, Vertex]
"""Where an edge is eliminated, its source and its target."""


@dataclass(frozen=True)
class Task:
    """A graph whose elimination is to take few multiplications."""

    eliminations: Eliminations
    alike: tuple[Hashable, ...]
    """For each vertex what tells it from others, where terms are numbered: its shape, or itself."""
    names: tuple[str, ...]
    """The vertices' stable names."""
    fingerprint: str
    """That of the graph, which orders have."""
    objective: ProductObjective
    baselines: tuple[Order, ...]
    """Orders that take no search."""
    search: Callable[[float, int], Order]
    """The other searches: their order for a budget in seconds, and a seed."""

    @cached_property
    def priced(self) -> PricedGraph:
        """The graph with its tables; raises GradgenError where these are too large."""
        return priced_graph(self.eliminations, self.alike)

    def order(self, steps: Iterable[Vertex], found_by: str) -> Order:
        """The order that eliminates these vertices."""
        return Order("vertex", self.fingerprint, tuple(self.names[v] for v in steps), found_by)

    def edge_order(self, moves: Iterable[EdgeMove], found_by: str) -> Order:
        """The order that eliminates edges until no intermediate has one."""
        edges, steps = self.eliminations.start, []
        for direction, source, target in moves:
            if not any(edges.into[v] for v in self.eliminations.intermediates):
                break
            edges, _ = self.eliminations.after_edge(edges, source, target, direction)
            steps.append(str(EdgeStep(direction, self.names[source], self.names[target])))
        return Order("edge", self.fingerprint, tuple(steps), found_by)

    def cost(self, order: Order) -> int:
        """The multiplications of an order of this graph.

        Raises ValueError for one that is impossible or leaves something, and KeyError for one of
        another graph.
        """
        number = {name: v for v, name in enumerate(self.names)}
        inner = self.eliminations.intermediates
        if order.elimination == "vertex":
            steps = tuple(number[step] for step in order.steps)
            whole = sorted(steps) == sorted(inner)
            found = self.eliminations.priced(steps, order.found_by) if whole else None
            if found is None:
                raise ValueError("the order is impossible, or leaves a vertex")
            return found.price
        edges, total = self.eliminations.start, 0
        for text in order.steps:
            step = parse_edge_step(text)
            ends = number[step.source], number[step.target]
            edges, price = self.eliminations.after_edge(edges, *ends, step.direction)
            total += price
        if any(edges.into[v] for v in inner):
            raise ValueError("the order leaves a vertex")
        return total

    def is_possible(self, order: Order) -> bool:
        """Whether an order of this graph has a cost."""
        try:
            self.cost(order)
        except ValueError:
            return False
        return True


def scalar_task(graph: LinearGraph, objective: ProductObjective) -> Task:
    """The task of a graph of single numbers. Under `edges` every edge counts as a variable one."""
    counted = graph
    if objective == "edges":
        every = tuple(replace(edge, kind="variable") for edge in graph.edges)
        counted = replace(graph, edges=every)
    prices, edges = coded_kinds(counted, ("muls",))
    return Task(
        Eliminations(prices, edges, graph.intermediates),
        ((),) * len(graph.vertices),
        tuple(vertex.name for vertex in graph.vertices),
        graph.fingerprint,
        objective,
        propose(graph),
        lambda budget, seed: search(graph, objective=objective, budget=budget, seed=seed).order,
    )


def array_task(graph: ArrayGraph, sizes: Sizes) -> Task:
    """The task of a graph of arrays without loops."""
    names = tuple(graph.names[v] for v in graph.vertices)
    shapes = tuple(graph.shapes.get(v, ()) for v in graph.vertices)
    return patterned_task(eliminations_of(graph, sizes), shapes, names, graph.fingerprint)


def patterned_task(
    eliminations: Eliminations,
    shapes: Sequence[Hashable],
    names: Sequence[str],
    fingerprint: str,
) -> Task:
    """The task of a graph of any terms, `eliminations`' vertices being in topological order."""
    inner = eliminations.intermediates
    modes = (
        eliminations.priced(inner, "forward"),
        eliminations.priced(inner[::-1], "reverse"),
        *(markowitz(eliminations, tie) for tie in (lambda v: v, lambda v: -v)),
    )
    known = [order for order in modes if order is not None]

    def named(found: Priced) -> Order:
        steps = tuple(names[v] for v in found.steps)
        return Order("vertex", fingerprint, steps, found.found_by)

    def look(budget: float, seed: int) -> Order:
        best = min(known, key=lambda order: order.price)
        work = round(budget * WORK_PER_SECOND)
        return named(annealed(eliminations, best, work, seed))

    return Task(
        eliminations,
        tuple(shapes) if len(shapes) > APART else tuple(range(len(shapes))),
        tuple(names),
        fingerprint,
        "muls",
        tuple(named(order) for order in known),
        look,
    )
