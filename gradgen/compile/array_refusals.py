"""Errors of what is asked for on arrays and cannot be had."""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.elimination.eligibility import influence_of
from gradgen.elimination.reaching import reach
from gradgen.errors import GradgenError, error_in
from gradgen.ir.amounts import Amount
from gradgen.ir.array_trace import ArrayTrace, Operator
from gradgen.ir.code import Var, is_float
from gradgen.ir.eligibility import Coupling, Eligibility
from gradgen.ir.graph import Elimination
from gradgen.ir.objective import ON_ARRAYS, Objective
from gradgen.ir.shapes import LEADING, shape_as_stated
from gradgen.ir.source import Position, Source


def require_known_search(objective: Objective, elimination: Elimination, source: Source) -> None:
    """Raise GradgenError for a search that there is none of on arrays."""
    for option, asked, known in (
        ("objective", objective.name, ON_ARRAYS),
        ("elimination", elimination, ("vertex",)),
    ):
        if asked not in known:
            raise GradgenError(
                f"'{source.function}' is on arrays, where orders are of vertices and chosen by "
                f"{', '.join(ON_ARRAYS[:-1])} or {ON_ARRAYS[-1]}, and '{asked}' is no {option}",
                hint=f"leave --{option} out here; functions of one neuron take it",
                path=source.path,
                line=source.position.line,
                column=source.position.column,
                about=option,
            )


def require_own_search(search: str, source: Source) -> None:
    """Raise GradgenError where a file on arrays is to be written with an order of the network."""
    if search == "alphazero":
        raise GradgenError(
            f"'{source.function}' is on arrays, where no file is written by what the network plays",
            hint="leave --search out; or let gradgen search --search alphazero -o write an order, "
            "and give that with --order",
            path=source.path,
            line=source.position.line,
            column=source.position.column,
            about="search",
        )


def never_formed(
    trace: ArrayTrace, source: Source, what: str, hint: str, output: Var, given: Var, at: Var
) -> GradgenError:
    """A derivative through an operation that is applied to vectors alone."""
    paths = {o.atom: o.path for o in reversed(trace.float_outputs)}
    place = next(e.place for e in trace.elementals if e.target == at) or source.position
    return error_in(
        source,
        f"{what} of {paths[output]} by {called(trace, given)} goes through "
        f"{_operation(trace, at)}, which is applied to vectors and never stored",
        hint=hint,
        at=place,
    )


def _operation(trace: ArrayTrace, target: Var) -> str:
    name = next(e.operation for e in trace.elementals if e.target == target)
    return "a rule of its own" if name == "copy" else name


def trace_never_formed(
    trace: ArrayTrace,
    source: Source,
    choices: Sequence[Eligibility],
    output: Var,
    given: Var,
    at: Var,
) -> GradgenError:
    """A trace through what is applied to vectors alone, and what can be had instead."""
    offers = [
        f"--locality {c.locality} leaves it out, by name: {_bytes(trace, c.amount)}"
        for c in choices
    ]
    hint = f"{'; '.join(offers)} (in float32)"
    if not offers:
        instead, without = _instead(trace, at), "leave traces out of --emit"
        others = [instead, f"or {without}"] if instead else [without]
        hint = f"{', '.join(others)}: {source.function} itself has no need of them"
    return never_formed(trace, source, "the trace", hint, output, given, at)


def require_forward(gradient: ArrayTrace, source: Source) -> None:
    """Raise GradgenError where a gradient goes through a rule for cotangents alone, so that
    tangents do not, with the line where that is."""
    for step in gradient.with_steps:
        for elemental in step.elementals:
            if any(isinstance(p, Operator) and p.pushed is None for p in elemental.parts):
                place = elemental.place or source.position
                raise error_in(
                    source,
                    f"the gradient of '{source.function}' goes through a backward rule here, and "
                    "hvp would go through it forwards",
                    hint="let the forward rule compute the result itself, rather than call the "
                    "function whose rule it is; or leave hvp out of --emit",
                    at=place,
                )


def _instead(trace: ArrayTrace, at: Var) -> str:
    """What can be written in place of an operation that no trace goes through; empty if unknown."""
    code = {i.target: i for i in trace.primal}
    operation, operands = code[at].op, code[at].variables
    if operation == "reshape":
        return "keep the axes apart, as jnp.einsum('bchw,chwk->bk', z, w) does"
    if operation in ("dynamic_slice", "dynamic_update_slice"):
        return "read one place as d[k], and write to it as d.at[k].set(z)"
    states = {path for path, _ in trace.differentiated_state}
    above = reach(operands[:1], {v: [*i.variables] for v, i in code.items()})
    if operation == "conv" and any(i.path in states and i.variable in above for i in trace.inputs):
        return "give the channels that it mixes names, and --locality neuron leaves it out"
    return ""


