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

from gradgen.search.arrays.states import Eliminations, Priced

REACH = 24
"""Over how many places a vertex moves at most."""
MEMORY = 60
"""With the price of how many moves ago an order is compared."""


def annealed(eliminations: Eliminations, start: Priced, work: int, seed: int = 0) -> Priced:
    """The best order that was met in so much work."""
    chance = random.Random(seed)
    steps = list(start.steps)
    walked = eliminations.walk(eliminations.start, steps)
    assert walked is not None
    prices, states = walked
    now = best = start.price
    found = start.steps
    ago = [now] * MEMORY
    end, tries = eliminations.work + work, 0
    while len(steps) > 1 and eliminations.work < end:
        tries += 1
        first, last = _places(chance, len(steps))
        stretch = steps[first : last + 1]
        moved = stretch[1:] + stretch[:1] if chance.random() < 0.5 else stretch[-1:] + stretch[:-1]
        changed = eliminations.walk(states[first], moved)
        eliminations.work += 1  # so that it ends where nothing is possible
        if changed is None:
            continue
        price = now - sum(prices[first : last + 1]) + sum(changed[0])
        if price <= now or price <= ago[tries % MEMORY]:
            steps[first : last + 1] = moved
            prices[first : last + 1], states[first : last + 1] = changed
            now = price
            if now < best:
                best, found = now, tuple(steps)
        ago[tries % MEMORY] = now
    return Priced(found, best, "annealing") if best < start.price else start


def _places(chance: random.Random, count: int) -> tuple[int, int]:
    """The places of the first and the last vertex of a stretch."""
    length = chance.randrange(1, min(REACH, count - 1) + 1)
    first = chance.randrange(count - length)
    return first, first + length
