"""Learning online on arrays in a module: its sentences, its keys, and the errors that it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from gradgen.ir.amounts import amount
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.eligibility import ArrayEligibility
from gradgen.ir.shapes import LEADING, Dim, Shape, multiple, names_in, shape_as_stated
from gradgen.ir.trace import Input
from gradgen.targets.jax.layout import Doc, Group, flat, layout, prefixed, quote, tuple_of
from gradgen.targets.jax.plumbing import Names, after, dedent, nesting
from gradgen.targets.jax.pytrees import accesses, classes_needed, construct
from gradgen.targets.jax.straight import Context


def traces_context(module: ArrayModule, traces: ArrayEligibility, names: Names) -> Context:
    """What the templates need of learning online."""
    shapes = dict(
        zip((o.path for o in module.trace.outputs), module.trace.output_shapes, strict=True)
    )
    held = [prefixed(f"{quote(one.name)}: ", axes_of(one.shape)) for one in traces.held]
    paths = {v: path for path, v in module.cotangents}
    met = [paths[v] for v in traces.errors]
    errors = [tuple_of([quote(path), axes_of(shapes[path])]) for path in met]
    left_out = ", ".join(traces.left_out)
    return {
        "states": ", ".join(path for path, _ in module.trace.differentiated_state),
        "learned": ", ".join(i.path for i in _learned(module)),
        "left_out": left_out,
        "held_axes": "\n".join(after("_HELD = ", Group("{", tuple(held), "}"))),
        "held_given": flat(tuple_of([quote(one.name) for one in traces.read])),
        "held_met": "\n".join(after("_MET = ", tuple_of([quote(name) for name in traces.met]))),
        "error_sums": "\n".join(_sums(shapes[path] for path in met)),
        "error_axes": "\n".join(after("_ERRORS = ", tuple_of(errors))),
        "errors_body": _indented(_errors_body(module, met)),
        "over_learned_body": _indented(_over_learned_body(module, names)),
    }


def traces_sentences(
    module: ArrayModule, traces: ArrayEligibility, step: str, pulled: str
) -> list[str]:
    """What the header says of what is handed on, and of what is left out."""
    sizes = dict(module.trace.sizes)

    def shown(name: str, shape: Shape, each: int) -> str:
        bytes_ = each * amount(shape)
        return f"{name} {shape_as_stated(shape)}, {bytes_} = {bytes_.at(sizes):,} bytes"

    items = "; ".join(shown(one.name, one.shape, one.each) for one in traces.held)
    total = traces.bytes.at(sizes)
    found = [
        f"Learning online hands on {total:,} bytes from step to step (in float32): {items}. A step "
        f"{step}; gradients from errors {pulled}."
    ]
    if traces.left_out:
        found.append(
            f"Left out of traces, by --locality {traces.eligibility.locality}: what goes from one "
            f"neuron to others by {', '.join(traces.left_out)}."
        )
    else:
        found.append("Nothing is left out: with errors of the same step, gradients are exact.")
    return found


def traces_metadata(module: ArrayModule, traces: ArrayEligibility) -> dict[str, Any]:
    """What `GRADGEN` says of it."""
    return {
        "held": {one.name: shape_as_stated(one.shape) for one in traces.held},
        "bytes": traces.bytes.at(dict(module.trace.sizes)),
        "formula": str(traces.bytes),
        "left_out": traces.left_out,
    }


def axes_of(shape: Shape) -> Doc:
    """A shape as the text has it: names, numbers, and pairs of a number and a name."""
    return tuple_of([axis(dim) for dim in shape])


def axis(dim: Dim) -> Doc:
    """An axis as the text has it."""
    found = multiple(dim)
    if found is None:
        return str(dim) if isinstance(dim, int) else quote(dim)
    if dim == LEADING:
        return quote("...")
    number, name = found
    return quote(name) if number == 1 else tuple_of([str(number), quote(name)])


def _sums(shapes: Iterable[Shape]) -> list[str]:
    """The line by which sizes that are sums are known, as those of axes `batch + 2`; or none."""
    dims = (dim for shape in shapes for dim in shape)
    sums = dict.fromkeys(d for d in dims if isinstance(d, str) and multiple(d) is None)
    items = [f"{quote(dim)}: {_from_known(dim)}" for dim in sums]
    return layout("sizes |= ", Group("{", tuple(items), "}"), "", 4) if items else []


def _from_known(dim: str) -> str:
    """The size of an axis, from those of the names in it."""
    names = names_in(dim)

    def looked_up(word: re.Match[str]) -> str:
        return f"sizes[{quote(word[0])}]" if word[0] in names else word[0]

    return re.sub(r"[^\W\d]\w*", looked_up, dim)


def _learned(module: ArrayModule) -> list[Input]:
    """What gradients are by."""
    states = {path for path, _ in module.trace.recurrence}
    return [i for i in module.trace.inputs if i.wrt and i.path not in states]


def _errors_body(module: ArrayModule, met: Sequence[str]) -> list[str]:
    """The errors at outputs, from the result's pytree."""
    trace = module.trace
    expressions = dict(accesses(trace.result, "cotangents", ""))
    given: list[Doc] = [expressions[path] for path in met]
    lines = nesting("cotangents", "cotangents", trace.result)
    return dedent([*lines, *layout("return ", tuple_of(given), "", 4)])


def _over_learned_body(module: ArrayModule, names: Names) -> list[str]:
    """The gradients in the containers of their arguments; classes are the caller's, who has them:
    what they hold is in dicts."""
    learned = {i.path: k for k, i in enumerate(_learned(module))}
    chosen = {path.split(".")[0] for path in learned}
    arguments = [a for a in module.trace.arguments if a.name in chosen]
    types = dict.fromkeys(classes_needed([a.structure for a in arguments]), "dict")

    def leaf(path: str) -> str:
        return f"values[{learned[path]}]" if path in learned else "None"

    trees = [construct(a.structure, leaf, types, a.name) for a in arguments]
    return dedent(layout("return ", tuple_of(trees), "", 4))


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" if line else line for line in lines)
