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

from gradgen.search.alphazero.game import Board
from gradgen.search.alphazero.network import Judgement, Params
from gradgen.search.alphazero.rules import Rules, is_over

Judge = Callable[[Params, Board], Judgement]


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
    position: Board,
) -> Advice:
    """Search from one position.

    All random numbers come from `key`, so that a batch of positions, each with its own key, gets
    the same advice however it is spread over devices.
    """
    one = jax.tree.map(lambda leaf: leaf[None], position)
    judged = jax.vmap(partial(judge, params))(one)
    root = mctx.RootFnOutput(prior_logits=judged.logits, value=judged.value, embedding=one)
    search = mctx.gumbel_muzero_policy
    options: dict[str, Any] = {"max_num_considered_actions": planning.considered}
    if planning.policy == "muzero":
        search, options = mctx.muzero_policy, {}
    found = search(
        params,
        key,
        root,
        partial(_follow, judge, rules),
        planning.simulations,
        invalid_actions=~jax.vmap(rules.legal)(one),
        **options,
    )
    return Advice(found.action[0], found.action_weights[0])


def _follow(
    judge: Judge,
    rules: Rules,
    params: Params,
    key: jax.Array,
    moves: jax.Array,
    positions: Board,
) -> tuple[Any, Board]:
    """What each move leads to: minus its price as the reward, and how the network judges it."""
    following, prices = jax.vmap(rules.play)(positions, moves)
    judged = jax.vmap(partial(judge, params))(following)
    over = jax.vmap(is_over)(following)
    found = mctx.RecurrentFnOutput(
        reward=-prices / positions.scale,
        discount=jnp.where(over, 0.0, 1.0),
        prior_logits=judged.logits,
        value=jnp.where(over, 0.0, judged.value),
    )
    return found, following
