"""Traces a function on arrays, once per precision, and writes down what it does.

Where it fits float32 alone, or is asked to, it is traced in that, and the code is for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.arrays import control as _control  # noqa: F401  (registers handlers)
from gradgen.frontend.arrays.dims import shape_of
from gradgen.frontend.arrays.linear import PartialWriter
from gradgen.frontend.arrays.precisions import (
    DTypeDependenceError,
    for_all_precisions,
    names_float32,
)
from gradgen.frontend.arrays.reading import Reading
from gradgen.frontend.arrays.stated import Stated
from gradgen.frontend.reading.directives import is_in_float32
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.blame import first_line, place_of, users_code
from gradgen.frontend.tracing.derivable import rules_fit_float64
from gradgen.frontend.tracing.labels import label_variables
from gradgen.frontend.tracing.load import importable_beside
from gradgen.frontend.tracing.others import Doing, returned
from gradgen.frontend.tracing.recording import NOT_KNOWN, binding, not_known
from gradgen.frontend.tracing.result import read_result
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.array_trace import (
    ArrayElemental,
    ArrayTrace,
    Operator,
    Part,
    Passed,
    read_by,
)
from gradgen.ir.builder import Builder
from gradgen.ir.code import WORKING, Atom, Const, DType, Instruction, Var, is_float, live_code
from gradgen.ir.loops import ITEM, LOOP, loop_of, nested
from gradgen.ir.pytree import Structure
from gradgen.ir.shapes import Shape
from gradgen.ir.source import Source
from gradgen.ir.trace import Input, Output

Call = Callable[..., Any]


def trace_arrays(
    source: Source,
    function: Call,
    signature: Signature,
    stated: Stated,
    chosen: frozenset[str] | None = None,
) -> ArrayTrace:
    """The function as straight-line code on arrays, with the partials of its operations.

    `chosen` are the paths to differentiate by; None for those that are usual for the function.
    Raises GradgenError for whatever cannot be traced, with its line in the source.
    """
    if chosen is None:
        chosen = _differentiated(source, function, signature, stated)
    single = _trace(source, function, signature, stated, "float32", chosen)
    try:
        if is_in_float32(source):
            return _in_float32(single)
        double = _trace(source, function, signature, stated, "float64", chosen)
        wrt = [k for k, i in enumerate(double.inputs) if i.wrt]
        if double.own_rules and not rules_fit_float64(
            source, function, signature, stated.avals, wrt
        ):
            return _in_float32(single)
    except GradgenError:
        return _in_float32(single)
    try:
        merged, machine = for_all_precisions(single, double)
    except DTypeDependenceError as error:
        if names_float32(double):
            return _in_float32(single)
        raise error_in(
            source,
            f"'{source.function}' computes with {error} in float32 than in float64",
            hint="one text is for every precision: pass what depends on it as an argument, but for "
            "jnp.finfo(x.dtype); or have one for float32 alone, with --dtype float32",
        ) from None
    follows = _follows(source, function, signature, stated, "float32", True, machine)
    found = replace(
        merged,
        default_floats=not follows,
        low_precision=_follows(source, function, signature, stated, "bfloat16", False),
    )
    found.check()
    return found


def _in_float32(single: ArrayTrace) -> ArrayTrace:
    found = replace(single, single=True)
    found.check()
    return found


def _trace(
    source: Source,
    function: Call,
    signature: Signature,
    stated: Stated,
    working: str,
    chosen: frozenset[str],
) -> ArrayTrace:
    with jax_compat.x64(working == "float64"), importable_beside(source.path):
        inputs = _inputs(source, signature, stated, chosen)
        given = tuple(shape_of(aval.shape) for aval in stated.avals(working))
        reading, value, atoms, dtypes, shapes = _read(
            source, function, signature, stated, working, inputs
        )
        result, paths = read_result(source, value, signature)
        outputs = tuple(map(Output, paths, atoms, dtypes))
        derived = _differentiate(reading, inputs, outputs)
        needed: list[Atom] = [*atoms, *read_by(derived.partials, derived.elementals)]
        primal = live_code(reading.builder.instructions, needed)
        tape = Tape(primal=list(primal), frames=reading.frames)
        return ArrayTrace(
            function=source.function,
            arguments=signature.arguments,
            inputs=inputs,
            shapes=given,
            result=result,
            outputs=outputs,
            output_shapes=shapes,
            primal=primal,
            partials=derived.partials,
            elementals=derived.elementals,
            labels=label_variables(source, tape, primal, {}),
            sizes=stated.sizes,
            default_floats=False,
            low_precision=False,
            single=False,
            own_rules=any(
                i.op in ("copy", "stop_gradient") for i in nested(reading.builder.instructions)
            ),
            loops=_with_sizes(derived.loops, stated.sizes),
        )


def _read(
    source: Source,
    function: Call,
    signature: Signature,
    stated: Stated,
    working: str,
    inputs: Sequence[Input],
) -> tuple[Reading, Any, list[Atom], list[DType], tuple[Shape, ...]]:
    """The code that was read, the result as it is, and its leaves: atoms, dtypes, shapes."""
    avals = stated.avals(working)
    closed, value = _jaxpr(source, function, signature, avals)
    # a value that nothing reads may be of another dtype in another precision, and equal one that
    # is read in this one alone
    closed = jax_compat.live(closed)
    given = {i.variable: shape_of(a.shape) for i, a in zip(inputs, avals, strict=True)}
    reading = Reading(source, working, Builder("v"), given)
    atoms = reading.run(closed, [i.variable for i in inputs])
    dtypes = ["float" if (d := reading.dtype(a)) == "weak" else d for a in closed.out_avals]
    return reading, value, atoms, dtypes, tuple(shape_of(a.shape) for a in closed.out_avals)


def what_it_does(source: Source, function: Call, signature: Signature, stated: Stated) -> Doing:
    """What the function on arrays does, with what its derivative rules say."""
    wrt = frozenset(leaf.path for leaf in signature.leaves if leaf.wrt)
    inputs = _inputs(source, signature, stated, wrt)
    with jax_compat.x64(False), importable_beside(source.path):
        reading, value, atoms, dtypes, shapes = _read(
            source, function, signature, stated, "float32", inputs
        )
        outputs = tuple(map(Output, map(str, range(len(atoms))), atoms, dtypes))
        code = tuple(reading.builder.instructions)
        names = {i.variable: i.path for i in inputs}
        derived = _differentiate(reading, inputs, outputs)
    results = returned(value, atoms, dtypes, code, names), shapes
    return Doing(results, (code, atoms, derived))


def _with_sizes(
    loops: Sequence[tuple[Var, ArrayTrace]], sizes: tuple[tuple[str, int], ...]
) -> tuple[tuple[Var, ArrayTrace], ...]:
    """The traces of loops with what axes count for, as far as it is said."""
    return tuple(
        (loop, replace(step, sizes=sizes, loops=_with_sizes(step.loops, sizes)))
        for loop, step in loops
    )


_OF_SIZES = ("ymbolic dimension", "_DimExpr", "floordiv(", "mod(")
"""How JAX's messages tell of sizes that are not known."""


