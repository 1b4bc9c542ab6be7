"""Pareto fronts between multiplications and what is held at once: `python -m benchmarks.pareto`.

Three neurons of `models/` and two networks of `models/layers/`, each as `gradgen search --pareto
muls,peak` finds it; prints the points and draws docs/_static/pareto.svg. The same in each run. Then
the temporary memory that XLA plans for the vector-Jacobian products of the networks, by the orders
that `--objective muls` and `--objective peak` find.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from gradgen.cli.search_table import heading
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.compile.fronts import front
from gradgen.compile.graphs import graph_to_search
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.files import write_atomically
from gradgen.ir.objective import NAMED
from gradgen.ir.shapes import size
from gradgen.report.front import Panel, write_fronts
from gradgen.targets.jax.render import render_arrays

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "_static" / "pareto.svg"
NETWORKS = ("layers/hh_gap_junctions", "layers/spiking_attention")
SOURCES = ("eif", "glif_multi", "hodgkin_huxley", *NETWORKS)
COUNTS = ("muls", "peak")


def panel(source: str) -> Panel:
    """The front of a model."""
    settings = Settings(str(ROOT / "models" / f"{source}.py"))
    graph = graph_to_search(settings)
    found = front(settings, graph, COUNTS, lambda _: None)
    on_arrays = isinstance(graph, ArrayGraph)
    labels = heading(COUNTS[0], on_arrays), heading(COUNTS[1], on_arrays)
    return Panel(found, Path(source).name, labels)


def temporary(source: str, objective: str) -> int:
    """The bytes that XLA plans beside arguments and results."""
    path = str(ROOT / "models" / f"{source}.py")
    opened = open_front(Settings(path, objective=NAMED[objective]))
    assert isinstance(opened, ArrayFront)
    module = array_module(opened)
    running: dict[str, Any] = {"__name__": "generated"}
    exec(render_arrays(module), running)
    sizes = dict(module.trace.sizes)
    given = [
        jax.ShapeDtypeStruct([size(dim, sizes) for dim in module.shapes[v]], "float32")
        for v in module.vjp.inputs
    ]
    compiled = jax.jit(running["_vjp"]).lower(*given).compile()
    return int(compiled.memory_analysis().temp_size_in_bytes)


def main() -> None:
    """Search, print the tables and draw the picture."""
    panels = [panel(source) for source in SOURCES]
    table = Table("model", "order", *COUNTS)
    for shown in panels:
        points = ((str(k), point.costs) for k, point in enumerate(shown.front.points, start=1))
        for name, costs in (*shown.front.plain, *points):
            table.add_row(shown.title, name, *(f"{cost:,}" for cost in costs))
    Console().print(table)
    memory = Table("network", *COUNTS, title="temporary memory in XLA, in bytes")
    for source in NETWORKS:
        memory.add_row(source, *(f"{temporary(source, count):,}" for count in COUNTS))
    Console().print(memory)
    write_atomically(str(PICTURE), write_fronts(panels, "Orders of three neurons and two networks"))


if __name__ == "__main__":
    main()
