"""What each operation computes, in plain Python: IEEE 754 floats, integers that wrap, fractions.

Three tables hold one function for each operation. Those of `OF_DTYPE` take the result's dtype as a
keyword; attributes arrive as keywords too.
"""

from __future__ import annotations

import math
import operator
import struct
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from gradgen.ir.algebra import COMPARISONS
from gradgen.ir.code import DType, is_float

Value = float | int | bool | Fraction
Function = Callable[..., Any]

# Numbers of limited width

_FLOATS = {"float16": "e", "float32": "f"}


def represent(value: Any, dtype: DType, exact: bool) -> Value:
    """A result as its dtype holds it; `float`, `weak` and `int` stand for 64 bits here."""
    if dtype == "bool":
        return bool(value)
    if not is_float(dtype):
        bits = _bits(dtype)
        wrapped: int = int(value) % 2**bits
        signed = not dtype.startswith("u") and wrapped >= 2 ** (bits - 1)
        return wrapped - int(2**bits) if signed else wrapped
    if isinstance(value, Fraction):
        return value
    value = float(value)
    if exact and math.isfinite(value):
        return Fraction(value)
    return _round_float(value, dtype)


def _round_float(value: float, dtype: DType) -> float:
    if dtype == "bfloat16":
        return _reduce_precision(value, dtype=dtype, exponent_bits=8, mantissa_bits=7)
    if dtype not in _FLOATS:
        return value
    code = _FLOATS[dtype]
    try:
        (rounded,) = struct.unpack(code, struct.pack(code, value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return float(rounded)


def _bits(dtype: DType) -> int:
    digits = dtype.lstrip("uint")
    return int(digits) if digits else 64


# Arithmetic, on floats, integers and fractions alike


def _divide(x: Any, y: Any, *, dtype: DType) -> Any:
    if not is_float(dtype):
        # as XLA: towards zero, and all bits set where there is no quotient
        return -1 if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
    if y != 0 or isinstance(x, Fraction):
        return x / y
    if x == 0 or math.isnan(x):
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1.0, y)


def _remainder(x: Any, y: Any) -> Any:
    """With the sign of the dividend, as in C."""
    if isinstance(x, float) or isinstance(y, float):
        return _total(math.fmod)(x, y)
    return x if y == 0 else (1 if x >= 0 else -1) * (abs(x) % abs(y))


def _integer_power(x: Any, *, y: int) -> Any:
    power, factor, n = None, x, abs(y)
    while n:
        if n & 1:
            power = factor if power is None else power * factor
        n >>= 1
        factor = factor * factor if n else factor
    power = type(x)(1) if power is None else power
    return power if y >= 0 else _divide(type(x)(1), power, dtype="float")


def _extremum(better: Function, x: Any, y: Any) -> Any:
    if x != x or y != y:
        return math.nan
    if x == y == 0 and isinstance(x, float):
        # minus zero is the smaller of the two
        return x if better(math.copysign(1, x), math.copysign(1, y)) else y
    return x if better(x, y) else y


_maximum = partial(_extremum, operator.ge)
_minimum = partial(_extremum, operator.le)


def _sign(x: Any) -> Any:
    return x if x == 0 or x != x else type(x)(1 if x > 0 else -1)


def _to_integer(rounding: Function) -> Function:
    """Rounding that keeps infinities, nan and the sign of zero."""

    def rounded(x: Any) -> Any:
        if isinstance(x, Fraction):
            return Fraction(rounding(x))
        return math.copysign(rounding(x), x) if math.isfinite(x) else x

    return rounded


def _away_from_zero(x: Any) -> int:
    whole: int = math.floor(abs(x))
    return (whole + bool(abs(x) - whole >= 0.5)) * (1 if x > 0 else -1)


def _round(x: Any, *, mode: str) -> Any:
    return _to_integer(round if mode == "even" else _away_from_zero)(x)


ALGEBRA: dict[str, Function] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "square": lambda x: x * x,
    "integer_pow": _integer_power,
    "rem": _remainder,
    "max": _maximum,
    "min": _minimum,
    "clamp": lambda low, x, high: _minimum(_maximum(x, low), high),
    "abs": abs,
    "sign": _sign,
    "floor": _to_integer(math.floor),
    "ceil": _to_integer(math.ceil),
    "round": _round,
    **COMPARISONS,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "select": lambda condition, if_true, if_false: if_true if condition else if_false,
    "is_finite": math.isfinite,
    "stop_gradient": lambda x: x,
    "copy": lambda x, **_: x,
}


# What depends on the dtype of the result


def _convert(x: Any, *, dtype: DType, **_: object) -> Any:
    if dtype == "bool":
        return x != 0
    if is_float(dtype):
        return x if isinstance(x, Fraction) else float(x)
    if not isinstance(x, float):
        return int(x)
    if math.isnan(x):
        return 0
    unsigned, bits = dtype.startswith("u"), _bits(dtype)
    low = 0 if unsigned else -(2 ** (bits - 1))
    high = 2**bits - 1 if unsigned else 2 ** (bits - 1) - 1
    return low if x <= low else high if x >= high else int(x)


