"""Sums over time of sums: what each step would add up is added element by element, and summed once.

A parameter that neurons of a batch share gets the sum over the batch in every step, and these are
summed over time. Sums commute, so that a loop carries the sum over time of what is not summed yet:
an addition among other elementwise operations, where each step had a reduction of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.code import Atom, Instruction, Var, uses
from gradgen.ir.shapes import Shape

_PASSED = ("reshape", "transpose")
"""What may stand between a sum and its place: it moves elements about."""


@dataclass(frozen=True)
class LateSum:
    """A value that is to be summed over time, as what is done with the sum of another one."""

    each: Atom
    """What each step adds."""
    shape: Shape = ()
    """Of what it adds, where there is something after."""
    after: tuple[Instruction, ...] = ()
    """On the sum over time, in turn: each takes what the one before gives."""

    def finished(self, total: Atom, write: Callable[[Instruction], Atom]) -> Atom:
        """What is done with the sum over time."""
        for instruction in self.after:
            total = write(replace(instruction, target="", operands=(total,)))
        return total


def late_sums(
    code: Sequence[Instruction],
    results: Iterable[Atom],
    summed: Sequence[Atom],
    shapes: Mapping[Var, Shape],
) -> tuple[list[Instruction], list[LateSum]]:
    """What each step computes more for the sums over time, and how each sum is had.

    `code` is that of a step and `results` are all that is read of it, `summed` among them.
    """
    peeling = _Peeling(code, results, shapes)
    found = [peeling.peeled(atom) or LateSum(atom) for atom in summed]
    return peeling.code, found


class _Peeling:
    def __init__(
        self, code: Sequence[Instruction], results: Iterable[Atom], shapes: Mapping[Var, Shape]
    ) -> None:
        self._made = {i.target: i for i in code}
        self._count: Counter[Atom] = Counter(uses(code, results))
        self._shapes = shapes
        self.code: list[Instruction] = []
        """What is to be computed in each step instead."""

    def peeled(self, atom: Atom) -> LateSum | None:
        """A value that serves nothing but a sum over time; None if there is no sum within it."""
        made = self._made.get(atom) if isinstance(atom, str) else None
        if made is None or self._count[atom] != 1:
            return None
        if made.op == "reduce_sum":
            (each,) = made.variables
            return LateSum(each, self._shapes[each], (made,))
        if made.op in _PASSED:
            inner = self.peeled(made.operands[0])
            return inner and replace(inner, after=(*inner.after, made))
        if made.op in ("add", "sub"):
            one, other = map(self.peeled, made.operands)
            if one is None or other is None or not self._alike(one, other):
                return None
            target = f"{made.target}_each"
            self.code.append(replace(made, target=target, operands=(one.each, other.each)))
            return replace(one, each=target)
        return None

    def _alike(self, one: LateSum, other: LateSum) -> bool:
        """Whether the same is done with both."""
        done = [[(i.op, i.attributes) for i in late.after] for late in (one, other)]
        return one.shape == other.shape and done[0] == done[1]
