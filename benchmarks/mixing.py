"""The network's policy beside annealing, and both mixed, on what one takes of the other's time.

In the mix the policy plays a few games, as it does alone (`gradgen.search.alphazero.search`). The
cheapest of these orders is where annealing starts. Afterwards it proposes neighbourhoods: it
plays the games to their ends that annealing has begun best, from several places on, and what
is cheaper is annealed further. Time is that of processors, over two cores, compilation included.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.network_tasks.tasks import network_tasks
from benchmarks.orders import model_graphs, reference_graphs
from benchmarks.random_neurons import random_neuron
from benchmarks.random_programs import random_program
from gradgen.elimination.accumulate import resolve
from gradgen.ir.graph import LinearGraph, Order
from gradgen.search.alphazero.game import begin
from gradgen.search.alphazero.pretrained import general
from gradgen.search.alphazero.search import Moves, Player, play
from gradgen.search.annealing import accumulation
from gradgen.search.annealing.anneal import WORK_PER_SECOND, _Search
from gradgen.search.arrays.annealing import annealed
from gradgen.search.arrays.states import Priced
from gradgen.search.task import WORK_PER_SECOND as LOOKED_UP_PER_SECOND
from gradgen.search.task import Task, scalar_task

CORES = 2
SHARE = 0.25
"""Of the time that remains, which annealing has before the policy proposes again."""


@dataclass(frozen=True)
class Case:
    """A graph to search, and its other form where annealing is compiled."""

    name: str
    task: Task
    graph: LinearGraph | None


def cases(least: int, most: int) -> Iterator[Case]:
    """The graphs of so many intermediates: published ones, models, random ones that no network
    learned from, and the tasks of vectors and matrices."""
    scalar = [(name, graph, "edges") for name, graph in reference_graphs()]
    scalar += [(name, graph, "muls") for name, graph in model_graphs()]
    for count in (100, 200, 400):
        scalar.append(
            (f"program {count}", random_program(random.Random(-count), count - 20), "muls")
        )
    scalar.append(("neuron", random_neuron(random.Random(-1)), "muls"))
    for name, graph, objective in scalar:
        if least <= len(graph.intermediates) <= most:
            yield Case(name, scalar_task(graph, objective), graph)  # type: ignore[arg-type]
    for name, task in network_tasks():
        if least <= len(task.eliminations.intermediates) <= most:
            yield Case(name, task, None)


class Clock:
    """Seconds of the processors since it was made, over the cores."""

    def __init__(self) -> None:
        self._begun = time.process_time()

    def __call__(self) -> float:
        """The seconds so far."""
        return (time.process_time() - self._begun) / CORES


Anneal = Callable[[Order, float, int], Order]
"""From an order, for about so many seconds, with a seed."""


def annealing(case: Case) -> Anneal:
    """Annealing from a given order: compiled for kinds of partials, by looking up for patterns."""
    return partial(_on_patterns, case) if case.graph is None else partial(_on_kinds, case)


def _on_kinds(case: Case, start: Order, seconds: float, seed: int) -> Order:
    assert case.graph is not None
    search = _Search(case.graph, case.task.objective, seed)
    steps = np.array(resolve(case.graph, start), np.int64)
    costs = np.empty((len(steps), 2), np.int64)
    cost = accumulation.evaluate(search.start.copy(), search.objective, steps, costs)
    if cost < search.best_cost:
        search.best, search.best_cost = steps, cost
    # a budget is work, of which a processor of today does more
    clock, work = Clock(), 0.0
    while clock() < seconds:
        before = search.best_cost
        search.run(max(seconds - clock(), 0.05) * WORK_PER_SECOND, lambda cost, found_by: None)
        if search.best_cost == before and work:
            break
        work += 1
    return case.task.order((int(v) for v in search.best), "annealing")


def _on_patterns(case: Case, start: Order, seconds: float, seed: int) -> Order:
    task, clock = case.task, Clock()
    number = {name: v for v, name in enumerate(task.names)}
    best = Priced(tuple(number[s] for s in start.steps), (task.cost(start),), start.found_by)
    while clock() < seconds:
        best = annealed(task.eliminations, best, LOOKED_UP_PER_SECOND // 2, seed)
        seed += 1
    return task.order(best.steps, best.found_by)


def alone(case: Case, seconds: float) -> int:
    """What annealing alone finds from the cheapest order that needs no search."""
    start = min(case.task.baselines, key=case.task.cost)
    return case.task.cost(annealing(case)(start, seconds, 0))


def network_alone(case: Case, seconds: float) -> int:
    """What the network finds alone, with search, until the time is over."""
    clock, least = Clock(), case.task.cost(min(case.task.baselines, key=case.task.cost))
    for order in play(begin(case.task), general(), 1e9, 0):
        least = min(least, case.task.cost(order))
        if clock() > seconds:
            break
    return least


def mixed(case: Case, seconds: float) -> int:
    """What both find together."""
    clock, task, game = Clock(), case.task, begin(case.task)
    player, improve, seed = Player(game, general()), annealing(case), 0
    move = {task.names[v]: k for k, v in enumerate(task.eliminations.intermediates)}

    def orders(games: Moves) -> list[Order]:
        return [*filter(task.is_possible, (game.order(moves, "policy") for moves in games))]

    best = min((*task.baselines, *orders(player.from_nothing(0))), key=task.cost)
    while clock() < seconds:
        left = seconds - clock()
        best = min((best, improve(best, max(SHARE * left, 0.2), seed)), key=task.cost)
        seed += 1
        if clock() < seconds:
            moves = np.array([move[name] for name in best.steps], np.int32)
            near = orders(player.from_places_in(moves, seed))
            closest = min(near, key=task.cost, default=best)
            # a neighbour is annealed even if it is dearer: that leads to other orders
            left = seconds - clock()
            if left > 0:
                other = improve(closest, max(SHARE * left, 0.2), seed)
                best = min((best, closest, other), key=task.cost)
    return task.cost(best)


SEARCHES: dict[str, Callable[[Case, float], int]] = {
    "annealing": alone,
    "network": network_alone,
    "mix": mixed,
}


def excess(costs: list[int], best: list[int]) -> float:
    """The geometric mean of costs over the best known ones, less one."""
    logs = [math.log(max(1, c) / max(1, b)) for c, b in zip(costs, best, strict=True)]
    return math.exp(sum(logs) / len(logs)) - 1
