"""Rounding errors of the models' Jacobians: `python -m benchmarks.rounding`.

For each model in `models/` the error in `--precision` (float16), as docs/costs.md defines it, of
plain forward and reverse mode and of what gradgen chooses by `--objective error:PRECISION`, and
what this is of the worse and of the better of the two: at the points at which it is chosen, and at
others. Behind that the same with the rounding of the step itself, which is part of all programs,
and what would be left of it if the rest were computed in float64. Names of models choose some.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean

from rich.console import Console
from rich.table import Table

from gradgen.compile.front import Front, open_front, ranges_of
from gradgen.compile.graphs import graph_of
from gradgen.compile.ordering import orders_for
from gradgen.compile.programs import candidates
from gradgen.config import Settings
from gradgen.ir.module import Module
from gradgen.ir.program import PRIMAL, Program
from gradgen.prices.objectives import objective_of
from gradgen.verify.compiling import precision
from gradgen.verify.evaluate import Evaluator
from gradgen.verify.rounding import RoundedEvaluator
from gradgen.verify.rounding_error import (
    RoundingError,
    entries_of,
    relative_error,
    rounded_points,
)

MODELS = Path(__file__).resolve().parent.parent / "models"
OTHER_POINTS = 1
LEAST = 1e-9
"""In place of an error of zero, so that there is a geometric mean."""


def with_the_step(front: Front, programs: Sequence[Program], short: str) -> list[float]:
    """The errors with the rounding of the step, and last that of an exact derivative behind it."""
    rounded, exact = RoundedEvaluator(short), Evaluator("float64", exact=False)
    points = rounded_points(front.trace, ranges_of(front), rounded, OTHER_POINTS)
    plain = programs[0]
    wanted = entries_of(exact, plain, points)
    step = [i for s in plain.sections if s.title == PRIMAL for i in s.instructions]
    with precision("float64"):
        known = rounded.run(step, points)
    found = [entries_of(rounded, program, points) for program in programs]
    found.append(entries_of(exact, plain, points, known))
    return [relative_error(entries, wanted) for entries in found]


def chosen_module(front: Front) -> tuple[Module, float]:
    """What is tried first, and its operations as a multiple of the fewest."""
    graph = graph_of(front)
    modules = candidates(front, graph, orders_for(front.settings, graph))
    operations = [module.jacobian.chosen.operations.total for module in modules]
    return modules[0], operations[0] / min(operations)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models; all of them by default")
    parser.add_argument("--precision", default="float16", choices=("float16", "bfloat16"))
    chosen = parser.parse_args(arguments)
    short = chosen.precision
    table = Table(title=f"rounding errors of Jacobians in {short}")
    table.add_column("model")
    pairs = [f"{where}of {which}" for where in ("", "elsewhere: ", "with the step: ")
             for which in ("worse", "better")]  # fmt: skip
    headings = ("forward", "reverse", "gradgen", *pairs, "exact rest", "operations")
    for heading in headings:
        table.add_column(heading, justify="right")
    rows: list[list[float]] = []
    for path in sorted(MODELS.glob("*.py")):
        if chosen.names and path.stem not in chosen.names:
            continue
        front = open_front(Settings(str(path), objective=objective_of(f"error:{short}")))
        assert isinstance(front, Front)
        module, more = chosen_module(front)
        jacobian, measured = module.jacobian, module.measured
        assert measured is not None
        programs = [d.program for d in (jacobian.forward, jacobian.reverse, jacobian.chosen)]
        errors = [measured.forward, measured.reverse, measured.chosen]
        elsewhere = RoundingError(front.trace, ranges_of(front), short, programs[0], OTHER_POINTS)
        others = [elsewhere.of(program) for program in programs]
        *whole, rest = with_the_step(front, programs, short)
        ratios = [ratio for three in (errors, others, whole) for ratio in ratios_of(three)]
        ratios.append(max(rest, LEAST) / max(*whole[:2], LEAST))
        rows.append(ratios)
        shown = [*(f"{error:.3g}" for error in errors), *(f"{ratio:.2f}" for ratio in ratios)]
        table.add_row(path.stem, *shown, f"{more:.3f}")
    columns = list(zip(*rows, strict=True))
    means = [f"{geometric_mean(column):.2f}" for column in columns]
    table.add_row("geometric mean", "", "", "", *means, "")
    above = [f"{sum(ratio > 1 for ratio in column)}" for column in columns]
    table.add_row("how many above 1", "", "", "", *above, "")
    table.add_row("largest", "", "", "", *(f"{max(column):.2f}" for column in columns), "")
    Console(width=200).print(table)


def ratios_of(errors: Sequence[float]) -> tuple[float, float]:
    """The last error as a part of the worse and of the better of the two before it."""
    forward, reverse, chosen = (max(error, LEAST) for error in errors)
    return chosen / max(forward, reverse), chosen / min(forward, reverse)


if __name__ == "__main__":
    main()
