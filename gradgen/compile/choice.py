"""Which of several modules' programs are taken: the cheapest, and of these the most finite ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gradgen.compile.costs import cost_of, price_of, searched_count
from gradgen.compile.refine import Cost
from gradgen.ir.module import Accumulated, Derivative, Module
from gradgen.ir.objective import Objective
from gradgen.ir.recipe import Recipe
from gradgen.verify.finite import finite_results
from gradgen.verify.verdict import Points

_NEAR = 1.05
"""Programs that take up to so much more are chosen among by their rounding errors."""
_ABOUT = 1.02
"""Programs that cost up to so much more are chosen among by where they are finite."""


def cheaper(found: Module, kept: Module, objective: Objective) -> Recipe:
    """The better recipe for each of the programs: what is kept, unless something is cheaper."""

    def total(derivative: Derivative) -> Cost:
        return cost_of(derivative.chosen, objective.for_products)

    jacobian = found if _rank(found, objective) < _rank(kept, objective) else kept
    order, best = jacobian.recipe.order, found.recipe.order
    counts = [
        searched_count(module.jacobian.chosen.plan, objective) for module in (found, jacobian)
    ]
    if counts[0] == counts[1] and best.elimination == order.elimination:
        order = replace(order, proved_optimal=order.proved_optimal or best.proved_optimal)
    hvp = kept.recipe.hvp
    if found.second is not None and kept.second is not None:
        cheaper_twice = total(found.second.jvp) < total(kept.second.jvp)
        hvp = found.recipe.hvp if cheaper_twice else hvp
    return Recipe(
        order,
        jacobian.recipe.rewriting,
        (found if total(found.vjp) < total(kept.vjp) else kept).recipe.vjp,
        (found if total(found.jvp) < total(kept.jvp) else kept).recipe.jvp,
        hvp,
    )


def _rank(module: Module, objective: Objective) -> tuple[float, int]:
    """What modules are compared by, for value and Jacobian."""
    if objective.count == "error" and module.measured is not None:
        return module.measured.chosen, price_of(module.jacobian.chosen, objective)
    return cost_of(module.jacobian.chosen, objective)


def least_error_first(modules: Sequence[Module], objective: Objective) -> list[Module]:
    """What takes at most 5% more operations than the cheapest by its error, then all others."""
    prices = [price_of(module.jacobian.chosen, objective) for module in modules]
    near = [m for m, price in zip(modules, prices, strict=True) if price <= _NEAR * min(prices)]
    far = [module for module in modules if module not in near]
    return [*sorted(near, key=lambda m: _rank(m, objective)), *dearer_last(far, objective)]


def dearer_last(modules: Iterable[Module], objective: Objective) -> list[Module]:
    """The modules as they are to be tried: none before a plain sweep whose program costs less.

    So the first that is exact costs no more than the better of forward and reverse mode, if that is
    exact. Under an objective other than multiplications, which are to make few operations, a sweep
    counts that makes that no larger.
    """
    return sorted(modules, key=lambda module: len(_cheaper_sweeps(module, objective)))


def _cheaper_sweeps(module: Module, objective: Objective) -> list[Accumulated]:
    """Plain forward and reverse mode, as far as their programs cost less than a module's."""
    chosen = module.jacobian.chosen

    def allowed(sweep: Accumulated) -> bool:
        counts = [searched_count(found.plan, objective) for found in (sweep, chosen)]
        return objective.searched == "muls" or counts[0] <= counts[1]

    return [
        sweep
        for sweep in (module.jacobian.forward, module.jacobian.reverse)
        if price_of(sweep, objective) < price_of(chosen, objective) and allowed(sweep)
    ]


def most_finite(
    cheapest: Module, others: Iterable[Module], points: Sequence[Points], objective: Objective
) -> Recipe:
    """For each of the programs the order, of those that cost about as much, with most numbers.

    The cheapest one's own where no other has more. What is counted are finite derivatives at
    `points`, where the cheapest module lacks some that JAX has.
    """
    sweeps = len(_cheaper_sweeps(cheapest, objective))
    rivals = [
        m
        for m in others
        if m.rewritten == cheapest.rewritten and len(_cheaper_sweeps(m, objective)) <= sweeps
    ]

    def best(of: Callable[[Module], Derivative], objective: Objective) -> Recipe:
        least = of(cheapest).chosen
        near = [m for m in rivals if _costs_about_as_much(of(m).chosen, least, objective)]
        return max(
            [cheapest, *near],
            key=lambda m: finite_results(of(m).chosen.program, m.trace, points),
        ).recipe

    jacobian = best(lambda module: module.jacobian, objective)
    products = objective.for_products
    vjp, jvp = best(lambda module: module.vjp, products), best(lambda module: module.jvp, products)
    return Recipe(jacobian.order, jacobian.rewriting, vjp.vjp, jvp.jvp, cheapest.recipe.hvp)


def _costs_about_as_much(found: Accumulated, least: Accumulated, objective: Objective) -> bool:
    """Whether neither the price nor what the search made small exceeds the least by over 2%."""
    pairs = zip(cost_of(found, objective), cost_of(least, objective), strict=True)
    return all(count <= _ABOUT * other for count, other in pairs)
