"""Random steps of spiking neurons as graphs, to train a general network on.

A step is written as models are: currents through gates, leaks, a synapse or two, an integrated
potential, a spike with a surrogate derivative, resets by masks, and slower variables that the spike
or the potential drives.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.random_programs import graph_of
from gradgen.ir.graph import LinearGraph, PartialKind


class _Step:
    """A step while it is written; values are vertices by number."""

    def __init__(self, inputs: int) -> None:
        self.inputs = self.count = inputs
        self.edges: list[tuple[int, int, PartialKind]] = []

    def value(self, *operands: tuple[int, PartialKind]) -> int:
        """What an operation makes of operands, with the kinds of its partials by them."""
        kinds: dict[int, PartialKind] = {}
        for v, kind in operands:
            kinds[v] = kind if v not in kinds else "variable"
        self.edges += [(v, self.count, kind) for v, kind in kinds.items()]
        self.count += 1
        return self.count - 1

    def sum(self, one: int, other: int) -> int:
        return self.value((one, "unit"), (other, "unit"))

    def product(self, one: int, other: int) -> int:
        return self.value((one, "variable"), (other, "variable"))

    def scaled(self, one: int) -> int:
        return self.value((one, "constant"))

    def function(self, one: int) -> int:
        return self.value((one, "variable"))

    def selected(self, one: int, other: int) -> int:
        return self.value((one, "mask"), (other, "mask"))


def random_neuron(chance: random.Random) -> LinearGraph:
    """The graph of a random step."""
    gates, slow = chance.randint(0, 4), chance.randint(0, 2)
    synapses = chance.randint(0, 2)
    drive = 1 + gates + slow + synapses
    step = _Step(drive + 1 + chance.randint(0, 2))
    v = 0
    current = step.scaled(drive) if chance.random() < 0.5 else drive
    for k in range(synapses):
        decayed = step.scaled(1 + gates + slow + k)
        arrived = step.sum(decayed, drive if chance.random() < 0.5 else step.inputs - 1)
        driving = arrived
        if chance.random() < 0.6:
            driving = step.product(arrived, step.value((v, "unit")))
        current = step.sum(current, driving)
    following = []
    for k in range(gates):
        opened = 1 + k
        rate = _rate(step, chance, v)
        if chance.random() < 0.7:
            steady = step.function(rate) if chance.random() < 0.5 else _rate(step, chance, v)
            change = step.product(rate, step.sum(steady, opened))
            after = step.sum(opened, step.scaled(change))
        else:
            factor = step.function(step.scaled(rate))
            steady = _rate(step, chance, v)
            after = step.sum(steady, step.product(step.sum(opened, steady), factor))
        following.append(after)
    used = following if chance.random() < 0.5 else list(range(1, 1 + gates))
    current = _channels(step, chance, v, current, used)
    for k in range(slow):
        current = step.sum(current, 1 + gates + k)
    leak = step.scaled(step.value((v, "unit"))) if chance.random() < 0.5 else step.scaled(v)
    if chance.random() < 0.3:
        leak = step.sum(leak, step.function(step.scaled(v)))
    if chance.random() < 0.25:
        leak = step.sum(leak, step.product(v, v))
    integrated = step.sum(v, step.scaled(step.sum(leak, current)))
    threshold = 1 + gates if slow and chance.random() < 0.4 else None
    margin = (
        step.value((integrated, "unit")) if threshold is None else step.sum(integrated, threshold)
    )
    spike = step.function(margin)
    if chance.random() < 0.5:
        reset = step.sum(integrated, step.product(spike, integrated))
    else:
        reset = step.selected(integrated, step.scaled(integrated))
    ends = [reset]
    for k in range(slow):
        state = 1 + gates + k
        decayed = step.scaled(state)
        pushed = step.scaled(spike) if chance.random() < 0.6 else step.scaled(reset)
        ends.append(step.sum(decayed, pushed))
        if chance.random() < 0.3:
            ends[-1] = step.selected(ends[-1], decayed)
    return graph_of(step.inputs, step.count, [spike, *ends, *following], step.edges)


def _rate(step: _Step, chance: random.Random, v: int) -> int:
    """A rate of a gate: a linear function of the potential over an exponential one, or so."""
    shifted = step.scaled(v) if chance.random() < 0.6 else step.value((v, "unit"))
    curved = step.function(shifted)
    if chance.random() < 0.5:
        return step.function(curved) if chance.random() < 0.5 else curved
    return step.product(shifted, step.function(step.value((curved, "unit"))))


def _channels(
    step: _Step, chance: random.Random, v: int, current: int, gates: Sequence[int]
) -> int:
    """A current and those through channels, of which each has a gate or two."""
    waiting = list(gates)
    while waiting:
        opened = waiting.pop()
        if chance.random() < 0.6:
            opened = step.function(opened)
        if waiting and chance.random() < 0.5:
            opened = step.product(opened, waiting.pop())
        driven = step.product(step.scaled(opened), step.value((v, "unit")))
        current = step.sum(current, driven)
    return current
