"""The programs of a module on arrays as text: their names, and those of their variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.code import Var, is_float
from gradgen.ir.program import Program
from gradgen.ir.shapes import axes_in
from gradgen.targets.jax.context import module_frame
from gradgen.targets.jax.names import identifier, name_variables, renewed, unique
from gradgen.targets.jax.numbers import forms_in
from gradgen.targets.jax.printer import Printer, Statement

_BACK = "Cotangents of the inputs from those of the outputs"
ABOUT = {
    "primal": ("_primal", "The function itself, operation by operation as in the source"),
    "residuals": ("_residuals", "What the backward pass is given"),
    "backward": ("_cotangents", f"{_BACK} and what was kept"),
    "vjp": ("_vjp", _BACK),
    "jvp": ("_jvp", "Outputs and their tangents"),
    "hvp": ("_hvp", "Tangents of the gradient"),
    "gradient": ("_value_and_gradient", "The result and its gradient"),
    "value_and_jacobian": ("_value_and_entries", "Outputs and the terms of Jacobian entries"),
    "traces_start": ("_traces_start", "Zeros in the shapes of what a step hands on"),
    "traces": ("_traces", "Outputs, and what the step hands on from what it is given"),
    "traces_pulled": ("_traces_pulled", "Gradients from errors and what the step handed on"),
}  # fmt: skip
"""What each program is called, and what it computes."""


@dataclass(frozen=True)
class Printed:
    """One of a module's programs as the text has it."""

    function: str
    """What it is called."""
    statements: tuple[Statement, ...]
    names: Mapping[Var, str]
    """Of its variables."""


def printed(module: ArrayModule, name: str) -> Printed:
    """A program by the name of its counts."""
    inputs = module_frame(module, axes_in(module.trace.shapes))["by_variable"]
    printer, names = printer_of(module, name, module.programs[name], inputs)
    printer.sections()
    return Printed(ABOUT[name][0], tuple(printer.statements), names)


def printer_of(
    module: ArrayModule, name: str, program: Program, inputs: Mapping[Var, str]
) -> tuple[Printer, Mapping[Var, str]]:
    """What prints a program, and the names of its variables."""
    trace = module.trace
    whole = module.passes.whole if name in ("residuals", "backward") else program
    if module.traces is not None and program is module.traces.pulled:
        whole = module.traces.whole
    axes = set(axes_in(module.shapes.values()))
    taken = {*inputs.values(), *axes}
    given = dict(inputs)
    short = {i.path: inputs[i.variable] for i in trace.inputs}
    labels = {label.variable: label.name for label in trace.labels if label.name}
    called = {
        o.path: renewed(labels.get(str(o.atom)) or o.path, inputs.values()) for o in trace.outputs
    }
    wanted = {v: f"ct_{called[path]}" for path, v in module.cotangents}
    wanted |= {v: f"t_{short[path]}" for path, v in module.tangents}
    if module.traces is not None:
        wanted |= {h.given: h.name for h in module.traces.held if h.given is not None}
    for variable in whole.inputs:
        if variable not in given:
            given[variable] = unique(identifier(wanted[variable]), taken)
    reserved = {f"%{axis}": axis for axis in axes}
    named = name_variables(program, name_variables(whole, given | reserved))
    floats = _floats(module, program)
    forms = forms_in(module.source.text)
    return Printer(program, named, floats, single=trace.single, forms=forms), named


def _floats(module: ArrayModule, program: Program) -> list[Var]:
    """The float inputs of a program that have axes, as those are never weakly typed; or all."""
    trace = module.trace
    dtypes = {i.variable: i.dtype for i in trace.inputs}
    dtypes |= {i.target: i.dtype for i in module.passes.whole.instructions}
    if module.traces is not None:
        dtypes |= {i.target: i.dtype for i in module.traces.whole.instructions}
    shapes = module.shapes
    found = [v for v in program.inputs if is_float(dtypes.get(v, "float"))]
    return [v for v in found if shapes.get(v, ())] or found
