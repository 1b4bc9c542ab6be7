"""The search for an order by a network that is trained already: its policy plays, without a tree.

Games whose moves are drawn from the policy differ, and the cheapest of some is much better than the
one of its likeliest moves. Then the policy plays on from several places in the cheapest game so
far, and so on, until the budget is spent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradgen.errors import GradgenError
from gradgen.ir.graph import Order
from gradgen.search.alphazero.game import Game, begin, edges_seen
from gradgen.search.alphazero.network import NetworkSize, Params, network
from gradgen.search.alphazero.rules import RULES
from gradgen.search.alphazero.selfplay import play_on
from gradgen.search.exact.bounds import LowerBound
from gradgen.search.portfolio import MANY, Progress, SearchResult, baselines
from gradgen.search.task import Task

FOUND_BY = "alphazero"
UNKNOWN = LowerBound(0, "")
"""Where nothing is proved."""
AT_ONCE = 8
"""Games played side by side."""
HEAT = 0.5
"""How evenly moves are drawn: the policy's logits are divided by it."""
TOKENS_PER_SECOND = 150_000
"""Tokens that the network is given for a second of budget. Work is counted and not timed, so that
the result is the same on every machine; two cores of 2020 do about twice as much."""

Moves = NDArray[np.int32]


@dataclass(frozen=True)
class Expertise:
    """A network that plays without learning any more."""

    params: Params
    size: NetworkSize


class Player:
    """A network's policy on a game, compiled once."""

    def __init__(self, game: Game, expertise: Expertise) -> None:
        judge = network(expertise.size, edges_seen([game])).apply
        board, start = jax.tree.map(jnp.asarray, (game.board, game.start))
        playing = partial(play_on, judge, RULES[game.elimination])
        several = jax.jit(jax.vmap(playing, (None, None, None, None, 0, 0, 0)))
        self._play = partial(several, expertise.params, board, start)
        self._length = game.moves

    def from_nothing(self, seed: int) -> Moves:
        """(AT_ONCE, moves): the game of the likeliest moves, then games of moves that are drawn."""
        heat = np.full(AT_ONCE, HEAT, np.float32)
        heat[0] = 0.0
        return self._played(np.zeros(self._length, np.int32), np.zeros(AT_ONCE, int), heat, seed)

    def from_places_in(self, moves: Moves, seed: int) -> Moves:
        """(AT_ONCE, moves): a game played on anew from evenly spread places in it."""
        places = np.arange(AT_ONCE) * self._length // AT_ONCE
        return self._played(moves, places, np.full(AT_ONCE, HEAT, np.float32), seed)

    def _played(
        self, given: Moves, known: NDArray[np.int_], heat: NDArray[np.float32], seed: int
    ) -> Moves:
        keys = jax.random.split(jax.random.key(seed), AT_ONCE)
        return np.asarray(self._play(given, known, heat, keys).moves)


def search(
    task: Task,
    expertise: Expertise,
    *,
    bound: LowerBound = UNKNOWN,
    budget: float = 2.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> SearchResult:
    """Let the network play, first its likeliest moves and then others; the cheapest order wins.

    It plays some games, and more for a larger budget, in seconds. The order is never worse
    than the task's baselines, and `found_by` says whose it is. It stops at a lower bound that is
    met. Raises GradgenError for a graph of more than MANY intermediates, or too many terms.
    """
    count = len(task.eliminations.intermediates)
    if count > MANY:
        raise GradgenError(
            f"the network plays graphs of at most {MANY} intermediates, and there are {count}",
            hint="search for the order with --search auto",
        )
    started = time.monotonic()
    report = progress or (lambda cost, bound, found_by: None)
    costs = {order: task.cost(order) for order in task.baselines}
    least = bound.value
    best = min(costs, key=lambda order: costs[order])
    price = costs[best]
    for order in play(begin(task), expertise, budget, seed) if count else ():
        cost = task.cost(order)
        # the network's own order is shown even where a heuristic is as good
        if cost < price or (cost == price and not best.found_by.startswith(FOUND_BY)):
            best, price = order, cost
            report(price, least, best.found_by)
        if price == least:
            break
    return SearchResult(
        order=replace(best, proved_optimal=price == least),
        cost=price,
        baselines=baselines((order.found_by, cost) for order, cost in costs.items()),
        lower_bound=least,
        proved=price == least,
        found_by=best.found_by,
        bound_by=bound.found_by,
        seconds=time.monotonic() - started,
    )


def cheapest(game: Game, order: Order) -> Order:
    """An order, or a heuristic's if that is cheaper, or the game was lost."""
    orders = filter(game.task.is_possible, (order, *game.task.baselines))
    return min(orders, key=game.task.cost)


def play(game: Game, expertise: Expertise, budget: float, seed: int) -> Iterator[Order]:
    """The orders of the games that a network plays, that of its likeliest moves first.

    Games that are lost, since an operator met no vector, have none.
    """
    player, task = Player(game, expertise), game.task
    each = max(1, AT_ONCE * game.moves * (game.start.left.shape[0] + edges_seen([game])))
    best: tuple[int, Moves] | None = None
    for number in range(max(1, round(budget * TOKENS_PER_SECOND / each))):
        drawn = seed << 16 | number
        games = player.from_places_in(best[1], drawn) if best else player.from_nothing(drawn)
        for k, moves in enumerate(games):
            alone = number == k == 0
            order = game.order(moves, f"{FOUND_BY}, without chance" if alone else FOUND_BY)
            if task.is_possible(order):
                cost = task.cost(order)
                if best is None or cost <= best[0]:
                    best = cost, moves
                yield order
