"""The search for an order by a network that is trained already: games until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import jax
import numpy as np

from gradgen.errors import GradgenError
from gradgen.ir.graph import Order
from gradgen.search.alphazero.game import Game, begin, edges_seen
from gradgen.search.alphazero.network import NetworkSize, Params, network
from gradgen.search.alphazero.planning import Planning
from gradgen.search.alphazero.rules import RULES
from gradgen.search.alphazero.selfplay import play_greedily, play_with_search
from gradgen.search.exact.bounds import LowerBound
from gradgen.search.portfolio import MANY, Progress, SearchResult, baselines
from gradgen.search.task import Task

FOUND_BY = "alphazero"
UNKNOWN = LowerBound(0, "")
"""Where nothing is proved."""
AT_ONCE = 8
"""Games played side by side, at most."""
TOKENS_PER_SECOND = 40_000
"""Tokens that the network is given for a second of budget. Work is counted and not timed, so that
the result is the same on every machine; two cores of 2020 do about as much."""


@dataclass(frozen=True)
class Expertise:
    """A network that plays without learning any more."""

    params: Params
    size: NetworkSize
    planning: Planning = field(default_factory=Planning)


def search(
    task: Task,
    expertise: Expertise,
    *,
    bound: LowerBound = UNKNOWN,
    budget: float = 2.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> SearchResult:
    """Let the network play, first greedily and then with search; the cheapest order wins.

    It plays at least one game, and more for a larger budget, in seconds. The order is never worse
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
    """The orders of the games that a network plays: one without search, then others with it.

    Games that are lost, since an operator met no vector, have none.
    """
    edges = edges_seen([game])
    judge = network(expertise.size, edges).apply
    rules = RULES[game.elimination]
    params, planning = expertise.params, expertise.planning
    board, start = jax.tree.map(jax.numpy.asarray, (game.board, game.start))
    greedy = jax.jit(partial(play_greedily, judge, rules, game.moves))(params, board, start)
    first = game.order(np.asarray(greedy.moves), f"{FOUND_BY}, without search")
    if game.task.is_possible(first):
        yield first
    tokens = game.moves * (planning.simulations + 1) * (game.start.left.shape[0] + edges)
    games = max(1, round(budget * TOKENS_PER_SECOND / tokens))
    at_once = min(games, AT_ONCE)
    searching = partial(play_with_search, judge, rules, planning, game.moves)
    batch = jax.jit(jax.vmap(searching, (None, 0, None, None)))
    for number in range(round(games / at_once)):
        key = jax.random.fold_in(jax.random.key(seed), number)
        played, _ = batch(params, jax.random.split(key, at_once), board, start)
        orders = (game.order(moves, FOUND_BY) for moves in np.asarray(played.moves))
        yield from filter(game.task.is_possible, orders)
