"""Games played by the network: with search, for it to learn from, and without, to use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradgen.search.alphazero.game import Array, Board, GamePosition
from gradgen.search.alphazero.network import Params
from gradgen.search.alphazero.planning import Advice, Judge, Planning, advise
from gradgen.search.alphazero.rules import Rules, outcome, total


class Experience(NamedTuple):
    """What there is to learn from a position; games have a leading axis of moves."""

    position: GamePosition
    weights: Array
    """(A,): the policy that the search advised, for all moves."""
    value: Array
    """(): the score of the game."""
    real: Array
    """() bool: False once the game is over."""


class Played(NamedTuple):
    """A game from its beginning to its end."""

    moves: jax.Array
    """(moves,)"""
    price: jax.Array
    """(): the multiplications of all its moves, and more if it was lost."""


def play_with_search(
    judge: Judge,
    rules: Rules,
    planning: Planning,
    moves: int,
    params: Params,
    key: jax.Array,
    board: Board,
    start: GamePosition,
) -> tuple[Played, Experience]:
    """Play one game of `moves` moves, each advised by a search."""

    def choose(position: GamePosition, key: jax.Array) -> Advice:
        return advise(judge, rules, planning, params, key, board, position)

    return _play(rules, choose, board, start, jax.random.split(key, moves))


def play_greedily(
    judge: Judge, rules: Rules, moves: int, params: Params, board: Board, start: GamePosition
) -> Played:
    """Play one game without search: always the move that the policy likes best."""

    def choose(position: GamePosition, _: jax.Array) -> Advice:
        logits = judge(params, board, position).logits
        return Advice(jnp.argmax(logits), logits)

    return _play(rules, choose, board, start, jnp.arange(moves))[0]


def play_on(
    judge: Judge,
    rules: Rules,
    params: Params,
    board: Board,
    start: GamePosition,
    given: jax.Array,
    known: jax.Array,
    heat: jax.Array,
    key: jax.Array,
) -> Played:
    """Play a game whose first `known` moves are given, and on from there without search.

    Moves are drawn from the policy; with a `heat` below one likely ones become likelier, and with
    none the likeliest is played.
    """

    def choose(position: GamePosition, each: tuple[jax.Array, ...]) -> Advice:
        number, move, chance = each
        logits = judge(params, board, position).logits
        drawn = jnp.argmax(logits + heat * jax.random.gumbel(chance, logits.shape))
        return Advice(jnp.where(number < known, move, drawn), logits)

    keys = jax.random.split(key, given.shape[0])
    return _play(rules, choose, board, start, (jnp.arange(given.shape[0]), given, keys))[0]


def play_given(
    rules: Rules, board: Board, start: GamePosition, moves: jax.Array
) -> tuple[Played, Experience]:
    """A game whose moves are known, as something to learn from."""

    def choose(position: GamePosition, move: jax.Array) -> Advice:
        return Advice(move, jax.nn.one_hot(move, rules.legal(board, position).shape[0]))

    return _play(rules, choose, board, start, moves)


def play_at_random(
    rules: Rules, moves: int, key: jax.Array, board: Board, start: GamePosition
) -> Played:
    """Play one game with moves drawn evenly, for comparison."""

    def choose(position: GamePosition, key: jax.Array) -> Advice:
        logits = jnp.where(rules.legal(board, position), 0.0, -jnp.inf)
        return Advice(jnp.argmax(logits + jax.random.gumbel(key, logits.shape)), logits)

    return _play(rules, choose, board, start, jax.random.split(key, moves))[0]


def _play(
    rules: Rules,
    choose: Callable[[GamePosition, Any], Advice],
    board: Board,
    start: GamePosition,
    given: Any,
) -> tuple[Played, Experience]:
    """Play one game, a move for each of what is given; XLA leaves out what nobody asks for."""

    def turn(position: GamePosition, each: Any) -> tuple[GamePosition, tuple[Any, ...]]:
        advice = choose(position, each)
        following, _ = rules.play(board, position, advice.move)
        real = ~rules.is_over(board, position)
        return following, (position, advice.weights, advice.move, real)

    last, (positions, weights, moves, real) = jax.lax.scan(turn, start, given)
    scores = jnp.broadcast_to(outcome(board, last), real.shape)
    return Played(moves, total(board, last)), Experience(positions, weights, scores, real)
