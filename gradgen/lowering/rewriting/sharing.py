"""From canonical forms to single operations, with what they have in common computed once.

Products are multisets of factors and sums are sets of signed values. As long as some pair occurs in
two of them, the pair that occurs most is computed on its own and takes its place: greedy pairwise
matching, as in multiple constant multiplication (Potkonjak, Srivastava and Chandrakasan 1996) and
in algebraic factorisation for polynomials (Hosangadi, Fallah and Kastner 2006).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from gradgen.ir.prices import COUNTED, Prices
from gradgen.lowering.rewriting.covering import operands
from gradgen.lowering.rewriting.forms import Forms, Monomial, Term, divide

Key = tuple[float, Monomial]
"""A term without its sign."""
Pair = tuple[int, int]

_FIRST_RECIPROCAL = 1 << 39
_FIRST_WHOLE = 1 << 40
_FIRST_PAIR = 1 << 41
"""Where the numbers of shared factors begin: above those of all atoms."""


@dataclass(frozen=True)
class Sharing:
    """Products and sums taken apart into operations on two operands each."""

    products: dict[Key, list[int]]
    """Each term that is needed, as factors that are still to be multiplied, pairs included."""
    whole: dict[int, Key]
    """Terms that are factors of others."""
    pairs: dict[int, Pair]
    """Pairs of factors that occur more than once."""
    sums: dict[int, list[tuple[int, Key]]]
    """Each sum that is needed, as signs and terms."""
    reciprocals: dict[int, int]
    """Factors that are computed as one by another one: by their own numbers, those."""
    price: int
    divisions: int


def share(forms: Forms, roots: Iterable[Term], prices: Prices = COUNTED) -> Sharing:
    """All that the roots need, taken apart."""
    products, sums = _needed(forms, roots)
    lists = {key: list(operands(forms, key)) for key in products}
    reciprocals = _invert(forms, lists, prices)
    whole = _contain(forms, lists)
    pairs = _extract(list(lists.values()))
    products_of_two = len(pairs) + sum(len(symbols) - 1 for symbols in lists.values())
    divisions = sum(symbol < 0 for symbols in lists.values() for symbol in symbols)
    divisions += sum((a < 0) != (b < 0) for a, b in pairs.values())
    subtractions = sum(sign < 0 for terms in sums.values() for sign, _ in terms)
    additions = sum(len(terms) - 1 for terms in sums.values()) - subtractions
    price = (
        prices.amount("mul") * (products_of_two - divisions)
        + prices.amount("div") * (divisions + len(reciprocals))
        + prices.amount("add") * additions
        + prices.amount("sub") * subtractions
        + _moving(prices) * (products_of_two + additions + subtractions)
    )
    return Sharing(lists, whole, pairs, sums, reciprocals, price, divisions + len(reciprocals))


def _moving(prices: Prices) -> int:
    """What it costs that an operation reads two values and writes one."""
    return 2 * prices.amount("read") + prices.amount("write")


def _invert(forms: Forms, lists: dict[Key, list[int]], prices: Prices) -> dict[int, int]:
    """Replace what several products are divided by where one reciprocal costs less, in place.

    Returns what the new factors are the reciprocals of.
    """
    divide, multiply = prices.amount("div"), prices.amount("mul")
    if divide <= multiply:
        return {}
    counted = Counter(s for symbols in lists.values() for s in symbols if s < 0)
    found: dict[int, int] = {}
    for symbol, times in sorted(counted.items()):
        if times * divide > divide + times * multiply + _moving(prices):
            found[symbol] = _FIRST_RECIPROCAL + len(found)
    one = forms.number(1.0)
    for symbols in lists.values():
        if not found.keys().isdisjoint(symbols):
            # the reciprocal alone is a product, of which one was to be divided
            symbols[:] = sorted(found.get(s, s) for s in symbols if s != one)
    return {number: -symbol for symbol, number in found.items()}


def _needed(
    forms: Forms, roots: Iterable[Term]
) -> tuple[list[Key], dict[int, list[tuple[int, Key]]]]:
    """The terms, without their signs, and the sums that the roots are made of."""
    products: dict[Key, None] = {}
    sums: dict[int, list[tuple[int, Key]]] = {}
    waiting = list(roots)
    while waiting:
        coefficient, monomial = waiting.pop()
        key = abs(coefficient), monomial
        if key in products:
            continue
        products[key] = None
        for factor in monomial:
            atom = abs(factor)
            if atom in forms.sums and atom not in sums:
                terms = forms.sums[atom]
                sums[atom] = [(-1 if c < 0 else 1, (abs(c), m)) for c, m in terms]
                waiting += terms
    return list(products), sums


def _contain(forms: Forms, lists: dict[Key, list[int]]) -> dict[int, Key]:
    """Replace parts of products that are products themselves, the longest first, in place.

    Returns what the new factors are.
    """
    one = forms.number(1.0)
    numbers: dict[Key, int] = {}
    bodies: dict[Key, Monomial] = {}
    for key, symbols in lists.items():
        if len(symbols) > 1:
            numbers[key] = _FIRST_WHOLE + len(numbers)
            bodies[key] = (
                tuple(s for s in symbols if s != one) if one in symbols else tuple(symbols)
            )
    starting = _by_start(bodies)
    factors = {key: frozenset(body) for key, body in bodies.items()}
    used: dict[int, Key] = {}
    for key, number in numbers.items():
        rest, longest = bodies[key], len(bodies[key])
        found: list[int] = []
        while rest:
            best: tuple[int, Key, Monomial] | None = None
            there = frozenset(rest)
            for first in dict.fromkeys(rest):
                for size, others in starting.get(first, ()):
                    if best is not None and size <= best[0]:
                        break
                    if size > len(rest):
                        continue
                    for other in others:
                        # of equal products the later one is the earlier one
                        if size == longest and numbers[other] >= number:
                            break
                        if factors[other] <= there:
                            left = divide(rest, bodies[other])
                            if left is not None:
                                best = size, other, left
                                break
            if best is None:
                break
            _, other, rest = best
            found.append(numbers[other])
            used[numbers[other]] = other
        if found:
            lists[key] = sorted([*rest, *found])
    return used


def _by_start(bodies: Mapping[Key, Monomial]) -> dict[int, list[tuple[int, list[Key]]]]:
    """Products by their first factor and by their size, the longest first."""
    found: dict[int, dict[int, list[Key]]] = {}
    for key, body in bodies.items():
        found.setdefault(body[0], {}).setdefault(len(body), []).append(key)
    return {first: sorted(sizes.items(), reverse=True) for first, sizes in found.items()}


def _extract(lists: Sequence[list[int]]) -> dict[int, Pair]:
    """Replace pairs that occur in two lists or more, the most frequent first, in place."""
    held = [_pairs(symbols) for symbols in lists]
    # what is in one list stays there alone: pairs that come are of symbols that are new
    counted = Counter(chain.from_iterable(held))
    holders: dict[Pair, set[int]] = {pair: set() for pair, times in counted.items() if times > 1}
    for number, pairs in enumerate(held):
        for pair in holders.keys() & pairs:
            holders[pair].add(number)
    # the heap may hold counts that are out of date, which the current ones tell
    heap = [(-len(some), pair) for pair, some in holders.items()]
    heapq.heapify(heap)
    found: dict[int, Pair] = {}
    while heap:
        count, pair = heapq.heappop(heap)
        if -count != len(holders[pair]):
            if len(holders[pair]) > 1:
                heapq.heappush(heap, (-len(holders[pair]), pair))
            continue
        number = _FIRST_PAIR + len(found)
        a, b = pair
        symbol = -number if a < 0 and b < 0 else number
        found[number] = (abs(a), abs(b)) if symbol < 0 else pair
        grown: set[Pair] = set()
        for holder in sorted(holders[pair]):
            symbols, before = lists[holder], held[holder]
            symbols.remove(a)
            symbols.remove(b)
            symbols.append(symbol)
            symbols.sort()
            after = held[holder] = _pairs(symbols)
            for gone in holders.keys() & (before - after):
                holders[gone].discard(holder)
            for new in after - before:
                holders.setdefault(new, set()).add(holder)
                grown.add(new)
        for new in (*grown, pair):
            if len(holders[new]) > 1:
                heapq.heappush(heap, (-len(holders[new]), new))
    return found


def _pairs(symbols: Sequence[int]) -> set[Pair]:
    return set(combinations(symbols, 2))
