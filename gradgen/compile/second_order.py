"""Derivatives of second order: the tangents of a gradient, which is traced as a step function."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradgen.compile.front import Front
from gradgen.compile.ordering import orders_for
from gradgen.compile.vector_products import Weighted, cheapest, pushed
from gradgen.config import Settings
from gradgen.elimination.linearize import linearize
from gradgen.ir.graph import LinearGraph
from gradgen.ir.recipe import Steps
from gradgen.ir.trace import Trace
from gradgen.lowering.lower import Lowering


@dataclass(frozen=True)
class Gradient:
    """The gradient of a source, with the graph and the programs of its tangents."""

    trace: Trace
    graph: LinearGraph
    pushed: Weighted

    @staticmethod
    def of(front: Front) -> Gradient:
        """Of the gradient that was traced."""
        graph = linearize(front.trace)
        graph.check()
        return Gradient(front.trace, graph, pushed(graph, Lowering(front.trace).hvp))

    def orders(self, settings: Settings) -> list[Steps]:
        """The orders that are worth lowering: of all heuristics, and what a search of its own
        finds.

        An order that was asked for is the Jacobian's; there is no search here then.
        """
        found: list[Steps] = [cheapest(self.pushed, settings.objective)]
        if settings.order is None:
            searched = orders_for(replace(settings, elimination="vertex"), self.pushed.graph)
            found += [order.steps for order in searched[:1]]
        return found
