"""The pipeline: source, trace, graph, order, plan, program, text, verified text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gradgen.compile.choice import cheaper, most_finite
from gradgen.compile.opening import Opened, execute, read
from gradgen.compile.ordering import orders_for
from gradgen.compile.programs import module_by, modules_for, with_other_products
from gradgen.compile.status import Status
from gradgen.config import Settings
from gradgen.elimination.accumulate import OrderMismatchError
from gradgen.elimination.linearize import linearize
from gradgen.errors import GradgenError, InexactError
from gradgen.files import keep_evidence, read_text
from gradgen.frontend.reading.directives import parse_range, parse_static, parse_wrt
from gradgen.frontend.reading.local_imports import digests_of_imports
from gradgen.frontend.recurrence import find_recurrence, require_state
from gradgen.frontend.tracing.arguments import Signature, read_signature
from gradgen.frontend.tracing.blame import calling
from gradgen.frontend.tracing.dtypes import with_numbers
from gradgen.frontend.tracing.population import spans_neurons
from gradgen.frontend.tracing.trace import trace
from gradgen.ir.emitted import stands_on
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.graph_file import read_graph
from gradgen.ir.module import Module, Passes
from gradgen.ir.plan import Objective
from gradgen.ir.recipe import Recipe
from gradgen.ir.source import Source
from gradgen.ir.trace import Trace
from gradgen.lowering.exponentials import share_exponentials
from gradgen.lowering.masks import select_last
from gradgen.lowering.residuals import split
from gradgen.report.formats import PictureFormat
from gradgen.report.picture import write_picture
from gradgen.targets.jax.render import render
from gradgen.verify.check import verify
from gradgen.verify.points import Range
from gradgen.verify.report import Report
from gradgen.verify.subject import Subject


@dataclass(frozen=True)
class Front:
    """The source, executed and traced."""

    settings: Settings
    source: Source
    function: Callable[..., Any]
    signature: Signature
    trace: Trace
    vmapped: bool
    """Whether the source does not run on arrays of neurons by itself."""


def open_front(settings: Settings) -> Front:
    """Read, execute and trace the source."""
    return front_of(settings, execute(settings))


def front_of(settings: Settings, opened: Opened) -> Front:
    """Trace a function whose source is read."""
    with calling(opened.source):
        return _front_of(settings, opened)


def _front_of(settings: Settings, opened: Opened) -> Front:
    source, function = opened.source, opened.function
    chosen = {d.kind: d.text for d in source.directives}
    static = {
        name: value
        for d in source.directives
        if d.kind == "static"
        for name, value in parse_static(d.text)
    }
    signature = read_signature(
        source,
        opened.namespace,
        function,
        wrt=parse_wrt(chosen["wrt"]) if "wrt" in chosen else (),
        static=static,
        example=opened.example,
    )
    signature = with_numbers(source, function, signature)
    traced = trace(source, function, signature)
    spans = None if settings.per_neuron else spans_neurons(source, function, signature)
    if spans is None:
        # mapped over neurons, all outputs have the axes of all inputs
        everything = frozenset(i.variable for i in traced.inputs)
        outputs = tuple(replace(output, shaped_by=everything) for output in traced.outputs)
    else:
        outputs = tuple(
            replace(output, spans_neurons=span)
            for output, span in zip(traced.outputs, spans, strict=True)
        )
    traced = replace(traced, outputs=outputs)
    traced = replace(traced, recurrence=find_recurrence(source, traced))
    if "traces" in stands_on(settings.emit):
        require_state(source, traced)
    traced.check()
    return Front(settings, source, function, signature, traced, vmapped=spans is None)


def graph_of(front: Front) -> LinearGraph:
    """The linearised graph; raises GradgenError if no output depends on what is differentiated."""
    graph = linearize(front.trace)
    graph.check()
    if not graph.dependents:
        wrt = ", ".join(i.path for i in front.trace.inputs if i.wrt) or "no argument"
        raise GradgenError(
            f"no output of '{front.source.function}' depends differentiably on {wrt}",
            hint="choose what to differentiate with --wrt, or give spikes a surrogate derivative "
            "(jax.custom_jvp)",
            path=front.source.path,
            line=front.source.position.line,
            column=front.source.position.column,
        )
    return graph


def graph_from(settings: Settings) -> LinearGraph:
    """The graph to search: of a graph file, or of the step function in a source file.

    Raises GradgenError if it is neither, or if operations are to be counted: they are those of a
    program, not of a graph.
    """
    if settings.objective == "ops":
        raise GradgenError(
            "operations are counted on a program, not on a graph",
            hint="search for few multiplications, or write a file with --objective ops",
        )
    if not settings.path.endswith(".json"):
        return graph_of(open_front(settings))
    try:
        return read_graph(read_text(settings.path, "the graph"))
    except ValueError as error:
        raise GradgenError(f"this is no graph: {error}", path=settings.path) from None


def candidates(
    front: Front, graph: LinearGraph, orders: Sequence[Order], objective: Objective = "muls"
) -> list[Module]:
    """A module for each order, the cheapest by the objective first."""
    shown = front.settings.shown(front.source.path)
    traces = "traces" in stands_on(front.settings.emit)
    modules = modules_for(front.source, front.trace, graph, orders, shown, objective, traces)
    return [_as_asked(front, module) for module in modules]


def replay(front: Front, graph: LinearGraph, recipe: Recipe) -> Module:
    """The module that a recipe gives, without a search.

    Raises OrderMismatchError if the recipe is for another graph.
    """
    if recipe.order.fingerprint != graph.fingerprint:
        raise OrderMismatchError("the graph is another one")
    shown = front.settings.shown(front.source.path)
    traces = "traces" in stands_on(front.settings.emit)
    return _as_asked(front, module_by(front.source, front.trace, graph, recipe, shown, traces))


def _as_asked(front: Front, module: Module) -> Module:
    settings = front.settings
    return replace(
        module,
        passes=_passes(front, module) if "backward" in stands_on(settings.emit) else None,
        emit=settings.emit,
        options=settings.options(),
        imports=digests_of_imports(settings.path, settings.example),
    )


def _passes(front: Front, module: Module) -> Passes:
    products = (module.vjp.chosen.program, select_last(module.vjp.forward.program))
    passes = split(products, front.trace, front.settings.residuals)
    if not module.rewritten:
        return passes
    return replace(passes, backward=share_exponentials(passes.backward))


def texts(modules: Sequence[Module]) -> Iterator[tuple[Module, str]]:
    """Each candidate with its text."""
    return ((module, render(module)) for module in modules)


Kept = Literal["searched", "kept", "improved", "another graph"]
"""Whether a recorded order was used: there was none, it was, a cheaper one was found, or it was
for another graph, so that a new one was searched for."""


@dataclass(frozen=True)
class Outcome:
    """A verified text."""

    module: Module
    text: str
    report: Report
    kept: Kept
    orders: tuple[str, ...]
    """How each order that was considered fared, a line each."""

    def sentence(self) -> str:
        """The counts against forward and reverse mode, and how exact it is."""
        jacobian = self.module.jacobian
        return (
            f"{jacobian.chosen.operations.total} operations for value and Jacobian "
            f"(forward mode {jacobian.forward.operations.total}, reverse mode "
            f"{jacobian.reverse.operations.total}), accumulation {jacobian.chosen.plan.muls} "
            f"multiplications (forward {jacobian.forward.plan.muls}, reverse "
            f"{jacobian.reverse.plan.muls}; order: {jacobian.chosen.order.found_by}); "
            f"{self.report.summary()}"
        )


def generate(
    settings: Settings,
    status: Status,
    recorded: Recipe | None = None,
    *,
    search_again: bool = False,
) -> Outcome:
    """Generate and verify a text, as `generate_from` does, for a source file."""
    return generate_from(open_front(settings), status, recorded, search_again=search_again)


def generate_from(
    front: Front,
    status: Status,
    recorded: Recipe | None = None,
    *,
    search_again: bool = False,
) -> Outcome:
    """Generate and verify a text.

    A `recorded` recipe is used again if it is for the same graph; with `search_again` only if
    nothing cheaper is found. A candidate that overflows where JAX does not gives way to the next
    cheapest one, and so does a rewritten one that is off in any other way.
    Raises InexactError, with the evidence kept, if no candidate is exact.
    """
    graph, ranges = graph_of(front), ranges_of(front)
    kept = None if recorded is None else replayed(front, graph, recorded)
    fared: list[str] = []

    def checked(module: Module, text: str) -> Report:
        status(f"verifying {front.source.function}")
        return verified(front, module, text, ranges)

    for considered in _batches(front, graph, kept, search_again, status):
        for number, (chosen, text) in enumerate(texts(considered), start=1):
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
                return Outcome(chosen, text, report, _kept(recorded, kept, chosen), tuple(fared))
            if report.of_source:
                raise _couples_neurons(front)
            if report.kind != "nonfinite" and not chosen.rewritten:
                raise _inexact(front, text, report)
    raise _inexact(front, text, report)


def _finite_at_more(
    front: Front, graph: LinearGraph, chosen: Module, others: Sequence[Module], report: Report
) -> Module | None:
    """A module that costs about as much and is finite at more points; None if none is known."""
    shown, emit = front.settings.shown(front.source.path), front.settings.emit
    recipe, traces = chosen.recipe, "traces" in stands_on(emit)
    products = with_other_products(front.source, front.trace, graph, recipe, shown, traces)
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
    found = candidates(front, graph, orders_for(settings, graph, status), settings.objective)
    if kept is not None and search_again:
        best = cheaper(found[0], kept, settings.objective)
        first = [kept] if best == kept.recipe else [replay(front, graph, best), kept]
        found = [*first, *found]
    yield found


def _kept(recorded: Recipe | None, kept: Module | None, chosen: Module) -> Kept:
    if recorded is None:
        return "searched"
    if kept is None:
        return "another graph"
    return "kept" if chosen.recipe == kept.recipe else "improved"


def verified(front: Front, module: Module, text: str, ranges: Mapping[str, Range]) -> Report:
    """What comes of holding a text against its source."""
    subject = subject_of(front, module, text)
    with calling(front.source):
        return verify(subject, ranges=ranges, dtypes=front.settings.dtypes)


def subject_of(front: Front, module: Module, text: str) -> Subject:
    """What is verified."""
    return Subject(text, module, front.function, front.signature.bind, front.vmapped)


def _couples_neurons(front: Front) -> GradgenError:
    """Values are compared when the source is traced, so that derivative rules are left."""
    return GradgenError(
        f"a derivative rule in '{front.source.function}' does not do the same for each neuron of a "
        "population as for one",
        hint="it mixes neurons, or depends on the shape of its arguments; if the source is meant "
        "for one neuron and is vmapped by its callers, say so with --per-neuron",
        path=front.source.path,
        line=front.source.position.line,
        column=front.source.position.column,
    )


def _inexact(front: Front, text: str, report: Report) -> InexactError:
    folder = keep_evidence(text, report.pretty())
    return InexactError(
        f"the generated code does not match JAX: {report.summary()}",
        hint=f"nothing was written; the text and the report are in {folder}; please report this",
        path=front.source.path,
        line=front.source.position.line,
        column=front.source.position.column,
    )


def _order_line(module: Module, verdict: str) -> str:
    chosen = module.jacobian.chosen
    rewritten = ", rewritten" if module.rewritten else ""
    return (
        f"order {chosen.order.found_by}{rewritten}: {chosen.plan.muls} multiplications, "
        f"{chosen.operations.total} operations: {verdict}"
    )


def ranges_of(front: Front) -> dict[str, Range]:
    """Where inputs, or all those in a container, are sampled.

    Raises GradgenError for a range of something else.
    """
    known = {i.path for i in front.trace.inputs}
    found = {}
    for directive in front.source.directives:
        if directive.kind == "range":
            for path, low, high in parse_range(directive.text):
                if not any(f"{leaf}.".startswith(f"{path}.") for leaf in known):
                    raise GradgenError(
                        f"there is a range for '{path}', which is no input",
                        hint=f"there are: {', '.join(sorted(known))}",
                        path=front.source.path,
                        line=directive.position.line or None,
                        column=directive.position.column,
                        about=None if directive.position.line else "range",
                    )
                found[path] = (low, high)
    return found


def cheapest(settings: Settings, status: Status | None = None) -> Module:
    """The module that would be written if it is exact, without its verification."""
    front = open_front(settings)
    graph = graph_of(front)
    return candidates(front, graph, orders_for(settings, graph, status), settings.objective)[0]


def show(settings: Settings, stage: str, form: PictureFormat = "text") -> str:
    """A stage of the pipeline as text: source, trace, graph, order, plan or program.

    A graph can be had in other formats, and from a graph file; an order always is JSON.
    """
    if stage == "source":
        return read(settings).pretty()
    if stage == "graph" and settings.path.endswith(".json"):
        return write_picture(graph_from(settings), form)
    if stage in ("trace", "graph"):
        front = open_front(settings)
        if stage == "trace":
            return front.trace.pretty()
        return write_picture(graph_of(front), form, front.trace, front.source.text)
    chosen = cheapest(settings).jacobian.chosen
    if stage == "order":
        return chosen.order.to_json()
    return chosen.plan.pretty() if stage == "plan" else chosen.program.pretty()
