"""Games played by the network: with search, for it to learn from, and greedily, to show it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradgen.search.alphazero.game import Array, Position
from gradgen.search.alphazero.network import Params
from gradgen.search.alphazero.planning import Judge, Planning, advise
from gradgen.search.alphazero.rules import Rules, is_over

BROKEN_OFF = 2.0
"""What a game costs beside its moves that is not over by then, in units of its scale."""


class Experience(NamedTuple):
    """What there is to learn from a position; games have a leading axis of moves."""

    position: Position
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
    start: Position,
) -> tuple[Played, Experience]:
    """Play one game of `moves` moves, each advised by a search."""

    def turn(position: Position, key: jax.Array) -> tuple[Position, tuple[Any, ...]]:
        advice = advise(judge, rules, planning, params, key, position)
        following, price = rules.play(position, advice.move)
        return following, (position, advice.weights, advice.move, price, ~is_over(position))

    last, found = jax.lax.scan(turn, start, jax.random.split(key, moves))
    positions, weights, chosen, prices, real = found
    return _told(start, last, chosen, prices), Experience(
        positions, weights, _returns(start, last, prices), real
    )


def play_greedily(
    judge: Judge, rules: Rules, moves: int, params: Params, start: Position
) -> Played:
    """Play one game without search: always the move that the policy likes best."""

    def turn(position: Position, _: None) -> tuple[Position, tuple[jax.Array, jax.Array]]:
        move = jnp.argmax(judge(params, position).logits)
        following, price = rules.play(position, move)
        return following, (move, price)

    last, (chosen, prices) = jax.lax.scan(turn, start, None, moves)
    return _told(start, last, chosen, prices)


def play_given(rules: Rules, start: Position, moves: jax.Array) -> tuple[Played, Experience]:
    """A game whose moves are known, as something to learn from."""

    def turn(position: Position, move: jax.Array) -> tuple[Position, tuple[Any, ...]]:
        following, price = rules.play(position, move)
        weights = jax.nn.one_hot(move, rules.legal(position).shape[0])
        return following, (position, weights, price, ~is_over(position))

    last, (positions, weights, prices, real) = jax.lax.scan(turn, start, moves)
    return _told(start, last, moves, prices), Experience(
        positions, weights, _returns(start, last, prices), real
    )


def play_at_random(rules: Rules, moves: int, key: jax.Array, start: Position) -> Played:
    """Play one game with moves drawn evenly, for comparison."""

    def turn(position: Position, key: jax.Array) -> tuple[Position, tuple[jax.Array, jax.Array]]:
        logits = jnp.where(rules.legal(position), 0.0, -jnp.inf)
        move = jnp.argmax(logits + jax.random.gumbel(key, logits.shape))
        following, price = rules.play(position, move)
        return following, (move, price)

    last, (chosen, prices) = jax.lax.scan(turn, start, jax.random.split(key, moves))
    return _told(start, last, chosen, prices)


def _told(start: Position, last: Position, moves: jax.Array, prices: jax.Array) -> Played:
    """What a game cost; one that was broken off costs more than one that was not."""
    return Played(moves, prices.sum() + _fine(start, last))


def _returns(start: Position, last: Position, prices: jax.Array) -> jax.Array:
    return -(jnp.cumsum(prices[::-1])[::-1] + _fine(start, last)) / start.scale


def _fine(start: Position, last: Position) -> jax.Array:
    return jnp.where(is_over(last), 0.0, BROKEN_OFF * start.scale)
