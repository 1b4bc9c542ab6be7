"""Chooses among rewritings by late acceptance (Burke and Bykov 2017), by counted operations."""

from __future__ import annotations

import random
from collections.abc import Sequence

from gradgen.backend.algebra.forms import Forms, tidy
from gradgen.backend.algebra.moves import Roots, apply, moves, push, reachable, rescale
from gradgen.backend.algebra.sharing import share

_MEMORY = 8
"""How many steps back a rewriting's cost is compared with."""
_RESCALED = 0.2
_PATIENCE = 100


def improve(forms: Forms, roots: Roots, evaluations: int, seed: int = 0) -> Roots:
    """The cheapest rewriting of the roots found with so many evaluations; never a dearer one."""
    chance = random.Random(seed)
    best = current = roots
    cost = lowest = _cost(forms, roots)
    memory = [cost] * _MEMORY
    for step in range(evaluations):
        candidate = _neighbour(forms, current, chance)
        for _ in range(_PATIENCE):
            if candidate is not None and candidate != current:
                break
            candidate = _neighbour(forms, current, chance)
        else:
            break
        value = _cost(forms, candidate)
        slot = step % _MEMORY
        if value <= cost or value <= memory[slot]:
            current, cost = candidate, value
            if value < lowest:
                best, lowest = candidate, value
        memory[slot] = min(memory[slot], cost)
    return best


def _cost(forms: Forms, roots: Roots) -> int:
    """Operations first, then divisions, which take longest."""
    shared = share(forms, roots)
    return 256 * shared.operations + shared.divisions


def _neighbour(forms: Forms, roots: Roots, chance: random.Random) -> Roots | None:
    sums = reachable(forms, roots)
    products = [k for k, (_, m) in enumerate(roots) if any(f in forms.sums for f in m)]
    if not sums:
        return None
    number = chance.randrange(len(sums) + len(products))
    if number < len(sums):
        atom = sums[number]
        if chance.random() < _RESCALED:
            return _rescaled(forms, roots, sums, atom, chance)
        options = forms.options.get(atom)
        if options is None:
            options = forms.options[atom] = list(moves(forms, atom))
        return apply(forms, roots, atom, chance.choice(options)) if options else None
    number = products[number - len(sums)]
    pushed = push(forms, roots[number], chance)
    return None if pushed is None else (*roots[:number], pushed, *roots[number + 1 :])


def _rescaled(
    forms: Forms, roots: Roots, sums: Sequence[int], atom: int, chance: random.Random
) -> Roots | None:
    """A sum scaled so that the coefficient of a product that it is in becomes that of another."""
    terms = [*roots, *(t for s in sums for t in forms.sums[s])]
    users = [c for c, m in terms if atom in m]
    if not users:
        return None
    wanted = abs(chance.choice(terms)[0]) if chance.random() < _RESCALED else 1.0
    ratio = tidy(wanted / abs(chance.choice(users)))
    if ratio in (0.0, 1.0):
        return None
    return apply(forms, roots, atom, rescale(forms, atom, ratio))
