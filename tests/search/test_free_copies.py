"""Functions of arrays in which copies are free, as the general network learns from them."""

from __future__ import annotations

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from jax import lax

from benchmarks.network_tasks.tracing import traced
from benchmarks.random_arrays import random_arrays
from gradgen.search.alphazero.game import begin, edges_seen
from gradgen.search.alphazero.network import NetworkSize, network
from gradgen.search.task import Task, patterned_task


def task_of(function, *shapes: tuple[int, ...]) -> Task:
    graph = traced(function, [jnp.ones(shape) for shape in shapes])
    names = [f"v{k}" for k in range(len(graph.shapes))]
    return patterned_task(graph.eliminations, graph.shapes, names, "copies")


@pytest.mark.parametrize("seed", range(6))
def test_random_functions_have_something_to_find_and_come_again(seed):
    task, again = (random_arrays(random.Random(seed), 24) for _ in range(2))
    costs = [task.cost(order) for order in task.baselines]
    assert costs == [again.cost(order) for order in again.baselines]
    assert task.cost(task.search(0.1, seed)) <= min(costs)
    assert 0 < begin(task).board.scale == min(costs)


def test_the_network_tells_copies_apart_by_what_comes_of_them():
    def function(x):
        cut, kept, waves = jnp.sin(x), jnp.cos(x), jnp.tan(x)
        return lax.slice_in_dim(cut, 0, 2), *(lax.reshape(y, (3, 1)) for y in (kept, waves))

    game = begin(task_of(function, (3,)))
    judge = network(NetworkSize(channels=8, layers=1), edges_seen([game]))

    def logits(board, start):
        return judge.apply(judge.init(jax.random.key(0), board, start), board, start).logits

    cut, kept, waves = np.asarray(run_compiled(logits, game.board, game.start))[:3]
    assert abs(cut - kept) > 1e-6
    np.testing.assert_allclose(kept, waves, rtol=1e-4)
