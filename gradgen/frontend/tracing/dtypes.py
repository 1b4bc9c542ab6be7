"""What a step function makes of leaves of other dtypes than those that it is traced on.

It is traced on leaves of one precision. Here it is traced on integers, truth values, weakly typed
numbers and several precisions, to find what the code has to say or to refuse for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.arguments import Signature
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
    steps,
)
from gradgen.frontend.tracing.recording import Recording, record
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.source import Source
from gradgen.ir.trace import Input, Output, Precisions, Whole

_MANY = 64
"""More leaves than so many are not told from each other: their floats are of one precision."""
_WHOLE = ("int32", "bool")
"""The dtypes of what is no float, and yet may stand for one."""


@dataclass(frozen=True)
class Trials:
    """A step function that can be traced on leaves of any dtypes."""

    source: Source
    function: Callable[..., Any]
    signature: Signature
    integers: DType
    """The dtype of arguments that are integers: see `integers_of`."""
    usual: Sequence[DType] = ()
    """The dtypes of the outputs where all leaves are of one precision."""

    def record(
        self,
        dtypes: Mapping[int, DType],
        others: DType,
        working: str = WIDE,
        *,
        with_rules: bool = False,
    ) -> Recording | None:
        """One tracing, with the dtypes of some leaves, by number, and of other floats.

        None where the source does not run on them.
        """
        usual = {"float": others, "int": self.integers, "bool": "bool"}
        leaves = enumerate(self.signature.leaves)
        chosen = [dtypes.get(k, usual[leaf.kind]) for k, leaf in leaves]
        try:
            return record(
                self.source,
                self.function,
                self.signature,
                working,
                with_rules=with_rules,
                dtypes=chosen,
            )
        except GradgenError:
            return None

    def only_promoted(self, chosen: Collection[int]) -> frozenset[int]:
        """Those of the leaves that JAX promotes to floats in each use, where all are integers."""
        found = frozenset(chosen)
        for dtype in _WHOLE:
            traced = self.record(dict.fromkeys(found, dtype), WIDE)
            if traced is None:
                return frozenset()
            used = _used_as_they_are(traced)
            found = frozenset(k for k in found if f"x{k}" not in used)
        return found

    def promoted_in_full(self, chosen: Collection[int], usual: Sequence[Instruction]) -> bool:
        """Whether integers of these leaves are promoted to float64 where there is float64.

        Where JAX promotes an array of int32 by itself, as in `exp(n)`, that is to float32.
        """
        traced = self.record(dict.fromkeys(chosen, "int32"), "float64", "float64")
        if traced is None:
            return False
        ours = list(steps(usual))
        theirs = list(steps(traced.tape.primal, {f"x{k}" for k in chosen}))
        return [i.op for i in ours] == [i.op for i in theirs] and not any(
            two.dtype == "float32" != one.dtype for one, two in zip(ours, theirs, strict=True)
        )

    def integer_results(self, floats: Collection[int]) -> list[frozenset[Var]] | None:
        """The inputs that each result is computed from which is an integer if they all are.

        None where the source does not run on integers, or where that is not to be told.
        """
        traced = self.record(dict.fromkeys(floats, "int32"), WIDE)
        if traced is None:
            return None
        roots = [
            tensor[()]
            for tensor, dtype, usual in zip(traced.outputs, traced.dtypes, self.usual, strict=True)
            if is_float(usual) and not is_float(dtype)
        ]
        if any(isinstance(root, Const) for root in roots):
            return None  # a number in the dtype of an input, but the trace does not tell of which
        leaves = {f"x{k}" for k in floats}
        found = [_computed_from(root, traced.tape.primal) & leaves for root in roots]
        return found if all(found) else None


def _computed_from(root: Atom, code: Sequence[Instruction]) -> frozenset[Var]:
    """What the dtype of an integer follows from: all but conditions and conversions from others."""
    definitions = {i.target: i for i in code}
    found: set[Var] = set()
    pending = [root]
    while pending:
        atom = pending.pop()
        if isinstance(atom, str) and atom not in found:
            found.add(atom)
            definition = definitions.get(atom)
            if definition is not None and definition.op != "convert":
                pending += definition.operands[definition.op == "select" :]
    return frozenset(found)


def _used_as_they_are(traced: Recording) -> frozenset[Var]:
    """The inputs with which something else is done than promoting them to a float."""
    used = {v for i in traced.tape.primal if not _promotes(i) for v in i.variables}
    return frozenset(used.union(*(set(tensor.flat) for tensor in traced.outputs)))


def _promotes(instruction: Instruction) -> bool:
    return instruction.op == "convert" and is_float(instruction.dtype)


def integers_of(source: Source, function: Callable[..., Any], signature: Signature) -> DType:
    """The dtype that integer leaves are traced with: `int` for Python's, or `int32`.

    Python's where it makes a difference, where there are 64-bit types: where an integer becomes a
    float and meets no other one, as in `1 / n`, or gives its dtype to numbers, as in `2 ** n`.
    Those of Python are weakly typed, so that the result follows what it meets.
    """
    if not any(leaf.kind == "int" for leaf in signature.leaves):
        return "int32"
    weak = Trials(source, function, signature, "int")
    as_python = weak.record({}, "float64", "float64")
    as_arrays = Trials(source, function, signature, "int32").record({}, "float64", "float64")
    if as_python is None or weak.record({}, WIDE) is None:
        return "int32"
    if as_arrays is None:
        return "int"
    ours, theirs = (list(steps(t.tape.primal)) for t in (as_arrays, as_python))
    alone = [i.op for i in ours] == [i.op for i in theirs] and any(
        one.dtype != two.dtype and (is_float(one.dtype) or _is_of_numbers(one))
        for one, two in zip(ours, theirs, strict=True)
    )
    return "int" if alone else "int32"


def _is_of_numbers(instruction: Instruction) -> bool:
    """Whether numbers or truth values become integers, and have their dtype from elsewhere."""
    if instruction.op == "convert":
        return instruction.attribute("from") == "bool"
    values = instruction.operands[1:]
    return instruction.op == "select" and all(isinstance(atom, Const) for atom in values)


def with_numbers(source: Source, function: Callable[..., Any], signature: Signature) -> Signature:
    """The signature with each integer default as a float, where it is but a number: `tau=20`.

    An integer that is computed with as an integer stays one.
    """
    defaults = {a.name for a in signature.arguments if a.default is not None}
    leaves = signature.leaves
    integers = [
        k
        for k, leaf in enumerate(leaves)
        if leaf.kind == "int" and leaf.path.partition(".")[0] in defaults
    ]
    trials = Trials(source, function, signature, "int32")
    numbers = trials.only_promoted(integers) if integers else frozenset()
    if not numbers:
        return signature
    changed = replace(
        signature,
        leaves=tuple(
            replace(leaf, kind="float") if k in numbers else leaf for k, leaf in enumerate(leaves)
        ),
    )
    # a derivative rule may take an integer where it does not take a float
    as_floats = Trials(source, function, changed, "int32").record({}, WIDE, with_rules=True)
    as_integers = trials.record({}, WIDE)
    if as_floats is None or as_integers is None:
        return signature
    promoted = {f"x{k}" for k in numbers}
    alike = _operations(as_floats.tape.primal) == _operations(as_integers.tape.primal, promoted)
    return changed if alike else signature


def _operations(code: Sequence[Instruction], promoted: Collection[Var] = ()) -> list[str]:
    return [i.op for i in steps(code, promoted)]


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
) -> Welcome:
    """Trace on other dtypes, and find what the code does alike.

    `tape` is the record for all precisions, `usual` the code of the one that it has its names from;
    `values` says where `primal` has the variables of both.
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
                promoted = {f"x{k}" for k in floats if dtypes.get(k) in _WHOLE}
                given = {f"x{k}": dtypes.get(k, others) for k in floats}
                given |= dict.fromkeys(promoted, WEAK)
                code, dtypes_out = traced.tape.primal, traced.dtypes
                found.append(
                    observe(given, usual, code, dtypes_out, primal, constants, values, promoted)
                )
        return found

    def with_64_bits() -> Iterator[Observed]:
        """The same on weakly typed leaves, and on those of float32, one precision down."""
        for weak, dtype in ((True, WEAK), (False, WIDE)):
            traced = trials.record({}, dtype, "float64")
            if traced is not None:
                given = {f"x{k}": WEAK if weak else NARROW for k in floats}
                dtypes_out = [NARROW if d == WIDE else d for d in traced.dtypes]
                code = _one_down(traced.tape.primal)
                one = observe(given, usual, code, dtypes_out, _one_down(primal), constants, values)
                if one.same:
                    yield one

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
    wide = list(with_64_bits())
    follows = leaves_followed(
        primal, outputs, inputs, [one for one in (*several, *wide) if one.same]
    )
    if not all(promotes_alike(outputs, inputs, follows, one, within=False) for one in wide):
        raise _refused(
            trials.source,
            "makes other dtypes of its arguments where there are 64-bit types",
            "name no dtype in jnp.result_type or jnp.promote_types, but arguments alone",
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
    if not alike(tried([dict.fromkeys(arrays, dtype) for dtype in _WHOLE], others)):
        arrays = numbers
        if not alike(tried([dict.fromkeys(arrays, dtype) for dtype in _WHOLE], others)):
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
    if _converts(primal, lone):
        raise _refused(
            trials.source,
            "converts integers, and has others promoted to floats: the precision of those depends "
            "on what is passed",
            "promote an integer by a number, as in n * 1.0",
        )
    results = tuple(dict.fromkeys(found or ()))
    return Welcome(whole, results, follows, precisions, strong, bool(lone))


def _one_down(code: Sequence[Instruction]) -> list[Instruction]:
    """Code with 64-bit types as it would be if its default were float32, and float32 bfloat16."""

    def atom(a: Atom) -> Atom:
        return Const(a.value, NARROW) if isinstance(a, Const) and a.dtype == WIDE else a

    return [
        replace(
            i,
            dtype=NARROW if i.dtype == WIDE else i.dtype,
            operands=tuple(map(atom, i.operands)),
        )
        for i in code
    ]


def _refused(source: Source, what: str, hint: str) -> GradgenError:
    return GradgenError(
        f"'{source.function}' {what}",
        hint=hint,
        path=source.path,
        line=source.position.line,
        column=source.position.column,
    )


def _converts(code: Sequence[Instruction], integers: Collection[Var]) -> bool:
    """Whether one of these inputs, or an integer made of it, gets a width of its own."""
    reached = set(integers)
    for i in code:
        if i.dtype != "bool" and not is_float(i.dtype) and reached.intersection(i.variables):
            if i.op == "convert" and i.dtype != "int":
                return True
            reached.add(i.target)
    return False


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
