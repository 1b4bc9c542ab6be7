"""Anytime search for an elimination order: simulated annealing and optimal windows.

Naumann and Gottschling annealed elimination orders (Simulated annealing for optimal pivot
selection in Jacobian accumulation, 2003). Here a sweep walks along the order
(`gradgen.search.annealing.moves`), so that a move costs no more than the stretch it changes, and
short stretches are put into their best order (`gradgen.search.annealing.windows`).

Two chains anneal side by side, in rounds that get longer; each round starts from the better of the
two. How long to go on is given as work, which is counted and not timed, so that the result is the
same on every machine.

Importing this module imports numba, and compiles the kernels or reads them from numba's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from gradgen.elimination.accumulate import resolve
from gradgen.elimination.cost import PLAN_OBJECTIVES
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import PlanObjective
from gradgen.search.annealing import accumulation, moves, windows
from gradgen.search.bitsets import Words
from gradgen.search.compact import compact, packed
from gradgen.search.heuristics import propose, vertex_order
from gradgen.search.random_kernels import draw

WORK_PER_SECOND = 6_000_000
"""What a second of effort stands for, in each chain: about a quarter of what a processor of 2020
does in that time."""
FIRST_ROUND = WORK_PER_SECOND // 20
"""The work of the first round; each one after it is twice as long, so that the search can be ended
at any time and has then spent about half of it on its longest annealing."""

PATIENCE = 3
"""After so many rounds without a better order the search ends: it has then spent most of its time
on nothing."""
SWEEP = 1000
"""The work of a sweep beside its moves."""
CHAINS = ((1.0, 200), (3.0, 300))
"""For each chain, the temperature at the start of a round, and how many sweeps a round needs to
start that hot; shorter rounds start colder in proportion."""
END = 0.2
"""The temperature at the end of a round that starts hotter."""
COLD = 0.02
"""A temperature at which an order gets worse in the tie-break alone."""
TRIES = 4
"""Orders tried at each place of a sweep."""
REACH = 20
"""Over how many places a move changes an order."""
WINDOW = 8
"""Vertices in a window that is put into its best order."""
FEW = 12
"""Graphs of so many intermediates are one window: their best order is found and nothing else."""
POLISHED_AFTER = 20
"""Sweeps between passes of windows, where the objective is a peak."""

Progress = Callable[[int, str], None]
"""Told of the best cost so far and how it was found."""


@dataclass(frozen=True)
class Annealed:
    """The best order that was met."""

    order: Order
    cost: int
    looked: int
    """How many orders were looked at."""
    baselines: tuple[tuple[str, int], ...]
    """The costs of the heuristic orders by their names: forward, reverse, and two of Markowitz."""
    lower_bound: int
    """No order costs less."""
    bound_by: str
    """Dynamic programming, if the graph is one window; the entries that the Jacobian has to hold,
    for a peak; otherwise nothing."""


def anneal(
    graph: LinearGraph,
    objective: PlanObjective,
    *,
    effort: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> Annealed:
    """Look for an order that is cheap under an objective, ties broken by `edges + adds`.

    `effort` is work in units of WORK_PER_SECOND a chain. The search ends early when longer and
    longer rounds find nothing better. The order is never worse than forward, reverse and both
    Markowitz orders.
    """
    search = _Search(graph, objective, seed)
    report = progress or (lambda cost, found_by: None)
    report(search.cost, search.found_by)
    search.run(effort * WORK_PER_SECOND, report)
    order = vertex_order(graph, (int(v) for v in search.best), search.found_by)
    baselines = tuple(search.baselines)
    return Annealed(
        order,
        search.cost,
        search.looked,
        baselines,
        search.lower_bound,
        search.bound_by,
    )


class _Search:
    """The best order so far, and the chains that look for a better one."""

    def __init__(self, graph: LinearGraph, objective: PlanObjective, seed: int) -> None:
        compacted = compact(graph)
        self.start = accumulation.pack(compacted)
        self.left = packed(compacted.intermediates, compacted.size)
        self.objective = PLAN_OBJECTIVES.index(objective)
        self.peak = self.objective == accumulation.PEAK
        self.looked = 0
        self.stopped = False
        self.best_cost = (0, 0)
        self.found_by = ""
        self.baselines: list[tuple[str, int]] = []
        for order in propose(graph):
            steps = np.array(resolve(graph, order), np.int64)
            costs = np.empty((len(steps), 2), np.int64)
            cost = accumulation.evaluate(self.start.copy(), self.objective, steps, costs)
            self.baselines.append((order.found_by, int(cost[0])))
            if not self.found_by or cost < self.best_cost:
                self.best, self.best_cost, self.found_by = steps, cost, order.found_by
        self.chains = [_Chain(self, seed, number) for number in range(len(CHAINS))]
        self.lower_bound, self.bound_by = 0, "nothing"
        if self.peak:
            self.lower_bound, self.bound_by = self.chains[0].floor(), "entries of the Jacobian"

    @property
    def cost(self) -> int:
        return self.best_cost[0]

    def run(self, work: float, report: Progress) -> None:
        """Look for a better order, until the work is done or nothing is found any more."""
        if len(self.best) <= FEW:
            self.chains[0].solve()
            self._take(self.chains[:1], report)
            self.lower_bound, self.bound_by = self.cost, "dynamic programming"
            return
        length = FIRST_ROUND
        # one sweep shows how much work a sweep is
        sweeps, done, idle = 1, 0.0, 0
        with ThreadPoolExecutor(len(self.chains)) as threads:
            while done < work and idle < PATIENCE:
                before = self.best_cost
                turn = partial(_Chain.round, sweeps=sweeps)
                try:
                    list(threads.map(turn, self.chains))
                except BaseException:
                    # interrupted: leave without waiting for the ends of the rounds
                    self.stopped = True
                    raise
                self._take(self.chains, report)
                idle = 0 if self.best_cost < before else idle + 1
                done = sum(chain.work for chain in self.chains) / len(self.chains)
                each = max(chain.each for chain in self.chains)
                sweeps = max(1, round(min(length, work - done) / each))
                length *= 2

    def _take(self, chains: Iterable[_Chain], report: Progress) -> None:
        for chain in chains:
            self.looked += chain.looked
            chain.looked = 0
            cost = (int(chain.best_cost[0]), int(chain.best_cost[1]))
            if cost < self.best_cost:
                self.best, self.best_cost = chain.best.copy(), cost
                self.found_by = chain.doing
                report(self.cost, self.found_by)


class _Chain:
    """One sequence of orders, with random numbers and working space of its own."""

    def __init__(self, search: _Search, seed: int, number: int) -> None:
        self.search = search
        self.hot, self.needed = CHAINS[number]
        self.random = _random_state(seed, number)
        self.doing = "annealing"
        self.looked = self.work = 0
        self.each = 0.0
        """Work of a sweep in the last round."""
        size, planes, words = search.start.shape
        self.rows = search.start.copy()
        self.costs = np.empty((len(search.best), 2), np.int64)
        # room for each vertex of the longest stretch to change all rows
        self.saved = np.empty((REACH * size, planes - 1, words), np.uint64)
        self.changed = np.empty(REACH * size, np.int64)
        self.later = np.zeros((size, words), np.uint64)

    def solve(self) -> None:
        """Find the best order as that of one window."""
        search = self.search
        self.doing = "dynamic programming"
        self.order = search.best.copy()
        floor = self._prepare()
        windows.best_window(
            self.rows, search.objective, self.order, floor, 0, self.saved, self.changed
        )
        self._prepare()
        self.best, self.best_cost = self.order, np.array(self.total, np.int64)

    def floor(self) -> int:
        """How many entries the Jacobian has to hold at the end."""
        self.order = self.search.best
        return self._prepare()

    def round(self, sweeps: int) -> None:
        """Anneal from the best order known."""
        hot = max(COLD, self.hot * min(1.0, sweeps / self.needed))
        end = min(hot, END)
        left = (1 - k / sweeps for k in range(sweeps))
        # no power: its last digit differs between machines
        self.anneal([end + (hot - end) * x * x for x in left])

    def anneal(self, temperatures: Sequence[float]) -> None:
        """Sweep at each temperature and end with windows, unless the search is interrupted."""
        search = self.search
        self.order = search.best.copy()
        self.best = search.best.copy()
        self.best_cost = np.array(search.best_cost, np.int64)
        begin = self.work
        for number, temperature in enumerate(temperatures):
            if search.stopped:
                return
            if search.peak and number % POLISHED_AFTER == 0:
                self._polish()
            self._sweep(COLD if search.peak else temperature)
        self.each = (self.work - begin) / len(temperatures)
        self.order[:] = self.best
        self._polish()

    def _sweep(self, temperature: float) -> None:
        search = self.search
        floor = self._prepare()
        looked, work = moves.sweep(
            self.rows, search.objective, self.order, self.costs, search.left.copy(),
            temperature, TRIES, REACH, self.random, self.saved, self.changed, self.later,
            self.best, self.best_cost, floor,
        )  # fmt: skip
        self.looked += looked
        self.work += work + SWEEP
        self._rearrange()

    def _polish(self) -> None:
        search = self.search
        self._prepare()
        offset = draw(self.random, WINDOW // 2)
        self.work += windows.polish(
            self.rows, search.objective, self.order, self.total[0], WINDOW, offset,
            search.left.copy(), self.saved, self.changed, self.later,
        )  # fmt: skip
        self._prepare()
        if self.total < tuple(self.best_cost):
            self.best_cost[:] = self.total
            self.best[:] = self.order
        self._rearrange()

    def _prepare(self) -> int:
        """Evaluate the order and start over; returns what `floor` does."""
        self.rows[:] = self.search.start
        self.total = accumulation.evaluate(self.rows, self.search.objective, self.order, self.costs)
        floor = accumulation.entries(self.rows)
        self.rows[:] = self.search.start
        return int(floor)

    def _rearrange(self) -> None:
        # for a peak, it matters what other parts of the graph hold meanwhile
        if not self.search.peak:
            moves.rearrange(self.order, self.later, self.random)


def _random_state(seed: int, number: int) -> Words:
    """The state of a chain's random numbers: never zero, and far apart for close seeds."""
    mixed = (2 * (seed * 64 + number) + 1) * 0x9E3779B97F4A7C15 % 2**64
    return np.array([mixed ^ mixed >> 29 | 1], np.uint64)
