"""Local algebra: what one instruction simplifies to, given how its operands were computed.

There are two levels. *Exact* rules change no bit of any result in any dtype and hold for all code,
the user's primal included. *Algebraic* rules are exact up to rounding and serve partials and
accumulation alone: signs move outwards until an addition or subtraction absorbs them, a product
with a mask becomes a selection, numeric factors are gathered. Only + - * / and neg are folded, in
binary64; never an elementary function, whose last bit differs between machines.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Protocol

from gradgen.ir.code import Atom, Attribute, Const, DType, Instruction, is_float, is_zero

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def _with_sign(x: float) -> tuple[float, float]:
    """For comparing numbers where minus zero is less than zero."""
    return x, math.copysign(1, x)


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
}
_CHOICES: dict[str, Callable[..., float]] = {
    "max": partial(max, key=_with_sign),
    "min": partial(min, key=_with_sign),
    "clamp": lambda low, x, high: min(max(x, low, key=_with_sign), high, key=_with_sign),
    "abs": abs,
    "stop_gradient": lambda x: x,
}
"""Operations that return one of their operands, up to its sign."""
_LOGIC: dict[str, Callable[[int, int], int]] = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
}


class Context(Protocol):
    """What the rules need of the builder that applies them."""

    def definition(self, atom: Atom) -> Instruction | None:
        """The instruction that computes a variable, None for inputs and constants."""
        ...

    def emit(self, op: str, *operands: Atom) -> Atom:
        """Add an instruction, simplified in its turn, and return its value."""
        ...


def simplify_exactly(
    op: str, operands: tuple[Atom, ...], attributes: tuple[tuple[str, Attribute], ...], dtype: DType
) -> Atom | None:
    """What an instruction is equal to, bit for bit and in every dtype; None if nothing simpler."""
    match op, operands:
        case "mul", (x, Const() as c) | (Const() as c, x) if (
            is_one(c) and _promotes_nothing(c) and isinstance(x, str)
        ):
            return x
        case (("div" | "pow"), (str() as x, Const() as c)) if is_one(c) and _promotes_nothing(c):
            return x
        case "sub", (str() as x, Const() as c) if (
            is_zero(c) and _promotes_nothing(c) and math.copysign(1, c.value) > 0
        ):
            return x
        case "select", (Const() as condition, if_true, if_false):
            return if_true if condition.value else if_false
        case "integer_pow", (x,) if dict(attributes)["y"] == 1:
            return x
        case "ne" | "eq", (x, Const(dtype="bool") as c) | (Const(dtype="bool") as c, x) if (
            c.value == (op == "eq")
        ):
            return x
    if all(isinstance(a, Const) for a in operands):
        return _fold_exactly(op, tuple(a for a in operands if isinstance(a, Const)), dtype)
    return None


def is_one(atom: Atom) -> bool:
    """Whether an atom is the number one."""
    return isinstance(atom, Const) and atom.value == 1 and atom.dtype != "bool"


def _promotes_nothing(constant: Const) -> bool:
    """Whether a number takes the dtype of what it meets."""
    return constant.dtype in ("weak", "float") or not is_float(constant.dtype)


def _fold_exactly(op: str, constants: tuple[Const, ...], dtype: DType) -> Const | None:
    values = [c.value for c in constants]
    if op in _CHOICES and all(math.isfinite(value) for value in values):
        # rounding keeps the order of numbers, so it does not matter which comes first
        return Const(_CHOICES[op](*values), dtype)
    if not all(map(_is_small_integer, constants)):
        return None
    result: Const | None = None
    if op in COMPARISONS:
        result = Const(COMPARISONS[op](*values), "bool")
    elif op in _ARITHMETIC:
        result = Const(_ARITHMETIC[op](*values), dtype)
    elif op in _LOGIC:
        result = Const(_LOGIC[op](int(values[0]), int(values[1])), dtype)
    elif op == "not" and dtype == "bool":
        result = Const(not values[0], "bool")
    elif op == "neg" and values[0] != 0:
        result = Const(-values[0], dtype)
    elif op == "convert":
        result = Const(values[0] if is_float(dtype) else int(values[0]), dtype)
    return result if result is not None and _is_small_integer(result) else None


def _is_small_integer(constant: Const) -> bool:
    """Whether every dtype of its kind holds the number; 256 is where bfloat16 begins to skip."""
    if is_float(constant.dtype):
        return float(constant.value).is_integer() and abs(constant.value) <= 256
    return (0 if constant.dtype.startswith("u") else -(2**31)) <= constant.value < 2**31


def simplify(context: Context, op: str, operands: tuple[Atom, ...]) -> Atom | None:
    """What a float instruction is equal to up to rounding; None if nothing simpler is known.

    For partials and accumulation only.
    """
    rule = _RULES.get(op)
    return None if rule is None else rule(context, *operands)


def _negated(context: Context, atom: Atom) -> Atom | None:
    """x where atom is -x."""
    if isinstance(atom, Const):
        return Const(-atom.value) if atom.value < 0 and is_float(atom.dtype) else None
    definition = context.definition(atom)
    return definition.operands[0] if definition is not None and definition.op == "neg" else None


def _add(context: Context, a: Atom, b: Atom) -> Atom | None:
    if is_zero(a):
        return b
    if is_zero(b):
        return a
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value + b.value)
    if a == b:
        return context.emit("mul", Const(2.0), a)
    if (minus_b := _negated(context, b)) is not None:
        return context.emit("sub", a, minus_b)
    if isinstance(a, str) and (minus_a := _negated(context, a)) is not None:
        return context.emit("sub", b, minus_a)
    return _add_selections(context, a, b)


def _add_selections(context: Context, a: Atom, b: Atom) -> Atom | None:
    """`where(p, x, 0) + where(p, 0, y)` is `where(p, x, y)`."""
    left, right = context.definition(a), context.definition(b)
    if left is None or right is None or left.op != "select" or right.op != "select":
        return None
    condition, x, y = left.operands
    other, z, w = right.operands
    if condition != other or not ((is_zero(x) or is_zero(z)) and (is_zero(y) or is_zero(w))):
        return None
    return context.emit("select", condition, z if is_zero(x) else x, w if is_zero(y) else y)


def _sub(context: Context, a: Atom, b: Atom) -> Atom | None:
    if is_zero(b):
        return a
    if is_zero(a):
        return context.emit("neg", b)
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value - b.value)
    if a == b:
        return Const(0.0)
    if (minus_b := _negated(context, b)) is not None:
        return context.emit("add", a, minus_b)
    if isinstance(a, str) and (minus_a := _negated(context, a)) is not None:
        return context.emit("neg", context.emit("add", minus_a, b))
    return None


def _neg(context: Context, a: Atom) -> Atom | None:
    if isinstance(a, Const):
        return Const(-a.value) if a.value != 0 else a
    definition = context.definition(a)
    if definition is None:
        return None
    match definition.op, definition.operands:
        case "neg", (x,):
            return x
        case "sub", (x, y):
            return context.emit("sub", y, x)
        case "select", (p, Const() as x, Const() as y):
            return context.emit("select", p, Const(0.0 - x.value), Const(0.0 - y.value))
    return None


def _mul(context: Context, a: Atom, b: Atom) -> Atom | None:
    if isinstance(b, Const) and not isinstance(a, Const):
        return context.emit("mul", b, a)
    if isinstance(a, Const):
        return _scale(context, float(a.value), b)
    if (minus_a := _negated(context, a)) is not None:
        return context.emit("neg", context.emit("mul", minus_a, b))
    if (minus_b := _negated(context, b)) is not None:
        return context.emit("neg", context.emit("mul", a, minus_b))
    for mask, factor in ((a, b), (b, a)):
        if (chosen := _select_by_mask(context, mask, factor)) is not None:
            return chosen
    return None


def _scale(context: Context, factor: float, x: Atom) -> Atom | None:
    """The product of a number and an atom."""
    if isinstance(x, Const):
        return Const(factor * x.value)
    if factor == 0:
        return Const(0.0)
    if factor == 1:
        return x
    if factor == -1:
        return context.emit("neg", x)
    definition = context.definition(x)
    if definition is None:
        return None
    match definition.op, definition.operands:
        case "neg", (y,):
            return context.emit("mul", Const(-factor), y)
        case "mul", (Const() as inner, y) | (y, Const() as inner):
            return context.emit("mul", Const(factor * inner.value), y)
        case "div", (Const() as numerator, y):
            return context.emit("div", Const(factor * numerator.value), y)
        case "select", (p, Const() as y, Const() as z):
            return context.emit("select", p, Const(factor * y.value), Const(factor * z.value))
    return None


def mask_values(context: Context, atom: Atom) -> tuple[Atom, float, float] | None:
    """(condition, value if true, value if false) where atom is a mask: each value 0, 1 or -1.

    A truth value converted to a float is a mask too.
    """
    definition = context.definition(atom)
    if definition is None:
        return None
    match definition.op, definition.operands:
        case "select", (p, Const() as x, Const() as y) if {x.value, y.value} <= {0, 1, -1}:
            return p, float(x.value), float(y.value)
        case "convert", (p,) if is_float(definition.dtype):
            if definition.attribute("from") == "bool":
                return p, 1.0, 0.0
            return mask_values(context, p) if definition.attribute("from") == "float" else None
    return None


def _select_by_mask(context: Context, mask: Atom, factor: Atom) -> Atom | None:
    values = mask_values(context, mask)
    if values is None:
        return None
    condition, if_true, if_false = values
    return context.emit(
        "select",
        condition,
        context.emit("mul", Const(if_true), factor),
        context.emit("mul", Const(if_false), factor),
    )


def _div(context: Context, a: Atom, b: Atom) -> Atom | None:
    if isinstance(b, Const):
        if b.value == 1:
            return a
        if b.value == -1:
            return context.emit("neg", a)
        if isinstance(a, Const) and b.value != 0:
            return Const(a.value / b.value)
    if is_zero(a):
        return Const(0.0)
    if isinstance(b, str) and (minus_b := _negated(context, b)) is not None:
        return context.emit("neg", context.emit("div", a, minus_b))
    if isinstance(a, str) and (minus_a := _negated(context, a)) is not None:
        return context.emit("neg", context.emit("div", minus_a, b))
    return None


def _select(context: Context, p: Atom, a: Atom, b: Atom) -> Atom | None:
    if a == b:
        return a
    inner = context.definition(a)
    if inner is not None and inner.op == "select" and inner.operands[0] == p:
        return context.emit("select", p, inner.operands[1], b)
    inner = context.definition(b)
    if inner is not None and inner.op == "select" and inner.operands[0] == p:
        return context.emit("select", p, a, inner.operands[2])
    if isinstance(a, Const) and isinstance(b, Const):
        return None
    minus_a = a if is_zero(a) else _negated(context, a)
    minus_b = b if is_zero(b) else _negated(context, b)
    if minus_a is not None and minus_b is not None:
        return context.emit("neg", context.emit("select", p, minus_a, minus_b))
    return None


def _integer_pow(context: Context, x: Atom) -> Atom | None:
    return x if isinstance(x, Const) and x.value == 1 else None


def _stop_gradient(context: Context, x: Atom) -> Atom | None:
    return x


_RULES: dict[str, Callable[..., Atom | None]] = {
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "select": _select,
    "square": _integer_pow,
    "integer_pow": _integer_pow,
    "stop_gradient": _stop_gradient,
}
