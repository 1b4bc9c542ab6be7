"""A training from its beginning or a checkpoint to its end: log, checkpoints, best orders."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from reprlib import repr as short
from typing import Any

import jax
import numpy as np

from gradgen.errors import GradgenError
from gradgen.files import make_folder, read_text, write_atomically
from gradgen.ir.graph import Order
from gradgen.search.alphazero.checkpoint import LATEST, damaged, read_state, write_state
from gradgen.search.alphazero.demonstrations import demonstrate
from gradgen.search.alphazero.distributed import is_first
from gradgen.search.alphazero.game import Game, stack
from gradgen.search.alphazero.imitation import Imitation, imitate
from gradgen.search.alphazero.network import Params
from gradgen.search.alphazero.selfplay import play_at_random
from gradgen.search.alphazero.training import Iteration, State, Trainer, Training

LOG = "log.jsonl"
PICTURE = "curve.svg"
SAVED_EVERY = 60.0
"""Seconds between checkpoints."""
ITERATIONS_BETWEEN = 10
"""Checkpoints of several processes: all of them have to take part, and their clocks differ."""


@dataclass(frozen=True)
class LogLine:
    """A line of the log: what is known after an iteration, each number a mean over the games."""

    iteration: int
    episodes: int
    best: float
    """The cheapest order seen so far."""
    mean: float
    """Of the iteration's games, played with search."""
    greedy: float
    """What the policy plays without search."""
    random_best: float
    """The cheapest of as many random orders as positions were judged so far, over moves."""
    divergence: float
    squared_error: float
    simulations_per_second: float


Listener = Callable[[LogLine], None]


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    orders: tuple[Order, ...]
    """The cheapest order seen of each game, played with search or without."""
    prices: tuple[int, ...]
    lines: tuple[LogLine, ...]
    params: Params
    interrupted: bool


def train(
    games: Mapping[str, Game],
    training: Training,
    *,
    folder: Path | None = None,
    resume: bool = False,
    params: Params | None = None,
    warm_start: float | None = None,
    listener: Listener = lambda line: None,
) -> Trained:
    """Train on some games, by their names.

    With a `folder`, its log and its checkpoint are kept up to date; `resume` goes on from there.
    `params` is a network of the training's size to start with, instead of random numbers.
    `warm_start` are the seconds that other searches may take for each game to find an order, which
    the network imitates first. Ctrl-C ends the training early. Raises GradgenError if there is no
    checkpoint to resume, if it is of another training, or if there is one and it is not resumed;
    and once the network's numbers are not finite any more, which no checkpoint ever holds.
    """
    if folder is not None and not resume:
        _require_new(folder)
    trainer = Trainer(tuple(games.values()), training)
    state, lines = trainer.begin(params), list[LogLine]()
    if folder is not None and not resume:
        make_folder(folder)  # before all the work
    if resume and folder is not None:
        state, lines = restored(trainer, state, folder, games)
    elif warm_start is not None:
        if trainer.games[0].elimination == "edge":
            raise GradgenError("a warm start imitates vertex orders, and edges are eliminated here")
        warmed = _warmed(trainer, state.params, warm_start, training.seed)
        state = trainer.begin(warmed)
    rivals = _Random(trainer, lines)
    saved, interrupted, diverged = time.monotonic(), False, False

    def save() -> None:
        if folder is None:
            return
        whole = trainer.whole(state)
        if is_first():
            # what the log has more than the state is left out when it is read
            _write_log(folder, lines)
            write_state(folder, whole, training, _named(games))

    try:
        for following, iteration in trainer.run(state):
            diverged = not _is_finite((following.params, following.optimizer))
            if diverged:
                break
            line = _line(trainer, rivals, following, iteration)
            # together, so that Ctrl-C finds a log that goes with the state
            state, lines = following, [*lines, line]
            listener(line)
            if _is_due(iteration.number, saved):
                save()
                saved = time.monotonic()
    except KeyboardInterrupt:
        interrupted = True
    if lines and (jax.process_count() == 1 or not interrupted):
        save()
    if diverged:
        raise GradgenError(
            f"the network's numbers are not finite any more after iteration {len(lines)}",
            hint="learn more slowly, with a lower --rate"
            + ("; the checkpoint is of the iteration before" if lines and folder else ""),
        )
    orders = _possible(trainer, state) if lines else ()
    return Trained(
        orders,
        tuple(g.task.cost(order) for g, order in zip(trainer.games, orders, strict=False)),
        tuple(lines),
        jax.tree.map(np.asarray, state.params),
        interrupted,
    )


def _possible(trainer: Trainer, state: State) -> tuple[Order, ...]:
    """The best orders of the games; where all of one were lost, the cheapest that needs none."""
    return tuple(
        order if game.task.is_possible(order) else min(game.task.baselines, key=game.task.cost)
        for game, order in zip(trainer.games, trainer.orders(state.best), strict=True)
    )


def restored(
    trainer: Trainer, like: State, folder: Path, games: Mapping[str, Game]
) -> tuple[State, list[LogLine]]:
    """The state and the log that a training of these games has left, to go on from.

    Raises GradgenError if there are none, if they are of another training, or damaged.
    """
    found = read_state(folder, like, trainer.training, _named(games))
    state = trainer.place(found)
    _require_prices(trainer, state, folder)
    return state, _read_log(folder, int(state.iteration))


def _is_finite(tree: Any) -> bool:
    """Whether all numbers are; those that every process has are alike in all of them."""
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(tree))


