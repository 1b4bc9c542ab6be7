"""The evaluator in plain Python against JAX, operation by operation."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluating import evaluate, evaluate_code
from numerics import ON_INTEGERS

from gradgen.frontend.tracing.primitives import function_of
from gradgen.ir.code import Const, Instruction
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import Program, Section

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 40.0, -40.0, 800.0, 1e-3)
EXTREME = (math.inf, -math.inf, math.nan, 1e300, -1e300)
INTEGERS = (0, 1, -1, 2, -3, 7, 31, 32, 100, 2**31 - 1, -(2**31))
ATTRIBUTES = {
    "integer_pow": [(("y", y),) for y in (0, 1, 2, 3, 7, -1, -2)],
    "round": [(("mode", "even"),), (("mode", "away"),)],
    "reduce_precision": [(("exponent_bits", 5), ("mantissa_bits", 10))],
}
NO_COUNTERPART = {
    "erf_inv", "digamma", "bessel_i0e", "bessel_i1e", "igamma", "igammac", "igamma_grad_a",
    "polygamma", "zeta", "regularized_incomplete_beta", "library", "derivative",
}  # fmt: skip
ARITHMETIC = {
    "add", "sub", "mul", "div", "rem", "max", "min", "neg", "abs", "sign", "eq", "lt", "ge",
}  # fmt: skip
OTHER = {"select", "convert", "convert_like", "finfo", "copy", "stop_gradient", "is_finite"}
ON_ARRAYS = {name for name, operation in OPERATIONS.items() if operation.kind == "array"}
FLOATS = sorted(set(OPERATIONS) - NO_COUNTERPART - ON_INTEGERS - ON_ARRAYS - OTHER)


def jax_function(op, attributes=()):
    match op:
        case "and" | "or" | "xor" | "not":
            return getattr(jax.lax, f"bitwise_{op}")
        case "log2":
            return jnp.log2
    return function_of(op, attributes)


def run(op, operands, attributes=(), dtype="float"):
    names = [f"x{k}" for k in range(len(operands))]
    code = [Instruction("t", op, tuple(names), attributes, dtype)]
    return evaluate_code(code, dict(zip(names, operands, strict=True)))["t"]


@pytest.mark.parametrize("op", FLOATS)
def test_floats(op):
    operation = OPERATIONS[op]
    dtype = "bool" if operation.boolean else "float"
    points = np.array(list(product(SPECIAL + EXTREME, repeat=operation.arity)))
    exactly = operation.kind not in ("transcendental", "pow")
    for attributes in ATTRIBUTES.get(op, [()]):
        with jax.enable_x64(True):
            function = jax_function(op, attributes)
            wanted = np.asarray(function(*(jnp.asarray(c) for c in points.T)))
        for operands, value in zip(points.tolist(), wanted.tolist(), strict=True):
            got = run(op, operands, attributes, dtype)
            assert type(got) is type(value)
            if math.isnan(value):
                assert math.isnan(got), (op, operands)
            elif exactly or not math.isfinite(value) or value == 0:
                # XLA flushes what is next to zero to zero
                assert got == value or (value == 0 and abs(got) < 1e-300), (op, operands, got)
            else:
                assert math.isclose(got, value, rel_tol=1e-12), (op, operands, got, value)


@pytest.mark.parametrize("dtype", ["int32", "uint8"])
@pytest.mark.parametrize(
    "op",
    sorted({*ON_INTEGERS, *ARITHMETIC}),
)
def test_integers(op, dtype):
    arity = OPERATIONS[op].arity
    if dtype == "uint8" and op in ("neg", "abs", "sign"):
        return
    values = [k for k in INTEGERS if dtype == "int32" or 0 <= k < 256]
    points = list(product(values, repeat=arity))
    wanted = jax_function(op)(*(jnp.asarray(c, dtype) for c in zip(*points, strict=True)))
    for operands, value in zip(points, np.asarray(wanted).tolist(), strict=True):
        if op in ("div", "rem") and operands[0] == -(2**31):
            continue
        result = "bool" if OPERATIONS[op].boolean else dtype
        assert run(op, operands, (), result) == value, operands


@pytest.mark.parametrize(
    ("source", "target"),
    [("float", "int32"), ("float", "uint8"), ("float", "bool"), ("float", "float32"),
     ("float", "float16"), ("float", "bfloat16"), ("int", "float"), ("bool", "float")],
)  # fmt: skip
def test_conversions(source, target):
    values = {"float": (*SPECIAL, 1e5, -1e5, 1e-3, 3.3), "int": INTEGERS, "bool": (True, False)}
    with jax.enable_x64(True):
        for value in values[source]:
            wanted = jnp.asarray(value).astype("float64" if target == "float" else target)
            got = run("convert", (value,), (("from", source),), target)
            if target == "uint8" and not 0 <= value < 256:
                continue
            assert got == wanted.astype(got.__class__ if target != "bfloat16" else "float32")


def test_a_conversion_to_the_dtype_of_an_integer():
    for value in (2.7, -2.7, 0.0):
        assert run("convert_like", (value, 3), (), "int32") == int(jnp.asarray(value).astype(int))


def test_selection_and_machine_constants():
    assert run("select", (True, 1.0, math.nan)) == 1.0
    assert math.isnan(run("select", (False, 1.0, math.nan)))
    assert run("is_finite", (math.inf,), (), "bool") is False
    for field in ("eps", "epsneg", "tiny", "smallest_subnormal", "max", "min", "resolution"):
        assert run("finfo", (1.0,), (("field", field),)) == getattr(np.finfo(np.float64), field)


@pytest.mark.parametrize("op", sorted(NO_COUNTERPART))
def test_what_has_no_counterpart_is_refused(op):
    operands = (1.0,) * max(OPERATIONS[op].arity, 1)
    with pytest.raises(ValueError, match="no counterpart"):
        run(op, operands)


def test_fractions_are_exact():
    third, minus = Fraction(1, 3), Fraction(-2, 7)
    assert run("mul", (third, minus)) == Fraction(-2, 21)
    assert run("div", (third, minus)) == Fraction(-7, 6)
    assert run("integer_pow", (minus,), (("y", -3),)) == Fraction(-343, 8)
    assert run("integer_pow", (minus,), (("y", 0),)) == 1
    assert run("square", (minus,)) == Fraction(4, 49)
    assert run("max", (third, minus)) == third
    assert run("abs", (minus,)) == Fraction(2, 7)
    assert run("sign", (minus,)) == -1
    assert run("floor", (minus,)) == -1
    assert run("rem", (Fraction(-7, 2), Fraction(1, 3))) == Fraction(-1, 6)
    assert run("select", (third > 0, third, minus)) == third
    assert run("lt", (minus, third), (), "bool") is True
    code = [Instruction("a", "mul", ("x", Const(0.5))), Instruction("b", "sub", ("a", Const(0.25)))]
    result = evaluate_code(code, {"x": third})["b"]
    assert isinstance(result, Fraction)
    assert result == Fraction(-1, 12)
    with pytest.raises(ValueError, match="no exact value"):
        run("exp", (third,))
    with pytest.raises(ZeroDivisionError):
        run("div", (third, Fraction(0)))


def test_programs():
    code = (Instruction("a", "mul", ("x", "y")), Instruction("b", "add", ("a", Const(1.0))))
    program = Program(("x", "y"), (Section("primal", code),), (("out", "b"), ("d", Const(2.0))))
    assert evaluate(program, {"x": 2.0, "y": 3.0}) == {"out": 7.0, "d": 2.0}
    with pytest.raises(ValueError, match="no value for the input y"):
        evaluate(program, {"x": 2.0})
