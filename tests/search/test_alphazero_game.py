"""The elimination game, against the elimination engine; its network, against its symmetries."""

from __future__ import annotations

import random

import jax
import numpy as np
import pytest
from compiling import compiled, run_compiled
from eliminating import cost_of_vertices, step_cost
from graphs import reference_graph, small_graphs
from priced_graphs import random_task

from gradgen.elimination.accumulate import Accumulation, accumulate
from gradgen.errors import GradgenError
from gradgen.ir.graph import Edge, LinearGraph
from gradgen.search import tables
from gradgen.search.alphazero.game import (
    Board,
    Game,
    GamePosition,
    Sizes,
    begin,
    edges_seen,
    reversed_board,
    reversed_position,
    sizes_of,
    stack,
)
from gradgen.search.alphazero.network import NetworkSize, network
from gradgen.search.alphazero.rules import RULES, play_vertex
from gradgen.search.compact import CODED
from gradgen.search.task import Task, scalar_task

ROOM = Sizes(4, 8, 4)
VERTICES, EDGES = RULES["vertex"], RULES["edge"]
PLAY, PLAY_EDGE = jax.jit(VERTICES.play), jax.jit(EDGES.play)
LEGAL, LEGAL_EDGES = jax.jit(VERTICES.legal), jax.jit(EDGES.legal)
SAMPLES = [
    (graph, objective) for graph in small_graphs(40, 8, seed=5) for objective in ("edges", "muls")
]
PRICED = Sizes(2, 8, 6, terms=100, slots=4, roles=10)
"""Room for most random graphs with patterns, so that rules are compiled once for all."""


def moves_of(graph: LinearGraph, seed: int) -> list[int]:
    moves = list(range(len(graph.intermediates)))
    random.Random(seed).shuffle(moves)
    return moves


def edges_of(graph: LinearGraph, state: Accumulation) -> dict[tuple[int, int], int]:
    """Row and column of each edge in the game's matrix, and the code of its kind."""
    inputs, inner, *_ = ROOM
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
    game = begin(scalar_task(graph, objective), ROOM)
    board, position, state = game.board, game.start, Accumulation(graph)
    sizes = {"unit": 0, "constant": 0, "mask": 1, "variable": 1}
    total = 0
    for move in moves_of(graph, number):
        vertex = graph.intermediates[move]
        expected = step_cost(state, vertex, objective)
        state.eliminate(vertex)
        position, price = PLAY(board, position, move)
        total += int(price)
        assert int(price) == expected
        edges = np.asarray(position.edges)[..., 0]
        stored = board.own * board.unit
        found = {(int(i), int(j)): round(stored[edges[i, j]]) for i, j in np.argwhere(edges)}
        wanted = edges_of(graph, state)
        assert found.keys() == wanted.keys()
        if objective == "muls":
            assert found == {at: sizes[CODED[code - 1]] for at, code in wanted.items()}
    assert not LEGAL(board, position).any()
    assert int(position.spent) == total


def priced_games(elimination: str, operators: bool) -> list[Game]:
    found = []
    for seed in range(40):
        task = random_task(seed, operators=operators)
        fits = all(n <= most for n, most in zip(sizes_of([task]), PRICED, strict=True))
        if fits and task.eliminations.intermediates:
            found.append(begin(task, PRICED, elimination))
    assert len(found) > 20
    return found


Terms = dict[tuple[int, int], list[int]]


