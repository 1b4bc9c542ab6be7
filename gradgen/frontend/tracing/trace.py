"""Traces a step function on scalars, twice, and writes down the partials of what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradgen.errors import GradgenError
from gradgen.frontend.tracing import control as _control  # noqa: F401  (registers handlers)
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing import movement as _movement  # noqa: F401
from gradgen.frontend.tracing import rules as _rules  # noqa: F401
from gradgen.frontend.tracing.arguments import Leaf, Signature
from gradgen.frontend.tracing.interpret import Interpreter, Tensor
from gradgen.frontend.tracing.labels import label_variables
from gradgen.frontend.tracing.load import importable, located
from gradgen.frontend.tracing.merge import Merging, merge_dtype, merge_tapes
from gradgen.frontend.tracing.partials import emit_partial
from gradgen.frontend.tracing.result import read_result
from gradgen.frontend.tracing.strength import promoted_by_constants, strengthen
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.builder import Builder
from gradgen.ir.code import (
    Atom,
    Const,
    DType,
    Instruction,
    Var,
    is_float,
    is_zero,
    live_code,
    substitute,
)
from gradgen.ir.identity import stable_names
from gradgen.ir.source import Source
from gradgen.ir.trace import Elemental, Input, Output, Trace

_NEURONS = 3


@dataclass(frozen=True)
class _Recording:
    """What one tracing gives: the tape, the result, and for each of its leaves atoms and dtype."""

    tape: Tape
    result: Any
    """The user's pytree, holding tracers."""
    outputs: list[Tensor]
    dtypes: list[DType]


def trace(source: Source, function: Callable[..., Any], signature: Signature) -> Trace:
    """The step function as straight-line code on scalars, with its elemental partials.

    Raises GradgenError for whatever cannot be traced, with its line in the source.
    """
    single = _record(source, function, signature, "float32")
    double = _record(source, function, signature, "float64")
    inputs = _inputs(source, signature.leaves)
    reference = next((i.variable for i in inputs if i.dtype == "float"), None)
    if reference is None:
        raise _without_floats(source)
    merging = Merging(reference)
    tape = merge_tapes(single.tape, double.tape, merging, source.path)
    atoms: list[Atom] = []
    for a, b in zip(single.outputs, double.outputs, strict=True):
        merged = merging.atom(a[()], b[()])
        if not isinstance(merged, str | Const):
            raise GradgenError("an output is a machine constant", path=source.path)
        atoms.append(merged)
    dtypes = [merge_dtype(a, b) for a, b in zip(single.dtypes, double.dtypes, strict=True)]
    result, paths = read_result(source, double.result)
    promoted = _promoted(source, function, signature, double.tape)
    primal, values = _clean(inputs, tape.primal, promoted)
    outputs = tuple(
        Output(path, values.get(atom, atom) if isinstance(atom, str) else atom, dtype)
        for path, atom, dtype in zip(paths, atoms, dtypes, strict=True)
    )
    if not any(is_float(output.dtype) for output in outputs):
        raise GradgenError(
            f"'{source.function}' returns no float",
            hint="a derivative needs a float output; return the membrane potential or the like",
            path=source.path,
            line=source.position.line,
        )
    partials, elementals = _differentiate(source, tape, inputs, primal, outputs, values)
    needed = [o.atom for o in outputs] + [v for e in elementals for v, _ in e.partials]
    needed += [atom for e in elementals for _, atom in e.partials]
    needed += [variable for i in partials for variable in i.variables]
    primal = live_code(primal, needed)
    return Trace(
        function=source.function,
        arguments=signature.arguments,
        inputs=inputs,
        result=result,
        outputs=outputs,
        primal=primal,
        partials=partials,
        elementals=elementals,
        labels=label_variables(source, tape, primal, values),
        inlined_jit=tape.inlined_jit,
    )


def _promoted(
    source: Source, function: Callable[..., Any], signature: Signature, double: Tape
) -> frozenset[Var]:
    """What strongly typed numbers make wider than the inputs are."""
    try:
        half = _record(source, function, signature, "bfloat16", with_rules=False)
    except GradgenError:
        # the source does not run in low precision, so nobody can see the difference
        return frozenset()
    return promoted_by_constants(double.primal, half.tape.primal)


def _inputs(source: Source, leaves: Sequence[Leaf]) -> tuple[Input, ...]:
    names = dict(source.leaf_names)
    dtypes = {"float": "float", "int": "int32", "bool": "bool"}
    return tuple(
        Input(
            f"x{i}",
            leaf.path,
            names.get(leaf.path, leaf.path.rpartition(".")[2]),
            dtypes[leaf.kind],
            leaf.wrt,
        )
        for i, leaf in enumerate(leaves)
    )


