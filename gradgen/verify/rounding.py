"""What rounding makes of a program in a short precision, every operation rounded by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradgen.ir.code import WORKING, Atom, Const, Instruction, Var
from gradgen.verify.evaluate import Evaluator


class RoundedEvaluator(Evaluator):
    """Evaluates code as a machine of a short precision does, which rounds after each operation.

    Operations are computed in float64 and rounded, so that the result is the same on every
    machine: compilers may keep more digits between operations, and vendors' functions differ.
    """

    def __init__(self, precision: str) -> None:
        super().__init__("float64", exact=False)
        self._precision: Any = jnp.dtype(precision)

    def rounded(self, values: Any) -> Any:
        """The nearest numbers of the precision, in float64."""
        return np.asarray(values, np.float64).astype(self._precision).astype(np.float64)

    def atom(self, atom: Atom, values: Mapping[Var, Any]) -> Any:
        """A variable's value or a constant's, rounded."""
        found = super().atom(atom, values)
        return self.rounded(found) if isinstance(atom, Const) and atom.dtype in WORKING else found

    def apply(self, instruction: Instruction, operands: list[Any]) -> Any:
        """One operation, rounded; a power is as many as repeated squaring takes."""
        if instruction.op == "finfo":
            operands = [np.asarray(operands[0]).astype(self._precision)]
        if instruction.op == "integer_pow":
            return self._squared(operands[0], int(instruction.attribute("y")))
        found = super().apply(instruction, operands)
        return self.rounded(found) if instruction.dtype in WORKING else found

    def _squared(self, x: Any, exponent: int) -> Any:
        power, square, left = None, x, abs(exponent)
        while left:
            if left % 2:
                power = square if power is None else self.rounded(power * square)
            left //= 2
            square = self.rounded(square * square) if left else square
        power = np.ones_like(x) if power is None else power
        return power if exponent >= 0 else self.rounded(1 / power)
