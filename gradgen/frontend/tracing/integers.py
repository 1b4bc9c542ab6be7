"""What integers among the arguments are: floats after all, or weakly typed, and how large."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from gradgen.frontend.tracing.promotion import WIDE, matched, steps
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.trials import Trials
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.source import Source

LARGEST = 2**31 - 1


def integer_limit(primal: Sequence[Instruction], integers: Collection[Var]) -> int:
    """Up to which absolute value of these inputs no integer of the code overflows.

    Python's integers do not overflow, and those of JAX do.
    """
    low, high = 0, LARGEST
    while low < high:
        middle = (low + high + 1) // 2
        if _largest(primal, dict.fromkeys(integers, middle)) <= LARGEST:
            low = middle
        else:
            high = middle - 1
    return low


def _largest(primal: Sequence[Instruction], bounds: dict[Var, int]) -> int:
    """A bound of all integers in the code, from bounds of its inputs."""

    def bound(atom: Atom) -> int:
        return abs(int(atom.value)) if isinstance(atom, Const) else bounds.get(atom, 0)

    largest = max(bounds.values(), default=0)
    for i in primal:
        if is_float(i.dtype) or i.dtype == "bool":
            continue
        operands = [
            0 if isinstance(a, Const) and is_float(a.dtype) else bound(a) for a in i.operands
        ]
        match i.op:
            case "add" | "sub":
                found = sum(operands)
            case "mul":
                found = operands[0] * operands[1]
            case "integer_pow":
                found = operands[0] ** max(int(i.attribute("y")), 1)
            case "square":
                found = operands[0] ** 2
            case _:
                found = max(operands, default=0)
        bounds[i.target] = min(found, 2**80)
        largest = max(largest, bounds[i.target])
    return largest


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
    alone = any(
        one.dtype != two.dtype and (is_float(one.dtype) or _is_of_numbers(one))
        for one, two in matched(as_arrays.tape.primal, as_python.tape.primal) or ()
    )
    return "int" if alone else "int32"


def _is_of_numbers(instruction: Instruction) -> bool:
    """Whether numbers or truth values become integers, and have their dtype from elsewhere."""
    if instruction.op == "convert":
        return bool(instruction.attribute("from") == "bool")
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
    alike = matched(as_floats.tape.primal, as_integers.tape.primal, promoted) is not None
    return changed if alike else signature


def converts(code: Sequence[Instruction], integers: Collection[Var]) -> bool:
    """Whether one of these inputs, or an integer made of it, gets a width of its own."""
    reached = set(integers)
    for i in code:
        if i.dtype != "bool" and not is_float(i.dtype) and reached.intersection(i.variables):
            if i.op == "convert" and i.dtype != "int":
                return True
            reached.add(i.target)
    return False


def widths_followed(trials: Trials, usual: Sequence[Instruction]) -> dict[Var, list[Var]]:
    """The integers among the leaves whose width a conversion of the usual code has, by its target.

    As in `floor(v).astype(n.dtype)`: that is of 64 bits where `n` is, if there are 64-bit types.
    Where leaves are weakly typed as Python's are, other widths are refused when they are passed.
    """
    integers = [k for k, leaf in enumerate(trials.signature.leaves) if leaf.kind == "int"]
    if not integers or trials.integers != "int32":
        return {}
    narrow = trials.record({}, "float64", "float64")
    if narrow is None or matched(usual, narrow.tape.primal) is None:
        return {}
    found: dict[Var, list[Var]] = {}
    for k in integers:
        wide = trials.record({k: "int64"}, "float64", "float64")
        changed = None if wide is None else matched(narrow.tape.primal, wide.tape.primal)
        for ours, (one, two) in zip(steps(usual), changed or (), strict=False):
            if ours.op == "convert" and one.dtype != two.dtype:
                found.setdefault(ours.target, []).append(f"x{k}")
    return found
