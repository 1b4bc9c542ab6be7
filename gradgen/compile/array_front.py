"""A source on arrays, executed and traced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gradgen.compile.array_refusals import require_known_search
from gradgen.compile.opening import Opened
from gradgen.compile.through_time import require_loops
from gradgen.config import Settings
from gradgen.errors import GradgenError, error_in
from gradgen.frontend.arrays.exampled import directive_of, with_names
from gradgen.frontend.arrays.gradient import trace_loss_gradient
from gradgen.frontend.arrays.leading import require_any_front
from gradgen.frontend.arrays.proposal import shapes_of_code
from gradgen.frontend.arrays.stated import Stated, read_stated, with_sizes
from gradgen.frontend.arrays.trace import trace_arrays, what_it_does
from gradgen.frontend.recurrence import find_recurrence
from gradgen.frontend.tracing.others import Doing, with_closed
from gradgen.frontend.tracing.owner import as_written, with_assigned
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.unread import without_unread
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.emitted import HVP
from gradgen.ir.source import Source


@dataclass(frozen=True)
class ArrayFront:
    """A source on arrays, executed and traced."""

    settings: Settings
    source: Source
    function: Callable[..., Any]
    signature: Signature
    stated: Stated
    trace: ArrayTrace
    found: str | None
    """The directive that says what was found out of an example."""
    read: str | None = None
    """The directive that says what follows from the code."""
    gradient: ArrayTrace | None = None
    """The gradient of a loss, where derivatives of second order are asked for."""


def read_off(settings: Settings, opened: Opened, signature: Signature) -> ArrayFront | None:
    """The front of a function whose shapes follow from its instance and from its code.

    None if none do that it can be traced on.
    """
    for directive in shapes_of_code(opened.source, signature):
        source = replace(opened.source, directives=(*opened.source.directives, directive))
        try:
            front = array_front(settings, replace(opened, source=source), signature)
        except GradgenError:
            continue
        return replace(front, read=f"# gradgen: shape {directive.text}")
    return None


def array_front(settings: Settings, opened: Opened, signature: Signature) -> ArrayFront:
    """Trace a function on arrays, whose shapes the source states, or an example."""
    require_known_search(settings.objective, settings.elimination, opened.source)
    stated = read_stated(opened.source, signature)
    found = None
    if stated.exampled:
        stated = with_names(opened.source, opened.function, signature, stated)
        found = directive_of(signature, stated)
    stated = with_sizes(opened.source, stated)
    source, function = opened.source, opened.function

    def done(function: Callable[..., Any], signature: Signature) -> Doing:
        return what_it_does(source, function, signature, stated)

    signature = with_closed(source, signature, partial(done, function))
    signature = without_unread(signature, partial(done, as_written(function)))
    trace = trace_arrays(source, function, signature, stated)
    require_loops(settings, opened.source, loops=bool(trace.loops))
    require_any_front(opened.source, opened.function, signature, stated, trace)
    known = with_assigned(opened.source, opened.function, trace.inputs)
    opened = replace(opened, source=known)
    trace = replace(trace, recurrence=find_recurrence(opened.source, trace))
    reached = {i.variable for i in trace.inputs if i.wrt} | {e.target for e in trace.elementals}
    if reached.isdisjoint(o.atom for o in trace.float_outputs if isinstance(o.atom, str)):
        wrt = ", ".join(i.path for i in trace.inputs if i.wrt) or "no argument"
        raise error_in(
            opened.source,
            f"no output of '{trace.function}' depends differentiably on {wrt}",
            hint="choose what to differentiate with --wrt, or give spikes a surrogate derivative "
            "(jax.custom_jvp)",
        )
    front = ArrayFront(settings, opened.source, opened.function, signature, stated, trace, found)
    if HVP not in settings.emit:
        return front
    gradient = trace_loss_gradient(opened.source, opened.function, signature, stated, trace)
    return replace(front, gradient=gradient)
