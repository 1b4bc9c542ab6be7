"""Operations for value and Jacobian, beside what other tools need: `python -m benchmarks.rivals`.

Five neurons, each with respect to states and input ("i") and to the parameters as well ("ii"); all
arithmetic scalar. What counts is the same for everybody (`docs/costs.md`): a multiplication, a
division, an addition, a subtraction or an elementary function is one, an integer power as many as
repeated squaring takes, a sigmoid three; signs, comparisons and selections are free. gradgen's own
number is recounted from the text that it writes. The tools are the extra `bench`; one that is not
installed is left out of the comparison.

gradgen computes the step as the source does, operation by operation, and keeps every sigmoid one
function. The symbolic tools do not: they expand and merge exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from benchmarks import rival_tools
from benchmarks.rival_models import CASES, Case
from gradgen.compile import ordering
from gradgen.compile.front import open_front
from gradgen.compile.graphs import graph_of
from gradgen.compile.programs import candidates
from gradgen.config import Settings
from gradgen.targets.jax.render import render
from gradgen.verify.recount import recount

ROOT = Path(__file__).resolve().parent.parent

Counter = Callable[[Case], int]

UNCLEANED: dict[str, Counter] = {
    "jax.jacfwd, its jaxpr": partial(rival_tools.jax_as_traced, transform=jax.jacfwd),
    "jax.jacrev, its jaxpr": partial(rival_tools.jax_as_traced, transform=jax.jacrev),
}
RIVALS: dict[str, Counter] = {
    "jacfwd, folded and merged": partial(rival_tools.jax_cleaned, mode=rival_tools.forward_columns),
    "jacrev, folded and merged": partial(rival_tools.jax_cleaned, mode=rival_tools.reverse_rows),
    "sympy + cse": rival_tools.sympy_cse,
    "sympy, forward mode + cse": rival_tools.sympy_forward,
    "casadi + cse": rival_tools.casadi_cse,
    "symforce": rival_tools.symforce_cse,
    "wrenfold": rival_tools.wrenfold_generated,
}


def gradgen_total(case: Case) -> int:
    """The operations in the generated program for value and Jacobian."""
    directives = (("wrt", ", ".join(case.wrt)),)
    settings = Settings(str(ROOT / "models" / f"{case.model}.py"), directives=directives)
    front = open_front(settings)
    graph = graph_of(front)
    modules = candidates(front, graph, ordering.orders_for(settings, graph))
    return recount(render(modules[0]))["_value_and_entries"].total


def count(counter: Counter) -> list[int] | None:
    """A tool's totals over all cases, None if it is not installed."""
    try:
        return [counter(case) for case in CASES]
    except ImportError:
        return None


def compare() -> Table:
    """All tools side by side, the best of them, and gradgen's share of it."""
    table = Table(title="Operations for value and Jacobian")
    table.add_column("")
    for case in CASES:
        table.add_column(case.name, justify="right")
    counted: list[list[int]] = []
    for name, counter in {**UNCLEANED, **RIVALS}.items():
        totals = count(counter)
        if totals is None:
            table.add_row(name, *["missing"] * len(CASES))
            continue
        table.add_row(name, *map(str, totals))
        if name in RIVALS:
            counted.append(totals)
    best = [min(column) for column in zip(*counted, strict=True)]
    ours = [gradgen_total(case) for case in CASES]
    table.add_section()
    table.add_row("best of these", *map(str, best))
    table.add_row("gradgen", *map(str, ours), style="bold")
    ratios = [a / b for a, b in zip(ours, best, strict=True)]
    table.add_row("ratio", *(f"{ratio:.2f}" for ratio in ratios))
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    table.caption = f"geometric mean of the ratios {mean:.3f}"
    return table


if __name__ == "__main__":
    Console(width=140).print(compare())
