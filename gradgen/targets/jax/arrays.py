"""A module on arrays as text: the same templates as for neurons, but for shapes and guards."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from gradgen.ir.amounts import Amount
from gradgen.ir.array_counts import ArrayOperations, count_arrays
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.code import Var, is_float
from gradgen.ir.emitted import HVP
from gradgen.ir.graph import Order
from gradgen.ir.program import Program
from gradgen.ir.results import Kept, Result
from gradgen.ir.shapes import (
    DEFAULT_SIZE,
    Shape,
    axes_in,
    multiple,
    shape_as_stated,
)
from gradgen.targets.jax.array_jacobian import entries_of, entry_keys, jacobian_body
from gradgen.targets.jax.array_printing import ABOUT, printer_of
from gradgen.targets.jax.array_traces import (
    axes_of,
    traces_context,
    traces_metadata,
    traces_sentences,
)
from gradgen.targets.jax.context import docstring_with, module_frame
from gradgen.targets.jax.fronts import is_split, merging, numbers_of_own_axes, with_front
from gradgen.targets.jax.layout import (
    WIDTH,
    Doc,
    call,
    flat,
    layout,
    quote,
    statement,
    tuple_of,
)
from gradgen.targets.jax.metadata import assigned, precision_metadata, precision_sentences
from gradgen.targets.jax.names import unique
from gradgen.targets.jax.ownership import users
from gradgen.targets.jax.plumbing import (
    Names,
    argument_guards,
    backward_body,
    dedent,
    forward_body,
    without_effect,
)
from gradgen.targets.jax.pytrees import accesses
from gradgen.targets.jax.seal import UNSEALED
from gradgen.targets.jax.signatures import function_header
from gradgen.targets.jax.straight import Context, print_results
from gradgen.targets.jax.twins import without_twin

_NOT_HERE = (
    "entry_keys", "eligible_keys", "trace_keys", "factor_keys", "states", "jacobian_body",
    "learned", "left_out", "held_axes", "held_given", "held_met", "error_axes", "error_sums",
    "errors_body", "over_learned_body",
)  # fmt: skip
"""What modules have only where it is asked for, or on neurons."""


def array_context(module: ArrayModule) -> Context:
    """Everything that the templates need."""
    trace = module.trace
    counts = {name: counted(module, program) for name, program in module.programs.items()}
    frame = module_frame(module, axes_in(trace.shapes))
    names: Mapping[Var, str] = frame.pop("by_variable")
    needed = {name for f in module.functions for name in f.programs}
    programs, backward = without_twin(
        [
            _program(module, name, program, names, str(counts[name]))
            for name, program in module.programs.items()
            if name in needed
        ]
    )
    more = {}
    if module.traces is not None:
        more = traces_context(module, module.traces, frame["names"])
    if module.jacobian is not None:
        more |= {
            "entry_keys": "\n".join(entry_keys(module, module.jacobian)),
            "jacobian_body": "\n".join(jacobian_body(module, frame["names"])),
        }
    return frame | {
        "own_axes": numbers_of_own_axes(trace),
        "summary": _summary(module, counts),
        "metadata": "\n".join(_metadata(module)),
        "counts": {name: str(operations) for name, operations in counts.items()},
        "step_doc": _doc(module, counts),
        "own_rules": trace.own_rules,
        "precisions": "any",
        "forward": "\n".join(
            f"    {line}" for line in forward_body(trace.inputs, frame["names"], trace.own_rules)
        ),
        **dict.fromkeys(_NOT_HERE, ""),
        **more,
        "constant": any(is_float(i.dtype) and not i.wrt for i in trace.inputs),
        "differentiated_paths": "\n".join(
            layout("_DIFFERENTIATED = ", tuple_of([quote(i.path) for i in trace.inputs if i.wrt]))
        ),
        "gives_outputs": module.passes.gives_outputs,
        "without_effect": without_effect(module, frame["names"]),
        "default_floats": trace.default_floats,
        "default_integers": trace.default_integers,
        "low_precision": trace.low_precision,
        "single": trace.single,
        "leaves": "\n".join(_leaves(module)),
        "flatten_body": "\n".join(f"    {line}" for line in _flatten_body(module, frame["names"])),
        "programs": programs,
        "backward": "\n".join(
            f"    {line}" for line in backward_body(module, frame["names"], backward)
        ),
    }


def counted(module: ArrayModule, program: Program) -> ArrayOperations:
    """The operations of one of a module's programs, at the sizes that it records."""
    return count_arrays(program, module.shapes, dict(module.trace.sizes))


