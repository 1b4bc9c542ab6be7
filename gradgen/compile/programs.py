"""From a graph and its orders to the programs of a module: Jacobian, and products with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from gradgen.compile.choice import dearer_last, least_error_first
from gradgen.compile.costs import compared, cost_of, price_of, searched_count
from gradgen.compile.front import Front
from gradgen.compile.measuring import measure_of
from gradgen.compile.refine import Cost, refine
from gradgen.compile.second_order import Gradient
from gradgen.compile.vector_products import (
    Accumulating,
    Weighted,
    cheapest,
    evaluations,
    pulled,
    pushed,
)
from gradgen.elimination.accumulate import OrderMismatchError
from gradgen.elimination.extend import eligible_pairs, weight_states
from gradgen.frontend.reading.local_imports import digests_of_imports
from gradgen.ir.code import Var
from gradgen.ir.emitted import stands_on
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.module import (
    Accumulated,
    Derivative,
    EligibilityTraces,
    Module,
    Passes,
    SecondOrder,
)
from gradgen.ir.objective import FEW_MULTIPLICATIONS, Objective
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

_REWRITTEN = 2
"""How many orders' programs are rewritten at most."""
_VARIED = 6
"""The same where programs go by prices or errors."""
_LONG = 500
"""Of programs with more instructions only the cheapest is rewritten, once: that takes longest."""
_SEEDS = (0, 1)
"""Where the search for a rewriting of the Jacobian's program starts from."""


def candidates(front: Front, graph: LinearGraph, orders: Sequence[Order]) -> list[Module]:
    """A module for each order of the Jacobian's accumulation, the cheapest by the objective first.

    Of orders that cost the same, those with the cheapest programs count. What costs more than plain
    forward or reverse mode as a program comes after that, unless an order was asked for. The first
    modules are rewritten algebraically; the others are not, so that they are there where a
    rewritten program overflows and JAX does not.
    """
    programs, objective = _Programs(front, graph), front.settings.objective
    ranked = _ranked(orders, programs.accumulating, objective)
    sweeps = programs.accumulated(forward(graph)), programs.accumulated(reverse(graph))
    fallbacks = [a for a in sweeps if all(a.plan != r.plan for r in ranked)]
    products = programs.cheapest_products()
    promising = _promising(ranked, objective)
    if objective.count == "price":
        # what is written where no prices are asked for is not to cost less
        plain = _ranked(orders, programs.accumulating, FEW_MULTIPLICATIONS)
        plain = _promising(plain, FEW_MULTIPLICATIONS)
        promising += [found for found in plain if found.order not in {a.order for a in promising}]

    def price(recipe: Recipe) -> int:
        return price_of(programs.jacobian(recipe), objective)

    least = min(sweeps, key=lambda a: price_of(a, objective))
    starts = [(a.order, seed) for a in promising for seed in _SEEDS]
    if len(promising[0].program.instructions) > _LONG:
        del starts[1:]
    found: dict[Program, Recipe] = {}
    for order, seed in starts:
        recipe = Recipe(order, seed, *products)
        found.setdefault(programs.jacobian(recipe).program, recipe)
    if all(price(r) > price_of(least, objective) for r in found.values()):
        recipe = Recipe(least.order, _SEEDS[0], *products)
        found.setdefault(programs.jacobian(recipe).program, recipe)
    rewritten = sorted(found.values(), key=price)
    lowered = [Recipe(a.order, None, *products) for a in (*ranked, *fallbacks)]
    if products[-1] is not None:
        # JAX's own way through its own gradient, where another one overflows
        lowered.append(replace(lowered[0], hvp="forward"))
    modules = [programs.module(recipe) for recipe in (*rewritten, *lowered)]
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


def with_jaxs_products(front: Front, graph: LinearGraph, modules: Sequence[Module]) -> list[Module]:
    """Modules that are not rewritten, with vector products taken in JAX's own ways.

    They are for where all others overflow and JAX does not.
    """
    programs = _Programs(front, graph)
    given = [module.recipe for module in modules if not module.rewritten]
    plain = [replace(r, vjp="reverse", jvp="forward", hvp=r.hvp and "forward") for r in given]
    return [programs.module(recipe) for recipe in plain if recipe not in given]


def replay(front: Front, graph: LinearGraph, recipe: Recipe) -> Module:
    """The module that a recipe gives, without a search.

    Raises OrderMismatchError if the recipe is for another graph.
    """
    if recipe.order.fingerprint != graph.fingerprint:
        raise OrderMismatchError("the graph is another one")
    programs = _Programs(front, graph)
    missing = recipe.hvp is None and programs.gradient is not None
    return programs.module(replace(recipe, hvp=programs.cheapest_hvp()) if missing else recipe)


