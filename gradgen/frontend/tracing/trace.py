"""Traces a step function on scalars, once per precision, and writes down what it does.

Where it fits float32 alone, or is asked to, it is traced in that, and the code is for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.reading.directives import is_in_float32
from gradgen.frontend.tracing.clean import clean
from gradgen.frontend.tracing.derivable import rules_fit_float64
from gradgen.frontend.tracing.differentiate import differentiate
from gradgen.frontend.tracing.dtypes import WiderWith64BitsError, welcome
from gradgen.frontend.tracing.integers import integer_limit, integers_of
from gradgen.frontend.tracing.labels import label_variables
from gradgen.frontend.tracing.merge import Merging, merge_dtype, merge_tapes
from gradgen.frontend.tracing.population import inputs_that_shape
from gradgen.frontend.tracing.recording import Recording, record
from gradgen.frontend.tracing.result import read_result
from gradgen.frontend.tracing.signature import Leaf, Signature
from gradgen.frontend.tracing.single import in_float32, number_in_float32
from gradgen.frontend.tracing.strength import dtypes_of_constants
from gradgen.frontend.tracing.tape import Tape
from gradgen.frontend.tracing.trials import Trials
from gradgen.ir.code import STRONG, Atom, Const, DType, Instruction, Var, is_float, live_code
from gradgen.ir.source import Source
from gradgen.ir.trace import Input, Output, Trace


def trace(source: Source, function: Callable[..., Any], signature: Signature) -> Trace:
    """The step function as straight-line code on scalars, with its elemental partials.

    Raises GradgenError for whatever cannot be traced, with its line in the source.
    """
    integers = integers_of(source, function, signature)
    single = record(source, function, signature, "float32", integers=integers)
    double = None if is_in_float32(source) else _in_double(source, function, signature, integers)
    if double is not None:
        try:
            return _written_down(source, function, signature, integers, single, double)
        except WiderWith64BitsError:
            pass
    return _written_down(source, function, signature, integers, single, None)


def _written_down(
    source: Source,
    function: Callable[..., Any],
    signature: Signature,
    integers: DType,
    single: Recording,
    double: Recording | None,
) -> Trace:
    """The code for all precisions, of the recordings in float32 and in float64, or for float32.

    Raises WiderWith64BitsError where there is no code for all.
    """
    usual = single if double is None else double
    inputs = _inputs(source, signature.leaves, integers)
    reference = next((i.variable for i in inputs if i.dtype == "float"), None)
    if reference is None:
        raise _without_floats(source)
    for output in usual.outputs:
        if output.shape != ():
            raise _not_scalar(source, output.shape)
    result, paths = read_result(source, usual.result, signature)
    trials = Trials(source, function, signature, integers, usual.dtypes)
    strong: dict[Var, DType] = {}
    with_64_bits: dict[DType, Recording] | None = None
    if double is None:
        tape, dtypes = single.tape, single.dtypes
        atoms = [number_in_float32(output[()]) for output in single.outputs]
    else:
        tape, atoms, dtypes = _merged(source, single, double, Merging(reference))
        with_64_bits = {
            dtype: traced
            for dtype in ("weak", "float32")
            if (traced := trials.record({}, dtype, "float64")) is not None
        }
        if len(with_64_bits) == 2:
            weak, narrow = with_64_bits.values()
            strong = dtypes_of_constants(double.tape.primal, weak.tape.primal, narrow.tape.primal)
            # a number by itself whose dtype a float32 and an argument decide together
            if any(
                strong.get(i.target) == "float32" and not i.variables for i in usual.tape.primal
            ):
                raise WiderWith64BitsError
            for k, atom in enumerate(atoms):
                if isinstance(atom, Const) and is_float(dtypes[k]):
                    if weak.dtypes[k] == "float32":
                        atoms[k] = Const(atom.value, "float32")
                    elif narrow.dtypes[k] == "float":
                        atoms[k] = Const(atom.value, STRONG)
    primal, values = clean(inputs, tape, strong, atoms)
    working = "float32" if double is None else "float64"
    shaped = inputs_that_shape(source, function, signature, working)
    outputs = tuple(
        Output(
            path,
            values.get(atom, atom) if isinstance(atom, str) else atom,
            dtype,
            shaped_by=frozenset(inputs[k].variable for k in (shaped[number] if shaped else ())),
        )
        for number, (path, atom, dtype) in enumerate(zip(paths, atoms, dtypes, strict=True))
    )
    if not any(is_float(output.dtype) for output in outputs):
        raise error_in(
            source,
            f"'{source.function}' returns no float",
            hint="a derivative needs a float output; return the membrane potential or the like",
        )
    named = primal if double is not None else tuple(map(in_float32, primal))
    code = usual.tape.primal
    welcomed = welcome(trials, tape, code, inputs, named, outputs, values, with_64_bits)
    inputs = tuple(
        replace(
            i,
            whole=welcomed.whole.get(i.variable, "none"),
            strong=i.variable in welcomed.strong,
        )
        for i in inputs
    )
    named = tuple(_of_width(i, welcomed.widths.get(i.target)) for i in named)
    partials, elementals = differentiate(source, tape, inputs, primal, outputs, values)
    needed = [o.atom for o in outputs] + [v for e in elementals for v, _ in e.partials]
    needed += [atom for e in elementals for _, atom in e.partials]
    needed += [variable for i in partials for variable in i.variables]
    primal = live_code(named, needed)
    if double is None:
        partials = tuple(map(in_float32, partials))
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
        rounded=tape.rounded,
        own_rules=tape.own_rules or any(i.op == "stop_gradient" for i in tape.primal),
        follows=tuple(welcomed.follows.items()),
        precisions=welcomed.precisions,
        lone_integers=welcomed.lone_integers,
        integer_results=welcomed.integer_results,
        integer_limit=integer_limit(primal, [i.variable for i in inputs if i.dtype == integers]),
    )


def _in_double(
    source: Source, function: Callable[..., Any], signature: Signature, integers: DType
) -> Recording | None:
    """The source in float64; None where it does not run in that, while it does in float32.

    Nor does it if it has derivative rules that are for float32.
    """
    try:
        double = record(source, function, signature, "float64", integers=integers)
    except GradgenError:
        return None
    if not double.tape.custom:
        return double
    chosen = [k for k, leaf in enumerate(signature.leaves) if leaf.wrt and leaf.kind == "float"]
    fits = rules_fit_float64(source, function, signature, signature.avals, chosen)
    return double if fits else None


def _merged(
    source: Source, single: Recording, double: Recording, merging: Merging
) -> tuple[Tape, list[Atom], list[DType]]:
    """The tape for all precisions, and for each output its atom and its dtype."""
    tape = merge_tapes(single.tape, double.tape, merging, source.path)
    atoms: list[Atom] = []
    for a, b in zip(single.outputs, double.outputs, strict=True):
        merged = merging.atom(a[()], b[()])
        if not isinstance(merged, str | Const):
            raise GradgenError("an output is a machine constant", path=source.path)
        atoms.append(merged)
    dtypes = [merge_dtype(a, b) for a, b in zip(single.dtypes, double.dtypes, strict=True)]
    return tape, atoms, dtypes


def _inputs(source: Source, leaves: Sequence[Leaf], integers: DType) -> tuple[Input, ...]:
    names = dict(source.leaf_names)
    dtypes = {"float": "float", "int": integers, "bool": "bool"}
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


def _of_width(instruction: Instruction, like: Var | None) -> Instruction:
    """A conversion to the width that an integer has, where it has none of its own."""
    if like is None:
        return instruction
    operands = (*instruction.operands, like)
    return replace(instruction, op="convert_like", operands=operands, attributes=())


def _not_scalar(source: Source, shape: tuple[int, ...]) -> GradgenError:
    return error_in(
        source,
        f"'{source.function}' returns an array of shape {shape} for one neuron",
        hint="return its elements one by one, in a tuple",
    )


def _without_floats(source: Source) -> GradgenError:
    return error_in(
        source,
        f"'{source.function}' has no float argument",
        hint="a derivative needs a float to differentiate against",
    )
