"""Sums of products in a canonical form, interned so that equal values are one and the same.

A *factor* is a number: a positive one stands for an atom, a negative one for its reciprocal. An
*atom* is a variable (of the primal, or of an instruction that algebra does not look into) or a sum.
A *monomial* is a sorted tuple of factors, a *term* a coefficient with a monomial, and a *sum* a
tuple of terms that are sorted by monomial, the first with a positive coefficient. A product of sums
is not expanded: where to factor and where to expand is what the moves decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TypeVar

from gradgen.ir.code import Var

Monomial = tuple[int, ...]
Term = tuple[float, Monomial]
Sum = tuple[Term, ...]
K = TypeVar("K")

ZERO: Term = (0.0, ())

_NOISE = 4 * 2.0**-52
"""Sums of coefficients that are smaller than this, relative to their summands, are zero."""


@cache
def tidy(number: float) -> float:
    """The simple fraction that a number missed by a rounding, the number itself if there is none.

    A tenth of a hundredth is then 0.001, and equal coefficients are equal however they came about.
    A fraction with so small a denominator is not that close by chance.
    """
    if not math.isfinite(number):
        return number
    for simple in (Fraction(number).limit_denominator(10**6), Fraction(f"{number:.14g}")):
        if abs(float(simple) - number) <= math.ulp(number):
            return float(simple)
    return number


def multiply(left: Monomial, right: Monomial) -> Monomial:
    """The product of two monomials; a factor cancels its reciprocal."""
    return product((*left, *right)) if left and right else left or right


def product(factors: Iterable[int]) -> Monomial:
    """The monomial of factors in any order; a factor cancels its reciprocal."""
    kept: list[int] = []
    for factor in factors:
        if -factor in kept:
            kept.remove(-factor)
        else:
            kept.append(factor)
    kept.sort()
    return tuple(kept)


def reciprocal(monomial: Monomial) -> Monomial:
    """The monomial of the reciprocal."""
    return tuple(sorted(-factor for factor in monomial))


def divide(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    """The monomial without the divisor's factors, None unless it has them all."""
    factors = list(monomial)
    for factor in divisor:
        if factor not in factors:
            return None
        factors.remove(factor)
    return tuple(factors)


def times(left: Term, right: Term) -> Term:
    """The product of two terms."""
    coefficient = tidy(left[0] * right[0])
    return (coefficient, multiply(left[1], right[1])) if coefficient else ZERO


@dataclass(frozen=True)
class KnownProduct:
    """A product that the primal computes, up to its sign: factor = coefficient * monomial."""

    factor: int
    coefficient: float
    monomial: Monomial


