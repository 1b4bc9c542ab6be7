"""What a committed file says of its order, and whether that can be believed."""

from __future__ import annotations

from dataclasses import replace

from gradgen.compile.ordering import is_credible
from gradgen.config import Settings
from gradgen.elimination.accumulate import OrderMismatchError
from gradgen.ir.graph import LinearGraph
from gradgen.ir.recipe import ArrayRecipe, Recipe
from gradgen.project.record import Record


def credible_recipe(record: Record | None, settings: Settings, graph: LinearGraph) -> Recipe | None:
    """The recipe that a file records, its order called optimal only where that is credible."""
    recipe = None if record is None else record.recipe
    if not isinstance(recipe, Recipe):
        return None
    if record is None or not recipe.order.proved_optimal:
        return recipe
    try:
        credible = is_credible(settings, graph, recipe.order, sealed=not record.edited)
    except OrderMismatchError:
        return recipe  # its replay says so
    return (
        recipe if credible else replace(recipe, order=replace(recipe.order, proved_optimal=False))
    )


def credible_orders(record: Record | None, settings: Settings) -> ArrayRecipe | None:
    """The orders that a file on arrays records, called optimal only if nobody edited it; none that
    were searched for by another objective.

    Whatever refutes that at hand is found where they are replayed.
    """
    recipe = None if record is None else record.recipe
    if record is None or not isinstance(recipe, ArrayRecipe):
        return None
    asked = record.options.get("objective", "muls"), record.prices
    if asked != (settings.objective.name, settings.objective.prices.recorded):
        return None
    if not record.edited:
        return recipe
    return ArrayRecipe(
        tuple((name, replace(order, proved_optimal=False)) for name, order in recipe.orders)
    )
