"""What the templates arrange: every line of a generated module, by what it is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradgen.backend.imports import imports_of, sort_imports
from gradgen.backend.layout import Doc, Group, call, flat, layout, literal, quote, tuple_of, unpack
from gradgen.backend.metadata import metadata_lines, summary_lines
from gradgen.backend.names import identifier, name_inputs, name_variables, unique
from gradgen.backend.printer import Printer, print_constant
from gradgen.backend.pytrees import accesses, classes_needed, construct, constructors_of
from gradgen.ir.code import Atom, Const, Var, is_float
from gradgen.ir.module import Module
from gradgen.ir.program import Program, count_operations
from gradgen.ir.pytree import Structure
from gradgen.ir.trace import Argument, Input, Output

Context = dict[str, Any]


@dataclass(frozen=True)
class Names:
    """The names that all functions of a module share."""

    leaves: Mapping[str, str]
    """By input path."""
    outputs: Mapping[str, str]
    """By output path."""
    types: Mapping[str, str]
    """By class: the expression for the caller's own type of it."""
    type_sources: tuple[str, ...]
    """What `types` holds."""


def module_context(module: Module) -> Context:
    """Everything that the templates need."""
    trace, source = module.trace, module.source
    name = source.function
    by_variable = name_inputs(trace.inputs, reserved=("leaves", "types", name))
    outputs = _output_names(module, by_variable)
    passed = constructors_of(trace.arguments)
    names = Names(
        {i.path: by_variable[i.variable] for i in trace.inputs},
        outputs,
        {cls: f"types[{k}]" for k, cls in enumerate(passed)},
        tuple(passed.values()),
    )
    emit = _emitted(module)
    programs = _programs(module, by_variable, emit)
    has_types = bool(names.types)
    plain = _is_plain_tuple(trace.result, trace.outputs)
    constant = any(is_float(i.dtype) and not i.wrt for i in trace.inputs)
    needs = {
        "result": not plain,
        "jacobian": bool(
            {"value_and_jacobian", "jacobian", "jacobian_entries", "value_and_grad"} & set(emit)
        ),
        "constant": "f" in emit and constant,
        "tangent": "jvp" in emit and constant,
        "bound": any(argument.bound for argument in trace.arguments),
        "derivative": any("_derivative(" in line for p in programs for line in p["code"]),
        "float0": "jvp" in emit and len(trace.float_outputs) < len(trace.outputs),
    }
    needs["full"] = needs["jacobian"] or "jvp" in emit
    types = ", types" if has_types else ""
    containers = _containers(module, names)
    step = "_step(*_hold_constant(*leaves))" if constant else "_step(*leaves)"
    result_of = (lambda e: e) if plain else (lambda e: f"_result({e}{types})")
    wrt = _differentiated(trace.arguments, trace.inputs)
    return {
        "generator": module.generator,
        "source_name": module.source_name,
        "summary": summary_lines(module),
        "docstring": _escape(
            f"The exact derivative of `{name}`, generated from {module.source_name}."
        ),
        "metadata": "\n".join(metadata_lines(module)),
        "containers": containers,
        "default_containers": _default_containers(trace.arguments),
        "imports": _imports(module, programs, containers, needs),
        "name": name,
        "emit": emit,
        "needs": needs,
        "has_types": has_types,
        "types": types,
        "wrt": ", ".join(i.path for i in trace.inputs if i.wrt),
        "counts": {
            "jacobian": f"{module.jacobian.chosen.operations.total} operations",
            "vjp": f"{module.vjp.chosen.operations.total} operations",
            "jvp": f"{module.jvp.chosen.operations.total} operations",
        },
        "step_doc": _step_doc(module),
        "step_call": step,
        "result_of": result_of,
        "define": lambda function: "\n".join(_define(function, trace.arguments)),
        "define_tangents": "\n".join(_define_tangents(trace.arguments)),
        "flatten": lambda target: "\n".join(_flatten_statement(target, trace.arguments)),
        "flattened": "leaves, types" if has_types else "leaves",
        "flattened_leaves": "leaves, _" if has_types else "leaves",
        "programs": programs,
        "rule_body": "\n".join(
            layout("return ", call("_primal", tuple(names.leaves.values())), "", 4)
        ),
        "rule_signature": _function("_step", tuple(names.leaves.values())),
        "backward": _lines(_backward(module, names)),
        "hold_constant": _hold_constant(trace.inputs, names) if constant else "",
        "pulled": _lines(_pulled(trace.inputs, names)),
        "flatten_body": _lines(_flatten(trace.arguments, names)),
        "result_name": "cotangents",
        "cotangents_body": _lines(_cotangents(module)),
        "over_arguments_body": _lines(_over_arguments(trace, wrt, names)),
        "tangents_body": _lines(_tangents(module)),
        "result_tangents_body": _lines(_result_tangents(module, names)),
        "result_body": _lines(_result(module, names)),
        "entry_keys": "\n".join(_entry_keys(module)),
        "jacobian_body": _lines(_jacobian(module, wrt, names)),
    }


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" if line else line for line in lines)


