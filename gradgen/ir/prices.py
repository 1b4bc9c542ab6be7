"""What single operations cost, by kind and precision, and what a program of them costs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from gradgen.ir.code import WORKING, DType, Instruction
from gradgen.ir.operations import OPERATIONS, OperationKind
from gradgen.ir.program import FREE, Program, count_operations

PRICED: tuple[str, ...] = (
    "mul", "div", "add", "sub", "neg", "transcendental", "other", "compare", "select",
    "read", "write",
)  # fmt: skip
"""What has a price: the kinds of operations, a value that one reads, and a value that it writes.

Powers have none of their own: they count as multiplications and a division."""


@dataclass(frozen=True)
class Prices:
    """What operations cost in each precision, in whole multiples of `1 / scale` of a unit.

    So that what is added up is exact, and equal costs are equal on every machine.
    """

    source: str
    """The name of a preset, or the path of a file; none for plain counts."""
    in_file: bool
    """Whether it is a path."""
    unit: str
    precision: str
    """Of the values that a program has in the dtype of its inputs."""
    tables: tuple[tuple[str, tuple[int, ...]], ...]
    """For each precision the amounts, in the order of `PRICED`."""
    scale: int = 1

    @property
    def recorded(self) -> str | None:
        """A digest of all numbers, whatever the file is called; None for plain counts."""
        if self == COUNTED:
            return None
        content = [self.unit, self.precision, self.tables, self.scale]
        return f"sha256:{hashlib.sha256(json.dumps(content).encode()).hexdigest()}"

    def of(self, instructions: Iterable[Instruction]) -> int:
        """What some code costs; what is no operation, as a conversion, costs nothing.

        What is computed in a precision of its own, as where the source names float32, is priced in
        that if there is a table of it, else like all others.
        """
        by_table: dict[str, list[Instruction]] = {}
        for instruction in instructions:
            by_table.setdefault(self._table(instruction.dtype), []).append(instruction)
        return sum(
            self._of_one(self._amounts[precision], code) for precision, code in by_table.items()
        )

    def amount(self, kind: str, dtype: DType = "float") -> int:
        """What one operation costs, or a value that is read or written.

        That is in the programs' own precision, unless the value has another one.
        """
        return self._amounts[self._table(dtype)][kind]

    def in_units(self, cost: int) -> float:
        """A cost in units."""
        return cost / self.scale

    def price(self, program: Program) -> float:
        """What a program costs, in units."""
        return self.in_units(self.of(program.instructions))

    @cached_property
    def _amounts(self) -> Mapping[str, Mapping[str, int]]:
        return {name: dict(zip(PRICED, row, strict=True)) for name, row in self.tables}

    def _table(self, dtype: DType) -> str:
        named = "int32" if dtype == "int" else dtype
        return named if dtype not in WORKING and named in self._amounts else self.precision

    def _of_one(self, amounts: Mapping[str, int], code: list[Instruction]) -> int:
        found = sum(n * amounts[kind] for kind, n in count_operations(code).counts if n)
        if not (amounts["read"] or amounts["write"]):
            return found
        moving = [i for i in code if OPERATIONS[i.op].kind not in ("free", "array")]
        read = sum(len(i.variables) for i in moving)
        return found + read * amounts["read"] + len(moving) * amounts["write"]


def _counted(kind: str) -> int:
    return int(kind in get_args(OperationKind) and kind not in FREE)


COUNTED = Prices(
    "", False, "operations", "any", (("any", tuple(_counted(kind) for kind in PRICED)),)
)
"""What `Operations.total` counts: an operation is one, whatever its precision."""
