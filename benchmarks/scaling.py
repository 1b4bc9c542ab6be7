"""How the search for an order grows with the graph.

`python -m benchmarks.scaling` searches random layered graphs of 50 to 2,000 intermediates, a minute
at most each on a processor of 2020, prints a table, and draws docs/_static/scaling.svg (matplotlib:
the extra `bench`). Times are from the start of a search, kernels compiled; the search reports at
the end of its rounds, each of which is twice as long as the one before.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.drawing import plotter, save
from gradgen.ir.graph import Edge, LinearGraph, PartialKind, Vertex
from gradgen.search.annealing.anneal import anneal

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "_static" / "scaling.svg"
SIZES = (50, 100, 200, 500, 1000, 2000)
EFFORT = 240.0
"""About a minute of each chain; the search ends when longer rounds find nothing better."""
WIDTH = 10
KINDS: tuple[PartialKind, ...] = (
    *("unit", "unit", "constant", "constant", "mask"),
    *("variable", "variable", "variable", "variable", "variable"),
)


@dataclass(frozen=True)
class Run:
    """One search."""

    size: int
    edges: int
    heuristics: float
    """Seconds until the heuristics were done."""
    costs: tuple[tuple[float, int], ...]
    """Seconds and the best cost from then on."""
    looked: int

    def within(self, share: float) -> float:
        """Seconds until the cost was no more than so much above the last one."""
        limit = self.costs[-1][1] * (1 + share)
        return next(seconds for seconds, cost in self.costs if cost <= limit)


def layered_graph(size: int, seed: int = 0) -> LinearGraph:
    """A random graph in layers of WIDTH: operands come from the last layer or the one before."""
    chance = random.Random(seed)
    count = WIDTH + size + WIDTH
    kinds: dict[tuple[int, int], PartialKind] = {}
    for target in range(WIDTH, count):
        layer = min(target // WIDTH, (WIDTH + size) // WIDTH) * WIDTH
        below = range(max(0, layer - WIDTH - WIDTH // 2), min(layer, WIDTH + size))
        for source in chance.sample(below, chance.choice((1, 2, 2, 3))):
            kinds[source, target] = chance.choice(KINDS)
    used = {source for source, _ in kinds}
    for source in range(WIDTH + size):
        if source not in used:
            # to a vertex of the next layer, or to a dependent
            target = min((source // WIDTH + 1) * WIDTH + chance.randrange(WIDTH), count - 1)
            kinds[source, target] = chance.choice(KINDS)
    graph = LinearGraph(
        tuple(Vertex(f"v{v}", f"v{v}") for v in range(count)),
        tuple(range(WIDTH)),
        tuple(range(WIDTH + size, count)),
        tuple(Edge(*ends, kind) for ends, kind in sorted(kinds.items())),
    )
    graph.check()
    return graph


def measure(size: int) -> Run:
    """Search one graph under `muls`."""
    graph = layered_graph(size)
    costs: list[tuple[float, int]] = []
    start = time.perf_counter()
    found = anneal(
        graph,
        "muls",
        effort=EFFORT,
        progress=lambda cost, _: costs.append((time.perf_counter() - start, cost)),
    )
    costs.append((time.perf_counter() - start, found.cost))
    return Run(size, len(graph.edges), costs[0][0], tuple(costs), found.looked)


def table(runs: list[Run]) -> Table:
    """A row for each search."""
    shown = Table(title="Random layered graphs under muls")
    headings = ("intermediates", "edges", "heuristics: s", "cost", "search: cost", "within 1 %: s")
    for heading in (*headings, "orders a second"):
        shown.add_column(heading, justify="right")
    for run in runs:
        ends = run.costs[0][1], run.costs[-1][1]
        rate = run.looked / run.costs[-1][0]
        shown.add_row(
            *(str(run.size), str(run.edges), f"{run.heuristics:.2f}", str(ends[0]), str(ends[1])),
            *(f"{run.within(0.01):.2f}", f"{rate:,.0f}"),
        )
    return shown


def draw(runs: list[Run], path: Path) -> None:
    """The cost over time, and the times over the size."""
    figure, (left, right) = plotter().subplots(1, 2, figsize=(10, 4), layout="constrained")
    for run in runs:
        seconds, costs = zip(*run.costs, strict=True)
        share = [100 * cost / costs[0] for cost in costs]
        left.step(seconds, share, where="post", label=f"{run.size:,}")
    left.set(xscale="log", xlabel="seconds", ylabel="muls, % of the best heuristic order")
    left.legend(title="intermediates")
    sizes = [run.size for run in runs]
    right.plot(sizes, [run.heuristics for run in runs], "o-", label="heuristics done")
    right.plot(sizes, [run.within(0.01) for run in runs], "s-", label="within 1 % of the end")
    right.set(xscale="log", yscale="log", xlabel="intermediates", ylabel="seconds")
    right.legend()
    save(figure, path)


def main() -> None:
    """Search, print the table and draw the picture."""
    console = Console(width=100)
    runs = []
    for size in SIZES:
        with console.status(f"{size} intermediates"):
            runs.append(measure(size))
    console.print(table(runs))
    draw(runs, PICTURE)


if __name__ == "__main__":
    main()
