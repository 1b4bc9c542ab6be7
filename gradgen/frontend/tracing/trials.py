"""A step function, traced on leaves of other dtypes than usual.

Those that are integers or truth values may stand for floats.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.promotion import WIDE, matched
from gradgen.frontend.tracing.recording import Recording, record
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.source import Source

WHOLE = ("int32", "bool")
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
        for dtype in WHOLE:
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
        pairs = matched(usual, traced.tape.primal, {f"x{k}" for k in chosen})
        return pairs is not None and not any(
            two.dtype == "float32" != one.dtype for one, two in pairs
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
