"""From a graph and its orders to the programs of a module: Jacobian, and products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

from gradgen.compile.choice import dearer_last, least_error_first
from gradgen.compile.costs import cost_of, price_of, searched_count
from gradgen.compile.front import Front
from gradgen.compile.measuring import measure_of
from gradgen.compile.refine import Cost, refine
from gradgen.elimination.accumulate import OrderMismatchError, accumulate
from gradgen.elimination.extend import (
    eligible_pairs,
    weight_inputs,
    weight_outputs,
    weight_states,
)
from gradgen.frontend.reading.local_imports import digests_of_imports
from gradgen.ir.code import Var
from gradgen.ir.emitted import stands_on
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.module import Accumulated, Derivative, Module, Passes, Traces
from gradgen.ir.objective import Objective
from gradgen.ir.plan import Plan
from gradgen.ir.program import Program
from gradgen.ir.recipe import Recipe, Steps
from gradgen.lowering.exponentials import share_exponentials
from gradgen.lowering.lower import Lowering
from gradgen.lowering.masks import select_last
from gradgen.lowering.residuals import split
from gradgen.lowering.rewriting.rewrite import rewrite
from gradgen.search.heuristics import forward, propose, reverse
from gradgen.version import __version__

GENERATOR = f"gradgen {__version__}"

Accumulating = Callable[[Order], Accumulated]

_REWRITTEN = 2
"""How many orders' programs are rewritten at most."""
_VARIED = 6
"""The same where programs go by prices or errors."""
_LONG = 500
"""Of programs with more instructions only the cheapest is rewritten, once: that takes longest."""
_SEEDS = (0, 1)
"""Where the search for a rewriting of the Jacobian's program starts from."""
_EVALUATIONS = 200
"""Programs that are lowered in the search for a cheaper order of about the same kind."""
_EVALUATED = 10_000
"""Instructions that these have together, about."""


def candidates(front: Front, graph: LinearGraph, orders: Sequence[Order]) -> list[Module]:
    """A module for each order of the Jacobian's accumulation, the cheapest by the objective first.

    Of orders that cost the same, those with the cheapest programs count. What costs more than plain
    forward or reverse mode as a program comes after that, unless an order was asked for. The first
    modules are rewritten algebraically; the others are not, so that they are there where a
    rewritten program overflows and JAX does not.
    """
    programs, objective = _Programs(front, graph), front.settings.objective
    ranked = _ranked(orders, programs.accumulated, objective)
    sweeps = programs.accumulated(forward(graph)), programs.accumulated(reverse(graph))
    fallbacks = [a for a in sweeps if all(a.plan != r.plan for r in ranked)]
    vjp, jvp = (_cheapest(weighted, objective) for weighted in (programs.pulled, programs.pushed))
    promising = _promising(ranked, objective)

    def price(recipe: Recipe) -> int:
        return price_of(programs.jacobian(recipe), objective)

    least = min(sweeps, key=lambda a: price_of(a, objective))
    starts = [(a.order, seed) for a in promising for seed in _SEEDS]
    if len(promising[0].program.instructions) > _LONG:
        del starts[1:]
    found: dict[Program, Recipe] = {}
    for order, seed in starts:
        recipe = Recipe(order, seed, vjp, jvp)
        found.setdefault(programs.jacobian(recipe).program, recipe)
    if all(price(r) > price_of(least, objective) for r in found.values()):
        recipe = Recipe(least.order, _SEEDS[0], vjp, jvp)
        found.setdefault(programs.jacobian(recipe).program, recipe)
    rewritten = sorted(found.values(), key=price)
    plain = [Recipe(a.order, None, vjp, jvp) for a in (*ranked, *fallbacks)]
    modules = [programs.module(recipe) for recipe in (*rewritten, *plain)]
    if front.settings.order is not None:
        return modules
    if objective.count == "error":
        return least_error_first(modules, objective)
    return dearer_last(modules, objective)


def with_other_products(front: Front, graph: LinearGraph, recipe: Recipe) -> list[Module]:
    """The modules by a recipe but for the order of one product, which a heuristic proposes."""
    programs = _Programs(front, graph)
    recipes = [replace(recipe, vjp=o.found_by) for o in propose(programs.pulled.graph)]
    recipes += [replace(recipe, jvp=o.found_by) for o in propose(programs.pushed.graph)]
    return [programs.module(changed) for changed in recipes]


def replay(front: Front, graph: LinearGraph, recipe: Recipe) -> Module:
    """The module that a recipe gives, without a search.

    Raises OrderMismatchError if the recipe is for another graph.
    """
    if recipe.order.fingerprint != graph.fingerprint:
        raise OrderMismatchError("the graph is another one")
    return _Programs(front, graph).module(recipe)


