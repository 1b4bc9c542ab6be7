"""Local search on orders: vertices change places, and what is worse for a while is kept.

What is left of a graph depends on which vertices are eliminated and not on their order (Griewank
and Walther, *Evaluating Derivatives*, section 9.2). So a vertex that is moved changes the prices
between its two places alone, and a move takes no more work than that stretch.

A move is accepted if the order is then no dearer than it is, or than it was some moves ago (late
acceptance: Burke and Bykov, 2017). That compares whole numbers alone, so that it is the same on
every machine, and needs no temperature.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from gradgen.search.arrays.fronts import ParetoFront
from gradgen.search.arrays.states import Cost, Eliminations, Priced

REACH = 24
"""Over how many places a vertex moves at most."""
MEMORY = 60
"""With the price of how many moves ago an order is compared."""


def annealed(
    eliminations: Eliminations,
    start: Priced,
    work: int,
    seed: int = 0,
    price: Callable[[Cost], Cost] = lambda costs: costs,
    met: ParetoFront | None = None,
) -> Priced:
    """The best order that was met in so much work: the cheapest by its first cost, of equal ones by
    the next, unless another `price` of costs is to decide.

    Every order that is looked at is added to those that were `met`.
    """
    chance = random.Random(seed)
    steps = list(start.steps)
    walked = eliminations.walk(eliminations.start, steps)
    assert walked is not None
    costs, states = walked
    # which does not depend on the order
    last = eliminations.ended(states[-1])
    now = best = price(start.costs)
    found = start
    ago = [now] * MEMORY
    end, tries = eliminations.work + work, 0
    while len(steps) > 1 and eliminations.work < end:
        tries += 1
        first, place = _places(chance, len(steps))
        stretch = steps[first : place + 1]
        moved = stretch[1:] + stretch[:1] if chance.random() < 0.5 else stretch[-1:] + stretch[:-1]
        changed = eliminations.walk(states[first], moved)
        eliminations.work += 1  # so that it ends where nothing is possible
        if changed is None:
            continue
        total = eliminations.total((*costs[:first], *changed[0], *costs[place + 1 :], last))
        if met is not None and met.allows(total):
            every = (*steps[:first], *moved, *steps[place + 1 :])
            met.add(Priced(every, total, "annealing"))
        if price(total) <= max(now, ago[tries % MEMORY]):
            steps[first : place + 1] = moved
            costs[first : place + 1], states[first : place + 1] = changed[0], changed[1][:-1]
            now = price(total)
            if now < best:
                best, found = now, Priced(tuple(steps), total, "annealing")
        ago[tries % MEMORY] = now
    return found


def _places(chance: random.Random, count: int) -> tuple[int, int]:
    """The places of the first and the last vertex of a stretch."""
    length = chance.randrange(1, min(REACH, count - 1) + 1)
    first = chance.randrange(count - length)
    return first, first + length
