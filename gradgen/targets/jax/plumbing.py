"""The bodies of the functions around the programs: containers in and out, shapes, guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Atom, Const, Var, is_float
from gradgen.ir.module import Module
from gradgen.ir.pytree import Structure, hidden_paths
from gradgen.ir.results import Cotangent, Entry, EntrySoFar
from gradgen.ir.trace import Argument, Bound, Input, Trace
from gradgen.targets.jax.expressions import print_constant
from gradgen.targets.jax.layout import (
    Doc,
    Group,
    call,
    flat,
    layout,
    literal,
    prefixed,
    quote,
    tuple_of,
    unpack,
)
from gradgen.targets.jax.names import unique
from gradgen.targets.jax.ownership import users
from gradgen.targets.jax.pytrees import (
    accesses,
    arrays_in,
    classes_needed,
    construct,
    guards,
    paths_of,
    stacked,
    with_arrays_whole,
)
from gradgen.targets.jax.signatures import function_header


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


def flatten_body(trace: Trace, names: Names) -> list[str]:
    """The arguments taken apart, after the guards of what is bound; each leaf as it must be."""
    arguments, inputs = trace.arguments, {i.path: i for i in trace.inputs}
    lines = []
    leaves: list[Doc] = []
    given: list[Doc] = []
    for argument in arguments:
        name = users(argument.name)
        expressions = dict(accesses(argument.structure, name, argument.name))
        given += [e for p, e in expressions.items() if p in inputs]
        lines += [f"    {line}" for line in argument_guards(argument, expressions)]
        leaves += [
            call(leaf_guard(inputs[p]), [e, quote(p), *_limit(inputs[p], trace)])
            for p, e in expressions.items()
            if p in inputs
        ]
    if any(i.whole == "numbers" for i in trace.inputs):
        lines += _integers_guard(trace)
    result = call("_same_in_numpy", [tuple_of(leaves), tuple_of(given)])
    if trace.lone_integers:
        result = call("_beside_defaults", [result])
    if trace.precisions != "any":
        strong: list[Doc] = [quote(i.path) for i in trace.inputs if i.strong]
        known: list[Doc] = [quote(i.path) for i in trace.inputs]
        result = call("_uniform", [result, tuple_of(known), tuple_of(strong)])
    if names.types:
        leaves_name = unique("leaves", {argument.name for argument in arguments})
        lines += layout(f"{leaves_name} = ", result, "", 4)
        lines.append(f"    return {leaves_name}, {flat(tuple_of(names.type_sources))}")
    else:
        lines += layout("return ", result, "", 4)
    return dedent(lines)


def argument_guards(argument: Argument, expressions: Mapping[str, str]) -> list[str]:
    """The guards of an argument's containers, and of what is bound of it.

    `expressions` read its leaves, by path.
    """
    lines = list(guards(argument.structure, users(argument.name), argument.name))
    for bound in argument.bound:
        passed, expected = _compared(bound, expressions[bound.path])
        guard = f"_bound({passed}, {expected}, {quote(bound.path)})"
        if argument.default == "None" and bound.kind != "value":
            lines += [f"if {users(argument.name)} is not None:", f"    {guard}"]
        else:
            lines.append(guard)
    return lines


def _limit(leaf: Input, trace: Trace) -> list[Doc]:
    """The largest integer, where arithmetic with larger ones overflows."""
    small = trace.integer_limit < 2**31 - 1
    return [str(trace.integer_limit)] if leaf_guard(leaf) == "_integer" and small else []


def _integers_guard(trace: Trace) -> list[str]:
    """The guard of integers that might meet others before they meet a float."""
    passed = {
        p: e for a in trace.arguments for p, e in accesses(a.structure, users(a.name), a.name)
    }

    def those(inputs: Sequence[Input]) -> Doc:
        return tuple_of([passed[i.path] for i in inputs])

    results: list[Doc] = []
    for variables in trace.integer_results:
        inputs = [i for i in trace.inputs if i.variable in variables]
        paths = quote(", ".join(i.path for i in inputs))
        results.append(prefixed(f"{paths}: ", those(inputs)))
    arguments = [
        those([i for i in trace.inputs if i.whole == whole]) for whole in ("numbers", "arrays")
    ]
    return layout("", call("_integers", [*arguments, Group("{", tuple(results), "}")]), "", 4)


def leaf_guard(leaf: Input) -> str:
    """The function that makes an array of a leaf, and refuses what the step was not made for."""
    if not is_float(leaf.dtype):
        return "_truth_value" if leaf.dtype == "bool" else "_integer"
    return {"none": "_float", "numbers": "_number", "arrays": "_real"}[leaf.whole]


def _compared(bound: Bound, expression: str) -> tuple[str, str]:
    """What tells a passed value from the bound one: the value, or what is known of it."""
    if bound.kind == "value":
        return expression, flat(literal(bound.shown))
    if bound.kind == "function":
        return f'getattr({expression}, "__name__", None)', quote(bound.shown)
    if bound.kind == "object":
        return f"repr({expression})", quote(bound.shown)
    return f"type({expression}).__name__", quote(bound.shown)


def dedent(lines: Sequence[str]) -> list[str]:
    """Lines that were laid out at an indentation of four, without it."""
    return [line.removeprefix("    ") for line in lines]


def hold_constant(inputs: Sequence[Input], names: Names) -> str:
    """The function that guards leaves whose derivative was not generated."""
    held = {
        i.path: f"_constant({names.leaves[i.path]}, {quote(i.path)})"
        for i in inputs
        if is_float(i.dtype) and not i.wrt
    }
    about = ['"""Guard the leaves whose derivative was not generated."""']
    return _on_leaves("_hold_constant", about, inputs, names, held)


def without_effect(module: ArrayModule, names: Names) -> str:
    """The function that takes their tangents from leaves of the state by which all derivatives are
    zero; nothing if there are none."""
    found = dict(module.passes.backward.results)
    idle = {
        path: f"lax.stop_gradient({names.leaves[path]})"
        for path, _ in module.trace.recurrence
        if found.get(Cotangent(path)) == Const(0.0)
    }
    about = [
        '"""The leaves, without tangents of those by which all derivatives are zero: a loop',
        'would carry their cotangents all the way back."""',
    ]
    return _on_leaves("_without_effect", about, module.trace.inputs, names, idle) if idle else ""


