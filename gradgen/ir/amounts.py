"""Numbers of elements as formulas in the sizes of axes."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import prod

from gradgen.ir.shapes import Dim, Sizes, size

Factors = tuple[str, ...]
"""What is multiplied, in order: names of sizes, and sizes that are no product."""


@dataclass(frozen=True)
class Amount:
    """A polynomial in the sizes of axes: `2*batch*n*n_in + batch*n`."""

    terms: tuple[tuple[Factors, int], ...] = ()
    """What stands with which coefficient, each once and none with zero."""

    def __add__(self, other: Amount) -> Amount:
        return _amount([*self.terms, *other.terms])

    def __sub__(self, other: Amount) -> Amount:
        return self + -1 * other

    def __rmul__(self, number: int) -> Amount:
        return _amount((factors, number * coefficient) for factors, coefficient in self.terms)

    def times(self, dim: Dim) -> Amount:
        """As much for each element of an axis."""
        return _amount(
            (tuple(sorted((*more, *factors))), number * coefficient)
            for more, number in amount([dim]).terms
            for factors, coefficient in self.terms
        )

    def where(self, name: str, dim: Dim) -> Amount:
        """The polynomial with another size in place of one, which it is linear in.

        Raises ValueError where it is not, and so not the sum of what it is for parts of `dim`.
        """
        if any(factors.count(name) != 1 for factors, _ in self.terms):
            raise ValueError(f"{self} is not linear in {name}")
        rest = ((tuple(f for f in factors if f != name), n) for factors, n in self.terms)
        return _amount(rest).times(dim)

    def varying_with(self, name: str) -> Amount:
        """The terms in which this size is a factor."""
        return Amount(tuple(term for term in self.terms if name in term[0]))

    def at(self, sizes: Sizes) -> int:
        """The number at these sizes."""
        return sum(
            coefficient * prod(size(factor, sizes) for factor in factors)
            for factors, coefficient in self.terms
        )

    def __str__(self) -> str:
        ordered = sorted(self.terms, key=lambda term: (-len(term[0]), term[0]))
        text = " ".join(f"{'-' if n < 0 else '+'} {_product(abs(n), f)}" for f, n in ordered)
        return ("-" + text[2:] if text.startswith("-") else text[2:]) or "0"


def amount(dims: Iterable[Dim]) -> Amount:
    """How many elements an array of these axes has."""
    factors = [factor for dim in dims for factor in _factors(dim)]
    number = prod(f for f in factors if isinstance(f, int))
    names = sorted(f for f in factors if isinstance(f, str))
    return _amount([(tuple(names), number)])


@cache
def _factors(dim: Dim) -> tuple[Dim, ...]:
    """What is multiplied in the size of an axis."""
    if isinstance(dim, int) or dim.isidentifier():
        return (dim,)
    return tuple(map(_dim, _multiplied(ast.parse(dim, mode="eval").body)))


def _multiplied(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_multiplied(node.left), *_multiplied(node.right)]
    return [node]


def _dim(node: ast.expr) -> Dim:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    return ast.unparse(node)


def _amount(terms: Iterable[tuple[Factors, int]]) -> Amount:
    total: Counter[Factors] = Counter()
    for factors, coefficient in terms:
        total[factors] += coefficient
    return Amount(tuple((factors, number) for factors, number in total.items() if number))


def _product(number: int, factors: Factors) -> str:
    shown = [f if f.isidentifier() else f"({f})" for f in factors]
    return "*".join([str(number), *shown] if number != 1 or not shown else shown)