def _emitted(module: Module) -> tuple[str, ...]:
    """The functions asked for; a gradient only where the output is one scalar."""
    single = module.trace.result.is_leaf
    return tuple(f for f in module.emit if f != "value_and_grad" or single)


def _output_names(module: Module, inputs: Mapping[Var, str]) -> dict[str, str]:
    labels = {label.variable: label.name for label in module.trace.labels if label.name}
    taken = set(inputs.values()) | {"outputs", "entries", "values", "types", "leaves", "tangents"}
    names = {}
    for output in module.trace.outputs:
        label = labels.get(output.atom) if isinstance(output.atom, str) else None
        wanted = label or ("out" if output.path == "out" else f"out_{output.path}")
        names[output.path] = unique(identifier(wanted), taken)
    return names


def _is_plain_tuple(result: Structure, outputs: Sequence[Output]) -> bool:
    """Whether the result is just the tuple of its leaves."""
    return (
        result.kind == "tuple"
        and all(child.is_leaf and child.kind != "none" for child in result.children)
        and len(result.children) == len(outputs)
    )


def _differentiated(arguments: Sequence[Argument], inputs: Sequence[Input]) -> tuple[Argument, ...]:
    chosen = {i.path.split(".")[0] for i in inputs if i.wrt}
    return tuple(argument for argument in arguments if argument.name in chosen)


def _define(function: str, arguments: Sequence[Argument]) -> list[str]:
    return layout("def ", call(function, _parameters(arguments)), ":")


def _default_name(argument: Argument) -> str:
    return f"_DEFAULT_{argument.name.upper()}"


def _default_containers(arguments: Sequence[Argument]) -> list[str]:
    """Default values that are containers, as constants of the module."""
    return [
        "\n".join(layout(f"{_default_name(a)} = ", literal(a.default)))
        for a in arguments
        if a.default is not None and not a.structure.is_leaf
    ]


def _parameters(arguments: Sequence[Argument], default: str | None = None) -> tuple[str, ...]:
    shown: list[str] = []
    keyword_only = False
    for argument in arguments:
        if argument.keyword_only and not keyword_only:
            shown.append("*")
            keyword_only = True
        value = argument.default
        if value is not None:
            value = flat(literal(value)) if argument.structure.is_leaf else _default_name(argument)
            value = default or value
        shown.append(argument.name if value is None else f"{argument.name}={value}")
    return tuple(shown)


def _define_tangents(arguments: Sequence[Argument]) -> list[str]:
    parameters = _parameters(arguments, default="None")
    return layout("def ", call("_flatten_tangents", parameters), ":")


def _function(name: str, parameters: Sequence[str]) -> str:
    return "\n".join(layout("def ", call(name, parameters), ":"))


def _flatten_statement(target: str, arguments: Sequence[Argument]) -> list[str]:
    passed = [f"{a.name}={a.name}" if a.keyword_only else a.name for a in arguments]
    return layout(f"{target} = ", call("_flatten", passed), "", 4)