def _on_leaves(
    function: str,
    about: Sequence[str],
    inputs: Sequence[Input],
    names: Names,
    changed: Mapping[str, str],
) -> str:
    """A function from the leaves to the same, some of which are `changed`, by their paths."""
    leaves = {i.path: names.leaves[i.path] for i in inputs}
    results: list[Doc] = [changed.get(path, leaf) for path, leaf in leaves.items()]
    return "\n".join(
        [
            function_header(function, [*leaves.values()]),
            *(f"    {line}" for line in about),
            *layout("return ", tuple_of(results), "", 4),
        ]
    )


def backward_body(module: Module | ArrayModule, names: Names, program: str) -> list[str]:
    """The rule of the drop-in function, by a program: a cotangent, or None, for every leaf."""
    inputs, outputs = module.trace.inputs, module.trace.outputs
    position = {output.path: k for k, output in enumerate(outputs)}
    used: list[Doc] = [f"cotangents[{position[path]}]" for path, _ in module.cotangents]
    targets = [f"d_{names.leaves[i.path]}" for i in inputs if i.wrt]
    pulled = call("_pull_back", [program, "kept", "primals", tuple_of(used)])
    lines = unpack(targets, pulled, 4)
    everything: list[Doc] = [f"d_{names.leaves[i.path]}" if i.wrt else "None" for i in inputs]
    return dedent([*lines, *layout("return ", tuple_of(everything), "", 4)])


def forward_body(inputs: Sequence[Input], names: Names, once: bool) -> list[str]:
    """The forward pass of the rule: the result, and what the backward pass is given.

    `once` says whether what is kept may not be differentiated a second time. Nothing has a name
    here, since a leaf may have any.
    """
    leaves = [names.leaves[i.path] for i in inputs]
    guarded: list[Doc] = [f"_once({leaf})" for leaf in leaves] if once else [*leaves]
    alike: list[Doc] = [f"_like({names.leaves[i.path]})" for i in inputs if i.wrt]
    kept = tuple_of([call("_residuals", guarded), tuple_of(alike)])
    result = tuple_of([call("_primal", leaves), kept])
    return dedent(layout("return ", result, "", 4))


def differentiated_leaves(inputs: Sequence[Input]) -> list[str]:
    """The leaves that are differentiated, from all."""
    chosen: list[Doc] = [f"leaves[{k}]" for k, i in enumerate(inputs) if i.wrt]
    found = "leaves" if len(chosen) == len(inputs) else tuple_of(chosen)
    return dedent(layout("differentiated = ", found, "", 4))


def nesting(expression: str, where: str, structure: Structure) -> list[str]:
    """The guard of how vectors are nested; a single one needs none."""
    structure = with_arrays_whole(structure)
    if structure.is_leaf:
        return []
    fielded = [*classes_needed([structure]), *paths_of("object", structure, where)]
    kinds = dict.fromkeys(fielded, "_Fields")
    kinds |= dict.fromkeys(paths_of("mapping", structure, where), "_Items")
    due = construct(structure, lambda path: "...", kinds, where)
    return layout("", call("_nested", [expression, due, quote(where)]), "", 4)


