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

from gradgen.search.alphazero.game import Array, reversed_position
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
    judge: Judge, rules: Rules, learning: Learning, params: Params, experience: Experience
) -> tuple[jax.Array, Loss]:
    """The sum of the loss over a batch of experiences, and the sums of its parts.

    What comes after the end of a game counts nothing. Every second experience is learned on the
    graph turned round, whose arrays may have another shape.
    """
    if learning.reversals:
        kept = jax.tree.map(lambda leaf: leaf[0::2], experience)
        turned = jax.tree.map(lambda leaf: leaf[1::2], experience)
        turned = turned._replace(
            position=jax.vmap(reversed_position)(turned.position),
            weights=jax.vmap(rules.turned)(turned.position, turned.weights),
        )
        parts = [_losses(judge, params, half) for half in (kept, turned)]
        loss = Loss(*(sum(values) for values in zip(*parts, strict=True)))
    else:
        loss = _losses(judge, params, experience)
    return loss.divergence + learning.value_weight * loss.squared_error, loss


def _losses(judge: Judge, params: Params, experience: Experience) -> Loss:
    judged = jax.vmap(partial(judge, params))(experience.position)
    wanted = experience.weights
    asked = wanted > 0
    excess = jnp.log(jnp.where(asked, wanted, 1.0)) - jax.nn.log_softmax(judged.logits)
    divergence = jnp.where(asked, wanted * excess, 0.0).sum(-1)
    squared_error = jnp.square(judged.value - experience.value)
    return Loss(*((part * experience.real).sum() for part in (divergence, squared_error)))
