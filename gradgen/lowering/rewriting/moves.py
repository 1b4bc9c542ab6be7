"""Rewriting of canonical forms: factors are pulled out of sums, or sums are expanded.

A move says what one sum becomes; `apply` puts that in its place wherever the sum is used.
Every move keeps all values, in exact arithmetic. None introduces a division, nor a product with a
denominator: a factor, be it a reciprocal, is pulled out only if all terms have it. Sums that are to
stay whole are neither expanded nor taken apart, and only scaled by powers of two.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence

from gradgen.lowering.rewriting.covering import cover
from gradgen.lowering.rewriting.forms import (
    Forms,
    Monomial,
    Term,
    divide,
    multiply,
    product,
    reciprocal,
    tidy,
    times,
)

Roots = tuple[Term, ...]

_SMALL = 8
"""In sums of up to so many terms any two may become a sum of their own."""


def reachable(forms: Forms, roots: Iterable[Term]) -> list[int]:
    """The sums that the roots are made of, in a fixed order."""
    seen: dict[int, None] = {}
    waiting = [monomial for _, monomial in roots]
    while waiting:
        for factor in waiting.pop():
            atom = abs(factor)
            if atom in forms.sums and atom not in seen:
                seen[atom] = None
                waiting += [monomial for _, monomial in forms.sums[atom]]
    return list(seen)


def moves(forms: Forms, atom: int) -> Iterator[Term]:
    """What a sum may become."""
    terms = forms.sums[atom]
    whole = atom in forms.whole
    for part in _divisors(forms, terms):
        if not whole or _is_power_of_two(part[0]):
            yield pull(forms, terms, part, whole=whole)
    if whole:
        return
    yield from _groups(forms, terms)
    for number, (coefficient, monomial) in enumerate(terms):
        for factor in monomial:
            if factor in forms.sums and factor not in forms.whole:
                rest = divide(monomial, (factor,)) or ()
                inside = [times((coefficient, rest), term) for term in forms.sums[factor]]
                yield forms.total([*terms[:number], *inside, *terms[number + 1 :]])


def _divisors(forms: Forms, terms: Sequence[Term]) -> list[Term]:
    """What can be pulled out of a sum: factors of all terms, the number of one of them, or both."""
    common = terms[0][1]
    for _, monomial in terms[1:]:
        common = _shared(common, monomial)
    found: dict[Term, None] = {(1.0, (factor,)): None for factor in common}
    found[1.0, common] = None
    for coefficient, monomial in terms:
        # what is left of the number where the primal has the rest
        left = cover(forms, (coefficient, monomial))[0]
        for factors in ((), common):
            found[abs(coefficient), factors] = found[left, factors] = None
    found.pop((1.0, ()), None)
    return list(found)


def _groups(forms: Forms, terms: Sequence[Term]) -> Iterator[Term]:
    """Some of the terms as a sum of their own, times what can be pulled out of it."""
    chosen: dict[tuple[int, ...], None] = {}
    for factor in sorted({f for _, m in terms for f in m}):
        chosen[tuple(k for k, t in enumerate(terms) if factor in t[1])] = None
    for k in range(len(terms)):
        chosen[tuple(j for j in range(len(terms)) if j != k)] = None
    if len(terms) <= _SMALL:
        for k in range(len(terms)):
            for j in range(k):
                chosen[j, k] = None
    for group in chosen:
        if not 1 < len(group) < len(terms):
            continue
        inside = [terms[k] for k in group]
        rest = [t for k, t in enumerate(terms) if k not in group]
        for part in _divisors(forms, inside):
            yield forms.total([pull(forms, inside, part), *rest])


def _shared(left: Monomial, right: Monomial) -> Monomial:
    rest = list(right)
    shared = []
    for factor in left:
        if factor in rest:
            rest.remove(factor)
            shared.append(factor)
    return tuple(shared)


def pull(forms: Forms, terms: Iterable[Term], part: Term, *, whole: bool = False) -> Term:
    """The sum of some terms as a product of `part` and what is left, which may stay whole too."""
    inverse = reciprocal(part[1])
    left = forms.total((tidy(c / part[0]), multiply(m, inverse)) for c, m in terms)
    return times(part, forms.keep_whole(left) if whole else left)


def push(forms: Forms, term: Term, chance: random.Random) -> Term | None:
    """A product of a sum and other factors with one of those multiplied into the sum."""
    coefficient, monomial = term
    sums = [f for f in monomial if f in forms.sums and f not in forms.whole]
    if not sums:
        return None
    inner = chance.choice(sums)
    others = divide(monomial, (inner,)) or ()
    choices: list[Term] = [(1.0, (factor,)) for factor in others]
    if abs(coefficient) != 1:
        choices.append((coefficient, ()))
    if not choices:
        return None
    part = chance.choice(choices)
    left = forms.total(times(part, term) for term in forms.sums[inner])
    rest = divide(others, part[1]) or ()
    return times((tidy(coefficient / part[0]), rest), left)


def rescale(forms: Forms, atom: int, by: float) -> Term | None:
    """A sum as a multiple of another one: only the numbers in it change."""
    whole = atom in forms.whole
    if whole and not _is_power_of_two(by):
        return None
    return pull(forms, forms.sums[atom], (by, ()), whole=whole)


def _is_power_of_two(number: float) -> bool:
    return math.frexp(number)[0] == 0.5


def apply(forms: Forms, roots: Roots, replaced: int, by: Term) -> Roots:
    """The roots with a sum replaced by what it is equal to, wherever they use it."""
    known: dict[int, Term] = {replaced: by}

    def atom_of(atom: int) -> Term:
        found = known.get(atom)
        if found is None:
            found = forms.total([rebuilt(term) for term in forms.sums[atom]])
            if atom in forms.whole:
                found = forms.keep_whole(found)
            known[atom] = found
        return found

    def rebuilt(term: Term) -> Term:
        coefficient, monomial = term
        if not any(replaced in forms.sums_inside(factor) for factor in monomial):
            return term
        factors: list[int] = []
        for factor in monomial:
            if replaced in forms.sums_inside(factor):
                c, m = atom_of(abs(factor))
                coefficient = tidy(coefficient * c if factor > 0 else coefficient / c)
                factors += m if factor > 0 else reciprocal(m)
            else:
                factors.append(factor)
        return coefficient, product(factors)

    return tuple([rebuilt(term) for term in roots])
