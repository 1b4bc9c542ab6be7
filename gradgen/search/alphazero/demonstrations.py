"""Games to imitate: cheap orders that a search found, in many of the ways that cost the same.

Moves that do not touch each other may change places. Learning from one of many equally good orders
would teach that the others are worse, so each demonstration is shuffled as far as its price allows.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.search.alphazero.game import Game
from gradgen.search.exact.remainder import Remainder
from gradgen.search.portfolio import search

PASSES = 10
"""Over an order, each of which lets neighbours change places."""


def demonstrate(game: Game, count: int, *, budget: float, seed: int) -> NDArray[np.int32]:
    """(count, moves): cheap games, all of one price; what is beyond a game's end is its first move.

    The order comes from the portfolio of other searches, which may take `budget` seconds.
    """
    found = search(game.graph, objective=game.objective, budget=budget, seed=seed)
    return np.array(
        [moves_of(game, steps) for steps in equals(game, found.order, count, seed)], np.int32
    )


def moves_of(game: Game, steps: Iterable[int]) -> list[int]:
    """The moves that eliminate these vertices."""
    number = {vertex: move for move, vertex in enumerate(game.graph.intermediates)}
    return [number[vertex] for vertex in steps]


def equals(game: Game, order: Order, count: int, seed: int) -> list[list[int]]:
    """Orders of the same price as this one, as vertices: it, shuffled ever further."""
    number = {vertex.name: k for k, vertex in enumerate(game.graph.vertices)}
    steps = [number[name] for name in order.steps]
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        for _ in range(PASSES):
            steps = _pass(game.graph, game.objective, steps, chance)
        found.append(steps)
    return found


def _pass(
    graph: LinearGraph, objective: ProductObjective, steps: list[int], chance: random.Random
) -> list[int]:
    """Exchange neighbours along an order, where that costs nothing and chance wants it.

    The edges after two eliminations are the same in either order, so only their own prices change.
    """
    state = Remainder(graph, objective)
    held = steps[0]
    passed = []
    for vertex in steps[1:]:
        if chance.random() < 0.5 and _together(state, held, vertex) == _together(
            state, vertex, held
        ):
            held, vertex = vertex, held
        state.eliminate(held)
        passed.append(held)
        held = vertex
    return [*passed, held]


def _together(state: Remainder, first: int, second: int) -> int:
    return state.copy().eliminate_all((first, second))