def _jaxpr(
    source: Source, function: Call, signature: Signature, avals: Sequence[Any]
) -> tuple[Any, Any]:
    results: list[Any] = []

    def flat(*leaves: Any) -> Any:
        results.append(signature.call(function, leaves))
        return jax.tree.leaves(results[-1])

    fixed = "state that axis as a number, as in # gradgen: shape x=(32, n)"
    what = f"'{source.function}' cannot be traced on arrays of these shapes"
    hint = (
        "are the shapes those that it is called with? An axis that the code fixes is a number; "
        + binding(source)
    )
    if not signature.examples:
        hint += "; an argument that holds several arrays wants an example, --example FILE:FUNCTION"
    with users_code(source.path, source.line_of, what, hint, at=source.position):
        try:
            return jax.make_jaxpr(flat)(*avals), results[-1]
        except NOT_KNOWN as error:
            raise not_known(source, error) from error
        except (
            jax.errors.InconclusiveDimensionOperation, ValueError, TypeError, IndexError
        ) as error:  # fmt: skip
            if not any(sign in str(error) for sign in _OF_SIZES):
                raise
            line, column = place_of(error, source.line_of)
            raise GradgenError(
                f"'{source.function}' depends on the size of an axis: {first_line(error)}",
                hint=fixed,
                path=source.path,
                line=line or source.position.line,
                column=column,
            ) from error


def failure_of(
    source: Source, function: Call, signature: Signature, stated: Stated
) -> GradgenError | None:
    """Why the function cannot be traced on arrays of these shapes; None if it can."""
    with jax_compat.x64(False), importable_beside(source.path):
        try:
            _jaxpr(source, function, signature, stated.avals("float32"))
        except GradgenError as error:
            return error
        return None


