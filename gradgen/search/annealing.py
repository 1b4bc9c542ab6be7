"""Anytime search for an elimination order: simulated annealing and optimal windows.

Annealing of elimination orders is due to Naumann and Gottschling (2003); here the state is walked
along the order, so that a move costs the stretch it changes (`gradgen.search.moves`).

Two chains anneal side by side, in rounds that get longer; each round starts from the better of the
two. How long to go on is given as work, which is counted and not timed, so that the result is the
same on every machine, unless a limit in seconds cuts it off.

Numba is imported, and the kernels compiled or read from numba's cache, when `anneal` is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradgen.elimination.cost import PLAN_OBJECTIVES, PlanObjective
from gradgen.ir.graph import LinearGraph, Order
from gradgen.search.compact import compact, vertex_order

if TYPE_CHECKING:
    from gradgen.search.kernels import Integers, Words

WORK_PER_SECOND = 100_000_000
"""What a second of effort stands for, in each chain: about a quarter of what a processor of 2020
does in that time."""

CHAINS = ((1.0, 0.2), (3.0, 0.2))
"""For each chain, the temperatures at the start and at the end of a round."""
COLD = 0.02
"""A temperature at which an order gets worse in the tie-break alone."""
ROUNDS = (1, 2, 4, 8)
"""How the work is shared among the rounds."""
TRIES = 4
"""Orders tried at each place of a sweep."""
REACH = 20
"""Over how many places a move changes an order."""
WINDOW = 8
"""Vertices in a window that is put into its best order."""
POLISHED_AFTER = 20
"""Sweeps between passes of windows, where the objective is a peak."""
SEGMENT = WORK_PER_SECOND // 5
"""Work between two looks at the clock."""

Progress = Callable[[int, str], None]
"""Told of the best cost so far and how it was found."""


@dataclass(frozen=True)
class Annealed:
    """The best order that was met."""

    order: Order
    cost: int
    looked: int
    """How many orders were looked at."""
    complete: bool
    """Whether it is the same on every machine: no limit in seconds cut the search off."""


def anneal(
    graph: LinearGraph,
    objective: PlanObjective,
    *,
    effort: float,
    seed: int = 0,
    limit: float | None = None,
    target: int | None = None,
    progress: Progress | None = None,
) -> Annealed:
    """Look for an order that is cheap under an objective, ties broken by `edges + adds`.

    `effort` is work in units of WORK_PER_SECOND a chain. The search ends early when the cost is no
    more than `target`, or after `limit` seconds, not counting the compilation. The order is never
    worse than forward, reverse and both Markowitz orders.
    """
    search = _Search(graph, objective, seed)
    deadline = None if limit is None else time.monotonic() + limit
    report = progress or (lambda cost, found_by: None)
    report(search.cost, search.found_by)
    complete = search.run(effort * WORK_PER_SECOND, deadline, target, report)
    order = vertex_order(graph, (int(v) for v in search.best), search.found_by)
    return Annealed(order, search.cost, search.looked, complete)


class _Search:
    """The best order so far, and the chains that look for a better one."""

    def __init__(self, graph: LinearGraph, objective: PlanObjective, seed: int) -> None:
        from gradgen.search import kernels

        compacted = compact(graph)
        self.start = kernels.pack(compacted)
        self.inner = kernels.members(compacted.intermediates, compacted.size)
        self.objective = PLAN_OBJECTIVES.index(objective)
        self.looked = 0
        self.best_cost = (0, 0)
        self.found_by = ""
        self.chains = [_Chain(self, seed, number) for number in range(len(CHAINS))]
        for found_by, steps in _heuristics(self.start, compacted.intermediates):
            costs = np.empty((len(steps), 2), np.int64)
            cost = kernels.evaluate(self.start.copy(), self.objective, steps, costs)
            if not self.found_by or cost < self.best_cost:
                self.best, self.best_cost, self.found_by = steps, cost, found_by

    @property
    def cost(self) -> int:
        return self.best_cost[0]

    def run(
        self, work: float, deadline: float | None, target: int | None, report: Progress
    ) -> bool:
        """Look for a better order; returns whether that went to its end."""
        if len(self.best) < 2 or (target is not None and self.cost <= target):
            return True
        # the first sweeps show how much work a sweep is
        probe = self.chains[0]
        probe.anneal([COLD] * 4, None)
        self._take([probe], report)
        sweeps = work / max(1, probe.work / 4)
        with ThreadPoolExecutor(len(self.chains)) as threads:
            for share in ROUNDS:
                if target is not None and self.cost <= target:
                    return True
                count = max(1, round(sweeps * share / sum(ROUNDS)))
                ended = list(threads.map(lambda c: c.round(count, deadline), self.chains))
                self._take(self.chains, report)
                if not all(ended):
                    return False
        return True

    def _take(self, chains: Iterable[_Chain], report: Progress) -> None:
        for chain in chains:
            self.looked += chain.looked
            chain.looked = 0
            cost = (int(chain.best_cost[0]), int(chain.best_cost[1]))
            if cost < self.best_cost:
                self.best, self.best_cost = chain.best.copy(), cost
                self.found_by = "annealing"
                report(self.cost, self.found_by)


class _Chain:
    """One sequence of orders, with random numbers of its own."""

    def __init__(self, search: _Search, seed: int, number: int) -> None:
        self.search = search
        self.hot, self.cold = CHAINS[number]
        self.random = _random_state(seed, number)
        self.looked = self.work = 0

    def round(self, sweeps: int, deadline: float | None) -> bool:
        """Anneal from the best order known; returns whether there was time for all of it."""
        from gradgen.search.kernels import PEAK

        if self.search.objective == PEAK:
            temperatures = [COLD] * sweeps
        else:
            cooled = (1 - k / sweeps for k in range(sweeps))
            temperatures = [self.cold + (self.hot - self.cold) * left * left for left in cooled]
        return self.anneal(temperatures, deadline)

    def anneal(self, temperatures: list[float], deadline: float | None) -> bool:
        """Sweep at each temperature and end with a pass of windows; returns as `round`."""
        from gradgen.search import kernels, moves

        search = self.search
        order = search.best.copy()
        self.best = search.best.copy()
        self.best_cost = np.array(search.best_cost, np.int64)
        peak = search.objective == kernels.PEAK
        for segment in self._segments(temperatures, POLISHED_AFTER if peak else None):
            if deadline is not None and time.monotonic() > deadline:
                return False
            looked, work = moves.anneal(
                search.start, search.objective, order, search.inner, segment,
                TRIES, REACH, self.random, self.best, self.best_cost,
            )  # fmt: skip
            self.looked += looked
            self.work += work
            if peak:
                self._polish(order)
        self._polish(self.best.copy())
        return True

    def _segments(
        self, temperatures: list[float], most: int | None
    ) -> Iterator[NDArray[np.float64]]:
        """The temperatures in parts of little work, and of at most so many sweeps."""
        done = 0
        begin = self.work
        while done < len(temperatures):
            each = (self.work - begin) / done if done else SEGMENT
            count = max(1, int(SEGMENT / max(1.0, each)))
            if most is not None:
                count = min(count, most)
            yield np.array(temperatures[done : done + count])
            done += count

    def _polish(self, order: Integers) -> None:
        from gradgen.search import moves

        search = self.search
        moves.polish(
            search.start, search.objective, order, search.inner,
            WINDOW, 1, self.random, self.best, self.best_cost,
        )  # fmt: skip


def _random_state(seed: int, number: int) -> Words:
    """The state of a chain's random numbers: never zero, and far apart for close seeds."""
    mixed = (2 * (seed * 64 + number) + 1) * 0x9E3779B97F4A7C15 % 2**64
    return np.array([mixed ^ mixed >> 29 | 1], np.uint64)


def _heuristics(
    start: Words, intermediates: NDArray[np.int32]
) -> Iterator[tuple[str, Integers]]:
    """The orders of `gradgen.search.heuristics`, computed on bit sets."""
    from gradgen.search.kernels import markowitz_steps

    steps = intermediates.astype(np.int64)
    yield "forward", steps
    yield "reverse", steps[::-1].copy()
    for latest, ties in ((False, "earliest"), (True, "latest")):
        found = markowitz_steps(start.copy(), steps, latest)
        yield f"markowitz, ties to the {ties}", found