def _without_floats(source: Source) -> GradgenError:
    return GradgenError(
        f"'{source.function}' has no float argument",
        hint="a derivative needs a float to differentiate against",
        path=source.path,
        line=source.position.line,
    )


def _record(
    source: Source,
    function: Callable[..., Any],
    signature: Signature,
    working: str,
    shape: tuple[int, ...] = (),
    tape: Tape | None = None,
    neurons: dict[Var, int] | None = None,
    with_rules: bool = True,
) -> _Recording:
    """Trace once, on leaves of the given shape."""
    tape = Tape() if tape is None else tape
    jax_dtypes = {"float": working, "int": "int32", "bool": "bool"}
    with jax_compat.x64(working == "float64"), importable(Path(source.path).parent):
        avals = [jax_compat.shaped(shape, jax_dtypes[leaf.kind]) for leaf in signature.leaves]
        results: list[Any] = []

        def flat(*leaves: Any) -> Any:
            results.append(signature.call(function, leaves))
            return jax.tree.leaves(results[-1])

        closed = _make_jaxpr(source, flat, avals, working)
        interpreter = Interpreter(
            tape, working, source.path, with_rules=with_rules, neurons=neurons
        )
        operands: list[Tensor] = []
        for i in range(len(avals)):
            tensor = np.empty(shape, object)
            for k, index in enumerate(np.ndindex(shape)):
                tensor[index] = f"x{i}" if shape == () else f"x{i}.{k}"
            operands.append(tensor)
        outputs = interpreter.run(closed, operands)
        dtypes = [interpreter.dtype(aval) for aval in closed.out_avals]
    return _Recording(tape, results[-1], outputs, dtypes)


def _make_jaxpr(
    source: Source, flat: Callable[..., Any], avals: Sequence[Any], working: str
) -> Any:
    try:
        return jax.make_jaxpr(flat)(*avals)
    except GradgenError:
        raise
    except jax.errors.ConcretizationTypeError as error:
        raise located(
            source.path,
            error,
            f"'{source.function}' branches in Python on a value that is only known at run time",
            "use jnp.where or jax.lax.cond; bind an argument that is a plain setting with "
            "--static NAME=VALUE",
        ) from error
    except Exception as error:
        first = (str(error).strip() or "no message").split("\n", 1)[0]
        raise located(
            source.path,
            error,
            f"'{source.function}' cannot be traced on scalars: {type(error).__name__}: {first}",
            "each argument is traced as one float; say otherwise with a comment such as "
            "'# gradgen: example state=(v, i) params={tau}', or with --example FILE:FUNCTION",
        ) from error


def _clean(
    inputs: Sequence[Input], code: Sequence[Instruction], strong: frozenset[Var]
) -> tuple[tuple[Instruction, ...], dict[Var, Atom]]:
    """Merge common subexpressions, drop conversions among floats; nothing changes a bit."""
    builder = Builder("x")
    values: dict[Var, Atom] = {}
    dtypes: dict[Var, DType] = {i.variable: i.dtype for i in inputs}
    for instruction in code:
        moved = substitute(instruction, values)
        if instruction.target in strong:
            moved = strengthen(moved)
        if instruction.op == "convert" and instruction.dtype in ("float", "weak"):
            (operand,) = moved.operands
            kind = operand.dtype if isinstance(operand, Const) else dtypes[operand]
            if kind in ("float", "weak") or isinstance(operand, Const):
                values[instruction.target] = operand
                continue
        atom = builder.emit_exactly(moved)
        assert atom is not None
        values[instruction.target] = atom
        if isinstance(atom, str):
            dtypes[atom] = instruction.dtype
    return tuple(builder.instructions), values


def _differentiate(
    source: Source,
    tape: Tape,
    inputs: Sequence[Input],
    primal: tuple[Instruction, ...],
    outputs: Sequence[Output],
    values: dict[Var, Atom],
) -> tuple[tuple[Instruction, ...], tuple[Elemental, ...]]:
    """The partials of every operation between a differentiated input and a float output."""
    builder = Builder("p", primal)
    custom: dict[Var, Elemental] = {}
    spliced = dict(values)
    rule_code = {i.target: i for i in tape.partials}
    for call in tape.custom:
        target = values.get(call.target, call.target)
        if isinstance(target, str):
            custom[target] = call
    active = {i.variable for i in inputs if i.wrt}
    dtypes = {i.variable: i.dtype for i in inputs}
    elementals: list[Elemental] = []
    on_path = _reaching(primal, custom, values, outputs)
    done: set[Var] = set()

    def splice(root: Atom) -> Atom:
        if isinstance(root, Const):
            return root
        code = live_code((i for i in rule_code.values()), [root])
        for instruction in code:
            if instruction.target not in done:
                done.add(instruction.target)
                moved = substitute(instruction, spliced)
                spliced[instruction.target] = _rule_instruction(builder, moved)
        return spliced.get(root, root)

    for instruction in primal:
        target = instruction.target
        if target not in on_path or not is_float(instruction.dtype):
            continue
        found: list[tuple[Var, Atom]] = []
        if target in custom:
            operation = custom[target].operation
            for operand, partial in custom[target].partials:
                variable = values.get(operand, operand)
                if isinstance(variable, str) and variable in active:
                    found.append((variable, splice(partial)))
        else:
            operation = instruction.op
            for slot, operand_atom in enumerate(instruction.operands):
                if isinstance(operand_atom, str) and operand_atom in active:
                    partial = _partial(source, tape, builder, instruction, slot, dtypes)
                    found.append((operand_atom, partial))
        nonzero = tuple((variable, atom) for variable, atom in found if not is_zero(atom))
        if nonzero:
            active.add(target)
            elementals.append(Elemental(target, operation, nonzero))
    roots = [atom for e in elementals for _, atom in e.partials]
    return live_code(builder.instructions, roots), tuple(elementals)


