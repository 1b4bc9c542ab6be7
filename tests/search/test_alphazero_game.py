"""The elimination game, against the elimination engine; its network, against its symmetries."""

from __future__ import annotations

import random

import jax
import numpy as np
import pytest
from compiling import compiled, run_compiled
from eliminating import cost_of_vertices, step_cost
from graphs import reference_graph, small_graphs

from gradgen.elimination.accumulate import Accumulation, accumulate
from gradgen.ir.graph import Edge, LinearGraph
from gradgen.search.alphazero.game import (
    Board,
    Sizes,
    begin,
    edges_seen,
    reversed_position,
    stack,
)
from gradgen.search.alphazero.network import NetworkSize, network
from gradgen.search.alphazero.rules import RULES, is_over, play_vertex
from gradgen.search.compact import CODED

ROOM = Sizes(4, 8, 4)
PLAY = jax.jit(play_vertex)
SAMPLES = [
    (graph, objective) for graph in small_graphs(40, 8, seed=5) for objective in ("edges", "muls")
]


def moves_of(graph: LinearGraph, seed: int) -> list[int]:
    moves = list(range(len(graph.intermediates)))
    random.Random(seed).shuffle(moves)
    return moves


def edges_of(graph: LinearGraph, state: Accumulation) -> dict[tuple[int, int], int]:
    """Row and column of each edge in the game's matrix, and the code of its kind."""
    inputs, inner, _ = ROOM
    rows = {v: k for k, v in enumerate(graph.intermediates)}
    rows |= {v: inner + k for k, v in enumerate(graph.dependents)}
    columns = {v: k for k, v in enumerate(graph.independents)}
    columns |= {v: inputs + k for k, v in enumerate(graph.intermediates)}
    return {
        (rows[target], columns[source]): CODED.index(kind) + 1
        for (source, target), kind in state.edge_kinds().items()
    }


@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_every_move_is_the_engine_s(number):
    graph, objective = SAMPLES[number]
    position = begin(graph, objective, ROOM).start
    state = Accumulation(graph)
    for move in moves_of(graph, number):
        vertex = graph.intermediates[move]
        expected = step_cost(state, vertex, objective)
        state.eliminate(vertex)
        position, price = PLAY(position, move)
        assert int(price) == expected
        found = {
            (int(row), int(column)): int(position.edges[row, column])
            for row, column in np.argwhere(np.asarray(position.edges))
        }
        wanted = edges_of(graph, state)
        assert found.keys() == wanted.keys()
        if objective == "muls":
            assert found == wanted
    assert bool(is_over(position))


def test_what_is_not_legal_changes_nothing():
    graph, objective = SAMPLES[0]
    start = begin(graph, objective, ROOM).start
    once, _ = PLAY(start, 0)
    for move in (0, len(graph.intermediates)):
        again, price = PLAY(once, move)
        assert int(price) == 0
        jax.tree.map(np.testing.assert_array_equal, again, once)


def test_a_graph_that_is_too_large_is_refused():
    graph = reference_graph("lif_2023")
    with pytest.raises(ValueError, match="does not fit"):
        begin(graph, "edges", Sizes(8, 8, 8))


def turned_round(graph: LinearGraph) -> LinearGraph:
    last = len(graph.vertices) - 1
    return LinearGraph(
        tuple(reversed(graph.vertices)),
        tuple(sorted(last - v for v in graph.dependents)),
        tuple(sorted(last - v for v in graph.independents)),
        tuple(Edge(last - e.target, last - e.source, e.kind) for e in graph.edges),
    )


@pytest.mark.parametrize("number", range(0, len(SAMPLES), 4))
def test_reversal_is_a_symmetry(number):
    graph, objective = SAMPLES[number]
    position = reversed_position(begin(graph, objective, ROOM).start)
    backwards = turned_round(graph)
    moves = moves_of(graph, number)
    total = 0
    for move in moves:
        position, price = PLAY(position, move)
        total += int(price)
    assert total == cost_of_vertices(graph, objective, [graph.intermediates[m] for m in moves])
    count = len(moves)
    steps = [backwards.intermediates[count - 1 - m] for m in moves]
    assert total == cost_of_vertices(backwards, objective, steps)
    assert position.edges.shape == (ROOM.intermediates + 4, 4 + ROOM.intermediates)


EDGES = RULES["edge"]
PLAY_EDGE = jax.jit(EDGES.play)
LEGAL_EDGES = jax.jit(EDGES.legal)


def any_edge(position: Board, chance: random.Random) -> int:
    return int(chance.choice(np.flatnonzero(LEGAL_EDGES(position))))


