"""Which outputs of a step are the next values of which inputs: its state."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.reading.directives import parse_next
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import is_float
from gradgen.ir.pytree import Structure, join
from gradgen.ir.source import Source
from gradgen.ir.trace import Argument, Recurrence, Trace

_RENEWED = ("{}", "{}_next", "{}_new", "next_{}", "new_{}", "{}_t", "{}1", "{}_1", "{}_")
"""What sources call the next value of a variable."""
_STATE = re.compile("state|carry|hidden")
"""What sources call the argument that holds the state."""


def find_recurrence(source: Source, trace: Trace | ArrayTrace) -> Recurrence:
    """(input path, output path) of each leaf of the state, in the inputs' order; maybe none.

    `next` directives say it; else what a method assigns to its instance, variables that are called
    alike, `v` and `v_next`, and an argument and a part of the result with the same containers; of
    arrays, those that have the same shape too. Where several arguments have them, it is the one
    whose name speaks of state, or none.
    Raises GradgenError if a directive names what is no input or output.
    """
    outputs = [o.path for o in trace.outputs]
    inputs = [i.path for i in trace.inputs]
    recognised = _of_one_shape(trace, _recognised(trace))
    found = dict(_told(source)) or recognised | dict(_assigned(source))
    for path, output in _told(source):
        if path not in inputs or output not in outputs:
            missing, known = (path, inputs) if path not in inputs else (output, outputs)
            kind = "input" if path not in inputs else "output"
            raise _at(
                source, f"'{missing}' in `next` is no {kind}", f"there are {', '.join(known)}"
            )
    return tuple((path, found[path]) for path in inputs if found.get(path) in outputs)


def require_state(source: Source, trace: Trace | ArrayTrace) -> None:
    """Raise GradgenError unless there is state, and all of it that is a float is differentiated."""
    floats = {i.path for i in trace.inputs if is_float(i.dtype)}
    differentiated = dict(trace.differentiated_state)
    chosen = ",".join(i.path for i in trace.inputs if i.wrt)
    for path, _ in trace.recurrence:
        if path in floats and path not in differentiated:
            raise _at(
                source,
                f"'{path}' is state that is held constant: traces would miss what goes through it",
                f"differentiate with respect to it too: --wrt {chosen},{path}",
            )
    if not trace.differentiated_state:
        raise _at(
            source,
            f"'{source.function}' has no state: no output is the next value of an input",
            "say which one is: # gradgen: next v=0, the path of an argument and that of an output",
        )


def _told(source: Source) -> Iterator[tuple[str, str]]:
    for directive in source.directives:
        if directive.kind == "next":
            yield from parse_next(directive.text)


def _assigned(source: Source) -> Iterator[tuple[str, str]]:
    for path in source.assigned:
        yield f"{source.instance}.{path}", join("1", path)


def _recognised(trace: Trace | ArrayTrace) -> dict[str, str]:
    named = dict(_called_alike(trace))
    by_output: dict[str, set[str]] = {}
    for path, output in named.items():
        by_output.setdefault(output, set()).add(path)
    found: dict[str, str] = {}
    for pairs in _same_containers(trace):
        # names say more than containers
        if all(path in by_output.get(output, {path}) for path, output in pairs):
            found.update(pairs)
    taken = set(found.values())
    rest = {path: output for path, output in named.items() if output not in taken}
    return {**rest, **found}


def _of_one_shape(trace: Trace | ArrayTrace, found: dict[str, str]) -> dict[str, str]:
    if isinstance(trace, Trace):
        return found
    before = dict(zip((i.path for i in trace.inputs), trace.shapes, strict=True))
    after = dict(zip((o.path for o in trace.outputs), trace.output_shapes, strict=True))
    return {path: output for path, output in found.items() if before[path] == after[output]}


def _same_containers(trace: Trace | ArrayTrace) -> Iterator[list[tuple[str, str]]]:
    """The leaves of an argument that one part of the result, or all of it, looks like."""
    result = trace.result
    parts = dict([("", result), *zip(result.keys, result.children, strict=True)])
    alike: dict[str, list[Argument]] = {}
    for argument in trace.arguments:
        shape = _shape(argument.structure)
        same = [path for path, part in parts.items() if not part.is_leaf and _shape(part) == shape]
        if len(same) == 1:
            alike.setdefault(same[0], []).append(argument)
    for path, candidates in alike.items():
        if len(candidates) > 1 or candidates[0].default is not None:
            candidates = [a for a in candidates if _STATE.search(a.name)]
        if len(candidates) == 1:
            (argument,) = candidates
            ones = argument.structure.leaves(argument.name)
            others = parts[path].leaves(path)
            yield [(one, other) for (one, _), (other, _) in zip(ones, others, strict=True)]


def _shape(structure: Structure) -> tuple[object, ...]:
    """Containers without the kinds of leaves: a counter may start as a float."""
    if structure.is_leaf:
        return ()
    children = tuple(_shape(child) for child in structure.children)
    return structure.kind, structure.keys, structure.type_name, children


def _called_alike(trace: Trace | ArrayTrace) -> Iterator[tuple[str, str]]:
    labels = {label.variable: label.name for label in trace.labels}
    names: dict[str, list[str]] = {}
    for output in trace.outputs:
        name = labels.get(output.atom) if isinstance(output.atom, str) else None
        names.setdefault(name or output.path.rpartition(".")[2], []).append(output.path)
    for i in trace.inputs:
        if not i.name.isidentifier():
            continue  # a place in a tuple says nothing
        found = [path for form in _RENEWED for path in names.get(form.format(i.name), ())]
        if len(found) == 1:
            yield i.path, found[0]


def _at(source: Source, message: str, hint: str) -> GradgenError:
    return error_in(source, message, hint=hint)
