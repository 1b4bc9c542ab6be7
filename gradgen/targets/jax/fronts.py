"""The axes in front that `...` stands for: as many as an argument has, and one in programs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Atom, Const, Var
from gradgen.ir.program import Program
from gradgen.ir.results import OutputValue, Result, Tangent
from gradgen.ir.shapes import LEADING, own_axes
from gradgen.targets.jax.layout import Doc, flat, tuple_of


def numbers_of_own_axes(trace: ArrayTrace) -> str:
    """How many axes each differentiated leaf has behind those in front; empty if none has such."""
    if not any(LEADING in shape for shape in trace.shapes):
        return ""
    shapes = zip(trace.inputs, trace.shapes, strict=True)
    numbers: list[Doc] = [str(len(own_axes(shape))) for i, shape in shapes if i.wrt]
    return flat(tuple_of(numbers))


def is_split(key: Result, atom: Atom, trace: ArrayTrace) -> bool:
    """Whether a result has one axis in place of those in front; what is a number has none."""
    if isinstance(atom, Const) or not isinstance(key, OutputValue | Tangent):
        return False
    shapes = dict(zip((o.path for o in trace.outputs), trace.output_shapes, strict=True))
    return LEADING in shapes[key.output]


def with_front(module: ArrayModule, name: str, program: Program) -> list[Var]:
    """What a program is given with all axes in front; what was kept has one already."""
    leaves = [] if name == "backward" else [i.variable for i in module.trace.inputs]
    given = (*leaves, *(v for _, v in (*module.cotangents, *module.tangents)))
    return [v for v in given if v in program.inputs and LEADING in module.shapes[v]]


def merging(
    module: ArrayModule,
    given: Sequence[Var],
    named: Mapping[Var, str],
    front: str,
    text: Collection[str],
) -> list[str]:
    """Statements that make those axes one, of what the text reads; `front` is what they were."""
    code = "\n".join(text)
    lines: list[str] = []
    for variable in given:
        own, name = len(own_axes(module.shapes[variable])), named[variable]
        if not lines and re.search(rf"\b{front}\b", code):
            lines.append(f"{front} = {name}.shape" + (f"[:-{own}]" if own else ""))
        if re.search(rf"(?<![.\w]){name}\b", code):
            lines.append(f"{name} = _merged({name}, {own})")
    return lines
