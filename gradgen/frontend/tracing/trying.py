"""A step function held against its code, on leaves of other dtypes than those it was traced on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.tracing.promotion import NARROW, WEAK, WIDE, Observed, observe, promotes_alike
from gradgen.frontend.tracing.recording import Recording
from gradgen.frontend.tracing.single import roundings, same_with_64_bits
from gradgen.frontend.tracing.trials import WHOLE, Trials
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.source import Source
from gradgen.ir.trace import Input, Output

_MANY = 64
"""More leaves than so many are not told from each other: their floats are of one precision."""


@dataclass(frozen=True)
class Trying:
    """The code, and the source to hold it against on leaves of other dtypes."""

    trials: Trials
    usual: Sequence[Instruction]
    inputs: Sequence[Input]
    primal: Sequence[Instruction]
    outputs: Sequence[Output]
    values: Mapping[Var, Atom]
    constants: Mapping[Var, str]
    """The machine constants of the code by variable."""
    floats: tuple[int, ...]
    """The numbers of the leaves that are floats."""

    @property
    def many(self) -> bool:
        """Whether there are too many leaves to tell each from the others."""
        return len(self.floats) > _MANY

    def among(self, tries: Iterable[Sequence[DType]]) -> list[Mapping[int, DType]]:
        """The dtypes of floats, by number."""
        return [dict(zip(self.floats, dtypes, strict=True)) for dtypes in tries]

    def tried(
        self, tries: Iterable[Mapping[int, DType]], others: DType, *, rounding: bool = False
    ) -> list[Observed]:
        """What is observed in each that the source takes at all.

        `rounding` is for code that rounds to low precision by itself, and then rounds so here.
        """
        found = []
        for dtypes in tries:
            traced = self.trials.record(dtypes, others)
            if traced is not None:
                promoted = {f"x{k}" for k in self.floats if dtypes.get(k) in WHOLE}
                given = {f"x{k}": dtypes.get(k, others) for k in self.floats}
                given |= dict.fromkeys(promoted, WEAK)
                code, dtypes_out = traced.tape.primal, traced.dtypes
                rounds = rounding and roundings(code) == roundings(self.usual)
                found.append(
                    observe(
                        given, self.usual, code, dtypes_out, self.primal, self.constants,
                        self.values, promoted, rounding=rounds,
                    )
                )  # fmt: skip
        return found

    def one_down(self, dtype: DType, traced: Recording) -> Observed:
        """What is observed with 64-bit types, as if it were one precision lower."""
        given = {f"x{k}": _lower(dtype) for k in self.floats}
        code, dtypes = _one_down(traced.tape.primal), list(map(_lower, traced.dtypes))
        ours = _one_down(self.primal)
        return observe(given, self.usual, code, dtypes, ours, self.constants, self.values)

    def alike(
        self, follows: Mapping[Var, Var], observed: Sequence[Observed], within: bool = True
    ) -> bool:
        """Whether the code has the source's dtypes in all that is observed."""
        return all(
            promotes_alike(self.outputs, self.inputs, follows, one, within=within)
            for one in observed
        )

    def takes_integers(self, chosen: Collection[int]) -> bool:
        """Whether the source does the same with 64-bit types, of float32 and integers of Python.

        These are all, or each, of the chosen leaves.
        """
        usual = dict.fromkeys(self.floats, WIDE)
        groups = [chosen, *([k] for k in chosen)] if chosen else []
        tries = [tuple((usual | dict.fromkeys(group, "int")).items()) for group in groups]
        return same_with_64_bits(self.trials, tries, lambda dtypes: True)

    def require_no_low_number(self) -> None:
        """Raise GradgenError where a number decides that a result is of low precision."""
        for one in self.tried([{}], WEAK):
            if any(
                is_float(o.dtype) and is_float(due) and due not in (WEAK, WIDE)
                for o, due in zip(self.outputs, one.outputs, strict=True)
            ):
                raise refused(
                    self.trials.source,
                    "returns a low precision that a number in it has",
                    "write the number without a dtype, or convert it to that of an argument",
                )


def refused(source: Source, what: str, hint: str) -> GradgenError:
    """An error at the step function."""
    return error_in(source, f"'{source.function}' {what}", hint=hint)


def _one_down(code: Sequence[Instruction]) -> list[Instruction]:
    """Code with 64-bit types as it would be if its default were float32, and float32 bfloat16."""

    def atom(a: Atom) -> Atom:
        return Const(a.value, _lower(a.dtype)) if isinstance(a, Const) else a

    return [replace(i, dtype=_lower(i.dtype), operands=tuple(map(atom, i.operands))) for i in code]


def _lower(dtype: DType) -> DType:
    return NARROW if dtype == WIDE else dtype
