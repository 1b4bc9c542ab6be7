"""What the network learns from experience: the search's policy, and the return that followed.

The loss is the divergence of the network's policy from the one that the search advised, plus the
squared error of its value (Silver et al., A general reinforcement learning algorithm that masters
chess, shogi, and Go through self-play, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from gradgen.search.alphazero.game import Array, Board, reversed_board, reversed_position
from gradgen.search.alphazero.network import Params
from gradgen.search.alphazero.planning import Judge
from gradgen.search.alphazero.rules import Rules
from gradgen.search.alphazero.selfplay import Experience


@dataclass(frozen=True)
class Learning:
    """How to learn."""

    rate: float = 2e-3
    """The highest learning rate, which is reached after a tenth of the updates."""
    weight_decay: float = 1e-4
    value_weight: float = 10.0
    """Of the squared error beside the divergence. Good and bad orders differ by percents, so that
    the errors that matter are small."""
    reversals: bool = True
    """Whether half of the experiences are learned on the graph turned round."""


class Loss(NamedTuple):
    """The parts of the loss."""

    divergence: Array
    squared_error: Array


def optimizer(learning: Learning, updates: int) -> optax.GradientTransformation:
    """AdamW with a warm-up and a cosine decay over so many updates."""
    schedule = optax.warmup_cosine_decay_schedule(
        learning.rate / 10, learning.rate, max(1, updates // 10), updates, learning.rate / 20
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=learning.weight_decay)
    )


def losses(
    judge: Judge,
    rules: Rules,
    learning: Learning,
    params: Params,
    boards: Board,
    experience: Experience,
) -> tuple[jax.Array, Loss]:
    """The sum of the loss over a batch of experiences, and the sums of its parts.

    Experiences have axes of boards and of positions on each. What comes after the end of a game
    counts nothing. Every second experience is learned on the graph turned round, whose arrays may
    have another shape.
    """
    parts = jax.vmap(partial(_on_board, judge, rules, learning, params))(boards, experience)
    loss = Loss(*(part.sum() for part in parts))
    return loss.divergence + learning.value_weight * loss.squared_error, loss


def _on_board(
    judge: Judge,
    rules: Rules,
    learning: Learning,
    params: Params,
    board: Board,
    experience: Experience,
) -> Loss:
    if not learning.reversals:
        return _losses(judge, params, board, experience)
    kept = jax.tree.map(lambda leaf: leaf[0::2], experience)
    turned = jax.tree.map(lambda leaf: leaf[1::2], experience)
    turned = turned._replace(
        position=jax.vmap(reversed_position)(turned.position),
        weights=jax.vmap(rules.turned)(turned.position, turned.weights),
    )
    halves = (
        _losses(judge, params, board, kept),
        _losses(judge, params, reversed_board(board), turned),
    )
    return Loss(*(sum(parts) for parts in zip(*halves, strict=True)))


def _losses(judge: Judge, params: Params, board: Board, experience: Experience) -> Loss:
    judged = jax.vmap(partial(judge, params, board))(experience.position)
    wanted = experience.weights
    asked = wanted > 0
    excess = jnp.log(jnp.where(asked, wanted, 1.0)) - jax.nn.log_softmax(judged.logits)
    divergence = jnp.where(asked, wanted * excess, 0.0).sum(-1)
    squared_error = jnp.square(judged.value - experience.value)
    return Loss(*((part * experience.real).sum() for part in (divergence, squared_error)))
