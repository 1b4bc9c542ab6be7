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

from gradgen.errors import GradgenError
from gradgen.ir.graph import Order
from gradgen.search.alphazero.game import Board, Game, GamePosition, edges_seen, stack
from gradgen.search.alphazero.learning import Learning, Loss, losses, optimizer
from gradgen.search.alphazero.network import NetworkSize, Params, network
from gradgen.search.alphazero.planning import Judge, Planning
from gradgen.search.alphazero.replay import ReplayBuffer, empty, recall, remember
from gradgen.search.alphazero.rules import RULES
from gradgen.search.alphazero.selfplay import (
    Experience,
    Played,
    play_greedily,
    play_with_search,
)

_AXIS = "environments"
MOST_BYTES = 8e9
"""That the games to be remembered may take. Those that eliminate edges are large."""


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


class Best(NamedTuple):
    """The cheapest order seen of each game."""

    moves: jax.Array
    """(games, moves)"""
    prices: jax.Array
    """(games,): infinite before the first game."""


class State(NamedTuple):
    """All that changes while training, and all that a checkpoint holds."""

    params: Params
    optimizer: optax.OptState
    replay: ReplayBuffer
    """With a leading axis of environments."""
    best: Best
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
    greedy: NDArray[np.float32]
    """(games,): the prices of what the policy then plays without search."""
    divergence: float
    squared_error: float
    """Means over the iteration's updates."""
    seconds: float


Update = Callable[[State, Board, GamePosition, NDArray[np.int32]], tuple[State, Played, Loss]]


