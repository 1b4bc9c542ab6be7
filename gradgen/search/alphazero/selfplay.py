"""Games played by the network: with search, for it to learn from, and greedily, to show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradgen.search.alphazero.game import Array, Board
from gradgen.search.alphazero.network import Params
from gradgen.search.alphazero.planning import Advice, Judge, Planning, advise
from gradgen.search.alphazero.rules import Rules, is_over

BROKEN_OFF = 2.0
"""What a game costs beside its moves that is not over by then, in units of its scale."""


class Experience(NamedTuple):
    """What there is to learn from a position; games have a leading axis of moves."""

    position: Board
    weights: Array
    """(A,): the policy that the search advised, for all moves."""
    value: Array
    """(): the return from here to the end of the game."""
    real: Array
    """() bool: False once the game is over."""


class Played(NamedTuple):
    """A game from its beginning to its end."""

    moves: jax.Array
    """(moves,)"""
    price: jax.Array
    """(): the multiplications of all its moves."""


def play_with_search(
    judge: Judge,
    rules: Rules,
    planning: Planning,
    moves: int,
    params: Params,
    key: jax.Array,
    start: Board,
) -> tuple[Played, Experience]:
    """Play one game of `moves` moves, each advised by a search."""

    def choose(position: Board, key: jax.Array) -> Advice:
        return advise(judge, rules, planning, params, key, position)

    return _play(rules, choose, start, jax.random.split(key, moves))


def play_greedily(judge: Judge, rules: Rules, moves: int, params: Params, start: Board) -> Played:
    """Play one game without search: always the move that the policy likes best."""

    def choose(position: Board, _: jax.Array) -> Advice:
        logits = judge(params, position).logits
        return Advice(jnp.argmax(logits), logits)

    return _play(rules, choose, start, jnp.arange(moves))[0]


def play_given(rules: Rules, start: Board, moves: jax.Array) -> tuple[Played, Experience]:
    """A game whose moves are known, as something to learn from."""

    def choose(position: Board, move: jax.Array) -> Advice:
        return Advice(move, jax.nn.one_hot(move, rules.legal(position).shape[0]))

    return _play(rules, choose, start, moves)


def play_at_random(rules: Rules, moves: int, key: jax.Array, start: Board) -> Played:
    """Play one game with moves drawn evenly, for comparison."""

    def choose(position: Board, key: jax.Array) -> Advice:
        logits = jnp.where(rules.legal(position), 0.0, -jnp.inf)
        return Advice(jnp.argmax(logits + jax.random.gumbel(key, logits.shape)), logits)

    return _play(rules, choose, start, jax.random.split(key, moves))[0]


def _play(
    rules: Rules,
    choose: Callable[[Board, jax.Array], Advice],
    start: Board,
    given: jax.Array,
) -> tuple[Played, Experience]:
    """Play one game, a move for each of what is given; XLA leaves out what nobody asks for.

    A game that was broken off costs more than one that was not.
    """

    def turn(position: Board, each: jax.Array) -> tuple[Board, tuple[Any, ...]]:
        advice = choose(position, each)
        following, price = rules.play(position, advice.move)
        return following, (position, advice.weights, advice.move, price, ~is_over(position))

    last, (positions, weights, moves, prices, real) = jax.lax.scan(turn, start, given)
    fine = jnp.where(is_over(last), 0.0, BROKEN_OFF * start.scale)
    returns = -(jnp.cumsum(prices[::-1])[::-1] + fine) / start.scale
    return Played(moves, prices.sum() + fine), Experience(positions, weights, returns, real)