class _Programs:
    """The programs of one source, each made once."""

    def __init__(self, front: Front, graph: LinearGraph) -> None:
        trace = front.trace
        self._front, self._trace, self._graph = front, trace, graph
        settings = front.settings
        self._imports = digests_of_imports(settings.path, settings.example)
        self._lowering = lowering = Lowering(trace)
        self._floats = [i.variable for i in trace.inputs if i.dtype == "float"]
        self.accumulating = Accumulating(graph, lowering.jacobian)
        self.accumulated = self.accumulating.accumulated
        self.pulled, self.pushed = pulled(lowering, graph), pushed(graph, lowering.jvp)
        self.gradient = None if front.gradient is None else Gradient.of(front.gradient)
        self.jacobian = cache(self._jacobian)
        self._measure = measure_of(front, self.accumulated(forward(graph)))
        self._products: dict[tuple[str, Steps, bool], Derivative] = {}

    def cheapest_products(self) -> tuple[Steps, Steps, Steps | None]:
        """The orders of the vector products, as a recipe has them."""
        objective = self._front.settings.objective
        vjp, jvp = (cheapest(weighted, objective) for weighted in (self.pulled, self.pushed))
        return vjp, jvp, self.cheapest_hvp()

    def cheapest_hvp(self) -> Steps | None:
        """The order of the Hessian-vector product; None if there is none."""
        gradient = self.gradient
        if gradient is None:
            return None

        settings = self._front.settings

        def cost(order: Steps) -> Cost:
            found = self._product(gradient.pushed, order, rewriting=0).chosen
            return cost_of(found, settings.objective.for_products)

        return min(gradient.orders(settings), key=cost)

    def module(self, recipe: Recipe) -> Module:
        """The module that a recipe gives."""
        settings, source = self._front.settings, self._front.source
        programs = stands_on(settings.emit)
        sweeps = self.accumulated(forward(self._graph)), self.accumulated(reverse(self._graph))
        rewriting, gradient = recipe.rewriting, self.gradient
        vjp = self._product(self.pulled, recipe.vjp, rewriting)
        jacobian = Derivative(self.jacobian(recipe), *sweeps)
        return Module(
            source=source,
            trace=self._trace,
            graph=self._graph,
            primal=self._lowering.primal(),
            jacobian=jacobian,
            vjp=vjp,
            jvp=self._product(self.pushed, recipe.jvp, rewriting),
            cotangents=self.pulled.variables,
            tangents=self.pushed.variables,
            recipe=recipe if gradient is not None else replace(recipe, hvp=None),
            objective=settings.objective,
            measured=self._measure(jacobian),
            traces=self._traces(recipe) if "traces" in programs else None,
            second=None if gradient is None else self._second(gradient, recipe),
            passes=self._passes(vjp, recipe) if "backward" in programs else None,
            emit=settings.emit,
            generator=GENERATOR,
            source_name=settings.shown(source.path),
            options=settings.options(),
            imports=self._imports,
        )

    def _passes(self, vjp: Derivative, recipe: Recipe) -> Passes:
        products = [vjp.chosen.program]
        # a Jacobian may overflow where JAX's own way does not
        if recipe.rewriting is not None or recipe.vjp != "reverse":
            products.append(select_last(vjp.forward.program))
        settings = self._front.settings
        passes = split(products, self._trace, settings.residuals, settings.objective.prices)
        if recipe.rewriting is None:
            return passes
        return replace(passes, backward=share_exponentials(passes.backward))

    def _jacobian(self, recipe: Recipe) -> Accumulated:
        found = self.accumulated(recipe.order)
        return self._rewritten(found, (), recipe.rewriting)

    def _traces(self, recipe: Recipe) -> EligibilityTraces:
        """The cheapest heuristic order: there are as many traces as pairs, and all are emitted."""
        trace, graph = self._trace, self._graph
        state = trace.differentiated_state
        pairs = eligible_pairs(graph, state)
        # the rewriting calls what it computes e12: a step may have as many pairs
        eligible = {pair: f"e_{k}" for k, pair in enumerate(pairs)}
        optional = {a.name for a in trace.arguments if a.default is not None}
        driving = [
            path
            for path in dict.fromkeys(p for _, p in pairs)
            if path.split(".")[0] not in optional
        ]
        factors = {path: f"f{k}" for k, path in enumerate(driving)}
        more = [*eligible.values(), *factors.values()]
        extended = weight_states(graph, state, eligible, factors)
        accumulated = Accumulating(
            extended, lambda plan: self._lowering.traces(plan, more)
        ).accumulated
        ahead, back = accumulated(forward(extended)), accumulated(reverse(extended))
        products = self._front.settings.objective.for_products
        chosen = min(map(accumulated, propose(extended)), key=lambda a: cost_of(a, products))
        seed = None if recipe.rewriting is None else 0
        derivative = Derivative(self._rewritten(chosen, more, seed), ahead, back)
        return EligibilityTraces(derivative, tuple(eligible.items()), tuple(factors.items()))

    def _second(self, gradient: Gradient, recipe: Recipe) -> SecondOrder:
        assert recipe.hvp is not None
        return SecondOrder(
            source=self._front.source,
            trace=gradient.trace,
            graph=gradient.graph,
            jvp=self._product(gradient.pushed, recipe.hvp, recipe.rewriting),
            tangents=gradient.pushed.variables,
        )

    def _product(self, weighted: Weighted, order: Steps, rewriting: int | None) -> Derivative:
        more = [variable for _, variable in weighted.variables]
        chosen = weighted.accumulated(weighted.order(order))
        seed = None if rewriting is None else 0
        key = weighted.graph.fingerprint, order, seed is None
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
    orders: Sequence[Order], accumulating: Accumulating, objective: Objective
) -> list[Accumulated]:
    """The orders and the best neighbour of the best one, each plan once, the cheapest first."""

    def cost(order: Order) -> Cost:
        plan = accumulating.plan(order)
        return compared(plan, accumulating.price(order, objective), objective)

    first = min(orders, key=cost)
    least = cost(first)

    def at_most(order: Order) -> Cost:
        count = searched_count(accumulating.plan(order), objective)
        dearer = not objective.of_program and count > least[0]
        return (count, 0) if dearer else cost(order)

    limit = evaluations(accumulating.accumulated(first).program) if len(orders) > 1 else 1
    refined = refine([first], at_most, limit)
    counts = [searched_count(accumulating.plan(o), objective) for o in (first, refined)]
    if first.proved_optimal and counts[0] == counts[1]:
        refined = replace(refined, proved_optimal=True)
    every = [accumulating.accumulated(order) for order in (*reversed(orders), refined)]
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
