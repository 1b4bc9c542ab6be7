"""Products made of what the primal computes already."""

from __future__ import annotations

from gradgen.lowering.rewriting.forms import (
    Forms,
    KnownProduct,
    Monomial,
    Term,
    divide,
    reciprocal,
    tidy,
)


def cover(forms: Forms, term: Term) -> tuple[float, Monomial]:
    """A term without its sign as factors that may be products of the primal, greedily.

    What is returned is the coefficient that is left, and the factors.
    """
    key = abs(term[0]), term[1]
    known = forms.covers.get(key)
    if known is None:
        known = forms.covers[key] = _cover(forms, *key)
    return known


def operands(forms: Forms, term: Term) -> tuple[int, ...]:
    """A term without its sign as factors to multiply, its coefficient among them."""
    key = abs(term[0]), term[1]
    known = forms.operands.get(key)
    if known is None:
        coefficient, factors = cover(forms, key)
        if length(coefficient, factors) > len(factors):
            factors = tuple(sorted([*factors, forms.number(coefficient)]))
        known = forms.operands[key] = factors
    return known


def length(coefficient: float, factors: Monomial) -> int:
    """How many operands a product has; a quotient alone needs a number to divide."""
    return len(factors) + (coefficient != 1 or not any(factor > 0 for factor in factors))


def _cover(forms: Forms, coefficient: float, monomial: Monomial) -> tuple[float, Monomial]:
    used: list[int] = []
    while True:
        best: tuple[int, KnownProduct, int, Monomial] | None = None
        for factor in dict.fromkeys(monomial):
            for given, sign in forms.given_with(factor):
                part = given.monomial if sign > 0 else reciprocal(given.monomial)
                rest = divide(monomial, part)
                if rest is None:
                    continue
                left = _without(coefficient, given, sign)
                after = length(left, (*used, *rest, sign * given.factor))
                saved = length(coefficient, (*used, *monomial)) - after
                if saved > 0 and (best is None or saved > best[0]):
                    best = saved, given, sign, rest
        if best is None:
            return coefficient, tuple(sorted([*used, *monomial]))
        _, given, sign, monomial = best
        coefficient = _without(coefficient, given, sign)
        used.append(sign * given.factor)


def _without(coefficient: float, given: KnownProduct, sign: int) -> float:
    own = given.coefficient
    return tidy(coefficient / own if sign > 0 else coefficient * own)
