"""What a step function makes of leaves of other dtypes than those that it is traced on.

It is traced on leaves of one precision. Here it is traced on integers, truth values, weakly typed
numbers and several precisions, to find what the code has to say or to refuse for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.integers import converts
from gradgen.frontend.tracing.promotion import (
    NARROW,
    WEAK,
    WIDE,
    Observed,
    assignments,
    halves,
    leaves_followed,
    observe,
    promotes_alike,
)
from gradgen.frontend.tracing.recording import Recording
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.tape import Tape
from gradgen.frontend.tracing.trials import WHOLE, Trials
from gradgen.ir.code import WORKING, Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.source import Source
from gradgen.ir.trace import Input, Output, Precisions, Whole

_MANY = 64
"""More leaves than so many are not told from each other: their floats are of one precision."""


@dataclass(frozen=True)
class Welcome:
    """Which dtypes of its leaves a piece of code computes with as the source does."""

    whole: Mapping[Var, Whole]
    """Which integers may stand for the float inputs."""
    integer_results: tuple[frozenset[Var], ...]
    """Inputs of which one at least has to be no integer, or a result would be one."""
    follows: Mapping[Var, Var]
    """The leaf that a conversion or machine constant follows, where its operand misleads."""
    precisions: Precisions
    strong: frozenset[Var]
    """The inputs that may not be weakly typed beside others of low precision."""
    lone_integers: bool
    """Whether JAX promotes integers by themselves."""


def welcome(
    trials: Trials,
    tape: Tape,
    usual: Sequence[Instruction],
    inputs: Sequence[Input],
    primal: Sequence[Instruction],
    outputs: Sequence[Output],
    values: Mapping[Var, Atom],
    with_64_bits: Mapping[DType, Recording],
) -> Welcome:
    """Trace on other dtypes, and find what the code does alike.

    `tape` is the record for all precisions, `usual` the code of the one that it has its names from;
    `values` says where `primal` has the variables of both. `with_64_bits` has what is traced where
    there are 64-bit types, by the dtype of the leaves: weak ones, and those of float32.
    """
    constants = {i.target: str(i.attribute("field")) for i in tape.primal if i.op == "finfo"}
    floats = [k for k, i in enumerate(inputs) if is_float(i.dtype)]
    numbers = frozenset(k for k in floats if _has_integer_default(trials.signature, inputs[k].path))

    def tried(tries: Iterable[Mapping[int, DType]], others: DType) -> list[Observed]:
        """What is observed in each that the source takes at all."""
        found = []
        for dtypes in tries:
            traced = trials.record(dtypes, others)
            if traced is not None:
                promoted = {f"x{k}" for k in floats if dtypes.get(k) in WHOLE}
                given = {f"x{k}": dtypes.get(k, others) for k in floats}
                given |= dict.fromkeys(promoted, WEAK)
                code, dtypes_out = traced.tape.primal, traced.dtypes
                found.append(
                    observe(given, usual, code, dtypes_out, primal, constants, values, promoted)
                )
        return found

    def one_down(dtype: DType, traced: Recording) -> Observed:
        """What is observed with 64-bit types, as if it were one precision lower."""
        given = {f"x{k}": _lower(dtype) for k in floats}
        code, dtypes_out = _one_down(traced.tape.primal), list(map(_lower, traced.dtypes))
        return observe(given, usual, code, dtypes_out, _one_down(primal), constants, values)

    def alike(observed: Sequence[Observed], within: bool = True) -> bool:
        return all(promotes_alike(outputs, inputs, follows, one, within=within) for one in observed)

    def among(tries: Iterable[Sequence[DType]]) -> list[Mapping[int, DType]]:
        return [dict(zip(floats, dtypes, strict=True)) for dtypes in tries]

    for one in tried([{}], WEAK):
        if any(
            is_float(o.dtype) and is_float(due) and due not in (WEAK, WIDE)
            for o, due in zip(outputs, one.outputs, strict=True)
        ):
            raise _refused(
                trials.source,
                "returns a low precision that a number in it has",
                "write the number without a dtype, or convert it to that of an argument",
            )
    low = tried([{}], NARROW)
    many = len(floats) > _MANY
    several = low if many else low + tried(among(assignments(len(floats))), NARROW)
    wide = [one for one in (one_down(*each) for each in with_64_bits.items()) if one.same]
    follows = leaves_followed(primal, outputs, inputs, [one for one in several if one.same] + wide)
    if not alike(wide, within=False):
        raise _refused(
            trials.source,
            "makes other dtypes of its arguments where there are 64-bit types",
            "name no dtype in jnp.result_type, or convert what comes of it to the dtype of an "
            "argument, as in y.astype(v.dtype)",
        )
    precisions: Precisions = "any"
    strong = frozenset[Var]()
    if many or not alike(several):
        # in low precision JAX may itself compute in a higher one, as it does in sums
        precisions = "one" if alike(low, within=False) else "full"
        alone = [{k: WEAK} for k in floats if not many]
        tries = among(halves(len(floats), NARROW, WEAK)) + alone
        bad = [
            frozenset(v for v, dtype in one.inputs.items() if dtype == WEAK)
            for one in tried(tries, NARROW)
            if not alike([one], within=False)
        ]
        strong = frozenset(f"x{k}" for k in floats) if many else _one_of_each(bad)
    others = NARROW if precisions == "any" else WIDE
    arrays = trials.only_promoted(_apart(usual, floats, numbers)) | numbers
    if not alike(tried([dict.fromkeys(arrays, dtype) for dtype in WHOLE], others)):
        arrays = numbers
        if not alike(tried([dict.fromkeys(arrays, dtype) for dtype in WHOLE], others)):
            # what the code cannot say of integer defaults, it can say of one precision
            precisions = "full"
    if arrays and not trials.promoted_in_full(arrays, usual):
        arrays = frozenset()
    found = trials.integer_results(floats)
    among_python: Whole = "none" if found is None else "numbers"
    whole: dict[Var, Whole] = dict.fromkeys((f"x{k}" for k in floats), among_python)
    for k in numbers | arrays:
        whole[f"x{k}"] = "arrays" if k in arrays else "numbers"
    lone = frozenset(i.variable for i in inputs if i.dtype == "int")
    if converts(primal, lone):
        raise _refused(
            trials.source,
            "converts integers, and has others promoted to floats: the precision of those depends "
            "on what is passed",
            "promote an integer by a number, as in n * 1.0",
        )
    fixed = {d for i in primal for d in _dtypes(i) if is_float(d)} - WORKING
    if lone and fixed:
        raise _refused(
            trials.source,
            f"has integers promoted beside numbers of {min(fixed)}: the precision of what comes of "
            "it depends on what is passed",
            "promote an integer by a number, as in n * 1.0; or write the numbers without a dtype",
        )
    results = tuple(dict.fromkeys(found or ()))
    return Welcome(whole, results, follows, precisions, strong, bool(lone))


def _dtypes(instruction: Instruction) -> Iterable[DType]:
    """Of an instruction's value, and of the numbers in it."""
    yield instruction.dtype
    yield from (a.dtype for a in instruction.operands if isinstance(a, Const))


