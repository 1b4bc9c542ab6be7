"""AlphaGrad's tasks of vectors and matrices as tasks for learned search, in its accounting."""

from __future__ import annotations

from collections.abc import Iterator

import jax

from benchmarks.network_tasks.__main__ import PUBLISHED, SOURCES, arguments_of
from benchmarks.network_tasks.tracing import traced
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.search.task import Task, patterned_task

KNOWN = {"random_function": 5_253, "roe_flux_3d": 640, "perceptron": 308, "encoder": 4_372}
"""The cheapest orders that are known (docs/orders.md)."""


def network_tasks() -> Iterator[tuple[str, Task]]:
    """The tasks by name."""
    for name in PUBLISHED:
        with jax.enable_x64(True):
            front = open_front(Settings(str(SOURCES / f"{name}.py")))
            assert isinstance(front, ArrayFront)
            graph = traced(front.function, arguments_of(front))
        names = [f"v{k}" for k in range(len(graph.shapes))]
        yield name, patterned_task(graph.eliminations, graph.shapes, names, name)
