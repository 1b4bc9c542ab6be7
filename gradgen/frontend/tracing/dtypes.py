"""What a step function makes of leaves of other dtypes than those that it is traced on.

It is traced on leaves of one precision. Here it is traced on integers, truth values, weakly typed
numbers and several precisions, to find what the code has to say or to refuse for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from gradgen.frontend.tracing.integers import converts, widths_followed
from gradgen.frontend.tracing.promotion import (
    NARROW,
    WEAK,
    WIDE,
    assignments,
    halves,
    leaves_followed,
)
from gradgen.frontend.tracing.recording import Recording
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.single import (
    Assigned,
    assignments_in_float32,
    low_precision,
    rules_stay,
    same_with_64_bits,
)
from gradgen.frontend.tracing.tape import Tape
from gradgen.frontend.tracing.trials import WHOLE, Trials
from gradgen.frontend.tracing.trying import Trying, refused
from gradgen.ir.code import WORKING, Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.trace import Input, Output, Precisions, Whole


class WiderWith64BitsError(Exception):
    """The source makes other dtypes of its arguments where there are 64-bit types.

    It names float32 in `jnp.result_type`, say, or has a number of JAX's default float beside it.
    """


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
    widths: Mapping[Var, Var]
    """The integer whose width a conversion has."""


def welcome(
    trials: Trials,
    tape: Tape,
    usual: Sequence[Instruction],
    inputs: Sequence[Input],
    primal: Sequence[Instruction],
    outputs: Sequence[Output],
    values: Mapping[Var, Atom],
    with_64_bits: Mapping[DType, Recording] | None,
) -> Welcome:
    """Trace on other dtypes, and find what the code does alike.

    `tape` is the record for all precisions, `usual` the code of the one that it has its names from;
    `values` says where `primal` has the variables of both. `with_64_bits` has what is traced where
    there are 64-bit types, by the dtype of the leaves: weak ones, and those of float32; None where
    all of this is for float32 alone.
    """
    floats = tuple(k for k, i in enumerate(inputs) if is_float(i.dtype))
    constants = {i.target: str(i.attribute("field")) for i in tape.primal if i.op == "finfo"}
    trying = Trying(trials, usual, inputs, primal, outputs, values, constants, floats)
    numbers = frozenset(k for k in floats if _has_integer_default(trials.signature, inputs[k].path))
    trying.require_no_low_number()
    integers = trials.integer_results(floats)
    if with_64_bits is None:
        found = _in_float32(trying, numbers)
        arrays = frozenset[int]()
        among_python = trying.takes_integers(floats) if found.precisions == "float32" else True
    else:
        found = _in_any_precision(trying, with_64_bits)
        found, arrays = _integers_in_arrays(trying, found, numbers)
        among_python = True
    usually: Whole = "numbers" if integers is not None and among_python else "none"
    whole: dict[Var, Whole] = dict.fromkeys((f"x{k}" for k in floats), usually)
    for k in numbers | arrays:
        whole[f"x{k}"] = "arrays" if k in arrays else "numbers"
    lone = frozenset(i.variable for i in inputs if i.dtype == "int")
    if converts(primal, lone):
        raise refused(
            trials.source,
            "converts integers, and has others promoted to floats: the precision of those depends "
            "on what is passed",
            "promote an integer by a number, as in n * 1.0",
        )
    widths = {values[v]: leaves for v, leaves in widths_followed(trials, usual).items()}
    if any(len(leaves) > 1 for leaves in widths.values()):
        raise refused(
            trials.source,
            "converts to the dtype of several integers together",
            "name the dtype, as in astype(int), or take that of one",
        )
    fixed = {d for i in primal for d in _dtypes(i) if is_float(d)} - WORKING
    if lone and fixed:
        raise refused(
            trials.source,
            f"has integers promoted beside numbers of {min(fixed)}: the precision of what comes of "
            "it depends on what is passed",
            "promote an integer by a number, as in n * 1.0; or write the numbers without a dtype",
        )
    return Welcome(
        whole,
        tuple(dict.fromkeys(integers or ())),
        found.follows,
        found.precisions,
        found.strong,
        bool(lone),
        {v: leaf for v, (leaf,) in widths.items() if isinstance(v, str)},
    )


@dataclass(frozen=True)
class _Found:
    """What floats may be, and what the code then has to say."""

    precisions: Precisions
    follows: Mapping[Var, Var] = field(default_factory=dict)
    strong: frozenset[Var] = frozenset()


def _in_any_precision(trying: Trying, with_64_bits: Mapping[DType, Recording]) -> _Found:
    """Of which precisions the floats of code for all of them may be."""
    count, many = len(trying.floats), trying.many
    low = trying.tried([{}], NARROW)
    several = low if many else low + trying.tried(trying.among(assignments(count)), NARROW)
    wide = [one for one in (trying.one_down(*each) for each in with_64_bits.items()) if one.same]
    known = [one for one in several if one.same] + wide
    follows = leaves_followed(trying.primal, trying.outputs, trying.inputs, known)
    if not trying.alike(follows, wide, within=False):
        raise WiderWith64BitsError
    if not many and trying.alike(follows, several):
        return _Found("any", follows)
    # in low precision JAX may itself compute in a higher one, as it does in sums
    precisions: Precisions = "one" if trying.alike(follows, low, within=False) else "full"
    alone: list[Mapping[int, DType]] = [{k: WEAK} for k in trying.floats if not many]
    bad = [
        frozenset(v for v, dtype in one.inputs.items() if dtype == WEAK)
        for one in trying.tried(trying.among(halves(count, NARROW, WEAK)) + alone, NARROW)
        if not trying.alike(follows, [one], within=False)
    ]
    strong = frozenset(f"x{k}" for k in trying.floats) if many else _one_of_each(bad)
    return _Found(precisions, follows, strong)


def _integers_in_arrays(
    trying: Trying, found: _Found, numbers: frozenset[int]
) -> tuple[_Found, frozenset[int]]:
    """The leaves that JAX promotes where they are integers in arrays; and what floats may be.

    `numbers` are leaves that stand for integers of Python.
    """
    others = NARROW if found.precisions == "any" else WIDE

    def alike(arrays: Collection[int]) -> bool:
        tries = [dict.fromkeys(arrays, dtype) for dtype in WHOLE]
        return trying.alike(found.follows, trying.tried(tries, others))

    trials, apart = trying.trials, _apart(trying.usual, trying.floats, numbers)
    arrays = trials.only_promoted(apart) | numbers
    if not alike(arrays):
        arrays = numbers
        if not alike(arrays):
            # what the code cannot say of integer defaults, it can say of one precision
            found = replace(found, precisions="full")
    if arrays and not trials.promoted_in_full(arrays, trying.usual):
        arrays = frozenset()
    return found, arrays


def _in_float32(trying: Trying, numbers: Collection[int]) -> _Found:
    """Whether code for float32 alone does what the source does where there are 64-bit types.

    `numbers` are leaves that stand for integers of Python. There numbers of Python may be passed
    for all leaves, for those with a default value, or for none if there are no such.
    """
    floats, trials = trying.floats, trying.trials

    @cache
    def alike(dtypes: Assigned) -> bool:
        return trying.alike({}, trying.tried([dict(dtypes)], WIDE, rounding=True))

    everything = assignments_in_float32(floats, floats)
    low = low_precision(trying.usual)
    if low is not None:
        # what is weakly typed takes that precision, and what is of float32 does not
        bad = [
            [k for k, d in tried if d == WEAK] or floats for tried in everything if not alike(tried)
        ]
        if bad:
            path = trying.inputs[min(bad, key=len)[0]].path
            raise refused(
                trials.source,
                f"computes in {low} or in float32, by whether {path} is a number of Python",
                f"say in which, as in jnp.asarray({path}, jnp.{low})",
            )
    if trying.many or not rules_stay(trials) or not trying.takes_integers(numbers):
        return _Found("float32 by default")
    parameters = {a.name for a in trials.signature.arguments if a.is_parameter}
    optional = [k for k in floats if trying.inputs[k].path.split(".")[0] in parameters]
    for weak in (floats, optional):
        if same_with_64_bits(trials, assignments_in_float32(floats, weak), alike):
            return _Found("float32", strong=frozenset(f"x{k}" for k in {*floats} - {*weak}))
    return _Found("float32 by default")


def _dtypes(instruction: Instruction) -> Iterable[DType]:
    """Of an instruction's value, and of the numbers in it."""
    yield instruction.dtype
    yield from (a.dtype for a in instruction.operands if isinstance(a, Const))


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