def _summary(module: ArrayModule, counts: Mapping[str, ArrayOperations]) -> list[str]:
    trace, pulled = module.trace, module.pulled
    sizes = dict(trace.sizes)
    axes = axes_in(trace.shapes)
    at = ", ".join(f"{axis} = {sizes.get(axis, DEFAULT_SIZE)}" for axis in axes)
    sentences = [
        f"{trace.function}, on arrays: counted at {at}." if at else f"{trace.function}, on arrays.",
        *precision_sentences(trace),
        f"The function itself {_with_formula(counts['primal'])}; value and vector-Jacobian "
        f"product {_with_formula(counts['vjp'])}, {pulled.plan.muls:,} multiplications of them in "
        f"its accumulation by {_elimination(pulled.plan.order.found_by)} (reverse "
        f"{pulled.sweep.muls:,}).",
        *_measured(module),
        f"Training keeps {_bytes(module.keeps, module)}, in float32, and the backward pass takes "
        f"{_with_formula(counts['backward'])}.",
    ]
    if (second := module.second) is not None:
        sentences.append(
            f"Hessian-vector product {_with_formula(counts[HVP])}, {second.pushed.plan.muls:,} "
            f"multiplications of them in its accumulation by "
            f"{_elimination(second.pushed.plan.order.found_by)} (forward sweep over JAX's gradient "
            f"{second.pushed.sweep.muls:,})."
        )
    if module.takes is not None:
        sentences.append(
            f"Loops over time run {_through_time(module)}; the gradient takes about "
            f"{_bytes(module.takes, module)}."
        )
    if (jacobian := module.jacobian) is not None:
        order = jacobian.plan.order
        proof = ", proved optimal" if order.proved_optimal else ""
        modes = "; ".join(f"{mode} {muls:,}" for mode, muls in jacobian.modes)
        sentences.append(
            f"The Jacobian's entries {_with_formula(counts['value_and_jacobian'])}, "
            f"{jacobian.plan.muls:,} multiplications of them in its accumulation by "
            f"{_elimination(order.found_by)}{proof}{f' ({modes})' if modes else ''}."
        )
    if module.traces is not None:
        taken = (_with_formula(counts[name]) for name in ("traces", "traces_pulled"))
        sentences += traces_sentences(module, module.traces, *taken)
    return [line for sentence in sentences for line in textwrap.wrap(sentence, 86)]


def _measured(module: ArrayModule) -> list[str]:
    """What it comes to by the objective, where that is not multiplications."""
    if (price := module.price) is not None:
        return [f"Price by {price.by}: {price.told()}."]
    return [f"Its accumulation: {module.measured}."] if module.measured else []


def _through_time(module: ArrayModule) -> str:
    """Step by step, or in which blocks."""
    blocks = [loop.blocks for loop in module.blocks if loop.blocks is not None]
    sizes = " and ".join(dict.fromkeys(str(found.size) for found in blocks))
    return f"in blocks of {sizes} steps" if blocks else "step by step"


def _elimination(found_by: str) -> str:
    """`reverse elimination`, or how another order was found."""
    if found_by in ("reverse", "forward", "markowitz"):
        return f"{found_by} elimination"
    return f"elimination in an order found by {found_by}"


def _bytes(taken: Amount, module: ArrayModule) -> str:
    number, formula = f"{taken.at(dict(module.trace.sizes)):,} bytes", str(taken)
    return number if formula.isdigit() else f"{number} ({formula})"


