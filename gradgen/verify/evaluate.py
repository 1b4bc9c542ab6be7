"""Runs straight-line code on arrays of points: as JAX runs it eagerly, or in numpy.

JAX's evaluation gives the exact bits, and is slow to start: every operation is compiled once. The
one in numpy may differ in the last bits; it serves to search, and to estimate how large rounding
errors can be.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradgen.ir.code import WORKING, Atom, Const, DType, Instruction, Var
from gradgen.ir.operations import OPERATIONS

Values = dict[Var, Any]
_Function = Callable[..., Any]

_SIGNS: dict[str, _Function] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge, "&": operator.and_, "|": operator.or_,
    "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift,
}  # fmt: skip


class Evaluator:
    """Evaluates code in one floating-point dtype."""

    def __init__(self, working: str, *, exact: bool) -> None:
        """`exact` for JAX's own bits; else numpy computes, in `working`."""
        self._dtype: Any = jnp.dtype(working)
        self._exact = exact
        self._xp: Any = jnp if exact else np

    def run(
        self,
        code: Iterable[Instruction],
        inputs: Mapping[Var, Any],
        known: Mapping[Var, Any] | None = None,
    ) -> Values:
        """Every variable's value; what is `known` is not computed anew."""
        values: Values = dict(inputs)
        with np.errstate(all="ignore"):
            for instruction in code:
                if known is not None and instruction.target in known:
                    values[instruction.target] = known[instruction.target]
                else:
                    operands = [self.atom(a, values) for a in instruction.operands]
                    values[instruction.target] = self.apply(instruction, operands)
        return values

    def atom(self, atom: Atom, values: Mapping[Var, Any]) -> Any:
        """A variable's value or a constant's."""
        if not isinstance(atom, Const):
            return values[atom]
        if self._exact:
            return atom.value
        return np.asarray(atom.value, self._concrete(atom.dtype))

    def apply(self, instruction: Instruction, operands: list[Any]) -> Any:
        """One operation."""
        op = instruction.op
        if all(isinstance(a, Const) for a in instruction.operands):
            # Python would compute with numbers alone in its own precision
            kinds = [a.dtype for a in instruction.operands if isinstance(a, Const)]
            operands = [
                self._xp.asarray(x, self._concrete(k)) for x, k in zip(operands, kinds, strict=True)
            ]
        if op in ("convert", "convert_like"):
            return self._xp.asarray(operands[0]).astype(self._concrete(instruction.dtype))
        if op in ("div", "rem") and instruction.dtype.startswith(("int", "uint")):
            return self._in_jax(instruction, operands)
        if op in ("copy", "stop_gradient", "reduce_precision"):
            return operands[0]
        operation = OPERATIONS[op]
        if operation.infix:
            return _SIGNS[operation.infix](*operands)
        if operation.numpy:
            return getattr(self._xp, operation.numpy)(*operands)
        if op == "clamp":
            low, x, high = operands
            return self._xp.clip(x, low, high)
        if op == "integer_pow":
            exponent = int(instruction.attribute("y"))
            return operands[0] ** exponent if self._exact else self._power(operands[0], exponent)
        if op == "round" and instruction.attribute("mode") == "even":
            return self._xp.round(operands[0])
        if op == "logistic" and not self._exact:
            return 1 / (1 + np.exp(-operands[0]))
        if op == "rsqrt" and not self._exact:
            return 1 / np.sqrt(operands[0])
        return self._in_jax(instruction, operands)

    def _power(self, x: Any, exponent: int) -> Any:
        power = np.asarray(x) ** abs(exponent)
        return power if exponent >= 0 else 1 / power

    def _concrete(self, dtype: DType) -> Any:
        if dtype in WORKING:
            return self._dtype
        return jnp.dtype("int32" if dtype == "int" else dtype)

    def _in_jax(self, instruction: Instruction, operands: list[Any]) -> Any:
        """What numpy does not have."""
        op, operation = instruction.op, OPERATIONS[instruction.op]
        if op == "finfo":
            field = str(instruction.attribute("field"))
            constants: Any = jnp.finfo(operands[0].dtype)  # type: ignore[no-untyped-call]
            return self._xp.asarray(getattr(constants, field), operands[0].dtype)
        arrays = [jnp.asarray(x) for x in operands]
        if op == "library":
            result = getattr(jnp, str(instruction.attribute("function")))(*arrays)
        elif op == "derivative":
            result = self._derivative(instruction, arrays)
        elif op == "round":
            result = lax.round(arrays[0], lax.RoundingMethod.AWAY_FROM_ZERO)
        elif op == "logistic":
            result = jax.nn.sigmoid(arrays[0])
        else:
            alike = (x.astype(jnp.result_type(*arrays)) for x in arrays)
            result = getattr(lax, operation.lax or op)(*jnp.broadcast_arrays(*alike))
        return result if self._exact else np.asarray(result)

    def _derivative(self, instruction: Instruction, arrays: list[Any]) -> Any:
        module, _, name = str(instruction.attribute("function")).partition(".")
        function = getattr({"jnp": jnp, "lax": lax}[module], name)
        slot = int(instruction.attribute("argument"))

        def along(x: Any) -> Any:
            return function(*arrays[:slot], x, *arrays[slot + 1 :])

        return jax.jvp(along, (arrays[slot],), (jnp.ones_like(arrays[slot]),))[1]
