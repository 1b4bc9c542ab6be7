"""A training as people see it: a progress display, and the conclusion."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gradgen.cli.terminal import tell
from gradgen.search import portfolio
from gradgen.search.alphazero.game import Game
from gradgen.search.alphazero.run import LogLine, Trained
from gradgen.search.alphazero.training import Training

SAID_EVERY = 10
"""Iterations between lines, where nobody watches."""


class Display:
    """Shows each iteration: a bar where somebody watches, else a line now and then."""

    def __init__(self, training: Training, quiet: bool) -> None:
        self._training = training
        self._quiet = quiet
        self._live = sys.stderr is not None and sys.stderr.isatty() and not quiet
        self._progress = Progress(
            TextColumn("{task.completed}/{task.total} games"),
            BarColumn(bar_width=24),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            disable=not self._live,
        )
        self._task = self._progress.add_task(
            "compiling", total=training.iterations * training.environments
        )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def show(self, line: LogLine) -> None:
        """Show an iteration."""
        text = (
            f"best {line.best:g}, mean {line.mean:.2f}, policy {line.greedy:g}, "
            f"loss {line.divergence:.3f} + {line.squared_error:.5f}, "
            f"{line.simulations_per_second:,.0f} simulations/s"
        )
        self._progress.update(self._task, completed=line.episodes, description=text)
        last = line.iteration == self._training.iterations - 1
        if not (self._quiet or self._live) and (line.iteration % SAID_EVERY == 0 or last):
            tell(f"{line.episodes} games: {text}")


def baselines(games: Mapping[str, Game]) -> dict[str, float]:
    """What forward, reverse and the better Markowitz order cost, a mean over the games."""
    total: dict[str, float] = {}
    for game in games.values():
        costs = ((order.found_by, game.task.cost(order)) for order in game.task.baselines)
        for name, cost in portfolio.baselines(costs):
            total[name] = total.get(name, 0.0) + cost / len(games)
    return total


def conclusion(trained: Trained, games: Mapping[str, Game]) -> Iterator[str]:
    """One sentence for each game."""
    if not trained.lines:
        yield "interrupted before the first game ended"
        return
    last = trained.lines[-1]
    for (name, game), price in zip(games.items(), trained.prices, strict=True):
        known = baselines({name: game})
        against = ", ".join(f"{k} {v:,.0f}" for k, v in known.items())
        better = "" if price <= min(known.values()) else ", which is better"
        found = f"{price:,} {game.task.objective} after {last.episodes} games"
        yield f"{name}: {found} ({against}{better})"