def _named(games: Mapping[str, Game]) -> dict[str, str]:
    """What tells the games of a checkpoint, by their names."""
    return {
        name: f"{game.task.fingerprint}, {game.elimination}, {game.task.objective}"
        for name, game in games.items()
    }


def _require_new(folder: Path) -> None:
    """Raise GradgenError if a new training would write over files in a folder."""
    if os.path.exists(folder / LATEST):
        raise GradgenError(
            "there is a checkpoint already",
            hint="go on from it with --resume, or give another --checkpoint",
            path=str(folder),
        )
    for name in (LOG, PICTURE):
        if os.path.lexists(folder / name):
            raise GradgenError(
                f"there is a file '{name}' already, which this training would write",
                hint="give another --checkpoint",
                path=str(folder),
            )


def _require_prices(trainer: Trainer, state: State, folder: Path) -> None:
    """Raise GradgenError unless the orders of a checkpoint cost what it says.

    Prices of games are added up in float32.
    """
    try:
        orders = trainer.orders(state.best)
        costs = [g.task.cost(order) for g, order in zip(trainer.games, orders, strict=True)]
    except (LookupError, ValueError):
        costs = []
    prices = np.asarray(state.best.prices)
    if len(costs) != len(prices) or not np.allclose(costs, prices, rtol=1e-5):
        raise damaged(folder / LATEST, "its orders do not cost what it says")


def _is_due(iteration: int, saved: float) -> bool:
    if jax.process_count() > 1:
        return iteration % ITERATIONS_BETWEEN == ITERATIONS_BETWEEN - 1
    return time.monotonic() - saved > SAVED_EVERY


def _warmed(trainer: Trainer, params: Params, seconds: float, seed: int) -> Params:
    """A network that imitates what the other searches find on the games."""
    each = [
        demonstrate(game, game.task.search(seconds, seed), 8, seed=seed) for game in trainer.games
    ]
    padded = [np.pad(s, ((0, 0), (0, trainer.length - s.shape[1]))) for s in each]
    imitation = Imitation(seed=seed, learning=trainer.training.learning)
    given = stack([(game.board, game.start) for game in trainer.games])
    shown = np.array(padded)
    for warmed, _ in imitate(trainer.judge, trainer.rules, params, given, shown, imitation):
        params = warmed
    return params


class _Random:
    """The cheapest random orders, as many as positions were judged, over the moves of a game."""

    def __init__(self, trainer: Trainer, lines: list[LogLine]) -> None:
        training = trainer.training
        self._each = training.environments // len(trainer.games)
        self._each *= training.planning.simulations + 1
        self._trainer = trainer
        self._play = jax.jit(
            jax.vmap(partial(play_at_random, trainer.rules, trainer.length), (0, None, None)),
        )
        self._best = np.full(len(trainer.games), np.inf)
        for line in lines:
            self.after(line.iteration)

    def after(self, iteration: int) -> float:
        """The mean over the games once more orders were drawn, as many as an iteration judges."""
        for k, game in enumerate(self._trainer.games):
            key = jax.random.fold_in(jax.random.key(self._trainer.training.seed + 2), iteration)
            keys = jax.random.split(jax.random.fold_in(key, k), self._each)
            found = self._play(keys, *jax.tree.map(np.asarray, (game.board, game.start)))
            self._best[k] = min(self._best[k], float(found.price.min()))
        return float(self._best.mean())


def _line(trainer: Trainer, rivals: _Random, state: State, iteration: Iteration) -> LogLine:
    training = trainer.training
    simulations = training.environments * training.planning.simulations * trainer.length
    return LogLine(
        iteration=iteration.number,
        episodes=(iteration.number + 1) * training.environments,
        best=float(np.asarray(state.best.prices).mean()),
        mean=float(iteration.prices.mean()),
        greedy=float(iteration.greedy.mean()),
        random_best=rivals.after(iteration.number),
        divergence=iteration.divergence,
        squared_error=iteration.squared_error,
        simulations_per_second=simulations / iteration.seconds,
    )


def _write_log(folder: Path, lines: list[LogLine]) -> None:
    text = "".join(json.dumps(_rounded(line)) + "\n" for line in lines)
    write_atomically(str(folder / LOG), text)


def _rounded(line: LogLine) -> dict[str, Any]:
    return {
        name: value if isinstance(value, int) else float(f"{value:.6g}")
        for name, value in vars(line).items()
    }


def _read_line(text: str) -> LogLine:
    kinds = {
        field.name: (int,) if field.type == "int" else (int, float) for field in fields(LogLine)
    }
    try:
        data = json.loads(text)
    except (RecursionError, OverflowError):
        raise ValueError("a line is nested too deeply") from None
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise ValueError(f"{short(text)} is not a line of {', '.join(kinds)}")
    for name, value in data.items():
        if type(value) not in kinds[name] or not math.isfinite(value):
            raise ValueError(f"{name}: {short(value)} is no number")
    return LogLine(**data)


def _read_log(folder: Path, iterations: int) -> list[LogLine]:
    path = str(folder / LOG)
    text = read_text(path, "the log")
    try:
        lines = [_read_line(line) for line in text.splitlines()]
    except ValueError as error:
        raise GradgenError(f"this is no log of a training: {error}", path=path) from None
    # the log is written first, and may have more than the state
    kept = lines[:iterations]
    if [line.iteration for line in kept] != list(range(iterations)):
        raise GradgenError(
            f"the log does not tell of the checkpoint's {iterations} iterations one by one",
            hint="begin anew with another --checkpoint",
            path=path,
        )
    return kept
