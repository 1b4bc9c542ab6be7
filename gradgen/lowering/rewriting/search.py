"""Chooses among rewritings by late acceptance (Burke and Bykov 2017), by what operations cost."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cached_property

from gradgen.ir.prices import COUNTED, Prices
from gradgen.lowering.rewriting.forms import Forms, Term, tidy
from gradgen.lowering.rewriting.moves import Roots, apply, moves, push, reachable, rescale
from gradgen.lowering.rewriting.sharing import share

_MEMORY = 8
"""How many steps back a rewriting's cost is compared with."""
_STAGNATION = 800
"""After so many steps that find nothing cheaper the search ends."""
_RESCALED = 0.2
"""How often a sum is rescaled rather than rewritten."""
_PATIENCE = 100
"""After so many moves in a row that change nothing there are none left."""


@dataclass(frozen=True)
class _State:
    """One rewriting."""

    forms: Forms
    roots: Roots
    prices: Prices

    @cached_property
    def cost(self) -> int:
        """The price first, then divisions, which take longest."""
        shared = share(self.forms, self.roots, self.prices)
        return 256 * shared.price + shared.divisions

    @cached_property
    def sums(self) -> list[int]:
        """The sums that it is made of."""
        return reachable(self.forms, self.roots)

    @cached_property
    def products(self) -> list[int]:
        """The roots that have sums among their factors."""
        sums = self.forms.sums
        return [
            k for k, (_, m) in enumerate(self.roots) if len(m) > 1 and any(f in sums for f in m)
        ]

    @cached_property
    def _known(self) -> dict[tuple[int, Term], Roots]:
        """What comes of replacing sums, as far as it was asked for."""
        return {}

    def replaced(self, atom: int, by: Term) -> Roots:
        """The roots with a sum replaced."""
        found = self._known.get((atom, by))
        if found is None:
            found = self._known[atom, by] = apply(self.forms, self.roots, atom, by)
        return found


def improve(
    forms: Forms, roots: Roots, evaluations: int, seed: int = 0, prices: Prices = COUNTED
) -> Roots:
    """The cheapest rewriting of the roots found with so many evaluations; never a dearer one."""
    chance = random.Random(seed)
    best = current = _State(forms, roots, prices)
    # small programs have few rewritings, which the search meets again and again
    states = {roots: best}
    memory = [current.cost] * _MEMORY
    improved = 0
    for step in range(evaluations):
        candidate = _changed(current, states, chance) if step - improved < _STAGNATION else None
        if candidate is None:
            break
        slot = step % _MEMORY
        if candidate.cost <= max(current.cost, memory[slot]):
            current = candidate
            if current.cost < best.cost:
                best, improved = current, step
        memory[slot] = min(memory[slot], current.cost)
    return _restored(best, roots[:evaluations]).roots


def _restored(state: _State, original: Roots) -> _State:
    """Every root as it was at first where that costs no more."""
    for number, root in enumerate(original):
        if state.roots[number] != root:
            roots = (*state.roots[:number], root, *state.roots[number + 1 :])
            restored = replace(state, roots=roots)
            if restored.cost <= state.cost:
                state = restored
    return state


def _changed(state: _State, states: dict[Roots, _State], chance: random.Random) -> _State | None:
    """A neighbour; None if there is none."""
    if not state.sums:
        return None
    for _ in range(_PATIENCE):
        roots = _neighbour(state, chance)
        if roots is not None and roots != state.roots:
            if roots not in states:
                states[roots] = replace(state, roots=roots)
            return states[roots]
    return None


def _neighbour(state: _State, chance: random.Random) -> Roots | None:
    forms, roots = state.forms, state.roots
    number = chance.randrange(len(state.sums) + len(state.products))
    if number < len(state.sums):
        atom = state.sums[number]
        if chance.random() < _RESCALED:
            return _rescaled(state, atom, chance)
        options = forms.options.get(atom)
        if options is None:
            options = forms.options[atom] = list(moves(forms, atom))
        return state.replaced(atom, chance.choice(options)) if options else None
    number = state.products[number - len(state.sums)]
    pushed = push(forms, roots[number], chance)
    return None if pushed is None else (*roots[:number], pushed, *roots[number + 1 :])


def _rescaled(state: _State, atom: int, chance: random.Random) -> Roots | None:
    """A sum scaled so that the coefficient of a product that it is in becomes that of another."""
    forms, roots = state.forms, state.roots
    terms = [*roots, *(t for s in state.sums for t in forms.sums[s])]
    users = [c for c, m in terms if atom in m]
    if not users:
        return None
    wanted = abs(chance.choice(terms)[0]) if chance.random() < _RESCALED else 1.0
    ratio = tidy(wanted / abs(chance.choice(users)))
    if ratio in (0.0, 1.0):
        return None
    scaled = rescale(forms, atom, ratio)
    return None if scaled is None else state.replaced(atom, scaled)
