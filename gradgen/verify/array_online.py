"""Gradients of learning online beside those of JAX: a few steps, with an error at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.ir.code import is_float
from gradgen.verify.array_locality import Couplings, pushed
from gradgen.verify.array_operations import Slot, code_of
from gradgen.verify.array_packing import packed_in, put_together
from gradgen.verify.generated import Generated
from gradgen.verify.subject import ArraySubject, result_leaves

ONLINE = "online"
"""What these gradients go by among all that is compared."""
_SCALES = (1.0, -0.5, 2.0)
"""Of the errors at each."""

Vectors = Sequence[Any]


def learned_of(subject: ArraySubject) -> list[int]:
    """The positions of what gradients are by: what is differentiated and no state."""
    states = {path for path, _ in subject.module.trace.recurrence}
    return [k for k in subject.wrt if subject.paths[k] not in states]


def through_time(subject: ArraySubject, leaves: Vectors, cotangents: Vectors) -> list[Any]:
    """By backpropagation through the steps of the source."""
    learned = learned_of(subject)

    def total(chosen: Vectors) -> Any:
        given = _with(leaves, learned, chosen)
        loss: Any = 0.0
        for step in range(len(_SCALES)):
            outputs = result_leaves(subject.source(_at(subject, given, step)))
            floats = [outputs[k] for k in subject.floats]
            errors = zip(_errors(cotangents, step), floats, strict=True)
            loss += sum(jnp.vdot(e, o) for e, o in errors if e is not None)
            given = _next(subject, given, outputs)
        return loss

    return list(jax.grad(total)([leaves[k] for k in learned]))


def without_couplings(
    subject: ArraySubject, couplings: Couplings, leaves: Vectors, cotangents: Vectors
) -> list[Any]:
    """By tangents that leave some operations out, step by step."""
    traces, trace = subject.module.traces, subject.module.trace
    assert traces is not None
    code = code_of(subject, leaves)
    places = {i.variable: k for k, i in enumerate(trace.inputs)}
    number = {output.path: k for k, output in enumerate(trace.outputs)}
    following = {i: number[o] for i, o in trace.recurrence}
    found = []
    for k in learned_of(subject):
        variable = trace.inputs[k].variable
        renewed: set[Slot] = set()
        for meeting in traces.eligibility.meetings:
            for state in meeting.states if variable in meeting.parameters else ():
                whole = packed_in(trace, state)
                slot = code.outputs[following[subject.paths[places[whole]]]]
                renewed |= {slot} if whole == state else {slot, *put_together(code, slot)}
        leaf = leaves[k]
        unit = jnp.eye(leaf.size, dtype=leaf.dtype).reshape(leaf.size, *leaf.shape)
        given, carried, total = list(leaves), dict[int, Any](), jnp.zeros(leaf.size, leaf.dtype)
        for step in range(len(_SCALES)):
            now = _at(subject, given, step)
            outputs, moved = pushed(code, couplings, now, {k: unit, **carried}, frozenset(renewed))
            errors = _errors(cotangents, step)
            for error, place in zip(errors, subject.floats, strict=True):
                if error is not None and moved[place].met is not None:
                    rows = moved[place].met.reshape(leaf.size, -1)
                    total += rows @ error.reshape(-1)
            carried = {
                subject.paths.index(path): moved[following[path]].carried
                for path, _ in trace.differentiated_state
                if moved[following[path]].carried is not None
            }
            given = _next(subject, given, outputs)
        found.append(total.reshape(leaf.shape))
    return found


def forward_in_time(
    generated: Generated, leaves: Vectors, cotangents: Vectors, result: Any
) -> list[Any]:
    """By the generated traces; in some steps there is no error at some outputs."""
    subject: ArraySubject = generated.subject
    given, traces = list(leaves), None
    total: list[Any] = []
    for step in range(len(_SCALES)):
        positional, keyword = subject.bind(_at(subject, given, step))
        primals = (*positional, *keyword.values())
        if traces is None:
            traces = generated.function("traces_init")(primals)
        value, traces = generated.function("traces_step")(traces, primals)
        errors = generated.vectors(_errors(cotangents, step), result)
        found = _learned(subject, generated.function("traces_vjp")(traces, errors))
        total = [a + b for a, b in zip(total, found, strict=True)] if total else found
        given = _next(subject, given, result_leaves(value))
    return total


def _with(leaves: Vectors, places: Sequence[int], values: Vectors) -> list[Any]:
    found = list(leaves)
    for place, value in zip(places, values, strict=True):
        found[place] = value
    return found


def _at(subject: ArraySubject, leaves: Vectors, step: int) -> list[Any]:
    """The leaves in a step: what drives it changes, and what is learned stays as it is."""
    trace = subject.module.trace
    states = {path for path, _ in trace.recurrence}
    return [
        jnp.roll(leaf, step)
        if is_float(i.dtype)
        and not (i.wrt or i.path in states or trace.stays(i))
        and jnp.ndim(leaf)
        else leaf
        for i, leaf in zip(trace.inputs, leaves, strict=True)
    ]


def _next(subject: ArraySubject, leaves: Vectors, outputs: Vectors) -> list[Any]:
    """The leaves with the state after a step."""
    number = {output.path: k for k, output in enumerate(subject.module.trace.outputs)}
    pairs = [(subject.paths.index(i), number[o]) for i, o in subject.module.trace.recurrence]
    return _with(leaves, [i for i, _ in pairs], [outputs[o] for _, o in pairs])


def _errors(cotangents: Vectors, step: int) -> list[Any]:
    """Other errors at each step; from the second one on, none at one output if there are more."""
    scaled: list[Any] = [_SCALES[step] * c for c in cotangents]
    if step and len(scaled) > 1:
        scaled[step % len(scaled)] = None
    return scaled


def _learned(subject: ArraySubject, gradients: Any) -> list[Any]:
    """The gradients of the leaves that are learned, from a tuple over their arguments."""
    paths = [subject.paths[k].split(".") for k in learned_of(subject)]
    arguments = list(dict.fromkeys(path[0] for path in paths))
    found = []
    for first, *rest in paths:
        value = gradients[arguments.index(first)]
        for key in rest:
            value = value[key] if isinstance(value, dict) else value[int(key)]
        found.append(value)
    return found