class _Programs:
    """The programs of one source, each made once."""

    def __init__(self, front: Front, graph: LinearGraph) -> None:
        trace = front.trace
        self._front, self._trace, self._graph = front, trace, graph
        settings = front.settings
        self._imports = digests_of_imports(settings.path, settings.example)
        self._lowering = lowering = Lowering(trace)
        self._floats = [i.variable for i in trace.inputs if i.dtype == "float"]
        self.accumulated = _accumulating(graph, lowering.jacobian)
        self.pulled, self.pushed = _pulled(lowering, graph), _pushed(lowering, graph)
        self.jacobian = cache(self._jacobian)
        self._measure = measure_of(front, self.accumulated(forward(graph)))
        self._products: dict[tuple[str, Steps, bool], Derivative] = {}

    def module(self, recipe: Recipe) -> Module:
        """The module that a recipe gives."""
        settings, source = self._front.settings, self._front.source
        programs = stands_on(settings.emit)
        sweeps = self.accumulated(forward(self._graph)), self.accumulated(reverse(self._graph))
        vjp = self._product(self.pulled, recipe.vjp, recipe)
        jacobian = Derivative(self.jacobian(recipe), *sweeps)
        return Module(
            source=source,
            trace=self._trace,
            graph=self._graph,
            primal=self._lowering.primal(),
            jacobian=jacobian,
            vjp=vjp,
            jvp=self._product(self.pushed, recipe.jvp, recipe),
            cotangents=self.pulled.variables,
            tangents=self.pushed.variables,
            recipe=recipe,
            objective=settings.objective,
            measured=self._measure(jacobian),
            traces=self._traces(recipe) if "traces" in programs else None,
            passes=self._passes(vjp, recipe) if "backward" in programs else None,
            emit=settings.emit,
            generator=GENERATOR,
            source_name=settings.shown(source.path),
            options=settings.options(),
            imports=self._imports,
        )

    def _passes(self, vjp: Derivative, recipe: Recipe) -> Passes:
        products = vjp.chosen.program, select_last(vjp.forward.program)
        settings = self._front.settings
        passes = split(products, self._trace, settings.residuals, settings.objective.prices)
        if recipe.rewriting is None:
            return passes
        return replace(passes, backward=share_exponentials(passes.backward))

    def _jacobian(self, recipe: Recipe) -> Accumulated:
        found = self.accumulated(recipe.order)
        return self._rewritten(found, (), recipe.rewriting)

    def _traces(self, recipe: Recipe) -> Traces:
        """The cheapest heuristic order: there are as many traces as pairs, and all are emitted."""
        trace, graph = self._trace, self._graph
        state = trace.differentiated_state
        pairs = eligible_pairs(graph, state)
        eligible = {pair: f"e{k}" for k, pair in enumerate(pairs)}
        optional = {a.name for a in trace.arguments if a.default is not None}
        driving = [
            path
            for path in dict.fromkeys(p for _, p in pairs)
            if path.split(".")[0] not in optional
        ]
        factors = {path: f"f{k}" for k, path in enumerate(driving)}
        more = [*eligible.values(), *factors.values()]
        extended = weight_states(graph, state, eligible, factors)
        accumulated = _accumulating(extended, lambda plan: self._lowering.traces(plan, more))
        ahead, back = accumulated(forward(extended)), accumulated(reverse(extended))
        products = self._front.settings.objective.for_products
        chosen = min(map(accumulated, propose(extended)), key=lambda a: cost_of(a, products))
        seed = None if recipe.rewriting is None else 0
        derivative = Derivative(self._rewritten(chosen, more, seed), ahead, back)
        return Traces(derivative, tuple(eligible.items()), tuple(factors.items()))

    def _product(self, weighted: _Weighted, order: Steps, recipe: Recipe) -> Derivative:
        more = [variable for _, variable in weighted.variables]
        chosen = weighted.accumulated(weighted.order(order))
        seed = None if recipe.rewriting is None else 0
        key = weighted.sweep, order, seed is None
        if key not in self._products:
            rewritten = self._rewritten(chosen, more, seed)
            self._products[key] = replace(weighted.sweeps, chosen=rewritten)
        return self._products[key]

    def _rewritten(self, found: Accumulated, more: Sequence[Var], seed: int | None) -> Accumulated:
        program = found.program
        if seed is not None:
            prices = self._front.settings.objective.prices
            program = rewrite(program, [*self._floats, *more], seed, prices)
        return replace(found, program=select_last(program))


