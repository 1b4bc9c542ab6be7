"""The search for an order by a network that is trained already: games until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import jax
import numpy as np

from gradgen.elimination.cost import cost_of
from gradgen.errors import GradgenError
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.search.alphazero.game import Game, begin, edges_seen
from gradgen.search.alphazero.network import NetworkSize, Params, network
from gradgen.search.alphazero.planning import Planning
from gradgen.search.alphazero.rules import RULES
from gradgen.search.alphazero.selfplay import play_greedily, play_with_search
from gradgen.search.exact.bounds import lower_bound
from gradgen.search.heuristics import propose
from gradgen.search.portfolio import MANY, Progress, SearchResult, baselines

FOUND_BY = "alphazero"
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
    graph: LinearGraph,
    expertise: Expertise,
    *,
    objective: ProductObjective = "muls",
    budget: float = 2.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> SearchResult:
    """Let the network play, first greedily and then with search; the cheapest order wins.

    It plays at least one game, and more for a larger budget, in seconds. The order is never worse
    than forward, reverse and both Markowitz orders, and `found_by` says whose it is. Raises
    GradgenError for a graph of more than MANY intermediates.
    """
    if len(graph.intermediates) > MANY:
        raise GradgenError(
            f"the network plays graphs of at most {MANY} intermediates, and there are "
            f"{len(graph.intermediates)}",
            hint="search for the order with --search auto",
        )
    started = time.monotonic()
    report = progress or (lambda cost, bound, found_by: None)
    heuristics = propose(graph)
    costs = {order.found_by: cost_of(graph, order, objective) for order in heuristics}
    bound = lower_bound(graph, objective)
    least = bound.value
    best = min(heuristics, key=lambda order: costs[order.found_by])
    price = costs[best.found_by]
    for order in play(begin(graph, objective), expertise, budget, seed):
        cost = cost_of(graph, order, objective)
        # the network's own order is shown even where a heuristic is as good
        if cost < price or (cost == price and not best.found_by.startswith(FOUND_BY)):
            best, price = order, cost
            report(price, least, best.found_by)
        if price == least:
            break
    return SearchResult(
        order=replace(best, proved_optimal=price == least),
        cost=price,
        baselines=baselines(costs.items()),
        lower_bound=least,
        proved=price == least,
        found_by=best.found_by,
        bound_by=bound.found_by,
        seconds=time.monotonic() - started,
    )


def cheapest(game: Game, order: Order) -> Order:
    """An order, or a heuristic's if that is cheaper."""
    orders = (order, *propose(game.graph))
    return min(orders, key=lambda each: cost_of(game.graph, each, game.objective))


def play(game: Game, expertise: Expertise, budget: float, seed: int) -> Iterator[Order]:
    """The orders of the games that a network plays: one without search, then others with it."""
    edges = edges_seen([game])
    judge = network(expertise.size, edges).apply
    rules = RULES[game.elimination]
    params, planning = expertise.params, expertise.planning
    start = jax.tree.map(jax.numpy.asarray, game.start)
    greedy = jax.jit(partial(play_greedily, judge, rules, game.moves))(params, start)
    yield game.order(np.asarray(greedy.moves), f"{FOUND_BY}, without search")
    tokens = game.moves * (planning.simulations + 1) * (game.start.left.shape[0] + edges)
    games = max(1, round(budget * TOKENS_PER_SECOND / tokens))
    at_once = min(games, AT_ONCE)
    searching = partial(play_with_search, judge, rules, planning, game.moves)
    batch = jax.jit(jax.vmap(searching, (None, 0, None)))
    for number in range(round(games / at_once)):
        key = jax.random.fold_in(jax.random.key(seed), number)
        played, _ = batch(params, jax.random.split(key, at_once), start)
        for moves in np.asarray(played.moves):
            yield game.order(moves, FOUND_BY)