class Forms:
    """The atoms of one program, each known by its number."""

    def __init__(self) -> None:
        self.variables: dict[int, Var] = {}
        self.nonnegative: set[int] = set()
        """Atoms that are never less than zero."""
        self.whole: set[int] = set()
        """Sums that are to stay as they are, for their terms may cancel: see `keep_whole`."""
        self.negatives: dict[int, Var] = {}
        self.numbers: dict[int, float] = {}
        self.sums: dict[int, Sum] = {}
        self.covers: dict[Term, Term] = {}
        """How terms without their signs are made of given products, as far as is known."""
        self.operands: dict[Term, tuple[int, ...]] = {}
        """The same with the coefficient as an atom."""
        self.options: dict[int, list[Term]] = {}
        """What sums may become, as far as is known."""
        self._given: dict[int, list[tuple[KnownProduct, int]]] = {}
        self._by_variable: dict[Var, int] = {}
        self._by_negative: dict[Var, int] = {}
        self._by_number: dict[float, int] = {}
        self._by_sum: dict[Sum, int] = {}
        self._primal_sums: dict[tuple[Monomial, ...], list[tuple[Sum, int]]] = {}
        self._inside: dict[int, frozenset[int]] = {}
        self._count = 0

    def variable(self, name: Var) -> int:
        """The atom of a variable."""
        return self._intern(name, self._by_variable, self.variables)

    def negative(self, name: Var) -> int:
        """The atom of a variable with the other sign, for products; forms keep signs apart."""
        return self._intern(name, self._by_negative, self.negatives)

    def number(self, value: float) -> int:
        """The atom of a number, for products; canonical forms keep numbers as coefficients."""
        return self._intern(value, self._by_number, self.numbers)

    def total(self, terms: Iterable[Term]) -> Term:
        """The sum of terms: a term whose only factor is a sum, or less where it collapses.

        A multiple of a sum that the primal computes is that multiple of its variable.
        """
        collected: dict[Monomial, tuple[float, float]] = {}
        for coefficient, monomial in terms:
            value, size = collected.get(monomial, (0.0, 0.0))
            collected[monomial] = tidy(value + coefficient), max(size, abs(coefficient))
        kept = [(c, m) for m, (c, size) in collected.items() if abs(c) > _NOISE * size]
        if len(kept) < 2:
            return kept[0] if kept else ZERO
        kept.sort(key=_by_monomial)
        found = self._in_primal(kept)
        if found is not None:
            return found
        sign = math.copysign(1.0, kept[0][0])
        key = tuple((sign * c, m) for c, m in kept)
        return sign, (self._intern(key, self._by_sum, self.sums),)

    def give_sum(self, terms: Iterable[Term], name: Var) -> None:
        """Record that the primal computes a sum under this name."""
        kept = tuple(sorted(terms, key=_by_monomial))
        monomials = tuple(m for _, m in kept)
        if len(set(monomials)) == len(kept) > 1 and all(c for c, _ in kept):
            known = self._primal_sums.setdefault(monomials, [])
            known.append((kept, self.variable(name)))

    def give_product(self, term: Term, name: Var) -> None:
        """Record that the primal computes a product under this name."""
        coefficient, monomial = term
        if coefficient and monomial and math.isfinite(coefficient):
            factor = self.variable(name) if coefficient > 0 else self.negative(name)
            given = KnownProduct(factor, abs(coefficient), monomial)
            self._given.setdefault(monomial[0], []).append((given, 1))
            self._given.setdefault(-monomial[0], []).append((given, -1))

    def given_with(self, factor: int) -> list[tuple[KnownProduct, int]]:
        """Some of the products that the primal computes, with 1, or their reciprocals, with -1.

        Over all of a monomial's factors these are all that may be part of it.
        """
        return self._given.get(factor, [])

    def keep_whole(self, term: Term) -> Term:
        """The term; if it is a multiple of a sum, that is one that may not be expanded.

        In an elemental partial such as 1 - s the terms may cancel. It is as exact as its terms
        are, and y - y s is not as exact as y (1 - s). A sum that the accumulation makes is one
        over paths, which an expansion spoils no more than another order would.
        """
        atom = self.only_sum(term)
        if atom is not None and not all(self._is_positive(t) for t in self.sums[atom]):
            self.whole.add(atom)
        return term

    def _is_positive(self, term: Term) -> bool:
        odd = (f for f in set(term[1]) if term[1].count(f) % 2)
        return term[0] > 0 and all(abs(f) in self.nonnegative for f in odd)

    def sums_inside(self, factor: int) -> frozenset[int]:
        """The sum that a factor is, or is the reciprocal of, with all that it is made of."""
        found = self._inside.get(factor)
        if found is None:
            atom = abs(factor)
            terms = self.sums.get(atom, ())
            inner = [self.sums_inside(f) for _, monomial in terms for f in monomial]
            found = frozenset([atom] if terms else ()).union(*inner)
            self._inside[factor] = found
        return found

    def only_sum(self, term: Term) -> int | None:
        """The sum that is a term's only factor, None if there is another or none."""
        if len(term[1]) == 1 and abs(term[1][0]) in self.sums:
            return abs(term[1][0])
        return None

    def _in_primal(self, terms: list[Term]) -> Term | None:
        for known, variable in self._primal_sums.get(tuple(m for _, m in terms), ()):
            ratio = terms[0][0] / known[0][0]
            if all(_close(c, ratio * k) for (c, _), (k, _) in zip(terms, known, strict=True)):
                return tidy(ratio), (variable,)
        return None

    def _intern(self, key: K, index: dict[K, int], content: dict[int, K]) -> int:
        number = index.get(key)
        if number is None:
            self._count += 1
            number = self._count
            index[key] = number
            content[number] = key
        return number


def _by_monomial(term: Term) -> Monomial:
    return term[1]


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= _NOISE * abs(b)
