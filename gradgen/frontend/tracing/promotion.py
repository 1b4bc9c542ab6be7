"""Whether straight-line code promotes dtypes as the source does, whatever its arguments' dtypes.

A function is traced on leaves of one precision, and the code leaves promotion to JAX. Where leaves
differ in precision, are weakly typed or are integers, the two can part: a conversion follows the
dtype of one leaf, which the trace does not tell from another's. So the source is traced on leaves
of other dtypes, and the dtype of each of its values is held against what the code would give.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import jax.numpy as jnp

from gradgen.frontend.tracing.merge import is_width_conversion, without_conversions
from gradgen.ir.code import STRONG, Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.references import DEFAULT, dtype_references
from gradgen.ir.trace import Input, Output

NARROW, WIDE, WEAK = "bfloat16", "float32", "weak"
"""The dtypes that leaves are given: of two precisions, or weakly typed."""


def assignments(count: int) -> Iterator[tuple[DType, ...]]:
    """Dtypes for so many float leaves, by which any leaf is told from any other.

    Each digit of a leaf's number in base three chooses, in all three ways around. And each leaf
    alone is the widest, which tells of every result whether it is promoted with that leaf; or
    weakly typed, which a loop that carries it may undo.
    """
    for one in (WIDE, WEAK):
        for alone in range(count):
            yield tuple(one if k == alone else NARROW for k in range(count))
    around = (NARROW, WIDE, WEAK)
    power = 1
    while power <= count:
        for shift in range(3):
            yield tuple(around[((k + 1) // power + shift) % 3] for k in range(count))
        power *= 3


def halves(count: int, one: DType, other: DType) -> Iterator[tuple[DType, ...]]:
    """Two dtypes for so many leaves, by each bit of their numbers, both ways around."""
    for bit in range(count.bit_length()):
        for swapped in (0, 1):
            yield tuple((one, other)[(k + 1 >> bit & 1) ^ swapped] for k in range(count))


@dataclass(frozen=True)
class Observed:
    """The dtypes of the source's values, where its leaves have those of an assignment."""

    inputs: Mapping[Var, DType]
    values: Mapping[Var, frozenset[DType]]
    """By the variables of the code; more than one where equal computations were merged. That of a
    machine constant is the dtype whose constant it is."""
    outputs: tuple[DType, ...]
    code: Sequence[Instruction]
    """Ours, which this is held against."""
    same: bool = True
    """Whether it computes what it does on leaves of one precision; else no values are known."""


def observe(
    inputs: Mapping[Var, DType],
    usual: Sequence[Instruction],
    other: Sequence[Instruction],
    outputs: Sequence[DType],
    code: Sequence[Instruction],
    constants: Mapping[Var, str],
    values: Mapping[Var, Atom],
    promoted: Collection[Var] = (),
    *,
    rounding: bool = False,
) -> Observed:
    """Match code traced on other dtypes with the usual code.

    `code` is ours, `constants` holds its machine constants by variable, `values` where each is now;
    `promoted` are the float inputs that were integers. `rounding` says that ours rounds as well.
    """
    origins = without_conversions(other)[1]
    pairs, results = matched(usual, other, promoted), tuple(map(_plain, outputs))
    if pairs is None or (not rounding and _rounds_between(other, inputs)):
        return Observed(inputs, {}, results, code, same=False)
    found: dict[Var, frozenset[DType]] = {}

    def add(variable: Var, dtype: DType) -> None:
        atom = values.get(variable, variable)
        if isinstance(atom, str):
            found[atom] = found.get(atom, frozenset()) | {_plain(dtype)}

    for one, two in pairs:
        add(one.target, two.dtype)
        for position, operand in enumerate(two.operands):
            field = constants.get(name := f"{one.target}_{position}")
            if field is not None:
                constant = origins.get(operand, operand) if isinstance(operand, str) else operand
                low = float(getattr(jnp.finfo(NARROW), field))  # type: ignore[no-untyped-call]
                narrow = isinstance(constant, Const) and constant.value == low
                add(name, NARROW if narrow else WIDE)
    return Observed(inputs, found, results, code)


def _rounds_between(code: Sequence[Instruction], inputs: Mapping[Var, DType]) -> bool:
    """Whether a value is rounded to a narrower dtype before it meets others of a wider one.

    As an element of an array is that takes the dtype of the others, and then that of a number:
    our code has the elements alone.
    """
    wide = {variable: dtype != NARROW for variable, dtype in inputs.items()}
    rounded: set[Var] = set()
    for i in code:
        wide[i.target] = i.dtype != NARROW
        if is_float(i.dtype) and wide[i.target] and rounded.intersection(i.variables):
            return True
        if is_width_conversion(i) and any(wide.get(v) for v in i.variables) and not wide[i.target]:
            rounded.add(i.target)
    return False


def matched(
    ours: Sequence[Instruction], theirs: Sequence[Instruction], promoted: Collection[Var] = ()
) -> list[tuple[Instruction, Instruction]] | None:
    """The steps of two pieces of code beside each other; None if they compute something else.

    `promoted` are inputs of the second that are integers, and floats in the first.
    """
    pairs = list(zip_longest(steps(ours), steps(theirs, promoted)))
    alike = all(one and two and one.op == two.op for one, two in pairs)
    return pairs if alike else None


