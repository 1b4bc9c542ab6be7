"""Training: self-play and learning in turn, on all devices.

An iteration plays one game in each environment, remembers them, and updates the network a few
times. It is one compiled program, spread over a mesh of devices by environment; gradients are
summed over the mesh. Random numbers come from the seed, the number of the iteration and that of the
environment, so that neither the devices nor an interruption change what is learned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from gradgen.search.alphazero.game import Game, Position, edges_seen, stack
from gradgen.search.alphazero.learning import Learning, Loss, losses, optimizer
from gradgen.search.alphazero.network import NetworkSize, Params, network
from gradgen.search.alphazero.planning import Judge, Planning
from gradgen.search.alphazero.replay import Replay, empty, recall, remember
from gradgen.search.alphazero.selfplay import (
    Experience,
    Played,
    play_greedily,
    play_with_search,
)

_AXIS = "environments"


@dataclass(frozen=True)
class Training:
    """How to train."""

    episodes: int = 1024
    """Games to play in all, rounded up to whole iterations."""
    environments: int = 32
    """Games at once; a multiple of the number of devices."""
    updates: int = 16
    """Of the network in each iteration."""
    batch: int = 4
    """Experiences that an update draws from each environment; an even number."""
    remembered: int = 8
    """Games that each environment remembers."""
    seed: int = 0
    size: NetworkSize = field(default_factory=NetworkSize)
    planning: Planning = field(default_factory=Planning)
    learning: Learning = field(default_factory=Learning)

    @property
    def iterations(self) -> int:
        """How many iterations that takes."""
        return -(-self.episodes // self.environments)


class State(NamedTuple):
    """All that changes while training, and all that a checkpoint holds."""

    params: Params
    optimizer: optax.OptState
    replay: Replay
    """With a leading axis of environments."""
    iteration: jax.Array
    """() int32: the next one."""


@dataclass(frozen=True)
class Iteration:
    """What an iteration brought."""

    number: int
    moves: NDArray[np.int32]
    """(environments, moves)"""
    prices: NDArray[np.float32]
    """(environments,)"""
    loss: Loss
    """Means over the iteration's updates."""
    seconds: float


Step = Callable[[State, Position, NDArray[np.int32]], tuple[State, Played, Loss]]


