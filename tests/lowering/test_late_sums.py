"""Sums over time that are summed up late: the same sums, by numbers."""

from __future__ import annotations

import numpy as np

from gradgen.ir.code import Instruction
from gradgen.lowering.late_sums import late_sums

SHAPES = {"x": (3, 4), "y": (3, 4), "z": (4,), "w": (3, 5)}


def summed(op: str, target: str, *operands: str, **attributes: object) -> Instruction:
    return Instruction(target, op, operands, tuple(attributes.items()))


def over(target: str, operand: str) -> Instruction:
    return summed("reduce_sum", target, operand, axes=(0,), shape=SHAPES[operand][1:])


def evaluate(code, values):
    """What each instruction gives, by NumPy."""
    values = dict(values)
    for i in code:
        a = [values[v] for v in i.operands]
        match i.op:
            case "reduce_sum":
                found = a[0].sum(i.attribute("axes"))
            case "reshape":
                found = a[0].reshape(i.attribute("shape"))
            case "add":
                found = a[0] + a[1]
            case "sub":
                found = a[0] - a[1]
            case "mul":
                found = a[0] * a[1]
        values[i.target] = found
    return values


def check(code, wanted, peeled):
    """The sum over five steps of what is wanted, early and late."""
    more, (late,) = late_sums(code, [wanted], [wanted], SHAPES)
    assert bool(late.after) == peeled
    rng = np.random.default_rng(0)
    steps = [{k: rng.integers(-9, 9, s) for k, s in SHAPES.items()} for _ in range(5)]
    due = sum(evaluate(code, s)[wanted] for s in steps)
    total = sum(evaluate([*code, *more], s)[late.each] for s in steps)
    known = {"total": total}

    def write(instruction: Instruction) -> str:
        target = f"v{len(known)}"
        known[target] = evaluate(
            [Instruction("_", instruction.op, instruction.operands, instruction.attributes)], known
        )["_"]
        return target

    np.testing.assert_array_equal(known[late.finished("total", write)], due)
    return late


def test_a_sum_over_the_batch():
    assert check([over("s", "x")], "s", peeled=True).shape == (3, 4)


def test_what_moves_a_sum_about():
    check([over("s", "x"), summed("reshape", "r", "s", shape=(2, 2))], "r", peeled=True)


def test_sums_of_sums_that_are_alike():
    code = [over("s", "x"), over("t", "y"), summed("sub", "d", "s", "t")]
    assert check(code, "d", peeled=True).shape == (3, 4)


def test_sums_of_others_stay():
    code = [over("s", "x"), summed("add", "d", "s", "z")]
    check(code, "d", peeled=False)


def test_what_serves_something_else_stays():
    code = [over("s", "x"), summed("mul", "m", "s", "z")]
    _, (late,) = late_sums(code, ["s", "m"], ["s"], SHAPES)
    assert (late.each, late.after) == ("s", ())