def cotangents_body(module: Module | ArrayModule | ArrayModule) -> list[str]:
    """The cotangents of the outputs that have a derivative, from the result's pytree."""
    trace = module.trace
    expressions = dict(accesses(trace.result, "cotangents", ""))
    number = {output.path: k for k, output in enumerate(trace.outputs)}
    floats = [output.path for output in trace.float_outputs]
    given: list[Doc] = [expressions[path] for path in floats]
    due: list[Doc] = [f"outputs[{number[path]}]" for path in floats]
    names: list[Doc] = [quote(path) for path in floats]
    lines = nesting("cotangents", "cotangents", trace.result)
    vectors = call("_vectors", [tuple_of(given), tuple_of(due), tuple_of(names)])
    used = [path for path, _ in module.cotangents]
    if used == floats:
        return dedent([*lines, *layout("return ", vectors, "", 4)])
    lines += layout("vectors = ", vectors, "", 4)
    chosen: list[Doc] = [f"vectors[{floats.index(path)}]" for path in used]
    return dedent([*lines, *layout("return ", tuple_of(chosen), "", 4)])


def over_arguments_body(
    trace: Trace | ArrayTrace, wrt: Sequence[Argument], names: Names
) -> list[str]:
    """The cotangents, in the pytrees of the arguments that are differentiated."""
    selected = [i.path for i in trace.inputs if i.wrt]
    local = {path: f"d_{names.leaves[path]}" for path in selected}
    lines = unpack([local[path] for path in selected], "values", 4)
    trees = [
        construct(a.structure, lambda path: local.get(path, "None"), names.types, a.name)
        for a in wrt
    ]
    return dedent([*lines, *layout("return ", tuple_of(trees), "", 4)])


def tangents_body(module: Module | ArrayModule) -> list[str]:
    """The tangents taken apart, after the guards of what is held constant."""
    arguments = module.trace.arguments
    by_path = {i.path: i for i in module.trace.inputs}
    lines: list[str] = []
    chosen: list[Doc] = []
    for argument in arguments:
        name = users(argument.name)
        expressions = dict(accesses(argument.structure, name, argument.name))
        leaves = [(by_path[p], e) for p, e in expressions.items() if p in by_path]
        held = [(i, e) for i, e in leaves if not i.wrt]
        if held and len(held) == len(leaves):
            lines.append(f"    _no_tangent({name}, {quote(argument.name)})")
        else:
            lines += nesting(name, argument.name, argument.structure)
            # what JAX does not see of an object is there in one of tangents, too
            unseen = {*hidden_paths(argument.structure, argument.name)}
            lines += [
                f"    _no_tangent({e}, {quote(i.path)})" for i, e in held if i.path not in unseen
            ]
        chosen += [e for i, e in leaves if i.wrt]
    return dedent([*lines, *layout("return ", tuple_of(chosen), "", 4)])


def pushed_tangents(inputs: Sequence[Input], pushed: Sequence[tuple[str, Var]]) -> list[str]:
    """Those of the checked tangents on which an output depends, by path and variable."""
    selected = [i.path for i in inputs if i.wrt]
    used = [path for path, _ in pushed]
    names: list[Doc] = [quote(path) for path in selected]
    arguments: list[Doc] = [
        '_flatten_tangents(*_passed(tangents, "tangents"))',
        "differentiated",
        tuple_of(names),
    ]
    lines = layout("tangents = ", call("_vectors", arguments), "", 4)
    if used != selected:
        chosen: list[Doc] = [f"tangents[{selected.index(path)}]" for path in used]
        lines += layout("tangents = ", tuple_of(chosen), "", 4)
    return dedent(lines)


def result_body(module: Module | ArrayModule, names: Names) -> list[str]:
    """The outputs, in the result's pytree."""
    outputs = list(names.outputs.values())
    tree = construct(module.trace.result, lambda path: names.outputs[path], names.types)
    return dedent([*unpack(outputs, "outputs", 4), *layout("return ", tree, "", 4)])


def full_tangents_body(trace: Trace | ArrayTrace, names: Names) -> list[str]:
    """The outputs' tangents in their shapes and dtypes; float0 where there can be none."""
    taken = {*names.outputs.values(), "outputs", "tangents"}
    tangents = {o.path: unique(f"t_{names.outputs[o.path]}", taken) for o in trace.float_outputs}

    def leaf(path: str) -> Doc:
        output = names.outputs[path]
        if path in tangents:
            return call("_full", [tangents[path], output])
        return call("np.zeros", [f"{output}.shape", "jax.dtypes.float0"])

    lines = unpack(list(names.outputs.values()), "outputs", 4)
    lines += unpack(list(tangents.values()), "tangents", 4)
    leaves = tuple_of([leaf(path) for path in names.outputs])
    return dedent([*lines, *layout("return ", leaves, "", 4)])