def _flatten(arguments: Sequence[Argument], names: Names) -> list[str]:
    lines = []
    leaves: list[Doc] = []
    for argument in arguments:
        expressions = dict(accesses(argument.structure, argument.name, argument.name))
        for path, value in argument.bound:
            guard = f'    _bound({expressions[path]}, "{path}", {quote(value)})'
            if argument.default == "None" and path == argument.name:
                lines += [f"    if {argument.name} is not None:", f"    {guard}"]
            else:
                lines.append(guard)
        leaves += [f"jnp.asarray({e})" for p, e in expressions.items() if p in names.leaves]
    result = tuple_of(leaves)
    if names.types:
        lines += layout("leaves = ", result, "", 4)
        lines.append(f"    return leaves, {flat(tuple_of(names.type_sources))}")
    else:
        lines += layout("return ", result, "", 4)
    return _dedent(lines)


def _dedent(lines: Sequence[str]) -> list[str]:
    """Lines that were laid out at an indentation of four, without it."""
    return [line.removeprefix("    ") for line in lines]


def _hold_constant(inputs: Sequence[Input], names: Names) -> str:
    leaves = [names.leaves[i.path] for i in inputs]
    held: list[Doc] = [
        f'_constant({names.leaves[i.path]}, "{i.path}")'
        if is_float(i.dtype) and not i.wrt
        else names.leaves[i.path]
        for i in inputs
    ]
    return "\n".join(
        [
            _function("_hold_constant", leaves),
            '    """Guard the leaves whose derivative was not generated."""',
            *layout("return ", tuple_of(held), "", 4),
        ]
    )


def _backward(module: Module, names: Names) -> list[str]:
    inputs, outputs = module.trace.inputs, module.trace.outputs
    position = {output.path: k for k, output in enumerate(outputs)}
    used: list[Doc] = [f"cotangents[{position[path]}]" for path, _ in module.cotangents]
    targets = [f"d_{names.leaves[i.path]}" for i in inputs if i.wrt]
    lines = unpack(targets, call("_pull_back", ["leaves", tuple_of(used)]), 4)
    everything: list[Doc] = [f"d_{names.leaves[i.path]}" if i.wrt else "None" for i in inputs]
    return _dedent([*lines, *layout("return ", tuple_of(everything), "", 4)])


def _pulled(inputs: Sequence[Input], names: Names) -> list[str]:
    if all(i.wrt for i in inputs):
        return ["return tuple(map(_sum_to, values, leaves))"]
    chosen: list[Doc] = [f"leaves[{k}]" for k, i in enumerate(inputs) if i.wrt]
    return _dedent(
        [
            *layout("    differentiated = ", tuple_of(chosen), "", 0),
            "    return tuple(map(_sum_to, values, differentiated))",
        ]
    )


def _cotangents(module: Module) -> list[str]:
    expressions = dict(accesses(module.trace.result, "cotangents", ""))
    used: list[Doc] = [f"jnp.asarray({expressions[path]})" for path, _ in module.cotangents]
    return _dedent(layout("return ", tuple_of(used), "", 4))


def _over_arguments(trace: Any, wrt: Sequence[Argument], names: Names) -> list[str]:
    selected = [i.path for i in trace.inputs if i.wrt]
    local = {path: f"d_{names.leaves[path]}" for path in selected}
    lines = unpack([local[path] for path in selected], "values", 4)
    trees = [
        construct(a.structure, lambda path: local.get(path, "None"), names.types, a.name)
        for a in wrt
    ]
    return _dedent([*lines, *layout("return ", tuple_of(trees), "", 4)])


def _tangents(module: Module) -> list[str]:
    arguments = module.trace.arguments
    by_path = {i.path: i for i in module.trace.inputs}
    used = {path for path, _ in module.tangents}
    lines: list[str] = []
    chosen: list[Doc] = []
    for argument in arguments:
        expressions = dict(accesses(argument.structure, argument.name, argument.name))
        leaves = [(by_path[p], e) for p, e in expressions.items() if p in by_path]
        held = [(i, e) for i, e in leaves if not i.wrt and is_float(i.dtype)]
        if held and len(held) == len(leaves):
            lines.append(f'_no_tangent({argument.name}, "{argument.name}")')
        else:
            lines += [f'_no_tangent({e}, "{i.path}")' for i, e in held]
        chosen += [f"jnp.asarray({e})" for i, e in leaves if i.path in used]
    return _dedent(
        [*(f"    {line}" for line in lines), *layout("return ", tuple_of(chosen), "", 4)]
    )


