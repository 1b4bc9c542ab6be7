"""The straight-line programs as functions on flat leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradgen.ir.code import Atom, Const, Var, is_float
from gradgen.ir.module import Module, Passes
from gradgen.ir.program import Program, count_operations
from gradgen.ir.references import DEFAULT
from gradgen.ir.trace import Output, Trace
from gradgen.targets.jax.layout import Doc, Group, call, layout, tuple_of
from gradgen.targets.jax.names import identifier, name_variables, renewed, unique
from gradgen.targets.jax.printer import Printer, print_constant
from gradgen.targets.jax.signatures import function_header

Context = dict[str, Any]


def straight_line_functions(
    module: Module, inputs: Mapping[Var, str], emit: Sequence[str]
) -> list[Context]:
    """The programs that the emitted functions stand on, as the templates want them."""
    chosen: list[Context] = []
    cotangents = [v for _, v in module.cotangents]
    tangents = [v for _, v in module.tangents]
    if {"f", "forward", "vjp"} & set(emit):
        doc = "The step itself, operation by operation as in the source"
        chosen.append(_program(module, module.primal, "_primal", doc, inputs))
    if {"value_and_jacobian", "jacobian", "jacobian_entries", "value_and_grad"} & set(emit):
        doc = "Outputs and Jacobian entries"
        program = module.jacobian.chosen.program
        chosen.append(_program(module, program, "_value_and_entries", doc, inputs))
    called = _output_names(module, inputs)
    extra = {v: f"ct_{called[path]}" for path, v in module.cotangents}
    if module.passes is not None:
        chosen += _passes(module, module.passes, inputs, extra)
    if "vjp" in emit:
        doc = "Cotangents of the inputs from those of the outputs"
        program = module.vjp.chosen.program
        chosen.append(_program(module, program, "_vjp", doc, inputs, cotangents, extra))
    if "jvp" in emit or "forward" in emit:
        doc = "Outputs and their tangents"
        short = {i.path: inputs[i.variable] for i in module.trace.inputs}
        extra = {v: f"t_{short[path]}" for path, v in module.tangents}
        program = module.jvp.chosen.program
        chosen.append(_program(module, program, "_jvp", doc, inputs, tangents, extra))
    if "traces" in emit and module.traces is not None:
        doc = "Outputs and their derivatives by all inputs so far"
        short = {i.path: inputs[i.variable] for i in module.trace.inputs}
        traces = module.traces
        extra = {v: f"d{short[s]}_d{short[path]}" for (s, path), v in traces.eligible}
        extra |= {v: f"by_{short[path]}" for path, v in traces.factors}
        program = traces.derivative.chosen.program
        chosen.append(_program(module, program, "_traces", doc, inputs, list(extra), extra))
    return chosen


def _passes(
    module: Module, passes: Passes, inputs: Mapping[Var, str], cotangents: Mapping[Var, str]
) -> list[Context]:
    """What is kept for the backward pass, and that pass; a value has one name in both."""
    taken = set(inputs.values())
    given = {**inputs, **{v: unique(identifier(n), taken) for v, n in cotangents.items()}}
    names = name_variables(passes.whole, given)
    dtypes = {i.target: i.dtype for i in passes.whole.instructions}
    dtypes |= {i.variable: i.dtype for i in module.trace.inputs}
    floats = [v for v in passes.kept if dtypes[v] == "float"] + list(cotangents)
    doc = "What the backward pass is given"
    back = "Cotangents of the inputs from those of the outputs and what was kept"
    return [
        _program(module, passes.forward, "_residuals", doc, names),
        _program(module, passes.backward, "_cotangents", back, names, floats=floats),
    ]


def _program(
    module: Module,
    program: Program,
    function: str,
    doc: str,
    inputs: Mapping[Var, str],
    more: Sequence[Var] = (),
    more_names: Mapping[Var, str] | None = None,
    floats: Sequence[Var] | None = None,
) -> Context:
    """One straight-line program as a function on flat leaves.

    `floats` are the inputs whose dtype a conversion may follow, by default the step's.
    """
    taken = set(inputs.values())
    given = dict(inputs)
    for variable in more:
        given[variable] = unique(identifier((more_names or {})[variable]), taken)
    names = name_variables(program, given)
    if floats is None:
        floats = [i.variable for i in module.trace.inputs if is_float(i.dtype)]
    follows = dict(module.trace.follows)
    printer = Printer(program, names, floats, follows)
    sections = [{"title": title, "lines": lines} for title, lines in printer.sections()]
    groups: dict[str, list[Doc]] = {}
    outputs = {f"out:{o.path}": o for o in module.trace.outputs}
    shaped = _shaped_by(program)
    for key, atom in program.results:
        text: Doc = printer.atom(atom)
        if key in outputs:
            has = shaped.get(atom, frozenset())
            text = _output(outputs[key], atom, has, module.trace, names)
        groups.setdefault(key.partition(":")[0], []).append(text)
    tuples = [tuple_of(items) for items in groups.values()] or [tuple_of([])]
    returned = tuples[0] if len(tuples) == 1 else Group("", tuple(tuples), "")
    counted = count_operations(program.instructions)
    code = [line for _, lines in printer.sections() for line in lines]
    return {
        "signature": function_header(function, [given[v] for v in program.inputs]),
        "doc": f"{doc}: {counted}.",
        "sections": sections,
        "code": code,
        "returned": "\n".join(_returned(returned)),
    }


def _returned(value: Doc) -> list[str]:
    if isinstance(value, Group) and value.opening == "":
        line = f"    return {value.flat()}"
        if len(line) <= 88:
            return [line]
        return layout("return ", Group("(", value.items, ")"), "", 4)
    return layout("return ", value, "", 4)


def _output_names(module: Module, inputs: Mapping[Var, str]) -> dict[str, str]:
    """What each output is called, by its path: `v_new` where an input is `v`."""
    labels = {label.variable: label.name for label in module.trace.labels if label.name}
    names = {}
    for output in module.trace.outputs:
        label = labels.get(output.atom) if isinstance(output.atom, str) else None
        names[output.path] = renewed(label or output.path, inputs.values())
    return names


def _shaped_by(program: Program) -> dict[Atom, frozenset[Var]]:
    """The inputs whose axes each variable has."""
    shaped: dict[Atom, frozenset[Var]] = {v: frozenset((v,)) for v in program.inputs}
    for instruction in program.instructions:
        if instruction.op != "finfo":
            parts = [shaped[a] for a in instruction.operands if a in shaped]
            shaped[instruction.target] = frozenset().union(*parts)
    return shaped


def _output(
    output: Output,
    value: Atom,
    has: frozenset[Var],
    trace: Trace,
    names: Mapping[Var, str],
) -> Doc:
    """An output in the shape and dtype that the source gives it, which may say more than the value.

    `has` are the inputs whose axes the value has.
    """
    inputs = trace.inputs
    needed = output.shaped_by | has
    if output.spans_neurons and not needed:
        needed = frozenset(i.variable for i in inputs)
    text = names[value] if isinstance(value, str) else _number(output, value, trace, names)
    if has.issuperset(needed):
        return text
    shapes = [f"jnp.shape({names[i.variable]})" for i in inputs if i.variable in needed]
    shape = shapes[0] if len(shapes) == 1 else call("jnp.broadcast_shapes", shapes)
    return call("jnp.broadcast_to", [text, shape])


def _number(output: Output, value: Const, trace: Trace, names: Mapping[Var, str]) -> str:
    number = print_constant(value).text
    if not is_float(output.dtype):
        dtype = output.dtype if output.dtype in ("int", "bool") else f"jnp.{output.dtype}"
    elif value.dtype not in ("weak", "float"):
        return number
    elif output.dtype == "weak":
        return f"jnp.asarray({number})"
    else:
        first = next(i.variable for i in trace.inputs if is_float(i.dtype))
        followed = dict(trace.follows).get(output.path, first)
        dtype = "float" if followed == DEFAULT else f"{names[followed]}.dtype"
    return f"jnp.asarray({number}, {dtype})"