@pytest.mark.parametrize("number", range(0, len(SAMPLES), 2))
def test_edges_are_eliminated_as_by_the_engine(number):
    graph, objective = SAMPLES[number]
    game = begin(graph, objective, ROOM, "edge")
    chance = random.Random(number)
    position, moves, total = game.start, [], 0
    while not bool(is_over(position)):
        moves.append(any_edge(position, chance))
        position, price = PLAY_EDGE(position, moves[-1])
        total += int(price)
        assert len(moves) <= game.moves
    assert not LEGAL_EDGES(position).any()
    order = game.order([*moves, 0, 0], "test")
    plan = accumulate(graph, order)
    assert len(order.steps) == len(moves)
    assert total == (plan.edges if objective == "edges" else plan.muls)
    again, price = PLAY_EDGE(position, moves[0])
    assert int(price) == 0
    jax.tree.map(np.testing.assert_array_equal, again, position)


@pytest.mark.parametrize("number", range(0, len(SAMPLES), 4))
def test_reversal_is_a_symmetry_of_edges_too(number):
    graph, objective = SAMPLES[number]
    position = begin(graph, objective, ROOM).start
    turned = reversed_position(position)
    chance = random.Random(number)
    while not bool(is_over(position)):
        move = any_edge(position, chance)
        other = int(
            EDGES.turned(position, jax.nn.one_hot(move, LEGAL_EDGES(position).size)).argmax()
        )
        position, price = PLAY_EDGE(position, move)
        turned, mirrored = PLAY_EDGE(turned, other)
        assert int(price) == int(mirrored)
    assert bool(is_over(turned))
    jax.tree.map(np.testing.assert_array_equal, reversed_position(position), turned)


GAME = begin(reference_graph("lif_2023"), "edges", Sizes(8, 12, 4))
NETWORK = network(NetworkSize(channels=16, layers=2), edges_seen([GAME]))
PARAMS = run_compiled(NETWORK.init, jax.random.key(3), GAME.start)
JUDGE = jax.jit(NETWORK.apply)


def shuffled(position: Board, seed: int) -> tuple[Board, np.ndarray]:
    """The same position with the intermediates renumbered, and where each one went from."""
    inputs, inner, outputs = 8, 12, 4
    new = np.random.default_rng(seed).permutation(inner)
    rows = np.concatenate([new, inner + np.arange(outputs)])
    columns = np.concatenate([np.arange(inputs), inputs + new])
    moved = position._replace(
        edges=np.asarray(position.edges)[rows][:, columns], left=np.asarray(position.left)[new]
    )
    return moved, new


@pytest.mark.parametrize("seed", range(3))
def test_numbers_of_vertices_do_not_matter(seed):
    position, _ = PLAY(GAME.start, 2)
    before = JUDGE(PARAMS, position)
    moved, new = shuffled(position, seed)
    after = JUDGE(PARAMS, moved)
    np.testing.assert_allclose(after.logits, np.asarray(before.logits)[new], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after.value, before.value, rtol=1e-5)


def test_padding_does_not_matter():
    wide = begin(reference_graph("lif_2023"), "edges", Sizes(10, 16, 8))
    other = network(NetworkSize(channels=16, layers=2), 2 * edges_seen([wide]))
    found = run_compiled(other.apply, PARAMS, wide.start)
    expected = JUDGE(PARAMS, GAME.start)
    np.testing.assert_allclose(found.logits[:9], expected.logits[:9], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-5)
    assert (np.asarray(found.logits[9:]) == np.finfo(np.float32).min).all()


def test_no_parameter_depends_on_the_graph():
    large = begin(reference_graph("propane_combustion"), "muls")
    again = network(NetworkSize(channels=16, layers=2), edges_seen([large]))
    shapes = jax.eval_shape(again.init, jax.random.key(0), large.start)
    assert jax.tree.map(lambda x: x.shape, shapes) == jax.tree.map(lambda x: x.shape, PARAMS)


def test_the_policy_over_edges_is_over_the_legal_ones():
    judge = network(NetworkSize(channels=8, layers=1), edges_seen([GAME]), "edge")
    params = run_compiled(judge.init, jax.random.key(0), GAME.start)
    apply = compiled(judge.apply, params, GAME.start)
    chance = random.Random(1)
    position = GAME.start
    for _ in range(4):
        judged = apply(params, position)
        likely = np.asarray(judged.logits) > np.finfo(np.float32).min
        np.testing.assert_array_equal(likely, LEGAL_EDGES(position))
        position, _ = PLAY_EDGE(position, any_edge(position, chance))


def test_ablations_are_networks():
    for size in (
        NetworkSize(channels=8, layers=1, attention="full"),
        NetworkSize(channels=8, layers=1, value=False),
    ):
        judge = network(size, edges_seen([GAME]))

        def judged_at(start, judge=judge):
            return judge.apply(judge.init(jax.random.key(0), start), start)

        judged = run_compiled(judged_at, GAME.start)
        assert np.isfinite(np.asarray(judged.logits)[:9]).all()
        assert (float(judged.value) == 0.0) == (not size.value)


def test_positions_stack():
    both = stack([GAME.start, GAME.start])
    following, prices = run_compiled(jax.vmap(play_vertex), both, np.array([0, 1]))
    assert prices.shape == (2,)
    assert following.edges.shape == (2, *GAME.start.edges.shape)
