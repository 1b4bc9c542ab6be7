"""What a plan on arrays holds and what crosses neurons, against a recount element by element."""

from __future__ import annotations

import itertools
import random

import pytest
from array_sources import SOURCES
from test_array_elimination import in_any_order
from test_arrays import pair

from gradgen.elimination.array_graphs import END, vjp_graph, weighted_inputs
from gradgen.elimination.arrays import planned, reverse
from gradgen.ir.array_plan import Add, Apply, Multiply
from gradgen.ir.shapes import size
from gradgen.search.arrays.portfolio import Orders, eliminations_of

SIZES = {"batch": 2, "n": 3, "n_in": 2, "m": 2, "t": 2, "d": 2, "h": 2, "k": 3, "i": 2}
NAMES = (
    "diagonals",
    "recurrent adaptive layer",
    "custom_vjp and a matrix times a vector",
    "attention",
    "layer normalisation",
    "gather and scatter",
)


def graphs_of(trace):
    tangents = {f"tan{k}": i.variable for k, i in enumerate(trace.inputs) if i.wrt}
    yield vjp_graph(trace)
    if all(hasattr(p, "pattern") for e in trace.elementals for p in e.parts):
        yield weighted_inputs(trace, tangents)


def entries(pattern):
    """Where it is not zero, by coordinates: rows, columns, and along what its values vary."""
    spaces = [range(size(dim, SIZES)) for dim in pattern.dims]
    for at in itertools.product(*spaces):
        yield (
            [(label, at[label]) for label in pattern.rows],
            [(label, at[label]) for label in pattern.columns],
            tuple(at[label] for label in sorted(pattern.held)),
        )


def leads_elsewhere(pattern):
    """Whether an entry leads from a neuron to another: places along axes with names differ."""

    def neuron(places):
        return {place for place in places if isinstance(pattern.dims[place[0]], str)}

    return any(neuron(rows) != neuron(columns) for rows, columns, _ in entries(pattern))


def values(pattern):
    """How many there are; none if all neurons have the same number."""
    if not any(isinstance(pattern.dims[label], str) for label in pattern.held):
        return 0
    return len({held for _, _, held in entries(pattern)})


def crossing(graph, plan):
    """How many values meet a factor that leads to other neurons."""
    met = [END in (s, t) for s, t, terms in graph.edges for x in terms if hasattr(x, "pattern")]
    total = 0
    for step in plan.steps:
        if isinstance(step, Multiply):
            pairs = (step.left, step.right), (step.right, step.left)
            for factor, other in pairs:
                if not met[other] and leads_elsewhere(plan.patterns[other]):
                    total += values(plan.patterns[factor])
            met.append(met[step.left] or met[step.right])
        else:
            met.append(met[step.left] if isinstance(step, Add) else met[step.value])
    return total


def held_at_most(plan):
    """Line by line: what is there from where it is read or made first to where it is read last."""
    first = next((k for k, v in enumerate(plan.eliminated) if v), len(plan.steps))
    steps, given = plan.steps[first:], len(plan.partials) + first
    bytes_of = [
        len({held for _, _, held in entries(p)}) * (1 if p.free else 4) if p.held else 0
        for p in plan.patterns
    ]
    reads = [{s.value} if isinstance(s, Apply) else {s.left, s.right} for s in steps]
    kept = {value for _, _, some in plan.results for value in some}
    lines = {
        v: [k for k, read in enumerate(reads) if v in read] + [len(steps)] * (v in kept)
        for v in range(len(bytes_of))
    }
    most = 0
    for line in range(len(steps) + 1):
        for written in (False, True):
            there = 0
            for v, used in lines.items():
                made = used[0] if v < given and used else v - given + (not written)
                until = (line < used[-1]) if written else (line <= used[-1] if used else False)
                there += bytes_of[v] * (bool(used) and made <= line and until)
            most = max(most, there)
    return most


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_of_a_recount(name, tmp_path):
    trace = pair(tmp_path, SOURCES[name]).front.trace
    chance = random.Random(0)
    seen = set()
    for graph in graphs_of(trace):
        table = eliminations_of(graph, SIZES, ("peak", "locality"))
        plans = [in_any_order(graph, SIZES, chance) for _ in range(2)]
        if graph.ends[0][0] == END:
            plans.append(planned(graph, reverse(graph), SIZES))
        for plan in plans:
            assert plan.peak == held_at_most(plan)
            if not any(isinstance(step, Apply) for step in plan.steps):
                assert plan.locality == crossing(graph, plan)
            steps = tuple(graph.vertices.index(v) for v in graph.steps(plan.order))
            assert table.priced(steps, "").costs == (plan.peak, plan.locality)
            seen.add((plan.peak, plan.locality))
    assert len(seen) > 1 or name == "gather and scatter"


def test_what_crosses_a_recurrent_layer(tmp_path):
    """By hand: a neuron's error goes to its weights and, through these, to other neurons."""
    text = """
# gradgen: shape v=(batch, n) z=(batch, n) r=(n, n)
# gradgen: wrt v, z, r

def f(v, z, r):
    return jnp.tanh(0.9 * v + z @ r)
"""
    trace = pair(tmp_path, text).front.trace
    (plan, *_) = Orders().candidates(vjp_graph(trace), {"batch": 5, "n": 7})
    assert plan.locality == 2 * 5 * 7
    # the errors of v and of z @ r, the gradient by z, and z for that by r, which is no larger
    assert plan.peak == 4 * 4 * 5 * 7
