"""What a build of one target would write.

Nothing is written here, so that this can run in a process of its own.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import VerifiedArrays, generate_arrays
from gradgen.compile.front import Front, open_front
from gradgen.compile.generation import VerifiedText, generate_from
from gradgen.compile.graphs import graph_of
from gradgen.compile.outputs import require_not_executed
from gradgen.compile.status import Status
from gradgen.config import ELIMINATIONS
from gradgen.errors import GradgenError
from gradgen.ir.recipe import Recipe
from gradgen.project.budgets import over_budget
from gradgen.project.claims import credible_orders, credible_recipe
from gradgen.project.outcome import Finding, Outcome
from gradgen.project.record import Record, committed, counts_of
from gradgen.project.target import Target
from gradgen.targets.jax.seal import same_code

_REMARKS = {
    "another graph": "; its graph is another one now, so that an order was searched for again"
}


def make(target: Target, search_again: bool, status: Status) -> Outcome:
    """Generate and verify the text of a target; the order that its file records is kept.

    With `search_again` only if there is no cheaper one. Raises GradgenError if there is no text.
    """
    settings = target.settings
    old, record = None, None
    with suppress(GradgenError):  # what cannot be read, and is to be replaced all the same
        old, record = committed(target.output)
    before = set(sys.modules)
    front = open_front(settings)
    if target.output is not None:
        require_not_executed(target.output, set(sys.modules) - before)
    made: VerifiedText | VerifiedArrays
    orders: tuple[str, ...] = ()
    remark = ""
    if isinstance(front, ArrayFront):
        orders_then = credible_orders(record, settings)
        made = generate_arrays(front, status, orders_then, search_again=search_again)
        said = (("its code says", front.read), ("the example says", front.found))
        remark = "".join(f"; {how}: {what}" for how, what in said if what is not None)
    else:
        recorded, again = _recorded(target, front, record, search_again)
        made = generate_from(front, status, recorded, search_again=again)
        orders = made.orders
    if front.source.assigned:
        state = ", ".join(f"{front.source.instance}.{path}" for path in front.source.assigned)
        remark += f"; the next values of {state} are returned, not assigned"
    remark += _REMARKS.get(made.kept, "")
    counts = counts_of(made.module)
    same = same_code(old, made.text)
    findings = [Finding("warning", w, path=settings.path) for w in made.report.warnings]
    name = "" if target.output is not None else f"{made.module.source.function}: "
    return Outcome(
        target.name,
        settings.path,
        target.output,
        "unchanged" if same else "different",
        (*findings, *over_budget(target, counts)),
        sentence=name + made.sentence() + remark,
        counts=counts,
        before=None if record is None else record.counts,
        old=old,
        new=old if same else made.text,
        details=(*orders, made.report.pretty()),
    )


def _recorded(
    target: Target, front: Front, record: Record | None, search_again: bool
) -> tuple[Recipe | None, bool]:
    """The recipe to keep, and whether to look for a cheaper order all the same."""
    settings = target.settings
    if record is None or record.recipe is None or settings.order is not None:
        return None, search_again
    recipe = credible_recipe(record, settings, graph_of(front))
    if recipe is None:
        return None, search_again
    then = record.options
    allowed = ELIMINATIONS.index(settings.elimination)
    if ELIMINATIONS.index(recipe.order.elimination) > allowed:
        return None, search_again
    objective = settings.objective
    asked = then.get("objective", "muls"), then.get("elimination", "vertex"), record.prices
    now = objective.name, settings.elimination, objective.prices.recorded
    return recipe, search_again or asked != now
