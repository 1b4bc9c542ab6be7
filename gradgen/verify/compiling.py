"""How XLA compiles what is compared: in which precision, and what it may change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

OPTIMISED: dict[str, Any] = {"xla_backend_optimization_level": 3}
"""Options with which XLA compiles as it does by default, whatever the environment says."""
_ELEMENTWISE = frozenset((
    "abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i1e",
    "bitcast_convert", "broadcast_in_dim", "cbrt", "ceil", "clamp", "compare", "concatenate",
    "constant", "convert", "cosh", "cosine", "count_leading_zeros", "custom_call", "digamma",
    "divide", "dynamic_slice", "dynamic_update_slice", "erf", "erf_inv", "erfc", "exponential",
    "exponential_minus_one", "floor", "iota", "is_finite", "lgamma", "log", "log_plus_one",
    "logistic", "maximum", "minimum", "multiply", "negate", "next_after", "not",
    "optimization_barrier", "or", "pad", "polygamma", "popcnt", "power", "reduce",
    "reduce_precision", "remainder", "reshape", "return", "round_nearest_afz",
    "round_nearest_even", "rsqrt", "select", "shift_left", "shift_right_arithmetic",
    "shift_right_logical", "sign", "sine", "sinh", "slice", "sqrt", "square", "subtract", "tan",
    "tanh", "transpose", "while", "xor", "zeta",
))  # fmt: skip
"""What may be compiled without simplification; a matrix product, for one, needs it."""
_OPERATION = re.compile(r"\b(?:stablehlo|chlo)\.(\w+)")
_APPROXIMATED = frozenset((
    "atan2", "cbrt", "custom_call", "log_plus_one", "power", "rsqrt", "tan", "tanh",
))  # fmt: skip
"""What XLA approximates in one way on its own and in another within a larger function."""


@contextmanager
def precision(dtype: str, *, with_64_bits: bool = False) -> Iterator[None]:
    """On the CPU, with 64-bit types if that is the dtype, or they are asked for beside another."""
    wide = with_64_bits or dtype == "float64"
    with jax.enable_x64(wide), jax.default_device(jax.devices("cpu")[0]):
        yield


def is_simple(text: str) -> bool:
    """Whether every operation rounds the same, whatever is compiled in one function with it."""
    return set(_OPERATION.findall(text)) <= _ELEMENTWISE - _APPROXIMATED


def adds_up(text: str) -> bool:
    """Whether sums are taken over axes, in an order that hangs on what is compiled around them."""
    return "reduce" in _OPERATION.findall(text)