class Engine:
    """Elimination by the book: of each edge the terms, products and sums of which are looked up."""

    def __init__(self, task: Task) -> None:
        self.prices = task.eliminations.prices
        self.inner = set(task.eliminations.intermediates)
        self.edges: Terms = {
            (s, t): list(terms)
            for s, targets in task.eliminations.start.out.items()
            for t, terms in targets.items()
        }

    def into(self, v: int) -> list[int]:
        return [s for s, t in self.edges if t == v]

    def out(self, v: int) -> list[int]:
        return [t for s, t in self.edges if s == v]

    def joins(self, into: list[tuple[int, int]], out: list[tuple[int, int]]) -> int | None:
        """Add the products of edges that meet; their price, or None where there is none."""
        price, added = 0, []
        for s, v in into:
            for _, t in out:
                for right in self.edges[s, v]:
                    for left in self.edges[v, t]:
                        found = self.prices.product(left, right)
                        if found is None:
                            return None
                        price += found[1][0]
                        added.append(((s, t), found[0]))
        for at, term in added:
            terms = self.edges.setdefault(at, [])
            for k, other in enumerate(terms):
                total = self.prices.sum(other, term)
                if total is not None:
                    terms[k] = total
                    break
            else:
                terms.append(term)
        return price

    def vertex(self, v: int) -> int | None:
        price = self.joins([(s, v) for s in self.into(v)], [(v, t) for t in self.out(v)])
        if price is not None:
            self.edges = {at: terms for at, terms in self.edges.items() if v not in at}
        return price

    def edge(self, source: int, target: int, direction: str) -> int | None:
        if direction == "front":
            price = self.joins([(source, target)], [(target, t) for t in self.out(target)])
        else:
            price = self.joins([(s, source) for s in self.into(source)], [(source, target)])
        if price is not None:
            del self.edges[source, target]
            dead = [v for v in self.inner if not self.into(v) or not self.out(v)]
            self.edges = {at: x for at, x in self.edges.items() if not {*at} & {*dead}}
        return price

    def stored(self) -> dict[tuple[int, int], list[int]]:
        """How many numbers each term stores, by edge."""
        return {at: sorted(map(self.prices.stored, terms)) for at, terms in self.edges.items()}


def stored_in(game: Game, position: GamePosition) -> dict[tuple[int, int], list[int]]:
    edges, own = np.asarray(position.edges), game.board.own * game.board.unit
    return {
        (game.columns[j], game.rows[i]): sorted(round(own[k]) for k in edges[i, j] if k)
        for i, j in np.argwhere(edges.any(-1))
    }


@pytest.mark.parametrize("operators", [False, True])
def test_vertices_with_patterns_are_eliminated_as_by_the_engine(operators):
    lost = refused = 0
    for number, game in enumerate(priced_games("vertex", operators)):
        chance, engine, position = random.Random(number), Engine(game.task), game.start
        moves: list[int] = []
        while (legal := np.flatnonzero(LEGAL(game.board, position))).size:
            for move in set(np.flatnonzero(position.left)) - set(legal):
                assert Engine.vertex(engine, game.rows[move]) is None
                refused += 1
            moves.append(int(chance.choice(legal)))
            position, price = PLAY(game.board, position, moves[-1])
            assert int(price) == engine.vertex(game.rows[moves[-1]])
            assert stored_in(game, position) == engine.stored()
        order = game.order(moves, "test")
        assert game.task.is_possible(order) == (not position.left.any())
        lost += bool(position.left.any())
        if not position.left.any():
            assert game.task.cost(order) == int(position.spent)
    assert (refused > 10) == operators
    assert operators or not lost


@pytest.mark.parametrize("operators", [False, True])
def test_edges_with_patterns_are_eliminated_as_by_the_engine(operators):
    refused = 0
    for number, game in enumerate(priced_games("edge", operators)):
        chance, engine, position = random.Random(number), Engine(game.task), game.start
        moves: list[int] = []
        while (legal := np.flatnonzero(LEGAL_EDGES(game.board, position))).size:
            at = [step for move in legal for step in game._edges([move])]
            for s, t in list(engine.edges):
                for direction, v in (("front", t), ("back", s)):
                    if v in engine.inner and (direction, s, t) not in at:
                        assert engine.edge(s, t, direction) is None
                        refused += 1
            moves.append(int(chance.choice(legal)))
            direction, source, target = next(game._edges(moves[-1:]))
            position, price = PLAY_EDGE(game.board, position, moves[-1])
            assert int(price) == engine.edge(source, target, direction)
            assert stored_in(game, position) == engine.stored()
        order = game.order([*moves, 0, 0][: len(moves) + 2], "test")
        if not position.left.any():
            assert len(order.steps) == len(moves)
            assert game.task.cost(order) == int(position.spent)
    assert (refused > 10) == operators


