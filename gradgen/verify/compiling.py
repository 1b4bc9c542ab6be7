"""Compiles programs so that they round as eager execution does.

XLA fuses operations, contracts multiplications with additions and reassociates divisions. Without
these passes it compiles several times faster, and what it compiles agrees with eager execution to
the bit: derivatives can be compared at ties.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax

from gradgen.verify.floats import Array, same_bits
from gradgen.verify.subject import Called, arrays, result_leaves

Compiled = Callable[..., Any]

OPTIMISED: dict[str, Any] = {"xla_backend_optimization_level": 3}
"""Options with which XLA compiles as it does by default, whatever the environment says."""
_UNFUSED = "fusion,constant_folding,small-while-loop-hoisting"
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
_APPROXIMATED = frozenset(("tanh", "log_plus_one", "cbrt", "custom_call", "power", "tan", "atan2"))
"""What XLA approximates in one way on its own and in another within a larger function."""
_SMALL = 1000
"""Programs of fewer lines compile faster as one function than operation by operation; and only for
those, and for loops, is the compiler chosen by trying."""


@contextmanager
def precision(dtype: str, *, with_64_bits: bool = False) -> Iterator[None]:
    """On the CPU, with 64-bit types if that is the dtype, or they are asked for beside another."""
    wide = with_64_bits or dtype == "float64"
    with jax.enable_x64(wide), jax.default_device(jax.devices("cpu")[0]):
        yield


@dataclass(frozen=True)
class Compiler:
    """Compiles without fusion."""

    simplifies: bool = False
    """Whether algebraic simplification is on. It divides by a broadcast scalar as eager execution
    does, by its reciprocal; but it may turn a / b / c into a / (b c), depending on the context."""
    elementwise: bool = True
    """Whether the source can do without: where it multiplies matrices, say, it cannot."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Compiled:
        """Compile for arguments like these."""
        lowered = jax.jit(function).lower(*arguments)
        text = lowered.as_text()
        passes = [_UNFUSED]
        if is_elementwise(text):
            small = ",fusion-wrapper" if text.count("\n") < _SMALL and is_simple(text) else ""
            passes.insert(0, _UNFUSED + ("" if self.simplifies else ",algsimp") + small)
        for disabled in passes:
            try:
                options = {**plain(text), "xla_disable_hlo_passes": disabled}
                return lowered.compile(compiler_options=options)
            except jax.errors.JaxRuntimeError:
                continue
        return lowered.compile()


def plain(text: str) -> dict[str, Any]:
    """Options with which lowered code compiles fast, and may fuse.

    Convolutions are loops in the compiled code: without optimisation these take 20 times as long.
    """
    return {"xla_backend_optimization_level": int("stablehlo.convolution" in text)}


def is_elementwise(text: str) -> bool:
    """Whether lowered code holds nothing that needs simplification to be compiled."""
    return set(_OPERATION.findall(text)) <= _ELEMENTWISE


def is_simple(text: str) -> bool:
    """Whether every operation rounds the same, whatever is compiled in one function with it."""
    return set(_OPERATION.findall(text)) <= _ELEMENTWISE - _APPROXIMATED


def adds_up(text: str) -> bool:
    """Whether sums are taken over axes, in an order that hangs on what is compiled around them."""
    return "reduce" in _OPERATION.findall(text)


def choose_compiler(called: Called[Any], leaves: Sequence[Array]) -> Compiler:
    """The compiler under which the source's values agree with its eager execution most often."""
    given = arrays(leaves)

    def source(*leaves: Any) -> list[Any]:
        return result_leaves(called.source(leaves))

    text = jax.jit(source).lower(*given).as_text()
    if not is_elementwise(text):
        return Compiler(simplifies=True, elementwise=False)
    if text.count("\n") > _SMALL and "stablehlo.while" not in text:
        return Compiler()
    eager = source(*given)
    best, fewest = Compiler(), None
    for compiler in (Compiler(), Compiler(simplifies=True)):
        compiled = compiler(source, *given)(*given)
        different = sum(int((~same_bits(a, b)).sum()) for a, b in zip(compiled, eager, strict=True))
        if fewest is None or different < fewest:
            best, fewest = compiler, different
        if different == 0:
            break
    return best
