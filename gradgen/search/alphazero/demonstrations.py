"""Games to imitate: cheap orders that a search found, in many of the ways that cost the same.

Moves that do not touch each other may change places. Learning from one of many equally good orders
would teach that the others are worse, so each demonstration is shuffled as far as its price allows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradgen.elimination.joining import Edges, Vertex
from gradgen.ir.graph import Order
from gradgen.search.alphazero.game import Game
from gradgen.search.arrays.states import Code, Eliminations

PASSES = 6
"""Over an order, each of which lets neighbours change places."""


def demonstrate(game: Game, order: Order, count: int, *, seed: int) -> NDArray[np.int32]:
    """(count, moves): games that all cost what a vertex order does."""
    move = {vertex: k for k, vertex in enumerate(game.task.eliminations.intermediates)}
    shown = [[move[v] for v in steps] for steps in equals(game, order, count, seed)]
    return np.array(shown, np.int32)


def equals(game: Game, order: Order, count: int, seed: int) -> list[list[Vertex]]:
    """Orders of the same price as this one, as vertices: it, shuffled ever further."""
    number = {name: v for v, name in enumerate(game.task.names)}
    steps = [number[name] for name in order.steps]
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        for _ in range(PASSES):
            steps = _pass(game.task.eliminations, steps, chance)
        found.append(steps)
    return found


def _pass(
    eliminations: Eliminations, steps: Sequence[Vertex], chance: random.Random
) -> list[Vertex]:
    """Exchange neighbours along an order, where that costs nothing and chance wants it.

    The edges after two eliminations are the same in either order, so only their own prices change.
    """
    edges = eliminations.start
    held = steps[0]
    passed = []
    for vertex in steps[1:]:
        if chance.random() < 0.5 and _is_free(eliminations, edges, held, vertex):
            held, vertex = vertex, held
        edges = eliminations.without(edges, held)
        passed.append(held)
        held = vertex
    return [*passed, held]


def _is_free(eliminations: Eliminations, edges: Edges[Code], one: Vertex, other: Vertex) -> bool:
    """Whether two vertices cost the same in either order; those without an edge between do."""
    if one not in edges.out[other] and other not in edges.out[one]:
        return True
    both = [eliminations.walk(edges, pair) for pair in ((one, other), (other, one))]
    prices = [None if found is None else eliminations.total(found[0]) for found in both]
    return prices[0] == prices[1]
