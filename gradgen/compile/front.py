"""The source, executed and traced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gradgen.compile.opening import Opened, execute
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.frontend.reading.directives import parse_range, parse_static, parse_wrt
from gradgen.frontend.recurrence import find_recurrence, require_state
from gradgen.frontend.tracing.arguments import Signature, read_signature
from gradgen.frontend.tracing.blame import calling
from gradgen.frontend.tracing.integers import with_numbers
from gradgen.frontend.tracing.population import spans_neurons
from gradgen.frontend.tracing.trace import trace
from gradgen.ir.emitted import stands_on
from gradgen.ir.source import Source
from gradgen.ir.trace import Trace
from gradgen.verify.points import Range


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
