"""What the models' programs cost by prices: `python -m benchmarks.prices`.

Value and Jacobian in one program, for each model in `models/`, in plain forward and reverse mode
and as gradgen chooses them by the prices, which are those of `--prices` (`energy:float32`). The
step itself is part of all of them and is never rewritten; the last column leaves it out. Names of
models choose some of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean

from rich.console import Console
from rich.table import Table

from gradgen.compile.stages import cheapest
from gradgen.config import Settings
from gradgen.ir.module import Module
from gradgen.prices.objectives import objective_of

MODELS = Path(__file__).resolve().parent.parent / "models"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models; all of them by default")
    parser.add_argument("--prices", default="energy:float32")
    chosen = parser.parse_args(arguments)
    objective = objective_of("price", chosen.prices)
    prices = objective.prices
    table = Table(title=f"value and Jacobian, in {prices.unit} by {chosen.prices}")
    for heading in ("model", "step", "forward", "reverse", "gradgen", "ratio", "without step"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    ratios: list[tuple[float, float]] = []
    for path in sorted(MODELS.glob("*.py")):
        if chosen.names and path.stem not in chosen.names:
            continue
        module = cheapest(Settings(str(path), objective=objective))
        assert isinstance(module, Module)
        jacobian = module.jacobian
        programs = [
            found.program for found in (jacobian.forward, jacobian.reverse, jacobian.chosen)
        ]
        step, *costs = (prices.of(p.instructions) for p in (module.primal, *programs))
        least = min(costs[:2])
        ratios.append((costs[2] / least, (costs[2] - step) / (least - step)))
        shown = (f"{prices.in_units(cost):.1f}" for cost in (step, *costs))
        table.add_row(path.stem, *shown, *(f"{ratio:.3f}" for ratio in ratios[-1]))
    means = [geometric_mean(column) for column in zip(*ratios, strict=True)]
    table.add_row("geometric mean", "", "", "", "", *(f"{mean:.3f}" for mean in means))
    Console().print(table)


if __name__ == "__main__":
    main()
