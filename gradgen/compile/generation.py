"""The line from a traced source to a verified text: graph, orders, programs, text, verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gradgen.compile.choice import cheaper, dearer_last, most_finite
from gradgen.compile.front import Front, of_neurons, open_front
from gradgen.compile.graphs import graph_of
from gradgen.compile.ordering import orders_for
from gradgen.compile.outputs import require_functions
from gradgen.compile.programs import (
    candidates,
    replay,
    with_jaxs_products,
    with_other_products,
)
from gradgen.compile.status import Status
from gradgen.compile.verdict import asking_about, couples_neurons, inexact, judge
from gradgen.config import Settings
from gradgen.elimination.accumulate import OrderMismatchError
from gradgen.ir.graph import LinearGraph
from gradgen.ir.module import Module
from gradgen.ir.recipe import Recipe
from gradgen.targets.jax.render import render
from gradgen.verify.verdict import Verdict

Kept = Literal["searched", "kept", "improved", "another graph"]
"""Whether a recorded order was used: there was none, it was, a cheaper one was found, or it was
for another graph, so that a new one was searched for."""


@dataclass(frozen=True)
class VerifiedText:
    """A verified text."""

    module: Module
    text: str
    report: Verdict
    kept: Kept
    orders: tuple[str, ...]
    """How each order that was considered fared, a line each."""
    rejected: tuple[str, ...] = ()
    """What came before it and was not exact, with the first thing that was found of each."""

    def sentence(self) -> str:
        """The counts against forward and reverse mode, and how exact it is."""
        jacobian = self.module.jacobian
        return (
            f"{jacobian.chosen.operations.total} operations for value and Jacobian "
            f"(forward mode {jacobian.forward.operations.total}, reverse mode "
            f"{jacobian.reverse.operations.total}){self._measured()}, "
            f"accumulation {jacobian.chosen.plan.muls} "
            f"multiplications (forward {jacobian.forward.plan.muls}, reverse "
            f"{jacobian.reverse.plan.muls}; order: {jacobian.chosen.order.found_by}); "
            f"{'for float32 alone; ' if self.module.trace.single else ''}"
            f"{self.report.summary()}{self._rejections()}"
        )

    def _measured(self) -> str:
        """What the program comes to by a price or an error, if one is asked for."""
        found = self.module.measured
        return "" if found is None else f", {found.what} by {found.by} {found.told()}"

    def _rejections(self) -> str:
        """What was rejected before this was taken, and why."""
        if not self.rejected:
            return ""
        first, others = self.rejected[0], len(self.rejected) - 1
        more = f", and {others} more after it (-v lists them)" if others else ""
        return f"; rejected before it: {first}{more}"


def generate(
    settings: Settings,
    status: Status,
    recorded: Recipe | None = None,
    *,
    search_again: bool = False,
) -> VerifiedText:
    """Generate and verify a text, as `generate_from` does, for a source file."""
    front = of_neurons(open_front(settings), "module of neurons")
    return generate_from(front, status, recorded, search_again=search_again)


def generate_from(
    front: Front,
    status: Status,
    recorded: Recipe | None = None,
    *,
    search_again: bool = False,
) -> VerifiedText:
    """Generate and verify a text.

    A `recorded` recipe is used again if it is for the same graph; with `search_again` only if
    nothing cheaper is found. A candidate that overflows where JAX does not gives way to the next
    cheapest one, and so does a rewritten one that is off in any other way.
    Raises InexactError, with the evidence kept, if no candidate is exact.
    """
    graph = graph_of(front)
    kept = None if recorded is None else replayed(front, graph, recorded)
    with asking_about(front) as asked:

        def checked(module: Module, text: str) -> Verdict:
            status(f"verifying {front.source.function}")
            return judge(front, module, text, asked)

        batches = _batches(front, graph, kept, search_again, status)
        return _first_exact(front, graph, batches, checked, recorded, kept)


def _first_exact(
    front: Front,
    graph: LinearGraph,
    batches: Iterator[list[Module]],
    checked: Callable[[Module, str], Verdict],
    recorded: Recipe | None,
    kept: Module | None,
) -> VerifiedText:
    """The first module that is exact; of what costs as little, what is finite at more points."""
    fared: list[str] = []
    rejected: list[str] = []
    for considered in batches:
        for number, chosen in enumerate(considered, start=1):
            require_functions(front.source, chosen.emit, chosen.functions)
            text = render(chosen)
            report = checked(chosen, text)
            fared.append(_order_line(chosen, report.kind))
            if report.exact:
                fared += [_order_line(other, "not needed") for other in considered[number:]]
                if report.lost and chosen is not kept:
                    rival = _finite_at_more(front, graph, chosen, considered, report)
                    if rival is not None:
                        rival_report = checked(rival, rival_text := render(rival))
                        fared.append(f"{_order_line(rival, rival_report.kind)}, at more points")
                        if rival_report.exact:
                            chosen, text, report = rival, rival_text, rival_report
                how = _kept(recorded, kept, chosen)
                return VerifiedText(chosen, text, report, how, tuple(fared), tuple(rejected))
            rejected.append(_rejection(chosen, report))
            if report.of_source:
                raise couples_neurons(front)
            if report.kind != "nonfinite" and not chosen.rewritten:
                raise inexact(front, text, report)
    raise inexact(front, text, report)


def _finite_at_more(
    front: Front, graph: LinearGraph, chosen: Module, others: Sequence[Module], report: Verdict
) -> Module | None:
    """A module that costs about as much and is finite at more points; None if none is known."""
    recipe = chosen.recipe
    products = with_other_products(front, graph, recipe)
    best = most_finite(chosen, [*others, *products], report.lost, front.settings.objective)
    return None if best == recipe else replay(front, graph, best)


def replayed(front: Front, graph: LinearGraph, recorded: Recipe) -> Module | None:
    """What the record gives; None if it is for another graph."""
    try:
        return replay(front, graph, recorded)
    except OrderMismatchError:
        return None


def _batches(
    front: Front, graph: LinearGraph, kept: Module | None, search_again: bool, status: Status
) -> Iterator[list[Module]]:
    """What to try, the best first; what was recorded spares the search if it is exact."""
    settings = front.settings
    if kept is not None and not search_again:
        yield [kept]
    found = candidates(front, graph, orders_for(settings, graph, status))
    if kept is not None and search_again:
        best = cheaper(found[0], kept, settings.objective)
        first = [kept] if best == kept.recipe else [replay(front, graph, best), kept]
        found = dearer_last([*first, *found], settings.objective)
    yield found
    yield with_jaxs_products(front, graph, found)


def _kept(recorded: Recipe | None, kept: Module | None, chosen: Module) -> Kept:
    if recorded is None:
        return "searched"
    if kept is None:
        return "another graph"
    return "kept" if chosen.recipe == kept.recipe else "improved"


def _rejection(module: Module, report: Verdict) -> str:
    """A module in words, and why it was not taken."""
    chosen, found = module.jacobian.chosen, report.failure
    rewritten = ", rewritten" if module.rewritten else ""
    why = "not exact" if found is None else found.headline
    return (
        f"order {chosen.order.found_by}{rewritten}, {chosen.operations.total} operations, since "
        f"{why}"
    )


def _order_line(module: Module, verdict: str) -> str:
    chosen = module.jacobian.chosen
    rewritten = ", rewritten" if module.rewritten else ""
    return (
        f"order {chosen.order.found_by}{rewritten}: {chosen.plan.muls} multiplications, "
        f"{chosen.operations.total} operations: {verdict}"
    )
