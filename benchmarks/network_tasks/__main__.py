"""Orders for AlphaGrad's tasks of vectors and matrices: `python -m benchmarks.network_tasks`.

The random function f, a Roe flux in three dimensions, a perceptron and an encoder
(`benchmarks/network_tasks/sources/`, of the sizes of AlphaGrad's experiments), counted as AlphaGrad
counts (`accounting.py`): forward and reverse mode and its rule of Markowitz, the best that it
published, and the order that gradgen's search on arrays finds by its table. An order is carried out
in float64 and held against `jax.jacrev`. The last columns are gradgen's own count, `muls`, for the
Jacobian of the same source: the better of forward and reverse mode, and what its search finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.network_tasks.accounting import markowitz
from benchmarks.network_tasks.exactness import largest_error
from benchmarks.network_tasks.tracing import traced
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import open_front, ranges_of
from gradgen.config import Settings
from gradgen.elimination.array_graphs import whole_jacobian
from gradgen.elimination.arrays import planned
from gradgen.search.arrays.portfolio import cheapest, find_order, modes

SOURCES = Path(__file__).resolve().parent / "sources"
PUBLISHED = {
    "random_function": (17_728, 8_859, 12_083, 5_884),
    "roe_flux_3d": (1_556, 979, 938, 784),
    "perceptron": (10_930, 392, 4_796, 389),
    "encoder": (135_010, 4_688, 51_869, 4_656),
}
"""Forward mode, reverse mode, Markowitz and the best order, in AlphaGrad's paper."""
WORK = 3_000_000
"""Products that annealing looks up in each of its starts."""


def arguments_of(front: ArrayFront) -> list[Any]:
    """Random arguments in the ranges that the source states."""
    rng = np.random.default_rng(0)
    ranges = ranges_of(front)
    return [
        jnp.asarray(rng.uniform(*ranges.get(i.path, (-1.0, 1.0)), shape))
        for i, shape in zip(front.trace.inputs, front.trace.shapes, strict=True)
    ]


def _own(front: ArrayFront) -> tuple[str, str]:
    """gradgen's count: of the better mode, and of its order; none where no Jacobian is formed."""
    graph = whole_jacobian(front.trace)
    order = find_order(graph, {})
    if order is None:
        return "-", "-"
    found = planned(graph, order, {}).muls
    return f"{min(modes(graph, {}).values()):,}", f"{found:,}"


def _row(name: str) -> list[str]:
    front = open_front(Settings(str(SOURCES / f"{name}.py")))
    assert isinstance(front, ArrayFront)
    arguments = arguments_of(front)
    graph = traced(front.function, arguments)
    eliminations = graph.eliminations
    inner = eliminations.intermediates
    forward, reverse = (
        eliminations.priced(steps, mode)
        for steps, mode in ((inner, "forward"), (inner[::-1], "reverse"))
    )
    assert forward is not None
    assert reverse is not None
    known = [forward, reverse, markowitz(graph.accounting, eliminations)]
    found = cheapest(eliminations, known, work=WORK)
    assert found is not None
    baselines, published = [order.price for order in known], PUBLISHED[name]
    error = largest_error(graph, arguments, found[0].steps)
    return [
        name,
        *(f"{own:,} ({due:,})" for own, due in zip(baselines, published[:3], strict=True)),
        f"{published[3]:,}",
        f"{published[3] / min(published[:3]):.3f}",
        f"{found[0].price:,}",
        f"{found[0].price / min(baselines):.3f}",
        f"{error:.0e}",
        *_own(front),
    ]


def main() -> None:
    """Print the table."""
    table = Table("task", "forward", "reverse", "Markowitz", "AlphaGrad", "to the best mode")
    for column in ("found", "to the best mode", "error", "muls, mode", "muls, found"):
        table.add_column(column)
    with jax.enable_x64(True):
        for name in PUBLISHED:
            table.add_row(*_row(name))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