def _result(module: Module, names: Names) -> list[str]:
    outputs = list(names.outputs.values())
    tree = construct(module.trace.result, lambda path: names.outputs[path], names.types)
    return _dedent([*unpack(outputs, "outputs", 4), *layout("return ", tree, "", 4)])


def _result_tangents(module: Module, names: Names) -> list[str]:
    trace = module.trace
    tangents = {o.path: f"t_{names.outputs[o.path]}" for o in trace.float_outputs}

    def leaf(path: str) -> Doc:
        output = names.outputs[path]
        if path in tangents:
            return call("_full", [tangents[path], output])
        return call("np.zeros", [f"{output}.shape", "jax.dtypes.float0"])

    lines = unpack(list(names.outputs.values()), "outputs", 4)
    lines += unpack(list(tangents.values()), "tangents", 4)
    tree = construct(trace.result, leaf, names.types)
    return _dedent([*lines, *layout("return ", tree, "", 4)])


def _entries(module: Module) -> list[tuple[str, str, Atom]]:
    """(output path, input path, value) of each structurally nonzero entry."""
    found = []
    for key, atom in module.jacobian.chosen.program.results:
        kind, _, rest = key.partition(":")
        if kind == "d":
            output, _, path = rest.partition(":")
            found.append((output, path, atom))
    return found


def _entry_keys(module: Module) -> list[str]:
    keys = [f'("{output}", "{path}")' for output, path, _ in _entries(module)]
    lines = layout("_ENTRIES = ", tuple_of(keys))
    return [lines[0].removeprefix("_ENTRIES = "), *lines[1:]]


def _jacobian(module: Module, wrt: Sequence[Argument], names: Names) -> list[str]:
    taken = set(names.outputs.values()) | {"outputs", "entries", "types"}
    entries: dict[tuple[str, str], str] = {}
    targets = []
    for output, path, atom in _entries(module):
        if isinstance(atom, Const):
            entries[output, path] = print_constant(atom).text
            targets.append("_")
        else:
            wanted = f"d{names.outputs[output]}_d{names.leaves[path]}"
            entries[output, path] = unique(wanted, taken)
            targets.append(entries[output, path])
    differentiable = {o.path for o in module.trace.float_outputs}
    selected = {i.path for i in module.trace.inputs if i.wrt}
    used: set[str] = set()

    def row(output: str) -> Doc:
        if output not in differentiable:
            return "None"
        used.add(output)

        def entry(path: str) -> Doc:
            if path not in selected:
                return "None"
            value = entries.get((output, path), "0.0")
            return call("_full", [value, names.outputs[output]])

        return tuple_of([construct(a.structure, entry, names.types, a.name) for a in wrt])

    tree = construct(module.trace.result, row, names.types)
    outputs = [name if path in used else "_" for path, name in names.outputs.items()]
    lines = unpack(outputs, "outputs", 4) + unpack(targets, "entries", 4)
    return _dedent([*lines, *layout("return ", tree, "", 4)])


def _containers(module: Module, names: Names) -> list[str]:
    """The user's containers that the generated file has to build by itself."""
    defaults = " ".join(a.default or "" for a in module.trace.arguments)
    needed = classes_needed([module.trace.result])
    return [
        container.text.rstrip()
        for container in module.source.containers
        if (container.name in needed and container.name not in names.types)
        or f"{container.name}(" in defaults
    ]


def _imports(
    module: Module,
    programs: Sequence[Context],
    containers: Sequence[str],
    needs: Mapping[str, bool],
) -> list[str]:
    code = [line for program in programs for line in program["code"]]
    found = {"import jax", "import jax.numpy as jnp"}
    if needs["constant"]:
        found.add("from functools import partial")
    if needs["float0"]:
        found.add("import numpy as np")
    if any(re.search(r"(?<![.\w])lax\.", line) for line in code):
        found.add("from jax import lax")
    found.update(imports_of(containers, module.source.text))
    return sort_imports(found)


