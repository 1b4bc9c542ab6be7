"""The vocabulary of straight-line code: every operation, its arity and what it counts as.

The names are those of JAX's primitives, with `select(condition, if_true, if_false)` for `select_n`
and `convert` for `convert_element_type`. What an operation costs follows one rule throughout: a
multiplication, division, addition, subtraction or elementary function counts one; an integer power
counts as the multiplications of repeated squaring; a logistic function counts three (exponential,
addition, division); negation, absolute value, sign, comparison, logic, selection and conversion
count nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "mul", "div", "add", "sub", "neg", "pow", "transcendental", "other", "compare", "select", "free"
]

KINDS: tuple[Kind, ...] = (
    "mul", "div", "add", "sub", "neg", "pow", "transcendental", "other", "compare", "select",
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One operation: how many operands it takes, the kind it is counted under, and its symmetry."""

    name: str
    arity: int
    kind: Kind
    commutative: bool = False
    boolean: bool = False
    """Whether the result is a truth value."""


def _table() -> dict[str, Operation]:
    table: dict[str, Operation] = {}

    def define(names: str, arity: int, kind: Kind, **flags: bool) -> None:
        for name in names.split():
            table[name] = Operation(name, arity, kind, **flags)

    define("mul", 2, "mul", commutative=True)
    define("add", 2, "add", commutative=True)
    define("sub", 2, "sub")
    define("div", 2, "div")
    define("neg", 1, "neg")
    define("square integer_pow", 1, "pow")
    define(
        "exp exp2 log log2 expm1 log1p sqrt rsqrt cbrt sin cos tan asin acos atan sinh cosh "
        "tanh asinh acosh atanh logistic erf erfc erf_inv lgamma digamma bessel_i0e bessel_i1e",
        1,
        "transcendental",
    )
    define("pow atan2 igamma igammac polygamma zeta igamma_grad_a", 2, "transcendental")
    define("regularized_incomplete_beta", 3, "transcendental")
    define("max min", 2, "other", commutative=True)
    define("clamp", 3, "other")
    define("rem nextafter shift_left shift_right_logical shift_right_arithmetic", 2, "other")
    define("floor ceil round population_count clz", 1, "other")
    define("abs sign", 1, "free")
    define("eq ne", 2, "compare", commutative=True, boolean=True)
    define("lt le gt ge", 2, "compare", boolean=True)
    define("is_finite", 1, "compare", boolean=True)
    define("and or xor", 2, "compare", commutative=True)
    define("not", 1, "compare")
    define("select", 3, "select")
    define("convert reduce_precision stop_gradient copy", 1, "free")
    define("finfo", 1, "free")
    define("library", -1, "transcendental")
    define("derivative", -1, "transcendental")
    return table


OPERATIONS = _table()
"""Every operation by name.

`copy` gives a call with a derivative rule of its own a vertex of its own; its attribute `call`
numbers the call. Three are not primitives: `finfo` is an attribute (`eps`, `tiny`, ...) of its
operand's dtype; `library` is a call of a named JAX function that is kept whole; `derivative` is the
derivative of such a function, or of a primitive, by JAX's own rule at run time.
"""


def integer_pow_multiplications(exponent: int) -> int:
    """The multiplications that repeated squaring needs for a power; one more division if negative.

    Examples: 2 -> 1, 3 -> 2, 4 -> 2, 7 -> 4 (Knuth, TAOCP vol. 2, section 4.6.3).
    """
    n = abs(exponent)
    return 0 if n == 0 else n.bit_length() - 1 + n.bit_count() - 1