def _one_down(code: Sequence[Instruction]) -> list[Instruction]:
    """Code with 64-bit types as it would be if its default were float32, and float32 bfloat16."""

    def atom(a: Atom) -> Atom:
        return Const(a.value, _lower(a.dtype)) if isinstance(a, Const) else a

    return [replace(i, dtype=_lower(i.dtype), operands=tuple(map(atom, i.operands))) for i in code]


def _lower(dtype: DType) -> DType:
    return NARROW if dtype == WIDE else dtype


def _refused(source: Source, what: str, hint: str) -> GradgenError:
    return GradgenError(
        f"'{source.function}' {what}",
        hint=hint,
        path=source.path,
        line=source.position.line,
        column=source.position.column,
    )


def _one_of_each(groups: Sequence[frozenset[Var]]) -> frozenset[Var]:
    """Variables of which each group has one: small groups first, inputs in their order."""
    chosen: set[Var] = set()
    for group in sorted(groups, key=len):
        if group and not group & chosen:
            chosen.add(min(group, key=lambda variable: int(variable[1:])))
    return frozenset(chosen)


def _has_integer_default(signature: Signature, path: str) -> bool:
    """Whether a float stands for an integer default."""
    return any(
        found.kind == "int"
        for argument in signature.arguments
        for name, found in argument.structure.leaves(argument.name)
        if name == path
    )


def _apart(
    code: Sequence[Instruction], floats: Sequence[int], first: frozenset[int]
) -> frozenset[int]:
    """Leaves no two of which meet in one operation, where both would stay integers."""
    leaves = {f"x{k}": k for k in floats}
    meeting = [{leaves[v] for v in i.variables if v in leaves} for i in code]
    chosen = set(first)
    for k in floats:
        if not any(k in group and group & chosen - {k} for group in meeting):
            chosen.add(k)
    return frozenset(chosen)
