"""The vocabulary of straight-line code: every operation, what it is called and what it counts as.

The names are those of JAX's primitives, with `select(condition, if_true, if_false)` for `select_n`
and `convert` for `convert_element_type`. What an operation costs follows one rule throughout: a
multiplication, division, addition, subtraction or elementary function counts one; an integer power
counts as the multiplications of repeated squaring; a logistic function counts three (exponential,
addition, division); negation, absolute value, sign, comparison, logic, selection and conversion
count nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

OperationKind = Literal[
    "mul",
    "div",
    "add",
    "sub",
    "neg",
    "pow",
    "transcendental",
    "other",
    "compare",
    "select",
    "free",
    "array",
]

KINDS: tuple[OperationKind, ...] = (
    "mul", "div", "add", "sub", "neg", "pow", "transcendental", "other", "compare", "select",
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One operation: all that the stages need to know of it, but for its partials."""

    name: str
    arity: int
    """How many operands it takes; -1 for any number."""
    kind: OperationKind
    """What it is counted under."""
    numpy: str = ""
    """Its function in NumPy and whatever has NumPy's names; empty if there is none."""
    lax: str = ""
    """Its function in `jax.lax`, if that has another name."""
    infix: str = ""
    """Its sign in Python."""
    commutative: bool = False
    boolean: bool = False
    """Whether the result is a truth value."""
    promotes: bool = False
    """Whether its operands are promoted to one dtype, the result's."""
    size: Literal["any", "kept", "small"] = "any"
    """Of what size the result is for finite operands: small if they are, or always."""
    nonnegative: bool = False
    """Whether the result is never negative."""


def _promoting(
    name: str, kind: OperationKind, numpy: str, infix: str = "", **more: Any
) -> Operation:
    return Operation(name, 2, kind, numpy, infix=infix, promotes=True, **more)


def _comparison(name: str, numpy: str, infix: str, *, commutative: bool = False) -> Operation:
    return Operation(name, 2, "compare", numpy, infix=infix, commutative=commutative, boolean=True)


def _logic(name: str, numpy: str, infix: str) -> Operation:
    return Operation(name, 2, "compare", numpy, infix=infix, commutative=True)


def _array(name: str, arity: int = 1, numpy: str = "") -> Operation:
    """An operation that is not elementwise; its value's shape is its attribute `shape`."""
    return Operation(name, arity, "array", numpy)


def _function(name: str, numpy: str = "", *, arity: int = 1, **more: Any) -> Operation:
    return Operation(name, arity, "transcendental", numpy, **more)


