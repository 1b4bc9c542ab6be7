"""The replay buffer: what recent games taught, a ring for each environment.

Every environment keeps its own games, and every choice is made with a key of its own, so that the
buffer can be spread over devices by environment without changing what is learned.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradgen.search.alphazero.selfplay import Experience


class ReplayBuffer(NamedTuple):
    """Experiences of one environment, the oldest overwritten first."""

    experiences: Experience
    """With a leading axis of the capacity."""
    written: jax.Array
    """() int32: how many were ever written."""


def empty(example: Experience, capacity: int) -> ReplayBuffer:
    """A buffer for experiences like this one."""
    room = jax.tree.map(
        lambda x: jnp.zeros((capacity, *jnp.shape(x)), jnp.asarray(x).dtype), example
    )
    return ReplayBuffer(room, jnp.zeros((), jnp.int32))


def remember(replay: ReplayBuffer, game: Experience) -> ReplayBuffer:
    """Write the experiences of a game, which has no more moves than the buffer has room."""
    capacity = replay.experiences.value.shape[0]
    moves = game.value.shape[0]
    places = (replay.written + jnp.arange(moves)) % capacity
    kept = jax.tree.map(lambda old, new: old.at[places].set(new), replay.experiences, game)
    return ReplayBuffer(kept, replay.written + moves)


def recall(replay: ReplayBuffer, key: jax.Array, count: int) -> Experience:
    """Draw experiences evenly from those written."""
    capacity = replay.experiences.value.shape[0]
    places = jax.random.randint(key, (count,), 0, jnp.minimum(replay.written, capacity))
    return jax.tree.map(lambda leaf: leaf[places], replay.experiences)
