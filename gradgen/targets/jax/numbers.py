"""Numbers as the source has them: `0.01 / 18.0`, where that was computed before there was a text.

Python computes with the numbers of a source before JAX sees them, and gradgen with the factors and
divisors of derivatives. A number of many digits is written as what gives it to the bit, if the
source has that: a constant expression, a factor over a divisor, or two factors. Python carries it
out when it reads the text.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache

from gradgen.ir.code import Const
from gradgen.targets.jax.expressions import BINDING, TERM, Text, print_constant

Forms = Mapping[float, Text]
"""What numbers are written as."""

_SIGNS: Mapping[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
}  # fmt: skip
_OPERATIONS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
_MOST = 100
"""Of so many factors and divisors at most, pairs are looked at."""

_Number = tuple[float, Text]


@lru_cache(maxsize=2)
def forms_in(source: str) -> Forms:
    """What numbers that are computed from those of a source may be written as."""
    nodes = list(ast.walk(ast.parse(source)))
    factors: dict[float, Text] = {1.0: Text("1.0")}
    divisors: dict[float, Text] = {}
    found = {math.pi: Text("jnp.pi")}
    for node in nodes:
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Mult):
                factors.update([*_number(node.left), *_number(node.right)])
            elif isinstance(node.op, ast.Div):
                factors.update(_number(node.left))
                divisors.update(_number(node.right))
            found.update(_number(node))
    if len(factors) + len(divisors) <= _MOST:
        for one in factors.items():
            pairs = [*(("/", d) for d in divisors.items()), *(("*", f) for f in factors.items())]
            for value, form in (_combined(one, sign, other) for sign, other in pairs):
                found.setdefault(value, form)
    return found


def print_number(constant: Const, forms: Forms, *, single: bool) -> Text:
    """A number as a literal, or as what the source computes it from where that is shorter."""
    plain, value = print_constant(constant, single=single), constant.value
    if single or constant.dtype not in ("weak", "float"):
        return plain
    form = forms.get(abs(value))
    if form is None or len(form.text) >= len(repr(abs(value))):
        return plain
    return form if value > 0 else Text(f"-{form.within(TERM)}", TERM)


def _number(node: ast.expr) -> Iterator[_Number]:
    """The number that a constant expression is, but for its sign, and how it is written."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            with suppress(OverflowError):
                yield float(value), Text(repr(float(value)))
        case ast.Attribute(attr="pi"):
            yield math.pi, Text("jnp.pi")
        case ast.UnaryOp(op=ast.USub()):
            yield from _number(node.operand)
        case ast.BinOp() if type(node.op) in _SIGNS:
            for left in _number(node.left):
                for right in _number(node.right):
                    with suppress(ZeroDivisionError):
                        yield _combined(left, _SIGNS[type(node.op)], right)


def _combined(one: _Number, sign: str, other: _Number) -> _Number:
    binding = BINDING[sign]
    (x, left), (y, right) = one, other
    text = Text(f"{left.within(binding)} {sign} {right.within(binding + 1)}", binding)
    return _OPERATIONS[sign](x, y), text
