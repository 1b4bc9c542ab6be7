"""Random graphs whose terms have patterns and prices, operators among them."""

from __future__ import annotations

import random

from gradgen.elimination.array_table import Table
from gradgen.elimination.joining import edges_of
from gradgen.ir.array_trace import Applied, Operator
from gradgen.ir.code import Instruction
from gradgen.ir.patterns import Pattern, vector
from gradgen.search.arrays.states import Eliminations
from gradgen.search.task import Task, patterned_task

SHAPES = ((), (2,), (3,), (2, 3), (3, 2))


def random_task(seed: int, *, operators: bool) -> Task:
    """Of a random graph; with operators that of a vector product, where an order is possible."""
    chance = random.Random(seed)
    shapes = [chance.choice(SHAPES) for _ in range(chance.randint(7, 11))]
    names = {v: f"v{v}" for v in range(len(shapes))}
    table = Table({names[v]: shape for v, shape in enumerate(shapes)}, {})
    inputs = 2
    given, last = [], len(shapes) - 1
    if operators:
        shapes[last] = ()
    for target in range(inputs, len(shapes)):
        sources = chance.sample(range(target), min(target, chance.randint(1, 3)))
        for source in sources:
            for _ in range(chance.choice((1, 1, 2))):
                pattern = random_pattern(chance, shapes[target], shapes[source])
                given.append(
                    (source, target, table.elemental(pattern, names[source], names[target]))
                )
    if operators:
        sources = {s for s, _, _ in given}
        given += [
            (v, last, table.elemental(vector(shapes[v]), names[v], names[last]))
            for v in range(last)
            if v not in sources
        ]
        for source, target in {(s, t) for s, t, _ in given if t != last and chance.random() < 0.3}:
            operator = random_operator(chance, names[source], names[target])
            given = [g for g in given if g[:2] != (source, target)]
            given.append((source, target, table.elemental(operator, names[source], names[target])))
    read, written = {s for s, _, _ in given}, {t for _, t, _ in given}
    inner = tuple(v for v in range(inputs, last) if v in read and v in written)
    edges = edges_of(len(shapes), given, table.sum)
    return patterned_task(Eliminations(table, edges, inner), shapes, list(names.values()), "test")


def random_pattern(
    chance: random.Random, rows: tuple[int, ...], columns: tuple[int, ...]
) -> Pattern:
    """Some axes of the target and the source are the same, and some are stored along."""
    labels = [*range(len(rows))]
    dims = dict(enumerate(rows))
    taken = []
    for k, size in enumerate(columns, start=len(rows)):
        same = [r for r in labels if rows[r] == size and r not in taken and chance.random() < 0.6]
        taken.append(same[0] if same else k)
        dims.setdefault(taken[-1], size)
    held = frozenset(label for label in dims if chance.random() < 0.6)
    free = not held and chance.random() < 0.5
    return Pattern.of(tuple(labels), tuple(taken), held, dims, free=free)[0]


def random_operator(chance: random.Random, source: str, target: str) -> Operator:
    """Applied backwards, and mostly forwards too, by a multiplication for each element or none."""
    back, ahead = (
        Applied(name, (Instruction("y", chance.choice(("mul", "neg")), (name,) * k),), "y")
        for name, k in (("x", 1), ("z", 1))
    )
    return Operator(source, back, ahead if chance.random() < 0.7 else None)
