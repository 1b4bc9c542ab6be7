"""The straight-line programs as functions on flat leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradgen.ir.code import Atom, Const, Var, is_float
from gradgen.ir.emitted import HVP, PROGRAMS, EmittedProgram, stands_on
from gradgen.ir.module import Module, Passes
from gradgen.ir.program import Program, count_operations
from gradgen.ir.references import DEFAULT
from gradgen.ir.results import OutputValue, Result
from gradgen.ir.trace import Output, Trace
from gradgen.targets.jax.expressions import print_constant
from gradgen.targets.jax.layout import Doc, Group, call, returned, tuple_of
from gradgen.targets.jax.names import identifier, name_variables, renewed, unique
from gradgen.targets.jax.numbers import forms_in
from gradgen.targets.jax.printer import Printer
from gradgen.targets.jax.signatures import function_header

Context = dict[str, Any]


def straight_line_functions(module: Module, inputs: Mapping[Var, str]) -> list[Context]:
    """The programs that the emitted functions stand on, as the templates want them."""
    needed = stands_on(function.name for function in module.functions)
    vectors = _vector_names(module, inputs)
    made = module.programs
    traces = {} if module.second is None else {HVP: module.second.trace}
    return [
        _program(
            module,
            traces.get(program.name, module.trace),
            program,
            made[program.name],
            inputs,
            vectors,
        )
        for program in PROGRAMS.values()
        if program.name in needed and program.name in made
    ]


def _vector_names(module: Module, inputs: Mapping[Var, str]) -> dict[Var, str]:
    """What the inputs that programs have beside those of the step would best be called."""
    short = {i.path: inputs[i.variable] for i in module.trace.inputs}
    called = _output_names(module, inputs)
    names = {v: f"ct_{called[path]}" for path, v in module.cotangents}
    names |= {v: f"t_{short[path]}" for path, v in module.tangents}
    if module.second is not None:
        names |= {v: f"t_{short[path]}" for path, v in module.second.tangents}
    if module.traces is not None:
        names |= {v: f"d{short[s]}_d{short[path]}" for (s, path), v in module.traces.eligible}
        names |= {v: f"by_{short[path]}" for path, v in module.traces.factors}
    return names


def _program(
    module: Module,
    trace: Trace,
    emitted: EmittedProgram,
    program: Program,
    inputs: Mapping[Var, str],
    vectors: Mapping[Var, str],
) -> Context:
    """One straight-line program, of what was traced, as a function on flat leaves."""
    whole, passes = program, module.passes
    floats = [i.variable for i in trace.inputs if is_float(i.dtype)]
    if passes is not None and program in (passes.forward, passes.backward):
        whole = passes.whole  # a value has one name in both
    if passes is not None and program is passes.backward:
        floats = _floats_kept(module, passes)
    taken = set(inputs.values())
    given = dict(inputs)
    for variable in whole.inputs:
        if variable not in given:
            given[variable] = unique(identifier(vectors[variable]), taken)
    names = name_variables(program, name_variables(whole, given))
    follows, single = dict(trace.follows), trace.single
    printer = Printer(
        program, names, floats, follows, single=single, forms=forms_in(module.source.text)
    )
    sections = [{"title": title, "lines": lines} for title, lines in printer.sections()]
    groups: dict[type[Result], list[Doc]] = {}
    outputs = {o.path: o for o in trace.outputs}
    shaped = _shaped_by(program)
    for key, atom in program.results:
        text: Doc = printer.atom(atom)
        if isinstance(key, OutputValue):
            has = shaped.get(atom, frozenset())
            text = _output(outputs[key.output], atom, has, trace, names)
        groups.setdefault(type(key), []).append(text)
    counted = count_operations(program.instructions)
    parameters = [names[v] for v in program.inputs]
    return {
        "function": emitted.function,
        "parameters": parameters,
        "signature": function_header(emitted.function, parameters),
        "doc": f"{emitted.about}: {counted}.",
        "sections": sections,
        "returned": "\n".join(print_results(list(groups.values()))),
    }


def _floats_kept(module: Module, passes: Passes) -> list[Var]:
    """The inputs of the backward pass whose dtype a conversion may follow."""
    dtypes = {i.target: i.dtype for i in passes.whole.instructions}
    dtypes |= {i.variable: i.dtype for i in module.trace.inputs}
    return [v for v in passes.kept if dtypes[v] == "float"] + [v for _, v in module.cotangents]


def print_results(groups: Sequence[Sequence[Doc]]) -> list[str]:
    """The statement that returns results: a tuple of each sort."""
    tuples = [tuple_of(items) for items in groups] or [tuple_of([])]
    return returned(tuples[0] if len(tuples) == 1 else Group("", tuple(tuples), ""), 4)


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
