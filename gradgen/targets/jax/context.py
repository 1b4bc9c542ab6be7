"""What the templates arrange: every line of a generated module, by what it is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var, is_float
from gradgen.ir.module import Module, Passes
from gradgen.ir.pytree import Structure
from gradgen.ir.source import Source
from gradgen.ir.trace import Argument, Input, Output, Trace
from gradgen.targets.jax.imports import imports_of
from gradgen.targets.jax.layout import call, layout
from gradgen.targets.jax.metadata import metadata_lines, summary_lines
from gradgen.targets.jax.names import identifier, name_inputs, unique
from gradgen.targets.jax.ownership import users, users_code
from gradgen.targets.jax.plumbing import (
    Names,
    backward_body,
    cotangents_body,
    differentiated_leaves,
    eligible_keys,
    entry_keys,
    factor_keys,
    flatten_body,
    forward_body,
    full_tangents_body,
    hold_constant,
    jacobian_body,
    over_arguments_body,
    push_forward_body,
    pushed_tangents,
    result_body,
    still_body,
    tangents_body,
    trace_keys,
)
from gradgen.targets.jax.pytrees import classes_needed, constructors_of, object_classes, paths_of
from gradgen.targets.jax.signatures import (
    default_containers,
    define,
    define_tangents,
    flatten_statement,
    function_header,
)
from gradgen.targets.jax.straight import Context, straight_line_functions
from gradgen.targets.jax.twins import without_twin


def module_context(module: Module) -> Context:
    """Everything that the templates need."""
    trace = module.trace
    frame = module_frame(module)
    names: Names = frame["names"]
    wrt = _differentiated(trace.arguments, trace.inputs)
    programs, backward = without_twin(straight_line_functions(module, frame["by_variable"]))
    return frame | {
        "summary": summary_lines(module),
        "metadata": "\n".join(metadata_lines(module)),
        "own_rules": trace.own_rules,
        "precisions": trace.precisions,
        "counts": {
            name: str(derivative.chosen.operations)
            for name, derivative in module.derivatives.items()
        },
        "step_doc": "" if module.passes is None else _step_doc(module, module.passes),
        "programs": programs,
        "backward": _lines(backward_body(module, names, backward)),
        "forward": _lines(forward_body(trace.inputs, names, trace.own_rules)),
        "flatten_body": _lines(flatten_body(trace, names)),
        "entry_keys": "\n".join(entry_keys(module)),
        "eligible_keys": "\n".join(eligible_keys(module)),
        "trace_keys": "\n".join(trace_keys(module)),
        "factor_keys": "\n".join(factor_keys(module)),
        "states": _escape(", ".join(path for path, _ in trace.differentiated_state)),
        "jacobian_body": _lines(jacobian_body(module, wrt, names)),
    }


def module_frame(module: Module | ArrayModule, reserved: Sequence[str] = ()) -> Context:
    """What the templates need of any module: its interface, and containers in and out.

    Leaves have other names than the `reserved` ones.
    """
    trace, source = module.trace, module.source
    name = source.name
    by_variable = name_inputs(trace.inputs, reserved=("leaves", "types", name, *reserved))
    outputs = _output_names(trace, by_variable)
    passed = constructors_of(trace.arguments)
    types = {cls: f"types[{k}]" for k, cls in enumerate(passed)}
    names = Names(
        {i.path: by_variable[i.variable] for i in trace.inputs},
        outputs,
        types | {cls: types[path] for cls, path in object_classes(trace.arguments).items()},
        tuple(passed.values()),
    )
    has_types = bool(names.types)
    plain = _is_plain_tuple(trace.result, trace.outputs)
    constant = any(is_float(i.dtype) and not i.wrt for i in trace.inputs)
    wrt = _differentiated(trace.arguments, trace.inputs)
    required = [k for k, a in enumerate(trace.arguments, start=1) if a.default is None]
    least, most = max(required, default=0), len(trace.arguments)
    with_types = ", types" if has_types else ""
    containers = _containers(module, names)
    imported = imports_of(containers, source.text)
    guarded = "*_hold_constant(*leaves)" if constant else "*leaves"
    result_of = (lambda e: e) if plain else (lambda e: f"_result({e}{with_types})")
    still = (lambda e: f"_still({e})") if trace.still else (lambda e: e)
    shown = "".join(c if c.isprintable() else "?" for c in module.source_name)
    chosen = _escape(", ".join(i.path for i in trace.inputs if i.wrt))
    return {
        "by_variable": by_variable,
        "names": names,
        "generator": module.generator,
        "source_name": shown,
        "docstring": _escape(f"The exact derivative of `{name}`, generated from {shown}."),
        "containers": [users_code(text, imported) for text in containers],
        "imported": imported,
        "default_containers": default_containers(trace.arguments),
        "name": users(name),
        "has_types": has_types,
        "has_mappings": any(list(paths_of("mapping", a.structure, "")) for a in trace.arguments),
        "has_keyword_only": any(a.keyword_only for a in trace.arguments),
        "types": with_types,
        "wrt": chosen,
        "guarded": guarded,
        "result_of": result_of,
        "still": still,
        "still_body": _lines(still_body(trace, names)),
        "define": lambda function: "\n".join(define(function, trace.arguments)),
        "define_tangents": "\n".join(define_tangents(trace.arguments)),
        "flatten": lambda target: "\n".join(flatten_statement(target, trace.arguments)),
        "flattened": "leaves, types" if has_types else "leaves",
        "flattened_leaves": "leaves, _" if has_types else "leaves",
        "rule_body": "\n".join(
            layout("return ", call("_primal", tuple(names.leaves.values())), "", 4)
        ),
        "rule_signature": lambda rule: function_header(rule, tuple(names.leaves.values())),
        "hold_constant": hold_constant(trace.inputs, names),
        "differentiated": _lines(differentiated_leaves(trace.inputs)),
        "least": str(least),
        "most": str(most),
        "arguments_in_words": f"{most} arguments"
        if least == most
        else f"{least} to {most} arguments",
        "raised": _raised,
        "cotangents_body": _lines(cotangents_body(module)),
        "over_arguments_body": _lines(over_arguments_body(trace, wrt, names)),
        "tangents_body": _lines(tangents_body(module)),
        "pushed_tangents": _lines(pushed_tangents(trace.inputs, module.tangents)),
        "pushed_twice": _lines(pushed_tangents(trace.inputs, _pushed_twice(module))),
        "full_tangents_body": _lines(full_tangents_body(trace, names)),
        "push_forward_body": _lines(push_forward_body(module)),
        "plain": plain,
        "result_body": _lines(result_body(module, names)),
    }


def _pushed_twice(module: Module | ArrayModule) -> tuple[tuple[str, Var], ...]:
    """The tangents that the Hessian-vector product reads: on arrays, all of them."""
    if module.second is None or isinstance(module, ArrayModule):
        return module.tangents
    return module.second.tangents


def _raised(indent: int, kind: str, message: str) -> str:
    """A statement that raises an error, in as many lines as the message takes."""
    return "\n".join(layout("raise ", call(kind, [message]), "", indent))


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" if line else line for line in lines)


def _output_names(trace: Trace | ArrayTrace, inputs: Mapping[Var, str]) -> dict[str, str]:
    labels = {label.variable: label.name for label in trace.labels if label.name}
    taken = set(inputs.values()) | {"outputs", "entries", "values", "types", "leaves", "tangents"}
    names = {}
    for output in trace.outputs:
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


def _containers(module: Module | ArrayModule, names: Names) -> list[str]:
    """The user's containers that the generated file has to build by itself."""
    defaults = " ".join(a.default or "" for a in module.trace.arguments)
    needed = classes_needed([module.trace.result])
    return [
        container.text.rstrip()
        for container in module.source.containers
        if (container.name in needed and container.name not in names.types)
        or f"{container.name}(" in defaults
    ]


def _step_doc(module: Module, passes: Passes) -> str:
    wrt = ", ".join(i.path for i in module.trace.inputs if i.wrt)
    return docstring_with(
        module.source,
        f"Differentiable with respect to {wrt}: in training it keeps {passes.bytes} bytes a neuron "
        f"and step (in float32), and its backward pass takes {passes.operations}.",
    )


def docstring_with(source: Source, added: str) -> str:
    """The source's docstring and a sentence more, as it stands in the drop-in function.

    Where the source returns the function that is differentiated, or assigns to its instance, it
    says so.
    """
    doc = source.docstring
    if source.returned:
        added = f"Takes the arguments of {source.name} and of the function it returns. {added}"
    if source.assigned:
        paths = ", ".join(f"{source.instance}.{path}" for path in source.assigned)
        added = (
            f"Assigns nothing: the next values of {paths} are a dict after what "
            f"{source.function} returns. {added}"
        )
    if doc is None:
        return _escape("\n    ".join(_wrap(added)))
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