def _rule_instruction(builder: Builder, instruction: Instruction) -> Atom:
    if instruction.op == "copy":
        return instruction.operands[0]
    among_floats = instruction.op == "convert" and instruction.dtype in ("float", "weak")
    if among_floats and instruction.attribute("from") == "float":
        return instruction.operands[0]
    return builder.emit_instruction(instruction)


def _partial(
    source: Source,
    tape: Tape,
    builder: Builder,
    instruction: Instruction,
    slot: int,
    inputs: Mapping[Var, DType],
) -> Atom:
    try:
        return emit_partial(builder, instruction, slot, inputs)
    except NotImplementedError as error:
        place = tape.frames.get(instruction.target, ())
        raise GradgenError(
            f"JAX has no derivative of the primitive '{instruction.op}'",
            hint="hold its operands constant with jax.lax.stop_gradient, or give it a "
            "jax.custom_jvp rule",
            path=source.path,
            line=place[-1].line if place else None,
            column=place[-1].column if place else 0,
        ) from error


def _reaching(
    primal: Sequence[Instruction],
    custom: dict[Var, Elemental],
    values: dict[Var, Atom],
    outputs: Sequence[Output],
) -> set[Var]:
    """The variables on which a float output depends."""
    reaching = {o.atom for o in outputs if isinstance(o.atom, str) and is_float(o.dtype)}
    for instruction in reversed(primal):
        if instruction.target not in reaching:
            continue
        if instruction.target in custom:
            operands = [values.get(v, v) for v, _ in custom[instruction.target].partials]
        else:
            operands = list(instruction.operands)
        reaching.update(a for a in operands if isinstance(a, str))
    return reaching


def spans_neurons(
    source: Source, function: Callable[..., Any], signature: Signature
) -> tuple[bool, ...] | None:
    """Make sure the function does the same for each of several neurons as for one.

    It is traced once more on an axis of neurons. Returns for each output leaf whether it has that
    axis, or None where the function does not run on arrays at all, so that it can only be vmapped.
    Raises GradgenError, naming the primitive, where neurons are mixed.
    """
    paths = {f"x{i}": leaf.path for i, leaf in enumerate(signature.leaves)}
    population = {f"{name}.{k}": path for name, path in paths.items() for k in range(_NEURONS)}
    tape = Tape()
    owners = {name: int(name.rpartition(".")[2]) for name in population}
    try:
        many = _record(
            source, function, signature, "float64", (_NEURONS,), tape, owners, with_rules=False
        )
    except GradgenError as error:
        if "cannot be traced" in error.message or "branches in Python" in error.message:
            return None
        raise
    one = _record(source, function, signature, "float64", with_rules=False)
    alone = stable_names(one.tape.primal, paths, calls_count=False)
    among = stable_names(tape.primal, population, calls_count=False)
    spans = []
    for number, (single, several) in enumerate(zip(one.outputs, many.outputs, strict=True)):
        expected = _name(single[()], alone)
        for index in np.ndindex(several.shape):
            if _name(several[index], among) != expected:
                raise _differs(source, number)
        spans.append(several.shape != ())
    return tuple(spans)


def _name(atom: Atom, names: dict[Var, str]) -> str:
    return repr(atom.value) if isinstance(atom, Const) else names[atom]


def _differs(source: Source, number: int) -> GradgenError:
    return GradgenError(
        f"output {number} of '{source.function}' is not the same function of one neuron and of "
        "each neuron of a population",
        hint="it depends on how many neurons there are, or on a neuron's number; if the source is "
        "meant for one neuron and is vmapped by its callers, say so with --per-neuron",
        path=source.path,
        line=source.position.line,
        column=source.position.column,
    )