def _with_formula(operations: ArrayOperations) -> str:
    number = str(operations)
    return number if operations.formula.isdigit() else f"{number} ({operations.formula})"


def _doc(module: ArrayModule, counts: Mapping[str, ArrayOperations]) -> str:
    wrt = ", ".join(i.path for i in module.trace.inputs if i.wrt)
    return docstring_with(
        module.source,
        f"Differentiable with respect to {wrt}: training keeps {module.passes.bytes:,} bytes (in "
        f"float32, at the sizes in the header), and the backward pass takes {counts['backward']}.",
    )


def _metadata(module: ArrayModule) -> list[str]:
    trace = module.trace
    content: dict[str, Any] = {
        "version": module.generator.rpartition(" ")[2],
        "source": module.source_name,
        "function": module.source.function,
        "digest": f"sha256:{module.source.digest}",
    }
    if module.imports:
        content["imports"] = {path: f"sha256:{digest}" for path, digest in module.imports}
    content["text"] = UNSEALED
    if module.options:
        content["options"] = dict(module.options)
    if module.price is not None:
        content["prices"] = module.price.prices.recorded
    content |= {
        "mode": "arrays",
        "shapes": {
            i.path: shape_as_stated(shape)
            for i, shape in zip(trace.inputs, trace.shapes, strict=True)
            if shape
        },
        "sizes": dict(trace.sizes),
        "wrt": tuple(i.path for i in trace.inputs if i.wrt),
        **precision_metadata(trace),
        "orders": {name: _order(order) for name, order in module.recipe.orders},
        "counts": array_counts_of(module),
    }
    if module.jacobian is not None:
        content["entries"] = entries_of(module.jacobian)
    if module.traces is not None:
        content["traces"] = traces_metadata(module, module.traces)
    return assigned(content)


def array_counts_of(module: ArrayModule) -> dict[str, dict[str, Any]]:
    """The operations of every program, by name, at the recorded sizes and as formulas."""
    counts: dict[str, dict[str, Any]] = {
        name: dict(counted(module, program).as_dict()) for name, program in module.programs.items()
    }
    counts["vjp"]["accumulation"] = {
        "muls": module.pulled.plan.muls,
        "adds": module.pulled.plan.adds,
        "reverse": module.pulled.sweep.muls,
    }
    if module.objective != "muls":
        plans = {"chosen": module.pulled.plan, "reverse": module.pulled.sweep}
        found = {name: plan.count(module.objective) for name, plan in plans.items()}
        counts["vjp"][module.objective] = found
    if (price := module.price) is not None:
        costs = {"chosen": price.chosen, "reverse": price.reverse}
        units = {name: price.prices.in_units(cost) for name, cost in costs.items()}
        counts["vjp"]["price"] = units
    counts["residuals"]["kept"] = {"bytes": module.passes.bytes, "formula": str(module.keeps)}
    if module.takes is not None:
        counts["vjp"]["memory"] = {"bytes": module.memory, "formula": str(module.takes)}
    if (second := module.second) is not None:
        plan = second.pushed.plan
        counts[HVP]["accumulation"] = {
            "muls": plan.muls,
            "adds": plan.adds,
            "forward": second.pushed.sweep.muls,
        }
    if (jacobian := module.jacobian) is not None:
        counts["value_and_jacobian"]["accumulation"] = {
            "muls": jacobian.plan.muls,
            "adds": jacobian.plan.adds,
            **dict(jacobian.modes),
        }
    return counts


def _order(order: Order) -> dict[str, Any]:
    """An order as the text has it: the name of a plain mode, or steps and how they were found."""
    found: dict[str, Any] = {"graph": order.fingerprint, "order": order.steps or order.found_by}
    if order.steps:
        found["found_by"] = order.found_by
    if order.proved_optimal:
        found["proved_optimal"] = True
    return found