class Trainer:
    """Compiled training on some games, which share one size of arrays.

    Environment k plays game k modulo their number. Raises ValueError where the environments cannot
    be spread evenly over the devices or the games.
    """

    def __init__(
        self, games: Sequence[Game], training: Training, devices: Sequence[jax.Device] | None = None
    ) -> None:
        self.games = tuple(games)
        self.training = training
        self.mesh = Mesh(np.array(devices or jax.devices()), (_AXIS,))
        if training.environments % self.mesh.size:
            raise ValueError(
                f"{training.environments} environments cannot be spread over "
                f"{self.mesh.size} devices"
            )
        if training.environments % len(games):
            raise ValueError(
                f"{training.environments} environments cannot play {len(games)} games evenly"
            )
        self._network = network(training.size, edges_seen(self.games))
        self.judge: Judge = self._network.apply
        self.length = max(game.moves for game in games)
        repeated = training.environments // len(games)
        self._starts = self._spread(stack([game.start for game in self.games] * repeated))
        self._numbers = self._spread(np.arange(training.environments, dtype=np.int32))
        self._optimizer = optimizer(training.learning, training.iterations * training.updates)
        self._step: Step = jax.jit(self._sharded())
        self._greedy = jax.jit(jax.vmap(partial(play_greedily, self.judge, self.length), (None, 0)))

    def begin(self, params: Params | None = None) -> State:
        """The state before the first iteration, with a network of random or given numbers."""
        one = self.games[0].start
        if params is None:
            key = jax.random.key(self.training.seed)
            params = self._network.init(key, one)
        capacity = self.training.remembered * self.length
        example = Experience(one, np.zeros(one.left.shape, np.float32), np.float32(0), np.bool_(0))
        replay = jax.tree.map(
            lambda leaf: np.zeros((self.training.environments, *leaf.shape), leaf.dtype),
            jax.eval_shape(lambda: empty(example, capacity)),
        )
        return self.place(State(params, self._optimizer.init(params), replay, np.int32(0)))

    def place(self, state: State) -> State:
        """A state whose arrays lie on this machine, spread over the devices."""
        whole = NamedSharding(self.mesh, PartitionSpec())
        placed = jax.tree.map(lambda leaf: _place(np.asarray(leaf), whole), state)
        return placed._replace(replay=self._spread(state.replay))

    def run(self, state: State) -> Iterator[tuple[State, Iteration]]:
        """The iterations that are left, one after the other."""
        for number in range(int(state.iteration), self.training.iterations):
            begin = time.perf_counter()
            state, played, loss = self._step(state, self._starts, self._numbers)
            moves, prices = (_gathered(leaf) for leaf in played)
            loss = Loss(*(float(np.asarray(part)) for part in loss))
            yield state, Iteration(number, moves, prices, loss, time.perf_counter() - begin)

    def whole(self, state: State) -> State:
        """The state with all its arrays on this machine, as every process has to ask for it."""
        return jax.tree.map(_gathered, state)  # type: ignore[no-any-return]

    def greedy(self, params: Params) -> Played:
        """The games that the policy plays without search, with a leading axis of games."""
        played = self._greedy(params, stack([game.start for game in self.games]))
        return jax.tree.map(np.asarray, played)

    def _sharded(self) -> Any:
        whole, spread = PartitionSpec(), PartitionSpec(_AXIS)
        state = State(whole, whole, spread, whole)  # type: ignore[arg-type]
        return jax.shard_map(
            self._iterate,
            mesh=self.mesh,
            in_specs=(state, spread, spread),
            out_specs=(state, spread, whole),
            check_vma=False,
        )

    def _iterate(
        self, state: State, starts: Position, numbers: jax.Array
    ) -> tuple[State, Played, Loss]:
        """One iteration on the environments of one device."""
        training = self.training
        key = jax.random.fold_in(jax.random.key(training.seed + 1), state.iteration)
        keys = jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number)))(numbers)
        play = partial(play_with_search, self.judge, training.planning, self.length, state.params)
        played, games = jax.vmap(play)(keys[:, 0], starts)
        replay = jax.vmap(remember)(state.replay, games)

        def update(
            carry: tuple[Params, optax.OptState], number: jax.Array
        ) -> tuple[tuple[Params, optax.OptState], Loss]:
            params, moments = carry
            drawn = jax.vmap(lambda k: jax.random.fold_in(k, number))(keys[:, 1])
            found = jax.vmap(partial(recall, count=training.batch))(replay, drawn)
            batch = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)
            part = partial(losses, self.judge, training.learning)
            (_, loss), gradient = jax.value_and_grad(part, has_aux=True)(params, batch)
            count = jax.lax.psum(batch.real.sum(), _AXIS).astype(jnp.float32)
            loss, gradient = jax.tree.map(
                lambda leaf: jax.lax.psum(leaf, _AXIS) / count, (loss, gradient)
            )
            change, moments = self._optimizer.update(gradient, moments, params)
            return (optax.apply_updates(params, change), moments), loss

        carry = (state.params, state.optimizer)
        (params, moments), loss = jax.lax.scan(update, carry, jnp.arange(training.updates))
        loss = jax.tree.map(jnp.mean, loss)
        return State(params, moments, replay, state.iteration + 1), played, loss

    def _spread(self, tree: Any) -> Any:
        sharding = NamedSharding(self.mesh, PartitionSpec(_AXIS))
        return jax.tree.map(lambda leaf: _place(np.asarray(leaf), sharding), tree)


def _place(array: NDArray[Any], sharding: NamedSharding) -> jax.Array:
    """An array that every process holds whole, where the sharding wants its parts."""
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _gathered(array: jax.Array) -> NDArray[Any]:
    """The whole array on every process."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
