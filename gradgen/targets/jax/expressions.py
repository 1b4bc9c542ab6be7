"""Expressions as text, with how tightly they bind, and numbers as literals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradgen.ir.code import Const, is_float, shortest_float32

ATOM, POWER, UNARY, TERM, SUM, SHIFT, AND, XOR, OR, COMPARISON = range(100, 0, -10)

BINDING = {
    "+": SUM, "-": SUM, "*": TERM, "/": TERM, "<<": SHIFT, ">>": SHIFT,
    "&": AND, "^": XOR, "|": OR,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARISON),
}  # fmt: skip
"""How tightly a sign binds in Python."""


@dataclass(frozen=True)
class Text:
    """An expression as text, with how tightly it binds."""

    text: str
    binding: int = ATOM

    def within(self, binding: int) -> str:
        """The text, in brackets where the surroundings bind at least as tightly as asked."""
        return self.text if self.binding >= binding else f"({self.text})"


def print_constant(constant: Const, *, single: bool = False) -> Text:
    """A number as a Python literal; where the text is of float32 alone (`single`), the shortest."""
    value = constant.value
    if constant.dtype == "bool":
        return Text(repr(bool(value)))
    if not is_float(constant.dtype):
        return Text(repr(int(value)), UNARY if value < 0 else ATOM)
    if math.isnan(value):
        return Text("jnp.nan")
    if math.isinf(value):
        return Text("jnp.inf") if value > 0 else Text("-jnp.inf", UNARY)
    if constant.dtype == "float32":
        return Text(f"jnp.float32({shortest_float32(value)})")
    if constant.dtype not in ("weak", "float"):
        return Text(f"jnp.asarray({float(value)!r}, float)")
    if single:
        value = float(shortest_float32(value))
        if math.isinf(value):
            return print_constant(Const(value))
    negative = math.copysign(1, value) < 0
    return Text(repr(float(value)), UNARY if negative else ATOM)