def test_what_is_not_legal_changes_nothing():
    graph, objective = SAMPLES[0]
    game = begin(scalar_task(graph, objective), ROOM)
    once, _ = PLAY(game.board, game.start, 0)
    for move in (0, len(graph.intermediates)):
        again, price = PLAY(game.board, once, move)
        assert int(price) == 0
        jax.tree.map(np.testing.assert_array_equal, again, once)


def test_a_graph_that_is_too_large_is_refused(monkeypatch):
    task = scalar_task(reference_graph("lif_2023"), "edges")
    with pytest.raises(ValueError, match="does not fit"):
        begin(task, Sizes(8, 8, 8))
    many = random_task(1, operators=False)
    with pytest.raises(GradgenError, match="more than 9 kinds of partials"):
        tables.priced_graph(many.eliminations, many.alike, most=9)
    monkeypatch.setattr(tables, "MOST_SLOTS", 1)
    with pytest.raises(GradgenError, match="edges of more than 1 terms"):
        sizes_of([random_task(seed, operators=False) for seed in range(9)])


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
    game = begin(scalar_task(graph, objective), ROOM)
    board, position = reversed_board(game.board), reversed_position(game.start)
    backwards = turned_round(graph)
    moves = moves_of(graph, number)
    total = 0
    for move in moves:
        position, price = PLAY(board, position, move)
        total += int(price)
    assert total == cost_of_vertices(graph, objective, [graph.intermediates[m] for m in moves])
    count = len(moves)
    steps = [backwards.intermediates[count - 1 - m] for m in moves]
    assert total == cost_of_vertices(backwards, objective, steps)
    assert position.edges.shape == (ROOM.intermediates + 4, 4 + ROOM.intermediates, 1)


def any_edge(board: Board, position: GamePosition, chance: random.Random) -> int:
    return int(chance.choice(np.flatnonzero(LEGAL_EDGES(board, position))))


@pytest.mark.parametrize("number", range(0, len(SAMPLES), 2))
def test_edges_are_eliminated_as_by_the_engine(number):
    graph, objective = SAMPLES[number]
    game = begin(scalar_task(graph, objective), ROOM, "edge")
    chance, board = random.Random(number), game.board
    position, moves, total = game.start, [], 0
    while position.left.any():
        moves.append(any_edge(board, position, chance))
        position, price = PLAY_EDGE(board, position, moves[-1])
        total += int(price)
        assert len(moves) <= game.moves
    assert not LEGAL_EDGES(board, position).any()
    order = game.order([*moves, 0, 0], "test")
    plan = accumulate(graph, order)
    assert len(order.steps) == len(moves)
    assert total == (plan.edges if objective == "edges" else plan.muls) == game.task.cost(order)
    again, price = PLAY_EDGE(board, position, moves[0])
    assert int(price) == 0
    jax.tree.map(np.testing.assert_array_equal, again, position)


def turned_move(position: GamePosition, move: int, count: int) -> int:
    return int(EDGES.turned(position, jax.nn.one_hot(move, count)).argmax())


@pytest.mark.parametrize("patterns", [False, True])
def test_reversal_is_a_symmetry_of_edges_too(patterns):
    games = (
        priced_games("edge", True)[:8]
        if patterns
        else [begin(scalar_task(*sample), ROOM, "edge") for sample in SAMPLES[::8]]
    )
    for number, game in enumerate(games):
        board, position = game.board, game.start
        reverse, mirror = reversed_board(board), reversed_position(position)
        chance = random.Random(number)
        while (legal := np.asarray(LEGAL_EDGES(board, position))).any():
            move = int(chance.choice(np.flatnonzero(legal)))
            other = turned_move(position, move, legal.size)
            position, price = PLAY_EDGE(board, position, move)
            mirror, mirrored = PLAY_EDGE(reverse, mirror, other)
            assert int(price) == int(mirrored)
        assert not LEGAL_EDGES(reverse, mirror).any()
        jax.tree.map(np.testing.assert_array_equal, reversed_position(position), mirror)


