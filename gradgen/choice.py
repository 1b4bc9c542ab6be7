"""Of programs that cost about the same, those that are finite at the most points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gradgen.ir.module import Derivative, Module
from gradgen.ir.plan import Objective
from gradgen.ir.recipe import Recipe
from gradgen.programs import costs_about_as_much
from gradgen.verify.finite import finite_results
from gradgen.verify.report import Points


def most_finite(
    cheapest: Module, others: Iterable[Module], points: Sequence[Points], objective: Objective
) -> Recipe:
    """For each of the programs the order, of those that cost about as much, with most numbers.

    The cheapest one's own where no other has more. What is counted are finite derivatives at
    `points`, where the cheapest module lacks some that JAX has.
    """
    rivals = [m for m in others if m.rewritten == cheapest.rewritten]

    def best(of: Callable[[Module], Derivative], objective: Objective) -> Recipe:
        least = of(cheapest).chosen
        near = [m for m in rivals if costs_about_as_much(of(m).chosen, least, objective)]
        return max(
            [cheapest, *near],
            key=lambda m: finite_results(of(m).chosen.program, m.trace, points),
        ).recipe

    jacobian = best(lambda module: module.jacobian, objective)
    vjp, jvp = best(lambda module: module.vjp, "ops"), best(lambda module: module.jvp, "ops")
    return Recipe(jacobian.order, jacobian.rewriting, vjp.vjp, jvp.jvp)
