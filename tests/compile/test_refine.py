"""Orders refined by the operations of the lowered program."""

from itertools import permutations
from pathlib import Path

from generating import generate_text

from gradgen.compile.front import open_front
from gradgen.compile.graphs import graph_of
from gradgen.compile.refine import refine
from gradgen.config import Settings
from gradgen.elimination.accumulate import accumulate
from gradgen.ir.graph import Order
from gradgen.ir.program import count_operations
from gradgen.lowering.lower import Lowering
from gradgen.search.heuristics import forward, propose, reverse

MODELS = Path(__file__).parents[2] / "models"


def opened(model):
    front = open_front(Settings(str(MODELS / f"{model}.py")))
    return graph_of(front), Lowering(front.trace).jacobian


def total(graph, order, lowering):
    return count_operations(lowering(accumulate(graph, order)).instructions).total


def refined(graph, orders, lowering, evaluations):
    return refine(orders, lambda order: (total(graph, order, lowering), 0), evaluations)


SMALL = """
import jax.numpy as jnp


def step(u, v):
    a = jnp.sin(u * v)
    b = jnp.exp(a) * u
    return jnp.sin(b), jnp.cos(b) * v
"""


def test_a_small_graph_is_solved(tmp_path):
    made = generate_text(tmp_path, SMALL)
    graph, lowering = made.graph, Lowering(made.front.trace).jacobian
    names = [graph.vertices[v].name for v in graph.intermediates]
    every = [Order("vertex", graph.fingerprint, steps, "any") for steps in permutations(names)]
    least = min(total(graph, order, lowering) for order in every)
    for start in (forward(graph), reverse(graph)):
        found = refined(graph, [start], lowering, 100)
        assert total(graph, found, lowering) == least < total(graph, start, lowering)


def test_a_refined_order_is_cheaper_and_always_the_same():
    graph, lowering = opened("izhikevich")
    orders = propose(graph)
    found = refined(graph, orders, lowering, 200)
    assert total(graph, found, lowering) < min(total(graph, o, lowering) for o in orders)
    assert found.found_by.endswith(", refined")
    assert refined(graph, orders, lowering, 200) == found


def test_nothing_cheaper_leaves_the_order_as_it_is():
    graph, lowering = opened("lif")
    assert refined(graph, [forward(graph)], lowering, 1) == forward(graph)