GAME = begin(scalar_task(reference_graph("lif_2023"), "muls"), Sizes(8, 12, 4))
NETWORK = network(NetworkSize(channels=16, layers=2), edges_seen([GAME]))
PARAMS = run_compiled(NETWORK.init, jax.random.key(3), GAME.board, GAME.start)
JUDGE = jax.jit(NETWORK.apply)


def shuffled(position: GamePosition, seed: int) -> tuple[GamePosition, np.ndarray]:
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
    position, _ = PLAY(GAME.board, GAME.start, 2)
    before = JUDGE(PARAMS, GAME.board, position)
    moved, new = shuffled(position, seed)
    after = JUDGE(PARAMS, GAME.board, moved)
    np.testing.assert_allclose(after.logits, np.asarray(before.logits)[new], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after.value, before.value, rtol=1e-5)


def test_padding_does_not_matter():
    wide = begin(scalar_task(reference_graph("lif_2023"), "muls"), Sizes(10, 16, 8, 9, 2, 3))
    other = network(NetworkSize(channels=16, layers=2), 2 * edges_seen([wide]))
    found = run_compiled(other.apply, PARAMS, wide.board, wide.start)
    expected = JUDGE(PARAMS, GAME.board, GAME.start)
    np.testing.assert_allclose(found.logits[:9], expected.logits[:9], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-5)
    assert (np.asarray(found.logits[9:]) == np.finfo(np.float32).min).all()


def test_no_parameter_depends_on_the_graph():
    large = begin(random_task(3, operators=True))
    again = network(NetworkSize(channels=16, layers=2), edges_seen([large]))
    shapes = jax.eval_shape(again.init, jax.random.key(0), large.board, large.start)
    assert jax.tree.map(lambda x: x.shape, shapes) == jax.tree.map(lambda x: x.shape, PARAMS)


def test_the_policy_over_edges_is_over_the_legal_ones():
    judge = network(NetworkSize(channels=8, layers=1), edges_seen([GAME]), "edge")
    params = run_compiled(judge.init, jax.random.key(0), GAME.board, GAME.start)
    apply = compiled(judge.apply, params, GAME.board, GAME.start)
    chance = random.Random(1)
    position = GAME.start
    for _ in range(4):
        judged = apply(params, GAME.board, position)
        likely = np.asarray(judged.logits) > np.finfo(np.float32).min
        np.testing.assert_array_equal(likely, LEGAL_EDGES(GAME.board, position))
        position, _ = PLAY_EDGE(GAME.board, position, any_edge(GAME.board, position, chance))


@pytest.mark.full
def test_ablations_are_networks():
    for size in (
        NetworkSize(channels=8, layers=1, attention="full"),
        NetworkSize(channels=8, layers=1, value=False),
    ):
        judge = network(size, edges_seen([GAME]))

        def judged_at(start, judge=judge):
            return judge.apply(judge.init(jax.random.key(0), GAME.board, start), GAME.board, start)

        judged = run_compiled(judged_at, GAME.start)
        assert np.isfinite(np.asarray(judged.logits)[:9]).all()
        assert (float(judged.value) == 0.0) == (not size.value)


def test_positions_stack():
    both = stack([GAME.start, GAME.start])
    following, prices = run_compiled(
        jax.vmap(play_vertex, (None, 0, 0)), GAME.board, both, np.array([0, 1])
    )
    assert prices.shape == (2,)
    assert following.edges.shape == (2, *GAME.start.edges.shape)
