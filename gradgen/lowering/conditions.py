"""Conditions: disjunctions of conjunctions of truth values that a program has computed.

They are kept short, for they only serve to say where a value is zero or finite: what grows beyond a
few cases is given up for a weaker condition, which is always allowed.
"""

from __future__ import annotations

from collections.abc import Iterable

from gradgen.ir.code import Var

Case = frozenset[tuple[Var, bool]]
"""Truth values that variables have at the same time."""
Condition = frozenset[Case]
"""Any of these cases."""

ALWAYS: Condition = frozenset((frozenset(),))
NEVER: Condition = frozenset()

_CASES = 16
"""A condition with more of them is given up."""


def when(variable: Var, value: bool) -> Condition:
    """That a truth value is this one."""
    return frozenset((frozenset(((variable, value),)),))


def either(*conditions: Condition) -> Condition:
    """Any of them."""
    return _shortened({case for condition in conditions for case in condition})


def both(left: Condition, right: Condition) -> Condition:
    """One and the other; `left` alone where that takes too many cases."""
    cases = {a | b for a in left for b in right if not any((v, not x) in a for v, x in b)}
    return _shortened(cases) if len(cases) <= _CASES else left


def implies(left: Condition, right: Condition) -> bool:
    """Whether one condition is seen to hold wherever the other does."""
    return all(any(b <= a for b in right) for a in left)


def _shortened(cases: Iterable[Case]) -> Condition:
    """The same condition without what other cases make superfluous."""
    found = set(cases)
    while True:
        # `p or (not p and q)` is `p or q`; of `p or q` and `p`, the shorter one is left
        shorter = {frozenset(x for x in case if not _decided(x, case, found)) for case in found}
        shorter = {case for case in shorter if not any(other < case for other in shorter)}
        if shorter == found:
            return frozenset(found) if len(found) <= _CASES else ALWAYS
        found = shorter


def _decided(literal: tuple[Var, bool], case: Case, cases: Iterable[Case]) -> bool:
    """Whether the rest of a case decides, as some other case has what this literal excludes."""
    variable, value = literal
    opposite, rest = (variable, not value), case - {literal}
    return any(opposite in other and other - {opposite} <= rest for other in cases)
