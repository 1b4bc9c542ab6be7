"""Which floats are 0 or 1 whatever happens: spikes, masks, and what they are selected from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gradgen.ir.code import Atom, Const, Instruction, Var
from gradgen.ir.loops import START

_KEEPING = (
    *("copy", "stop_gradient", "barrier", "convert", "broadcast", "reshape", "transpose", "rev"),
    *("slice", "concatenate", "pad", "at_step", "abs", "max", "min", "mul", "reduce_max"),
    *("reduce_min", "reduce_prod", START),
)
"""Of numbers that are 0 or 1, these give such again."""


def truths(code: Iterable[Instruction], known: Collection[Var] = ()) -> frozenset[Var]:
    """The variables of a code that are 0 or 1, given those of its inputs that are."""
    found, booleans = set(known), set()

    def holds(atoms: Sequence[Atom]) -> bool:
        return all(is_truth(atom, found) or atom in booleans for atom in atoms)

    for instruction in code:
        operands = instruction.operands
        if instruction.dtype == "bool":
            booleans.add(instruction.target)
        elif (instruction.op in _KEEPING and operands and holds(operands)) or (
            instruction.op == "select" and holds(operands[1:])
        ):
            found.add(instruction.target)
    return frozenset(found)


def is_truth(atom: Atom, known: Collection[Var]) -> bool:
    """Whether a number, or a variable, is 0 or 1, given the variables that are."""
    return atom.value in (0, 1) if isinstance(atom, Const) else atom in known