class Trainer:
    """Compiled training on some games, which share one size of arrays.

    Environment k plays game k modulo their number. Raises GradgenError where the environments
    cannot be spread evenly over the devices or the games, and for a game without moves.
    """

    def __init__(
        self, games: Sequence[Game], training: Training, devices: Sequence[jax.Device] | None = None
    ) -> None:
        self.games = tuple(games)
        self.training = training
        self.mesh = Mesh(np.array(devices or jax.devices()), (_AXIS,))
        if training.environments % self.mesh.size:
            raise GradgenError(
                f"{training.environments} environments cannot be spread over "
                f"{self.mesh.size} devices"
            )
        if training.environments % len(games):
            raise GradgenError(
                f"{training.environments} environments cannot play {len(games)} games evenly"
            )
        if not all(game.moves for game in games):
            raise GradgenError("there is a graph without intermediates: nothing can be learned")
        self._network = network(training.size, edges_seen(self.games), games[0].elimination)
        self.rules = RULES[games[0].elimination]
        self.judge: Judge = self._network.apply
        self.length = max(game.moves for game in games)
        repeated = training.environments // len(games)
        given = stack([(game.board, game.start) for game in self.games])
        self._given: tuple[Board, GamePosition] = given
        self._boards, self._starts = self._spread(
            jax.tree.map(lambda leaf: np.concatenate([leaf] * repeated), given)
        )
        self._numbers = self._spread(np.arange(training.environments, dtype=np.int32))
        self._optimizer = optimizer(training.learning, training.iterations * training.updates)
        self._step: Update = jax.jit(self._sharded())
        self._greedy = jax.jit(
            jax.vmap(partial(play_greedily, self.judge, self.rules, self.length), (None, 0, 0))
        )

    def begin(self, params: Params | None = None) -> State:
        """The state before the first iteration, with a network of random or given numbers.

        Raises GradgenError if the games to be remembered take too much memory.
        """
        board, one = self.games[0].board, self.games[0].start
        capacity = self.training.remembered * self.length
        weights = np.zeros(jax.eval_shape(self.rules.legal, board, one).shape, np.float32)
        example = Experience(one, weights, np.float32(0), np.bool_(0))
        room = jax.eval_shape(lambda: empty(example, capacity))
        size = self.training.environments * sum(
            x.size * x.dtype.itemsize for x in jax.tree.leaves(room)
        )
        if size > MOST_BYTES:
            raise GradgenError(
                f"the games to be remembered take {size / 1e9:.0f} GB",
                hint="fewer of them do with a lower --envs",
            )
        replay = jax.tree.map(
            lambda leaf: np.zeros((self.training.environments, *leaf.shape), leaf.dtype), room
        )
        if params is None:
            key = jax.random.key(self.training.seed)
            # compiled, what the network would say is left out
            params = jax.jit(self._network.init)(key, board, one)
        best = Best(
            jnp.zeros((len(self.games), self.length), jnp.int32),
            jnp.full(len(self.games), jnp.inf, jnp.float32),
        )
        moments = self._optimizer.init(params)
        return self.place(State(params, moments, replay, best, jnp.int32(0)))

    def place(self, state: State) -> State:
        """A state whose arrays lie on this machine, spread over the devices."""
        replay = self._spread(state.replay)
        params, moments, best, iteration = jax.tree.map(
            self._whole, (state.params, state.optimizer, state.best, state.iteration)
        )
        return State(params, moments, replay, best, iteration)

    def run(self, state: State) -> Iterator[tuple[State, Iteration]]:
        """The iterations that are left, one after the other."""
        for number in range(int(state.iteration), self.training.iterations):
            begin = time.perf_counter()
            best = state.best
            state, played, loss = self._step(state, self._boards, self._starts, self._numbers)
            moves, prices = _gathered(played.moves), _gathered(played.price)
            divergence, error = float(_gathered(loss[0])), float(_gathered(loss[1]))
            seconds = time.perf_counter() - begin
            best = self._better(best, moves, prices)
            moves_alone, greedy = self._play_greedily(state.params)
            state = state._replace(best=self._better(best, moves_alone, greedy))
            yield state, Iteration(number, moves, prices, greedy, divergence, error, seconds)

    def orders(self, best: Best) -> list[Order]:
        """The cheapest order seen of each game."""
        return [
            game.order(moves[: game.moves], "alphazero")
            for game, moves in zip(self.games, np.asarray(best.moves), strict=True)
        ]

    def whole(self, state: State) -> State:
        """The state with all its arrays on this machine, as every process has to ask for it."""
        return jax.tree.map(_gathered, state)

    def _play_greedily(self, params: Params) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The moves and prices of what the policy plays without search, for each game."""
        played = self._greedy(params, *self._given)
        return np.asarray(played.moves), np.asarray(played.price)

    def _better(self, best: Best, moves: NDArray[np.int32], prices: NDArray[np.float32]) -> Best:
        """The best of what was seen before and of some games, which take turns."""
        kept, least = np.array(best.moves), np.array(best.prices)
        for k in range(len(self.games)):
            mine = slice(k, None, len(self.games))
            cheapest = int(prices[mine].argmin())
            if prices[mine][cheapest] < least[k]:
                kept[k], least[k] = moves[mine][cheapest], prices[mine][cheapest]
        return Best(self._whole(kept), self._whole(least))

    def _sharded(self) -> Any:
        whole, spread = PartitionSpec(), PartitionSpec(_AXIS)
        state = State(whole, whole, spread, Best(whole, whole), whole)  # type: ignore[arg-type]
        return jax.shard_map(
            self._iterate,
            mesh=self.mesh,
            in_specs=(state, spread, spread, spread),
            out_specs=(state, spread, whole),
            check_vma=False,
        )

    def _iterate(
        self, state: State, boards: Board, starts: GamePosition, numbers: jax.Array
    ) -> tuple[State, Played, Loss]:
        """One iteration on the environments of one device."""
        training = self.training
        key = jax.random.fold_in(jax.random.key(training.seed + 1), state.iteration)
        keys = jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number)))(numbers)
        play = partial(
            play_with_search, self.judge, self.rules, training.planning, self.length, state.params
        )
        played, games = jax.vmap(play)(keys[:, 0], boards, starts)
        replay = jax.vmap(remember)(state.replay, games)

        def update(
            carry: tuple[Params, optax.OptState], number: jax.Array
        ) -> tuple[tuple[Params, optax.OptState], Loss]:
            params, moments = carry
            drawn = jax.vmap(lambda k: jax.random.fold_in(k, number))(keys[:, 1])
            batch = jax.vmap(partial(recall, count=training.batch))(replay, drawn)
            part = partial(losses, self.judge, self.rules, training.learning)
            (_, loss), gradient = jax.value_and_grad(part, has_aux=True)(params, boards, batch)
            count = jax.lax.psum(batch.real.sum(), _AXIS).astype(jnp.float32)
            loss, gradient = jax.tree.map(
                lambda leaf: jax.lax.psum(leaf, _AXIS) / count, (loss, gradient)
            )
            change, moments = self._optimizer.update(gradient, moments, params)
            return (optax.apply_updates(params, change), moments), loss

        carry = (state.params, state.optimizer)
        (params, moments), loss = jax.lax.scan(update, carry, jnp.arange(training.updates))
        loss = jax.tree.map(jnp.mean, loss)
        following = state._replace(
            params=params, optimizer=moments, replay=replay, iteration=state.iteration + 1
        )
        return following, played, loss

    def _whole(self, leaf: Any) -> jax.Array:
        """An array on every device."""
        return _place(np.asarray(leaf), NamedSharding(self.mesh, PartitionSpec()))

    def _spread(self, tree: Any) -> Any:
        sharding = NamedSharding(self.mesh, PartitionSpec(_AXIS))
        return jax.tree.map(lambda leaf: _place(np.asarray(leaf), sharding), tree)


def _place(array: NDArray[Any], sharding: NamedSharding) -> jax.Array:
    """An array that every process holds whole, where the sharding wants its parts."""
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _gathered(array: jax.Array | NDArray[Any]) -> NDArray[Any]:
    """The whole array on every process."""
    if isinstance(array, np.ndarray) or array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
