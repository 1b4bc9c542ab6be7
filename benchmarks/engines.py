"""Neurons as functions on arrays without axes: `python -m benchmarks.engines`.

Prints for every model the operations of value and vector-Jacobian product, and the seconds of
processor time from the source to its programs, as a neuron and where its first argument is stated
to be an array without axes, which makes all of them such. Neither is verified.
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gradgen.compile.stages import cheapest
from gradgen.config import Settings
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.program import count_operations

MODELS = Path(__file__).resolve().parent.parent / "models"


def operations(path: Path, shape: str | None) -> tuple[int, float, str]:
    """The count, the seconds, and the first argument's name."""
    directives = () if shape is None else (("shape", f"{shape}=()"),)
    begin = time.process_time()
    module = cheapest(Settings(str(path), directives=directives))
    seconds = time.process_time() - begin
    first = module.trace.inputs[0].path
    if isinstance(module, ArrayModule):
        counted = count_arrays(module.vjp, module.shapes, dict(module.trace.sizes))
        return counted.total, seconds, first
    return count_operations(module.vjp.chosen.program.instructions).total, seconds, first


def main() -> None:
    """Print the table."""
    table = Table(show_footer=True)
    rows = []
    for path in sorted(MODELS.glob("*.py")):
        alone, before, first = operations(path, None)
        array, after, _ = operations(path, first)
        rows.append((path.stem, alone, array, before, after))
    totals = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
    titles = ("as a neuron", "as an array", "seconds", "seconds, array")
    table.add_column("model", "all")
    for title, total in zip(titles, totals, strict=True):
        table.add_column(title, f"{total:.1f}".removesuffix(".0"), justify="right")
    for name, alone, array, before, after in rows:
        table.add_row(name, str(alone), str(array), f"{before:.1f}", f"{after:.1f}")
    console = Console(width=100)
    console.print(table)
    same = sum(alone == array for _, alone, array, _, _ in rows)
    fewer = sum(array < alone for _, alone, array, _, _ in rows)
    console.print(f"the same in {same}, fewer as arrays in {fewer}, of {len(rows)}")


if __name__ == "__main__":
    main()
