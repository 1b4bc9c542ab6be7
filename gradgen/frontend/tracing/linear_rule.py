"""The rule of a call, traced with its tangents or cotangents left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.interpret import Interpreter, Tensor
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.frontend.tracing.linearity import nonlinear
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import WORKING, Atom, Const, DType, Var, live_code, substitute

NOT_LINEAR = (
    "such a rule is no derivative, so no Jacobian describes it: add these up, and scale or select "
    "them by what does not depend on them; clip or transform gradients in the optimiser instead"
)
"""The hint for a rule that is not linear."""


class LinearRule:
    """A rule's code among the partials, its tangents or cotangents left open.

    They are `unknowns`, arrays of variables that nothing defines. Once the rule is proved to be
    linear in them, its results can be had for one of them at a time.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        eqn: Eqn,
        rule: Callable[..., tuple[list[Any], list[Any]]],
        weighed: Sequence[Any],
        variables: Sequence[Any],
        tensors: Sequence[Tensor],
    ) -> None:
        """Trace a rule of unknowns, one for each variable that is weighed, and of operands.

        It returns what is linear, and the values that it computes besides.
        """
        self._interpreter, self._eqn = interpreter, eqn
        self._place = jax_compat.rule_place(eqn, interpreter.source) or interpreter.place(eqn)
        avals = [jax_compat.shaped(v.aval.shape, v.aval.dtype) for v in weighed]
        self.unknowns = [_unknown(interpreter.tape, aval.shape) for aval in avals]
        self._zeros = {
            variable: Const(0.0, interpreter.dtype(aval))
            for aval, unknown in zip(avals, self.unknowns, strict=True)
            for variable in unknown.flat
        }
        linear = 0

        def flat(*given: Any) -> list[Any]:
            nonlocal linear
            results, forwards = rule(given[: len(avals)], *given[len(avals) :])
            linear = len(results)
            return [*results, *forwards]

        closed = self._traced(
            flat, [*avals, *(jax_compat.shaped(v.aval.shape, v.aval.dtype) for v in variables)]
        )
        self._start = len(interpreter.tape.partials)
        with interpreter.writing_partials(self._place):
            results = interpreter.run(closed, [*self.unknowns, *tensors])
        self.code = interpreter.tape.partials[self._start :]
        self._results, self.forwards = results[:linear], results[linear:]

    def prove(self, otherwise: str) -> None:
        """Make sure that the code is linear; raises GradgenError, which says `otherwise`."""
        tape = self._interpreter.tape
        roots = [atom for result in self._results for atom in result.flat]
        code = live_code(self.code, roots)
        culprit = nonlinear(code, self._dtypes, roots)
        if culprit is not None:
            inside = culprit in {i.target for i in code}
            raise self._interpreter.unsupported(
                self._eqn,
                otherwise,
                hint=NOT_LINEAR,
                place=tape.frames[str(culprit)] if inside else self._place,
            )
        reading = set(self._zeros)
        for instruction in code:
            if not reading.isdisjoint(instruction.variables):
                reading.add(instruction.target)
        self.code = [i for i in code if i.target in reading]
        rounded = {i.dtype for i in self.code if i.op == "convert"}
        tape.rounded |= rounded - WORKING
        tape.partials[self._start :] = [i for i in code if i.target not in reading]

    def at_unit(self, unit: Var) -> list[Tensor]:
        """The results with 1 for one of the unknowns and 0 for the others."""
        tape = self._interpreter.tape
        values: dict[Var, Atom] = {**self._zeros, unit: Const(1.0, self._zeros[unit].dtype)}
        for instruction in self.code:
            target = tape.fresh()
            tape.partials.append(replace(substitute(instruction, values), target=target))
            tape.frames[target] = tape.frames[instruction.target]
            values[instruction.target] = target
        self._interpreter.require_room(self._eqn)
        found = [result.copy() for result in self._results]
        for result in found:
            for index in np.ndindex(result.shape):
                result[index] = values.get(result[index], result[index])
        return found

    @property
    def _dtypes(self) -> dict[Var, DType]:
        return {variable: zero.dtype for variable, zero in self._zeros.items()}

    def _traced(self, rule: Callable[..., list[Any]], avals: Sequence[Any]) -> Any:
        name = jax_compat.rule_name(self._eqn)
        what = f"the derivative rule of '{name}' fails"
        with self._interpreter.users_code(self._place, what):
            closed = jax.make_jaxpr(rule)(*avals)
        if any(isinstance(value, jax.core.Tracer) for value in closed.consts):
            raise self._interpreter.unsupported(
                self._eqn,
                f"the derivative rule of '{name}' reads a value of the function around it",
                hint=f"give '{name}' one more argument for it",
                place=self._place,
            )
        return closed


def _unknown(tape: Tape, shape: tuple[int, ...]) -> Tensor:
    tensor = np.empty(shape, object)
    for index in np.ndindex(shape):
        tensor[index] = tape.fresh()
    tape.active.update(tensor.flat)
    return tensor
