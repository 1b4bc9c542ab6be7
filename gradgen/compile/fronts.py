"""The Pareto front of a graph's orders, between two counts that people ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradgen.compile import ordering
from gradgen.compile.status import Status
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.errors import GradgenError
from gradgen.ir.graph import LinearGraph
from gradgen.ir.objective import FRONT_OF_NEURONS, FRONT_ON_ARRAYS, NAMED
from gradgen.search.pareto.arrays import front_of_arrays
from gradgen.search.pareto.neurons import front_of_neurons
from gradgen.search.pareto.points import ParetoFront


def front(
    settings: Settings,
    graph: LinearGraph | ArrayGraph,
    counts: tuple[str, str],
    status: Status,
) -> ParetoFront:
    """The front between two counts.

    Of a graph of single numbers its ends are what a search by one of the counts finds; on arrays
    all is work that is fixed. Raises GradgenError for a count that there is none of.
    """
    known = FRONT_ON_ARRAYS if isinstance(graph, ArrayGraph) else FRONT_OF_NEURONS
    missing = [count for count in counts if count not in known]
    if missing:
        where = "on arrays" if isinstance(graph, ArrayGraph) else "in the graph of one neuron"
        raise GradgenError(
            f"there is no '{missing[0]}' to be counted {where}",
            hint=f"take two of {', '.join(known)}",
            path=settings.path,
        )
    pair: Any = counts
    if isinstance(graph, ArrayGraph):
        status(f"looking for orders between {' and '.join(counts)}")
        return front_of_arrays(graph, pair, settings.seed)
    ends = []
    for count in counts:
        alone = replace(settings, objective=NAMED[count])
        ends.append(ordering.search(alone, graph, status).order)
    status(f"looking for orders between {' and '.join(counts)}")
    return front_of_neurons(graph, pair, ends, settings.seed)