def _ranked(
    orders: Sequence[Order], accumulated: Accumulating, objective: Objective
) -> list[Accumulated]:
    """The orders and the best neighbour of the best one, each plan once, the cheapest first."""

    def cost(order: Order) -> Cost:
        return cost_of(accumulated(order), objective)

    first = min(orders, key=cost)
    evaluations = _evaluations(accumulated(first).program) if len(orders) > 1 else 1
    refined = refine([first], cost, evaluations)
    counts = [searched_count(accumulated(order), objective) for order in (first, refined)]
    if first.proved_optimal and counts[0] == counts[1]:
        refined = replace(refined, proved_optimal=True)
    every = [accumulated(order) for order in (*reversed(orders), refined)]
    distinct = {found.plan.steps: found for found in every}
    return sorted(distinct.values(), key=lambda found: cost_of(found, objective))


def _promising(ranked: Sequence[Accumulated], objective: Objective) -> list[Accumulated]:
    """The orders whose programs are worth rewriting: the cheapest, or one of each sort where
    programs decide.

    Few multiplications are often few operations in the end, though not before rewriting. Prices
    and errors are further from what a search knows, so that more orders are tried.
    """
    if objective.count in ("price", "error"):
        return list(ranked[:_VARIED])
    if objective.of_program:
        fewest = min(ranked, key=lambda a: cost_of(a, Objective("muls", objective.prices)))
        return [ranked[0]] if fewest is ranked[0] else [ranked[0], fewest]
    least = cost_of(ranked[0], objective)[0]
    return [a for a in ranked if cost_of(a, objective)[0] == least][:_REWRITTEN]


def _evaluations(program: Program) -> int:
    return min(_EVALUATIONS, _EVALUATED // (len(program.instructions) + 1))


def _accumulating(graph: LinearGraph, lower: Callable[[Plan], Program]) -> Accumulating:
    """Accumulates a graph in an order and lowers the plan, each order once."""

    @cache
    def accumulated(order: Order) -> Accumulated:
        plan = accumulate(graph, order)
        plan.check()
        return Accumulated(order, plan, lower(plan))

    return accumulated


@dataclass(frozen=True)
class _Weighted:
    """The graph of a vector product, and its programs."""

    graph: LinearGraph
    variables: tuple[tuple[str, str], ...]
    """What each weight is for, and its variable."""
    accumulated: Accumulating
    sweep: Literal["forward", "reverse"]
    """The mode that has no Jacobian in between; no program costs more multiplications."""

    @property
    def sweeps(self) -> Derivative:
        """Plain forward and reverse mode."""
        ahead, back = self.accumulated(forward(self.graph)), self.accumulated(reverse(self.graph))
        return Derivative(ahead if self.sweep == "forward" else back, ahead, back)

    def order(self, steps: Steps) -> Order:
        """The order by a heuristic's name or by its steps; OrderMismatchError if it is unknown."""
        if not isinstance(steps, str):
            return Order("vertex", self.graph.fingerprint, steps, "recorded")
        for order in propose(self.graph):
            if order.found_by == steps:
                return order
        raise OrderMismatchError(f"there is no order '{steps}'")


def _pulled(lowering: Lowering, graph: LinearGraph) -> _Weighted:
    """For the vector-Jacobian product."""
    paths = [graph.vertices[v].path for v in graph.dependents]
    variables = {path: f"ct{k}" for k, path in enumerate(paths)}
    extended = weight_outputs(graph, variables)
    lower = partial(lowering.vjp, cotangents=list(variables.values()))
    return _Weighted(extended, tuple(variables.items()), _accumulating(extended, lower), "reverse")


def _pushed(lowering: Lowering, graph: LinearGraph) -> _Weighted:
    """For the Jacobian-vector product."""
    paths = [graph.vertices[v].path for v in graph.independents]
    variables = {path: f"tan{k}" for k, path in enumerate(paths)}
    extended = weight_inputs(graph, variables)
    lower = partial(lowering.jvp, tangents=list(variables.values()))
    return _Weighted(extended, tuple(variables.items()), _accumulating(extended, lower), "forward")


def _cheapest(weighted: _Weighted, objective: Objective) -> Steps:
    """The order with the cheapest program of those that take no more multiplications."""
    accumulated, limit = weighted.accumulated, weighted.sweeps.chosen

    def cost(order: Order) -> Cost:
        found = accumulated(order)
        excess = price_of(limit, objective) if found.plan.muls > limit.plan.muls else 0
        return price_of(found, objective) + excess, found.plan.muls

    heuristics = propose(weighted.graph)
    best = refine(heuristics, cost, _evaluations(limit.program))
    return best.found_by if best in heuristics else best.steps