def still_body(trace: Trace | ArrayTrace, names: Names) -> list[str]:
    """The outputs, without tangents where JAX would not know of any."""
    held = trace.still

    def leaf(path: str) -> Doc:
        output = names.outputs[path]
        return call("lax.stop_gradient", [output]) if path in held else output

    lines = unpack(list(names.outputs.values()), "outputs", 4)
    leaves = tuple_of([leaf(path) for path in names.outputs])
    return dedent([*lines, *layout("return ", leaves, "", 4)])


def push_forward_body(module: Module | ArrayModule) -> list[str]:
    """The forward rule of the step on flat leaves: the result and its tangents."""
    inputs, used = module.trace.inputs, {path for path, _ in module.tangents}
    chosen: list[Doc] = [f"tangents[{k}]" for k, i in enumerate(inputs) if i.path in used]
    lines = []
    if len(chosen) < len(inputs):
        lines = layout("tangents = ", tuple_of(chosen), "", 4)
    lines.append("    outputs, pushed = _jvp(*primals, *tangents)")
    return dedent([*lines, "    return outputs, _full_tangents(outputs, pushed)"])


def eligible_keys(module: Module) -> list[str]:
    """For each pair (state, other input), the key of the derivative that is its next trace."""
    if module.traces is None:
        return []
    following = dict(module.trace.differentiated_state)
    items: list[Doc] = [
        prefixed(f"({quote(s)}, {quote(p)}): ", tuple_of([quote(following[s]), quote(p)]))
        for (s, p), _ in module.traces.eligible
    ]
    return after("_TRACES = ", Group("{", tuple(items), "}"))


def trace_keys(module: Module) -> list[str]:
    """The pairs (output, input) of the derivatives by all inputs so far."""
    if module.traces is None:
        return []
    results = module.traces.derivative.chosen.program.results
    keys = [key for key, _ in results if isinstance(key, EntrySoFar)]
    return after("_SO_FAR = ", tuple_of([_pair(key.output, key.input) for key in keys]))


def factor_keys(module: Module) -> list[str]:
    """The inputs that may be driven by presynaptic activity."""
    paths = [] if module.traces is None else [quote(path) for path, _ in module.traces.factors]
    return after("_DRIVEN = ", tuple_of(paths))


def after(name: str, value: Doc) -> list[str]:
    """A value as it is laid out after a name, without it."""
    lines = layout(name, value)
    return [lines[0].removeprefix(name), *lines[1:]]


def _entries(module: Module) -> list[tuple[str, str, Atom]]:
    """(output path, input path, value) of each structurally nonzero entry."""
    results = module.jacobian.chosen.program.results
    return [(key.output, key.input, atom) for key, atom in results if isinstance(key, Entry)]


def _pair(output: str, path: str) -> Doc:
    return f"({quote(output)}, {quote(path)})"


def entry_keys(module: Module) -> list[str]:
    """The pairs (output path, input path) of the structurally nonzero entries."""
    keys = [_pair(output, path) for output, path, _ in _entries(module)]
    return after("_ENTRIES = ", tuple_of(keys))


def jacobian_body(module: Module, wrt: Sequence[Argument], names: Names) -> list[str]:
    """The entries, nested as `jax.jacfwd` nests them."""
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
    arrays = arrays_in(module.trace.result)
    used: set[str] = set()

    def full(output: str, path: str) -> Doc:
        value = entries.get((output, path), "0.0")
        return call("_full", [value, names.outputs[output]])

    def row(output: str) -> Doc:
        array, outputs = arrays.get(output, (None, (output,)))
        if not differentiable.issuperset(outputs):
            return "None"
        used.update(outputs)

        def entry(path: str) -> Doc:
            if path not in selected:
                return "None"
            parts = [full(each, path) for each in outputs]
            return parts[0] if array is None else stacked(array, parts)

        return tuple_of([construct(a.structure, entry, names.types, a.name) for a in wrt])

    tree = construct(with_arrays_whole(module.trace.result), row, names.types)
    outputs = [name if path in used else "_" for path, name in names.outputs.items()]
    lines = unpack(outputs, "outputs", 4) + unpack(targets, "entries", 4)
    return dedent([*lines, *layout("return ", tree, "", 4)])