def _follows(
    source: Source,
    function: Call,
    signature: Signature,
    stated: Stated,
    dtype: str,
    wide: bool,
    machine: Collection[str] = (),
) -> bool:
    """Whether all floats that are computed have the dtype of the arguments', given this one.

    So have the machine constants among them, too.
    """
    due = {field: float(getattr(np.finfo(dtype), field)) for field in machine}
    with jax_compat.x64(wide), importable_beside(source.path):
        try:
            closed, _ = _jaxpr(source, function, signature, stated.avals(dtype))
        except GradgenError:
            return False
        atoms = [atom for eqn in _equations(closed.jaxpr) for atom in (*eqn.invars, *eqn.outvars)]
        numbers = {float(a.val) for a in atoms if jax_compat.is_literal(a) and a.aval.shape == ()}
        return numbers.issuperset(due.values()) and all(
            str(a.aval.dtype) == dtype or jax_compat.is_weak(a.aval)
            for a in atoms
            if not jax_compat.is_literal(a) and is_float(str(a.aval.dtype))
        )


def _equations(jaxpr: Any) -> Iterator[Any]:
    """All that is computed, in the functions called too."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _equations(getattr(inner, "jaxpr", inner))


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def _differentiated(
    source: Source, function: Call, signature: Signature, stated: Stated
) -> frozenset[str]:
    """The paths to differentiate by: of a single number, as `jax.grad` does, the first argument."""
    floats = {
        leaf.path
        for leaf, dtype in zip(signature.leaves, stated.dtypes, strict=True)
        if dtype == "float"
    }
    chosen = [leaf.path for leaf in signature.leaves if leaf.wrt and leaf.path in floats]
    if any(d.kind == "wrt" for d in source.directives):
        return frozenset(chosen)
    with jax_compat.x64(False), importable_beside(source.path):
        closed, result = _jaxpr(source, function, signature, stated.avals("float32"))
    pair = isinstance(result, tuple) and len(result) == 2 and not hasattr(result, "_fields")
    loss = result[0] if pair else result
    number = jax.tree_util.all_leaves([loss]) and closed.out_avals[0].shape == ()
    if number and is_float(str(closed.out_avals[0].dtype)) and chosen:
        first = chosen[0].split(".")[0]
        chosen = [path for path in chosen if path.split(".")[0] == first]
    return frozenset(chosen)


def _inputs(
    source: Source, signature: Signature, stated: Stated, chosen: frozenset[str]
) -> tuple[Input, ...]:
    names = dict(source.leaf_names)
    return tuple(
        Input(
            f"x{i}",
            leaf.path,
            names.get(leaf.path, leaf.path.rpartition(".")[2]),
            dtype,
            leaf.path in chosen,
        )
        for i, (leaf, dtype) in enumerate(zip(signature.leaves, stated.dtypes, strict=True))
    )


@dataclass(frozen=True)
class _Derived:
    """The partials of a piece of code."""

    partials: tuple[Instruction, ...]
    elementals: tuple[ArrayElemental, ...]
    loops: tuple[tuple[Var, ArrayTrace], ...]
    active: frozenset[Var]
    """What depends differentiably on what the derivatives are by."""


def _differentiate(
    reading: Reading, inputs: Sequence[Input], outputs: Sequence[Output]
) -> _Derived:
    """The partials of every operation between a differentiated input and a float output."""
    reaching = {o.atom for o in outputs if isinstance(o.atom, str) and is_float(o.dtype)}
    for instruction in reversed(reading.builder.instructions):
        if instruction.target in reaching:
            # the rule of a call has to do with its operands, whatever is computed inside
            ruled = instruction.op == "copy"
            read = reading.equations[instruction.target][1] if ruled else instruction.operands
            reaching.update(a for a in read if isinstance(a, str))
    active = {i.variable for i in inputs if i.wrt}
    writing = PartialWriter(reading, {i.variable: i.dtype for i in inputs})
    elementals = []
    loops: dict[Var, ArrayTrace] = {}
    varying: dict[Var, frozenset[int]] = {}
    for instruction in list(reading.builder.instructions):
        target = instruction.target
        if target not in reaching:
            continue
        parts: Sequence[Part]
        if instruction.op == LOOP:
            loops[target], varying[target] = _differentiate_steps(reading, instruction, active)
            parts = [
                Passed(atom, k)
                for k, (atom, given) in enumerate(
                    zip(instruction.operands, loops[target].inputs, strict=True)
                )
                if isinstance(atom, str) and atom in active and given.wrt
            ]
        elif instruction.op == ITEM:
            (loop,), index = instruction.variables, instruction.attribute("index")
            parts = [Passed(loop, index)] if index in varying[loop] else []
        elif not is_float(instruction.dtype) or instruction.op == "stop_gradient":
            continue
        else:
            if instruction.dtype not in WORKING and active.intersection(instruction.variables):
                raise reading.refused(
                    target,
                    f"'{reading.source.function}' computes in {instruction.dtype}, "
                    "whatever it is given",
                    "convert to the dtype of an argument, as in y.astype(x.dtype)",
                )
            writing.builder.line = instruction.line
            parts = [p for p in writing.parts(instruction, active) if not _is_zero(p)]
        if parts:
            active.add(target)
            place = reading.frames.get(target, ())
            elementals.append(
                ArrayElemental(target, instruction.op, tuple(parts), place[-1] if place else None)
            )
    roots = read_by((), elementals)
    partials = live_code(writing.builder.instructions, roots)
    return _Derived(partials, tuple(elementals), tuple(loops.items()), frozenset(active))


def _differentiate_steps(
    reading: Reading, instruction: Instruction, active: Collection[Var]
) -> tuple[ArrayTrace, frozenset[int]]:
    """What a step of a loop computes, with its partials, and which results of the loop vary.

    What it carries varies if it does at the start, or after some step: a least fixed point.
    """
    loop = loop_of(instruction)
    shapes, dtypes = loop.shapes, loop.dtypes
    builder = Builder(f"{instruction.target}_", loop.code)
    builder.instructions = list(loop.code)
    steps = replace(reading, builder=builder, shapes=reading.shapes | shapes)
    outputs = tuple(
        Output(str(k), atom, dtypes[atom] if isinstance(atom, str) else atom.dtype)
        for k, atom in enumerate(loop.results)
    )
    varies = [
        isinstance(a, str) and a in active and is_float(g.dtype)
        for a, g in zip(instruction.operands, loop.given, strict=True)
    ]
    first = len(loop.constants)
    # names inside of what a step calls: it may return much at once
    places = {v: found[-1:] for v, found in reading.frames.items()}
    tape = Tape(primal=list(loop.code), frames=places)
    labels = label_variables(reading.source, tape, loop.code, {})
    called = {label.variable: label.name for label in labels if label.name}
    # what is carried is called as what becomes of it
    called |= {
        g.variable: called[a]
        for g, a in zip(loop.carry, loop.carried, strict=True)
        if isinstance(a, str) and a in called
    }
    while True:
        inputs = tuple(
            Input(g.variable, g.variable, called.get(g.variable, "0"), g.dtype, wrt)
            for g, wrt in zip(loop.given, varies, strict=True)
        )
        found = _differentiate(steps, inputs, outputs)
        before = list(varies)
        for k, (given, atom) in enumerate(zip(loop.carry, loop.carried, strict=True)):
            varies[first + k] |= atom in found.active and is_float(given.dtype)
        if varies == before:
            break
    trace = ArrayTrace(
        function=reading.source.function,
        arguments=(),
        inputs=inputs,
        shapes=tuple(g.shape for g in loop.given),
        result=Structure("tuple"),
        outputs=outputs,
        output_shapes=tuple(shapes[a] if isinstance(a, str) else () for a in loop.results),
        primal=loop.code,
        partials=found.partials,
        elementals=found.elementals,
        labels=labels,
        sizes=(),
        default_floats=False,
        low_precision=False,
        single=False,
        own_rules=False,
        recurrence=tuple((g.variable, str(k)) for k, g in enumerate(loop.carry)),
        loops=found.loops,
    )
    results = frozenset(
        k for k, o in enumerate(outputs) if o.atom in found.active and is_float(o.dtype)
    )
    return trace, results


def _is_zero(part: Part) -> bool:
    if isinstance(part, Passed):
        return False
    if isinstance(part, Operator):
        result = part.transposed.result
        return isinstance(result, Const) and result.value == 0
    return isinstance(part.atom, Const) and part.atom.value == 0