def require_learned(trace: ArrayTrace, source: Source) -> None:
    """Raise GradgenError unless something is learned, in axes of its own, and the state keeps
    its shape."""
    states = dict(trace.recurrence)
    inputs = zip(trace.inputs, trace.shapes, strict=True)
    shapes = dict(zip((o.path for o in trace.outputs), trace.output_shapes, strict=True))
    for leaf, shape in inputs:
        following = shapes.get(states.get(leaf.path, ""), shape)
        if following != shape:
            named = ", ".join(f"{i}={o}" for i, o in trace.recurrence if i != leaf.path)
            raise error_in(
                source,
                f"the state '{leaf.path}' has the shape {shape_as_stated(shape)}, and its next "
                f"value {shape_as_stated(following)}",
                hint="say which output is the next value of which argument: # gradgen: next "
                f"{named or f'{leaf.path}=0'}; or state it in the shape that it keeps",
            )
        if leaf.wrt and leaf.path not in states and LEADING in shape:
            others = [i.path for i in trace.inputs if i.wrt and i.path != leaf.path]
            raise error_in(
                source,
                f"'{leaf.path}' has the axes that `...` stands for, and cannot be learned online",
                hint=f"state its axes by name, or hold it constant: --wrt {','.join(others)}",
            )
    if all(not leaf.wrt or leaf.path in states for leaf in trace.inputs):
        candidates = [i.path for i in trace.inputs if is_float(i.dtype) and i.path not in states]
        chosen = ",".join([*states, *candidates])
        raise error_in(
            source,
            f"nothing is learned: of '{source.function}', only its state is differentiated",
            hint=f"say by what traces are to be: --wrt {chosen}",
        )


def couples_neurons(
    trace: ArrayTrace,
    source: Source,
    choices: Sequence[Eligibility],
    never_stored: Var | None = None,
) -> GradgenError:
    """Traces of a step that couples neurons, where nobody said what to keep of that; to keep all
    cannot be had where a trace would go through what is `never_stored`."""
    couplings = choices[0].couplings
    place = _elemental_place(trace, couplings[0]) or source.position
    offers = [
        f"--locality {c.locality} {_KEEPS[c.locality]}: {_bytes(trace, c.amount)}" for c in choices
    ]
    if never_stored is not None:
        offers.append(
            "--locality full cannot be had: the influence matrix, "
            f"{_bytes(trace, influence_of(trace, choices[0]))}, goes through "
            f"{_operation(trace, never_stored)}, which is never stored"
        )
    terms = ", ".join(dict.fromkeys(described(trace, source, c) for c in couplings))
    return error_in(
        source,
        f"'{source.function}' couples neurons through its state, by {terms}: which of that are "
        "traces to keep?",
        hint=f"{'; '.join(offers)} (in float32)",
        at=place,
    )


def _bytes(trace: ArrayTrace, elements: Amount) -> str:
    """What so many numbers take in float32, as a formula and at the sizes of the trace."""
    found = 4 * elements
    return f"{found} = {found.at(dict(trace.sizes)):,} bytes"


_KEEPS = {
    "full": "keeps all, and is exact",
    "layer": "keeps what stays within a layer",
    "neuron": "keeps nothing of it",
}


def described(trace: ArrayTrace, source: Source, coupling: Coupling) -> str:
    """A term through which neurons are coupled, by the line of the source that says it."""
    name, place = called(trace, coupling.source), _elemental_place(trace, coupling)
    return name if place is None else f"{name} in line {place.line}"


def _elemental_place(trace: ArrayTrace, coupling: Coupling) -> Position | None:
    return next(e.place for e in trace.elementals if e.target == coupling.target)


def called(trace: ArrayTrace, variable: Var) -> str:
    """What people would call a variable: by its path or its name, or by what it is computed of,
    what is differentiated first."""
    names = {label.variable: label.name for label in trace.labels if label.name}
    names |= {i.variable: i.path for i in trace.inputs}
    code = {i.target: i for i in trace.primal}
    found: dict[str, None] = {}
    waiting = [variable]
    while waiting:
        v = waiting.pop()
        if v in names:
            found[names[v]] = None
        elif v in code:
            waiting += reversed(code[v].variables)
    held = {i.path for i in trace.inputs if not i.wrt}
    return " and ".join([name for name in found if name not in held] or found) or "a constant"
