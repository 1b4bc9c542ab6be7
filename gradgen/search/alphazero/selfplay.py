"""Games played by the network: with search, for it to learn from, and greedily, to show it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradgen.search.alphazero.game import Array, Position, is_over, play
from gradgen.search.alphazero.network import Params
from gradgen.search.alphazero.planning import Judge, Planning, advise


class Experience(NamedTuple):
    """What there is to learn from a position; games have a leading axis of moves."""

    position: Position
    weights: Array
    """(M,): the policy that the search advised."""
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
    judge: Judge, planning: Planning, moves: int, params: Params, key: jax.Array, start: Position
) -> tuple[Played, Experience]:
    """Play one game of `moves` moves, each advised by a search."""

    def turn(position: Position, key: jax.Array) -> tuple[Position, tuple[Any, ...]]:
        advice = advise(judge, planning, params, key, position)
        following, price = play(position, advice.move)
        return following, (position, advice.weights, advice.move, price, ~is_over(position))

    _, found = jax.lax.scan(turn, start, jax.random.split(key, moves))
    positions, weights, chosen, prices, real = found
    to_come = jnp.cumsum(prices[::-1])[::-1]
    experience = Experience(positions, weights, -to_come / start.scale, real)
    return Played(chosen, prices.sum()), experience


def play_greedily(judge: Judge, moves: int, params: Params, start: Position) -> Played:
    """Play one game without search: always the move that the policy likes best."""

    def turn(position: Position, _: None) -> tuple[Position, tuple[jax.Array, jax.Array]]:
        move = jnp.argmax(judge(params, position).logits)
        following, price = play(position, move)
        return following, (move, price)

    _, (chosen, prices) = jax.lax.scan(turn, start, None, moves)
    return Played(chosen, prices.sum())


def play_given(start: Position, moves: jax.Array) -> tuple[Played, Experience]:
    """A game whose moves are known, as something to learn from."""

    def turn(position: Position, move: jax.Array) -> tuple[Position, tuple[Any, ...]]:
        following, price = play(position, move)
        weights = jax.nn.one_hot(move, position.left.shape[0])
        return following, (position, weights, price, ~is_over(position))

    _, (positions, weights, prices, real) = jax.lax.scan(turn, start, moves)
    to_come = jnp.cumsum(prices[::-1])[::-1]
    experience = Experience(positions, weights, -to_come / start.scale, real)
    return Played(moves, prices.sum()), experience


def play_at_random(moves: int, key: jax.Array, start: Position) -> Played:
    """Play one game with moves drawn evenly, for comparison."""

    def turn(position: Position, key: jax.Array) -> tuple[Position, tuple[jax.Array, jax.Array]]:
        logits = jnp.where(position.left, 0.0, -jnp.inf)
        move = jnp.argmax(logits + jax.random.gumbel(key, logits.shape))
        following, price = play(position, move)
        return following, (move, price)

    _, (chosen, prices) = jax.lax.scan(turn, start, jax.random.split(key, moves))
    return Played(chosen, prices.sum())


batched_random = jax.jit(jax.vmap(play_at_random, in_axes=(None, 0, None)), static_argnums=0)
"""`play_at_random` for many keys at once."""
