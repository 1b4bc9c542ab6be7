"""The source, executed and traced."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gradgen.compile.array_front import ArrayFront, array_front, read_off
from gradgen.compile.opening import Opened, execute
from gradgen.compile.through_time import require_loops
from gradgen.config import Settings
from gradgen.errors import GradgenError, error_in
from gradgen.frontend.arrays.proposal import proposed_shapes
from gradgen.frontend.arrays.stated import has_shapes, may_have_shapes
from gradgen.frontend.reading.directives import parse_range, parse_static, parse_wrt
from gradgen.frontend.recurrence import find_recurrence, require_state
from gradgen.frontend.tracing.arguments import read_signature
from gradgen.frontend.tracing.blame import calling
from gradgen.frontend.tracing.gradient import gradient_of, require_number, trace_gradient
from gradgen.frontend.tracing.integers import with_numbers
from gradgen.frontend.tracing.others import Doing, what_it_does, with_closed
from gradgen.frontend.tracing.owner import as_written, with_assigned
from gradgen.frontend.tracing.population import spans_neurons
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.stacks import with_arrays_apart
from gradgen.frontend.tracing.trace import trace
from gradgen.frontend.tracing.unread import without_unread
from gradgen.ir.emitted import HVP, stands_on
from gradgen.ir.pytree import with_parts
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
    gradient: Front | None = None
    """The gradient of the source, where derivatives of second order are asked for."""


def open_front(settings: Settings) -> Front | ArrayFront:
    """Read, execute and trace the source."""
    return front_of(settings, execute(settings))


def front_of(settings: Settings, opened: Opened) -> Front | ArrayFront:
    """Trace a function whose source is read: on arrays if a directive states shapes.

    Else on scalars; what annotations or an example tell of arrays counts where that does not do.
    """
    with calling(opened.source):
        signature = _signature(opened)
        if has_shapes(opened.source):
            return array_front(settings, opened, signature)
        try:
            return _front_of(settings, opened, signature)
        except GradgenError as error:
            return _front_on_arrays(settings, opened, error)


def _front_on_arrays(settings: Settings, opened: Opened, error: GradgenError) -> ArrayFront:
    """The front on arrays of a function that cannot be traced on scalars, for this reason.

    Annotations, an example and how state is taken apart tell its shapes.
    Raises the reason, with a hint, where it is no function on arrays, or nothing tells.
    """
    may_be_on_arrays = any(sign in error.message for sign in _OF_ARRAYS)
    if not may_be_on_arrays and _COUNTS_NEURONS not in error.message:
        raise error
    stated = _without_parts(opened, {d.text.partition("=")[0] for d in opened.source.annotated})
    whole = _without_parts(opened, set(dict(opened.source.structures)))
    signature = in_whole = _signature(stated)
    if may_be_on_arrays:
        front = read_off(settings, stated, signature)
        if front is None and whole.source != stated.source:
            in_whole = _signature(whole)
            front = read_off(settings, whole, in_whole)
        if front is not None:
            return front
    if may_have_shapes(stated.source, signature):
        return array_front(settings, stated, signature)
    if may_be_on_arrays:
        shapes = proposed_shapes(whole.source, whole.function, in_whole)
        if shapes is None:
            error.hint = f"{error.hint}; {_asking_for_shapes(in_whole)}"
        else:
            error.hint = f"if it is a function of arrays, say so above it or with --shape: {shapes}"
    raise error


def _without_parts(opened: Opened, names: Collection[str]) -> Opened:
    """The function, where these arguments are arrays, though they are taken apart."""
    known = opened.source.structures
    kept = tuple((n, s) for n, s in known if s.kind != "parts" or n not in names)
    return replace(opened, source=replace(opened.source, structures=kept))


def _asking_for_shapes(signature: Signature) -> str:
    """A hint with a directive in which shapes are to be filled in, where none can be proposed."""
    required = {a.name for a in signature.arguments if a.default is None}
    paths = [leaf.path for leaf in signature.leaves if leaf.path.split(".")[0] in required]
    asked = " ".join(f"{path}=?" for path in paths)
    return (
        "if it is a function of arrays, say so above it or with --shape, with the axes of each, "
        "as in (time, batch, n), (batch,):int32 for labels, () for a number and ():key for a key: "
        f"# gradgen: shape {asked}"
    )


_OF_ARRAYS = (
    "cannot be traced on scalars",
    "mixes different neurons of a population",
    "returns an array of shape",
)
"""What messages say of functions that may be meant for arrays."""

_COUNTS_NEURONS = "is not the same function of one neuron"
"""What they say of those that are for arrays if anything tells of arrays, else for one neuron."""


def of_neurons(front: Front | ArrayFront, what: str) -> Front:
    """The front of a step function of neurons.

    Raises GradgenError for one on arrays, of which there is no such thing (`what`).
    """
    if isinstance(front, Front):
        return front
    raise error_in(
        front.source,
        f"'{front.source.function}' is on arrays, and there is no {what} of functions on arrays",
        hint="gradgen search, show, explain and report take functions on arrays",
    )


def _signature(opened: Opened) -> Signature:
    source, function = opened.source, opened.function
    chosen = {d.kind: d.text for d in source.directives}
    static = {
        name: value
        for d in source.directives
        if d.kind == "static"
        for name, value in parse_static(d.text)
    }
    return read_signature(
        source,
        opened.namespace,
        function,
        wrt=parse_wrt(chosen["wrt"]) if "wrt" in chosen else (),
        static=static,
        example=opened.example,
        owner=opened.owner,
    )


def _front_of(settings: Settings, opened: Opened, signature: Signature) -> Front:
    source, function = opened.source, opened.function
    signature = with_numbers(source, function, signature)
    apart = with_arrays_apart(source, function, signature)
    if apart is not function:
        # what returns a state in an array takes it in one
        function, signature = apart, _with_any_parts(signature)

    def done(function: Callable[..., Any], signature: Signature) -> Doing:
        return what_it_does(source, function, signature)

    signature = with_closed(source, signature, partial(done, function))
    signature = without_unread(signature, partial(done, as_written(function)))
    traced = trace(source, function, signature)
    require_loops(settings, source, loops=False)
    working = "float32" if traced.single else "float64"
    spans = None if settings.per_neuron else spans_neurons(source, function, signature, working)
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
    source = with_assigned(source, opened.function, traced.inputs)
    traced = replace(traced, recurrence=find_recurrence(source, traced))
    _require_no_others(settings, source)
    if "traces" in stands_on(settings.emit):
        require_state(source, traced)
    traced.check()
    front = Front(settings, source, function, signature, traced, vmapped=spans is None)
    return replace(front, gradient=_gradient(front)) if HVP in settings.emit else front


def _with_any_parts(signature: Signature) -> Signature:
    """The signature, where arrays may be passed in the places of tuples."""
    arguments = (replace(a, structure=with_parts(a.structure)) for a in signature.arguments)
    return replace(signature, arguments=tuple(arguments))


def _require_no_others(settings: Settings, source: Source) -> None:
    """Raise GradgenError for what is asked of the other neurons, where there is one alone."""
    for option, asked, why in (
        ("locality", settings.locality != "auto", "no others are to be kept"),
        ("objective", settings.objective.count == "locality", "no value crosses to others"),
    ):
        if asked:
            raise GradgenError(
                f"'{source.function}' is the step of one neuron, in which {why}",
                hint=f"leave --{option} out, or state the shapes of a layer: # gradgen: shape ...",
                path=source.path,
                line=source.position.line,
                column=source.position.column,
                about=option if option == "objective" else None,
            )


def _gradient(front: Front) -> Front:
    source, signature = front.source, front.signature
    require_number(source, is_number=front.trace.result.is_leaf)
    chosen = [k for k, i in enumerate(front.trace.inputs) if i.wrt]
    gradient = gradient_of(front.function, signature, chosen, vmapped=front.vmapped)
    traced = trace_gradient(source, gradient, signature, front.trace)
    return replace(front, function=gradient, trace=traced, vmapped=False)


def ranges_of(front: Front | ArrayFront) -> dict[str, Range]:
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