def _programs(module: Module, inputs: Mapping[Var, str], emit: Sequence[str]) -> list[Context]:
    chosen: list[Context] = []
    cotangents = [v for _, v in module.cotangents]
    tangents = [v for _, v in module.tangents]
    if "f" in emit:
        doc = "The step itself, operation by operation as in the source"
        chosen.append(_program(module, module.primal, "_primal", doc, inputs))
    if {"value_and_jacobian", "jacobian", "jacobian_entries", "value_and_grad"} & set(emit):
        doc = "Outputs and Jacobian entries"
        program = module.jacobian.chosen.program
        chosen.append(_program(module, program, "_value_and_entries", doc, inputs))
    if "f" in emit or "vjp" in emit:
        doc = "Cotangents of the inputs from those of the outputs"
        extra = {v: f"ct_{path}" for path, v in module.cotangents}
        program = module.vjp.chosen.program
        chosen.append(_program(module, program, "_vjp", doc, inputs, cotangents, extra))
    if "jvp" in emit:
        doc = "Outputs and their tangents"
        extra = {v: f"t_{path}" for path, v in module.tangents}
        program = module.jvp.chosen.program
        chosen.append(_program(module, program, "_jvp", doc, inputs, tangents, extra))
    return chosen


def _program(
    module: Module,
    program: Program,
    function: str,
    doc: str,
    inputs: Mapping[Var, str],
    more: Sequence[Var] = (),
    more_names: Mapping[Var, str] | None = None,
) -> Context:
    """One straight-line program as a function on flat leaves."""
    taken = set(inputs.values())
    given = dict(inputs)
    labels = _output_labels(module)
    for variable in more:
        wanted = (more_names or {})[variable]
        prefix, _, path = wanted.partition("_")
        given[variable] = unique(identifier(f"{prefix}_{labels.get(path, path)}"), taken)
    names = name_variables(program, given)
    floats = [i.variable for i in module.trace.inputs if is_float(i.dtype)]
    printer = Printer(program, names, floats)
    sections = [{"title": title, "lines": lines} for title, lines in printer.sections()]
    groups: dict[str, list[Doc]] = {}
    outputs = {f"out:{o.path}": o for o in module.trace.outputs}
    for key, atom in program.results:
        text: Doc = printer.atom(atom)
        if isinstance(atom, Const) and key in outputs:
            text = _constant_output(outputs[key], atom, floats, names)
        groups.setdefault(key.partition(":")[0], []).append(text)
    tuples = [tuple_of(items) for items in groups.values()]
    returned = tuples[0] if len(tuples) == 1 else Group("", tuple(tuples), "")
    total = count_operations(program.instructions).total
    code = [line for _, lines in printer.sections() for line in lines]
    return {
        "signature": _function(function, [given[v] for v in program.inputs]),
        "doc": f"{doc}: {total} operations.",
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


def _output_labels(module: Module) -> dict[str, str]:
    """What to call the cotangent of an output, and the tangent of an input."""
    labels = {label.variable: label.name for label in module.trace.labels if label.name}
    found = {}
    for output in module.trace.outputs:
        label = labels.get(output.atom) if isinstance(output.atom, str) else None
        found[output.path] = label or output.path
    short = name_inputs(module.trace.inputs)
    found.update({i.path: short[i.variable] for i in module.trace.inputs})
    return found


def _constant_output(
    output: Output, value: Const, floats: Sequence[Var], names: Mapping[Var, str]
) -> Doc:
    """An output that is a number, in the shape and dtype that the source gives it."""
    dtype = f"{names[floats[0]]}.dtype"
    if not is_float(output.dtype):
        dtype = output.dtype if output.dtype in ("int", "bool") else f"jnp.{output.dtype}"
    number = print_constant(value).text
    if not output.spans_neurons:
        return f"jnp.asarray({number}, {dtype})"
    shapes = [f"jnp.shape({names[v]})" for v in floats]
    shape = shapes[0] if len(shapes) == 1 else f"jnp.broadcast_shapes({', '.join(shapes)})"
    return call("jnp.full", [shape, number, dtype])


def _step_doc(module: Module) -> str:
    source, trace = module.source, module.trace
    wrt = ", ".join(i.path for i in trace.inputs if i.wrt)
    total = module.vjp.chosen.operations.total
    added = f"Differentiable with respect to {wrt}: its backward pass takes {total} operations."
    doc = source.docstring
    if doc is None:
        return _escape(added)
    return (
        _escape("\n    ".join([*doc.strip().splitlines(), "", *_wrap(added)])).replace(
            "\n    \n", "\n\n"
        )
        + "\n    "
    )


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 84)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