def _reduce_precision(x: float, *, dtype: DType, exponent_bits: int, mantissa_bits: int) -> float:
    """To the nearest number of the format, ties to even; what would be subnormal becomes zero."""
    if x == 0 or not math.isfinite(x):
        return x
    fraction, exponent = math.frexp(x)
    scale = 2.0 ** (mantissa_bits + 1)
    rounded = math.ldexp(round(fraction * scale) / scale, exponent)
    largest = 2 ** (exponent_bits - 1) - 1
    _, exponent = math.frexp(rounded)
    if exponent - 1 > largest:
        return math.copysign(math.inf, x)
    return rounded if exponent - 1 >= 1 - largest else math.copysign(0.0, x)


_MACHINE = {
    "eps": sys.float_info.epsilon,
    "epsneg": sys.float_info.epsilon / 2,
    "tiny": sys.float_info.min,
    "smallest_subnormal": math.ulp(0.0),
    "max": sys.float_info.max,
    "min": -sys.float_info.max,
    "resolution": 1e-15,
}


def _shift_right(x: int, count: int, *, dtype: DType) -> int:
    return x % 2 ** _bits(dtype) >> count if 0 <= count < _bits(dtype) else 0


def _shift_left(x: int, count: int, *, dtype: DType) -> int:
    return x << count if 0 <= count < _bits(dtype) else 0


def _shift_right_keeping_sign(x: int, count: int, *, dtype: DType) -> int:
    return x >> (count if 0 <= count < _bits(dtype) else _bits(dtype))


OF_DTYPE: dict[str, Function] = {
    "div": _divide,
    "convert": _convert,
    "convert_like": lambda x, _, *, dtype: _convert(x, dtype=dtype),
    "reduce_precision": _reduce_precision,
    "finfo": lambda x, *, dtype, field: _MACHINE[field],
    "not": lambda x, *, dtype: not x if dtype == "bool" else ~x,
    "shift_left": _shift_left,
    "shift_right_logical": _shift_right,
    "shift_right_arithmetic": _shift_right_keeping_sign,
    "population_count": lambda x, *, dtype: (x % 2 ** _bits(dtype)).bit_count(),
    "clz": lambda x, *, dtype: _bits(dtype) - (x % 2 ** _bits(dtype)).bit_length(),
}
ON_INTEGERS = {
    "population_count", "clz", "shift_left", "shift_right_logical", "shift_right_arithmetic",
    "and", "or", "xor", "not",
}  # fmt: skip
"""Operations that are defined on integers and truth values alone."""


# Elementary functions, on floats


def _total(function: Function, poles: Mapping[float, float] | None = None) -> Function:
    """A function of `math` that answers everywhere: nan outside its domain, inf beyond its range.

    `poles` gives its values where it has a limit that `math` does not know.
    """

    def total(*operands: float) -> float:
        try:
            return float(function(*operands))
        except ValueError:
            return (poles or {}).get(operands[0], math.nan)
        except OverflowError:
            return math.copysign(math.inf, operands[0])

    return total


def _power(x: float, y: float) -> float:
    try:
        return float(math.pow(x, y))
    except (ValueError, OverflowError):
        # a pole at zero, overflow, or a root of a negative number
        if x < 0 and not float(y).is_integer():
            return math.nan
        negative = math.copysign(1, x) < 0 and abs(math.fmod(y, 2)) == 1
        return -math.inf if negative else math.inf


def _reciprocal_root(x: float) -> float:
    return float(_divide(1.0, _total(math.sqrt)(x), dtype="float"))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + float(_exp(-x)))


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):
        return math.inf


_exp = _total(math.exp)
_DIRECT = (
    "expm1", "exp2", "sqrt", "cbrt", "erf", "erfc", "sin", "cos", "tan", "asin", "acos", "atan",
    "atan2", "sinh", "tanh", "asinh", "acosh",
)  # fmt: skip

ANALYSIS: dict[str, Function] = {
    "exp": _exp,
    "log": _total(math.log, {0.0: -math.inf}),
    "log2": _total(math.log2, {0.0: -math.inf}),
    "log1p": _total(math.log1p, {-1.0: -math.inf}),
    "atanh": _total(math.atanh, {1.0: math.inf, -1.0: -math.inf}),
    "cosh": lambda x: _total(math.cosh)(abs(x)),
    "rsqrt": _reciprocal_root,
    "pow": _power,
    "logistic": _logistic,
    "lgamma": _lgamma,
    "nextafter": math.nextafter,
    **{name: _total(getattr(math, name)) for name in _DIRECT},
}