def _leaves(module: ArrayModule) -> list[str]:
    """What the text knows of each leaf: its path, its axes and its kind."""
    trace = module.trace
    rows: list[Doc] = [
        tuple_of([quote(i.path), axes_of(shape), quote(i.dtype)])
        for i, shape in zip(trace.inputs, trace.shapes, strict=True)
    ]
    lines = layout("_LEAVES = ", tuple_of(rows))
    return [lines[0].removeprefix("_LEAVES = "), *lines[1:]]


def _flatten_body(module: ArrayModule, names: Names) -> list[str]:
    trace = module.trace
    lines, leaves = [], []
    paths = {i.path for i in trace.inputs}
    for argument in trace.arguments:
        name = users(argument.name)
        expressions = dict(accesses(argument.structure, name, argument.name))
        lines += argument_guards(argument, expressions)
        leaves += [e for p, e in expressions.items() if p in paths]
    fitted = call("_fitted", [tuple_of(leaves)])
    if not names.types:
        return [*lines, *dedent(layout("return ", fitted, "", 4))]
    kept = unique("leaves", {argument.name for argument in trace.arguments})
    types = flat(tuple_of(names.type_sources))
    fitting = dedent(layout(f"{kept} = ", fitted, "", 4))
    return [*lines, *fitting, f"return {kept}, {types}"]


def _program(
    module: ArrayModule,
    name: str,
    program: Program,
    inputs: Mapping[Var, str],
    counted: str,
) -> Context:
    """One straight-line program as a function on flat leaves."""
    trace = module.trace_of(name)
    function, about = ABOUT[name]
    axes = set(axes_in(module.shapes.values()))
    printer, named = printer_of(module, name, program, inputs)
    sections = [
        {"title": title, "lines": [part for line in lines for part in _wrapped(line)]}
        for title, lines in printer.sections()
    ]
    shapes = {v: s for v, s in module.shapes.items() if v in program.inputs}
    front = unique("front", {*inputs.values(), *axes, *named.values()})
    groups: dict[type[Result], list[Doc]] = {}
    for key, atom in program.results:
        value = printer.atom(atom)
        split = is_split(key, atom, trace)
        groups.setdefault(type(key), []).append(call("_split", [value, front]) if split else value)
    if name == "residuals":
        groups.setdefault(Kept, [])  # beside the function's value, of a loop, there is a tuple
    returned = print_results(list(groups.values()))
    text = "\n".join([line for section in sections for line in section["lines"]] + returned)
    used = sorted(axis for axis in axes if re.search(rf"(?<![.\w]){axis}\b", text))
    sizes = [_size_of(axis, program, shapes, named) for axis in used]
    if sizes:
        sections.insert(0, {"title": "sizes", "lines": sizes})
    given_front = with_front(module, name, program)
    in_front = merging(module, given_front, named, front, [text, *sizes])
    if in_front:
        sections.insert(0, {"title": "the axes in front as one", "lines": in_front})
    parameters = [named[v] for v in program.inputs]
    return {
        "function": function,
        "parameters": parameters,
        "signature": function_header(function, parameters),
        "doc": f"{about}: {counted}.",
        "sections": sections,
        "returned": "\n".join(returned),
    }


def _wrapped(line: str) -> list[str]:
    """A line of a function's body, in several where it is too long."""
    if len(line) <= WIDTH - 4:
        return [line]
    own = line.lstrip()
    return dedent(statement(own, 4 + len(line) - len(own)))


def _size_of(
    axis: str, program: Program, shapes: Mapping[Var, Shape], named: Mapping[Var, str]
) -> str:
    """The statement that tells the size of an axis from what a program is given."""
    for variable in program.inputs:
        for k, dim in enumerate(shapes.get(variable, ())):
            if dim == axis:
                return f"{axis} = {named[variable]}.shape[{k}]"
    for variable in program.inputs:
        for k, dim in enumerate(shapes.get(variable, ())):
            found = multiple(dim)
            if found is not None and found[1] == axis:
                return f"{axis} = {named[variable]}.shape[{k}] // {found[0]}"
    raise AssertionError(f"no argument of the program tells the size of {axis}")