def steps(code: Sequence[Instruction], promoted: Collection[Var] = ()) -> Iterator[Instruction]:
    """What is computed, but for marks of calls, changes of width, and some inputs' promotion."""
    for i in code:
        promotes = i.op == "convert" and i.operands[0] in promoted and is_float(i.dtype)
        if not (i.op == "copy" or promotes or is_width_conversion(i)):
            yield i


def leaves_followed(
    primal: Sequence[Instruction],
    outputs: Sequence[Output],
    inputs: Sequence[Input],
    observed: Sequence[Observed],
) -> dict[Var, Var]:
    """The leaf that a conversion, machine constant or number follows, if its operand misleads.

    A number that is an output goes by its path.
    """
    leaves = [*(i.variable for i in inputs if i.dtype == "float"), DEFAULT]
    found: dict[Var, Var] = {}

    def settle(key: Var, agrees: Callable[[Observed, Mapping[Var, Var]], bool]) -> None:
        for candidate in (found, *(found | {key: leaf} for leaf in leaves)):
            if all(agrees(one, candidate) for one in observed):
                found.update(candidate)
                return

    for i in primal:
        if i.op == "finfo" or (i.op == "convert" and i.dtype == "float"):

            def converted(
                one: Observed, follows: Mapping[Var, Var], target: Var = i.target
            ) -> bool:
                given = infer(one.code, inputs, one.inputs, follows)[target]
                return not _differ(given, one.values.get(target, frozenset()))

            settle(i.target, converted)
    for number, output in enumerate(outputs):
        if isinstance(output.atom, Const):

            def written(
                one: Observed,
                follows: Mapping[Var, Var],
                number: int = number,
                output: Output = output,
            ) -> bool:
                given = _of_output(output, inputs, {**one.inputs, DEFAULT: WIDE}, follows)
                return not _differ(given, {one.outputs[number]})

            settle(output.path, written)
    return found


def promotes_alike(
    outputs: Sequence[Output],
    inputs: Sequence[Input],
    follows: Mapping[Var, Var],
    observed: Observed,
    *,
    within: bool = True,
) -> bool:
    """Whether every float of the code has the source's dtype; or every output, if not `within`."""
    if not observed.same:
        return False
    inferred = infer(observed.code, inputs, observed.inputs, follows)
    # a truth value stands for what it is converted to where promotion does that
    known = {v: due for v, due in observed.values.items() if is_float(inferred.get(v, "bool"))}
    if within and any(_differ(inferred[v], due) for v, due in known.items()):
        return False
    return not any(
        is_float(output.dtype)
        and _strong(_of_output(output, inputs, inferred, follows)) != _strong(due)
        for output, due in zip(outputs, observed.outputs, strict=True)
    )


def _differ(given: DType, due: frozenset[DType] | set[DType]) -> bool:
    return any(is_float(dtype) and dtype != given for dtype in due)


def _of_output(
    output: Output, inputs: Sequence[Input], dtypes: Mapping[Var, DType], follows: Mapping[Var, Var]
) -> DType:
    """The dtype with which an output is written."""
    if isinstance(output.atom, str):
        return dtypes[output.atom]
    if output.dtype == "float" and output.atom.dtype in ("weak", "float"):
        first = next(i.variable for i in inputs if i.dtype == "float")
        return _strong(dtypes[follows.get(output.path, first)])
    return _of_constant(output.atom)


def infer(
    code: Sequence[Instruction],
    inputs: Sequence[Input],
    given: Mapping[Var, DType],
    follows: Mapping[Var, Var],
) -> dict[Var, DType]:
    """The dtype of each variable where JAX promotes, with the float inputs' dtypes given.

    Among the floats alone: integers and truth values have the dtype that they were traced with.
    """
    dtypes: dict[Var, DType] = {i.variable: given.get(i.variable, i.dtype) for i in inputs}
    dtypes[DEFAULT] = WIDE
    floats = [i.variable for i in inputs if is_float(i.dtype)]
    references = dtype_references(code, floats, follows)
    for i in code:
        operands = [dtypes[a] if isinstance(a, str) else _of_constant(a) for a in i.operands]
        if i.target in references:
            dtypes[i.target] = _strong(dtypes[references[i.target]])
        elif not is_float(i.dtype):
            dtypes[i.target] = i.dtype
        elif i.op == "convert":
            kept = i.dtype == WEAK and is_float(operands[0])
            dtypes[i.target] = operands[0] if kept else _plain(i.dtype)
        else:
            dtypes[i.target] = _promoted(operands[1:] if i.op == "select" else operands)
    return dtypes


def _promoted(dtypes: Sequence[DType]) -> DType:
    floats = [dtype for dtype in dtypes if is_float(dtype)]
    strong = sorted({dtype for dtype in floats if dtype != WEAK})
    if not strong:
        return WEAK if floats else WIDE
    return str(jnp.result_type(*strong))


def _of_constant(constant: Const) -> DType:
    return WEAK if constant.dtype in ("weak", "float") else _plain(constant.dtype)


def _strong(dtype: DType) -> DType:
    return WIDE if dtype == WEAK else dtype


def _plain(dtype: DType) -> DType:
    """A dtype of a trace in float32 by its own name."""
    return WIDE if dtype in ("float", STRONG) else dtype