_ALL = (
    _promoting("mul", "mul", "multiply", "*", commutative=True),
    _promoting("add", "add", "add", "+", commutative=True, size="kept"),
    _promoting("sub", "sub", "subtract", "-", size="kept"),
    _promoting("div", "div", "divide", "/"),
    Operation("neg", 1, "neg", "negative", size="kept"),
    Operation("square", 1, "pow", "square"),
    Operation("integer_pow", 1, "pow"),
    _function("exp", "exp", nonnegative=True),
    _function("exp2", "exp2", nonnegative=True),
    _function("log", "log"),
    _function("log2", "log2"),
    _function("expm1", "expm1"),
    _function("log1p", "log1p"),
    _function("sqrt", "sqrt", nonnegative=True),
    _function("rsqrt"),
    _function("cbrt", "cbrt"),
    _function("sin", "sin", size="small"),
    _function("cos", "cos", size="small"),
    _function("tan", "tan"),
    _function("asin", "arcsin"),
    _function("acos", "arccos"),
    _function("atan", "arctan", size="small"),
    _function("sinh", "sinh"),
    _function("cosh", "cosh", nonnegative=True),
    _function("tanh", "tanh", size="small"),
    _function("asinh", "arcsinh"),
    _function("acosh", "arccosh"),
    _function("atanh", "arctanh"),
    _function("logistic", size="small", nonnegative=True),
    _function("erf", size="small"),
    _function("erfc", size="small"),
    _function("erf_inv"),
    _function("lgamma"),
    _function("digamma"),
    _function("bessel_i0e"),
    _function("bessel_i1e"),
    _promoting("pow", "transcendental", "power"),
    _promoting("atan2", "transcendental", "arctan2"),
    _function("igamma", arity=2),
    _function("igammac", arity=2),
    _function("igamma_grad_a", arity=2),
    _function("polygamma", arity=2),
    _function("zeta", arity=2),
    _function("regularized_incomplete_beta", arity=3, lax="betainc"),
    _promoting("max", "other", "maximum", commutative=True, size="kept"),
    _promoting("min", "other", "minimum", commutative=True, size="kept"),
    Operation("clamp", 3, "other", size="kept"),
    _promoting("rem", "other", "fmod"),
    Operation("nextafter", 2, "other", "nextafter"),
    Operation("shift_left", 2, "other", infix="<<"),
    Operation("shift_right_logical", 2, "other"),
    Operation("shift_right_arithmetic", 2, "other", infix=">>"),
    Operation("floor", 1, "other", "floor", size="kept"),
    Operation("ceil", 1, "other", "ceil", size="kept"),
    Operation("round", 1, "other", size="kept"),
    Operation("population_count", 1, "other"),
    Operation("clz", 1, "other"),
    Operation("abs", 1, "free", "abs", size="kept", nonnegative=True),
    Operation("sign", 1, "free", "sign", size="small"),
    _comparison("eq", "equal", "==", commutative=True),
    _comparison("ne", "not_equal", "!=", commutative=True),
    _comparison("lt", "less", "<"),
    _comparison("le", "less_equal", "<="),
    _comparison("gt", "greater", ">"),
    _comparison("ge", "greater_equal", ">="),
    Operation("is_finite", 1, "compare", "isfinite", boolean=True),
    _logic("and", "bitwise_and", "&"),
    _logic("or", "bitwise_or", "|"),
    _logic("xor", "bitwise_xor", "^"),
    Operation("not", 1, "compare", "bitwise_not"),
    Operation("select", 3, "select", "where", size="kept"),
    Operation("convert", 1, "free", size="kept"),
    Operation("convert_like", 2, "free"),
    Operation("reduce_precision", 1, "free"),
    Operation("stop_gradient", 1, "free", size="kept"),
    Operation("copy", 1, "free", size="kept"),
    Operation("finfo", 1, "free", size="kept"),
    Operation("library", -1, "transcendental"),
    Operation("derivative", -1, "transcendental"),
    _array("einsum", 2),
    _array("broadcast"),
    _array("reshape"),
    _array("transpose"),
    _array("barrier"),
    _array("size", 0),
    _array("iota", 0),
    _array("reduce_sum", numpy="sum"),
    _array("reduce_max", numpy="max"),
    _array("reduce_min", numpy="min"),
    _array("reduce_prod", numpy="prod"),
    _array("reduce_and", numpy="all"),
    _array("reduce_or", numpy="any"),
    _array("argmax"),
    _array("argmin"),
    _array("cumsum"),
    _array("cumprod"),
    _array("cummax"),
    _array("cummin"),
    _array("cumlogsumexp"),
    _array("slice"),
    _array("rev"),
    _array("pad", 2),
    _array("concatenate", -1),
    _array("dynamic_slice", -1),
    _array("dynamic_update_slice", -1),
    _array("gather", 2),
    _array("scatter", 3),
    _array("scatter_add", 3),
    _array("scatter_mul", 3),
    _array("scatter_min", 3),
    _array("scatter_max", 3),
    _array("conv", 2),
    _array("sort", -1),
    _array("top_k"),
    _array("literal", -1),
    _array("machine", 0),
    _array("reduce_window_sum"),
    _array("reduce_window_max"),
    _array("reduce_window_min"),
    _array("reduce_window_mul"),
    _array("random", -1),
    _array("wrap_key"),
    _array("unwrap_key"),
    _array("split_key"),
    _array("fold_in", 2),
    _array("loop", -1),
    _array("item"),
    _array("at_step", 2),
    _array("start"),
    _array("pullback", -1),
    _array("pushforward", -1),
)

OPERATIONS = {operation.name: operation for operation in _ALL}
"""Every operation by name.

`copy` gives a call with a derivative rule of its own a vertex of its own; its attribute `call`
numbers the call. Three are not primitives: `finfo` is an attribute (`eps`, `tiny`, ...) of its
operand's dtype; `library` is a call of a named JAX function that is kept whole; `derivative` is the
derivative of such a function, or of a primitive, by JAX's own rule at run time. Of the operations
on arrays, `pullback` and `pushforward` are JAX's own rules of another operation, its attribute
`op`, applied to their first operand; the others are that operation's. `literal` is an array of the
numbers that are its operands, `machine` a field of `finfo` of the dtype that a program's floats
have. What has several results is an operation for each, its attribute `result`. `loop` is a loop
over time and `item` one of its results; `at_step` is one step of an array, and `start` what a
loop's carry began with.
"""


def integer_pow_multiplications(exponent: int) -> int:
    """The multiplications that repeated squaring needs for a power; one more division if negative.

    Examples: 2 -> 1, 3 -> 2, 4 -> 2, 7 -> 4 (Knuth, TAOCP vol. 2, section 4.6.3).
    """
    n = abs(exponent)
    return 0 if n == 0 else n.bit_length() - 1 + n.bit_count() - 1
