"""Learning from demonstrations: a warm start, or a general network from many graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from gradgen.search.alphazero.game import Board, GamePosition
from gradgen.search.alphazero.learning import Learning, Loss, losses, optimizer
from gradgen.search.alphazero.network import Params
from gradgen.search.alphazero.planning import Judge
from gradgen.search.alphazero.rules import Rules
from gradgen.search.alphazero.selfplay import play_given


@dataclass(frozen=True)
class Imitation:
    """How to imitate."""

    updates: int = 200
    games: int = 16
    """That an update looks at."""
    positions: int = 8
    """Of each of them; an even number."""
    seed: int = 0
    learning: Learning = field(default_factory=Learning)


def imitate(
    judge: Judge,
    rules: Rules,
    params: Params,
    given: tuple[Board, GamePosition],
    demonstrations: NDArray[np.int32],
    imitation: Imitation,
) -> Iterator[tuple[Params, Loss]]:
    """Update a network towards demonstrations, which are (games, several, moves) of games.

    `given` are the games' boards and first positions, stacked. Yields the network after each
    update, and the mean loss on what it just looked at.
    """
    adam = optimizer(imitation.learning, imitation.updates)
    boards, starts = jax.tree.map(jnp.asarray, given)
    shown = jnp.asarray(demonstrations)

    @jax.jit
    def update(
        params: Params, moments: optax.OptState, number: int
    ) -> tuple[Params, optax.OptState, Loss]:
        key = jax.random.fold_in(jax.random.key(imitation.seed), number)
        which, how, when = jax.random.split(key, 3)
        chosen = jax.random.randint(which, (imitation.games,), 0, shown.shape[0])
        ways = jax.random.randint(how, (imitation.games,), 0, shown.shape[1])
        board, start = jax.tree.map(lambda leaf: leaf[chosen], (boards, starts))
        _, experience = jax.vmap(partial(play_given, rules))(board, start, shown[chosen, ways])
        # a place within each game's own length
        share = jax.random.uniform(when, (imitation.games, imitation.positions))
        places = (share * experience.real.sum(1, keepdims=True)).astype(int)
        rows = jnp.arange(imitation.games)[:, None]
        batch = jax.tree.map(lambda leaf: leaf[rows, places], experience)
        part = partial(losses, judge, rules, imitation.learning)
        (_, loss), gradient = jax.value_and_grad(part, has_aux=True)(params, board, batch)
        loss, gradient = jax.tree.map(lambda x: x / batch.real.size, (loss, gradient))
        change, moments = adam.update(gradient, moments, params)
        return optax.apply_updates(params, change), moments, loss

    moments = adam.init(params)
    for number in range(imitation.updates):
        params, moments, loss = update(params, moments, number)
        yield params, Loss(*(np.asarray(part) for part in loss))
