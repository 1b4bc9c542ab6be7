"""Looking ahead: Monte-Carlo tree search from a position, guided by the network.

mctx searches on the rules of the game itself, not on a learned model of it, so this is AlphaZero's
use of it. The default policy is that of Gumbel MuZero (Danihelka et al., Policy improvement by
planning with Gumbel, 2022), which improves on the network's policy even with few simulations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import mctx

from gradgen.search.alphazero.game import Board, GamePosition
from gradgen.search.alphazero.network import Judgement, Params
from gradgen.search.alphazero.rules import Rules, outcome

Judge = Callable[[Params, Board, GamePosition], Judgement]


@dataclass(frozen=True)
class Planning:
    """How far to look ahead."""

    simulations: int = 16
    considered: int = 8
    """Moves that Gumbel MuZero considers at the root."""
    policy: Literal["gumbel", "muzero"] = "gumbel"


class Advice(NamedTuple):
    """What a search advises."""

    move: jax.Array
    """(): the move to play, drawn with the search's own exploration."""
    weights: jax.Array
    """(A,): the improved policy, which the network is to learn."""


def advise(
    judge: Judge,
    rules: Rules,
    planning: Planning,
    params: Params,
    key: jax.Array,
    board: Board,
    position: GamePosition,
) -> Advice:
    """Search from one position.

    All random numbers come from `key`, so that a batch of positions, each with its own key, gets
    the same advice however it is spread over devices.
    """
    one = jax.tree.map(lambda leaf: leaf[None], position)
    judged = jax.vmap(partial(judge, params, board))(one)
    root = mctx.RootFnOutput(prior_logits=judged.logits, value=judged.value, embedding=one)
    search = mctx.gumbel_muzero_policy
    options: dict[str, Any] = {"max_num_considered_actions": planning.considered}
    if planning.policy == "muzero":
        search, options = mctx.muzero_policy, {}
    found = search(
        params,
        key,
        root,
        partial(_follow, judge, rules, board),
        planning.simulations,
        invalid_actions=~jax.vmap(partial(rules.legal, board))(one),
        **options,
    )
    return Advice(found.action[0], found.action_weights[0])


def _follow(
    judge: Judge,
    rules: Rules,
    board: Board,
    params: Params,
    key: jax.Array,
    moves: jax.Array,
    positions: GamePosition,
) -> tuple[Any, GamePosition]:
    """What each move leads to, and how the network judges it. Nothing counts but the score in the
    end, which is of the game's whole price: logarithms do not add up move by move."""
    following, _ = jax.vmap(partial(rules.play, board))(positions, moves)
    judged = jax.vmap(partial(judge, params, board))(following)
    over = jax.vmap(partial(rules.is_over, board))(following)
    found = mctx.RecurrentFnOutput(
        reward=jnp.zeros_like(judged.value),
        discount=jnp.ones_like(judged.value),
        prior_logits=judged.logits,
        value=jnp.where(over, jax.vmap(partial(outcome, board))(following), judged.value),
    )
    return found, following
