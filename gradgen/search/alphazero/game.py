"""The elimination game: its positions, and how a graph becomes the first of them.

A position is the matrix of a graph's edges. Its rows are the vertices that edges lead to, its
columns those that they come from, so that c_ij has its result first: intermediates and dependents
against independents and intermediates. A move eliminates an intermediate or, by other rules, an
edge (`gradgen.search.alphazero.rules`), and its price is the number of multiplications that it
takes. The game is over when no intermediate is left: the graph is bipartite then, and the matrix is
the Jacobian.

Each of the three groups is padded to a size of `bucket`, so that a compiled program serves many
graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.cost import cost_of
from gradgen.ir.graph import Elimination, LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.ir.steps import EdgeStep
from gradgen.search.compact import COSTS, compact
from gradgen.search.heuristics import forward, reverse, vertex_order

Array = Any
"""Of JAX, or of numpy where JAX is to make one of it."""

CODES = len(COSTS)
"""Codes of an edge: none, and the kinds of partials as `gradgen.search.compact` numbers them."""
_VARIABLE = CODES - 1
LONGEST = 4
"""Moves of a game on edges, over the edges that there are at its beginning."""
_STEPS = ((16, 2), (32, 4), (64, 8))


class Sizes(NamedTuple):
    """How many vertices of each group the arrays of a position have room for."""

    independents: int
    intermediates: int
    dependents: int


class Board(NamedTuple):
    """Where a game stands, in arrays of JAX or numpy.

    I, M and D are the sizes of the groups, padding included.
    """

    edges: Array
    """(M + D, I + M) int8: the code of each edge."""
    left: Array
    """(M,) bool: the intermediates that are not eliminated yet."""
    independents: Array
    """(I,) bool: which of the independents are no padding."""
    dependents: Array
    """(D,) bool: which of the dependents are no padding."""
    scale: Array
    """() float32: the price that counts as one, the cheaper of forward and reverse mode."""


@dataclass(frozen=True)
class Game:
    """A graph as the position at which its game begins."""

    graph: LinearGraph
    objective: ProductObjective
    start: Board
    """Arrays of numpy."""
    elimination: Elimination = "vertex"
    """Vertices or edges."""

    @property
    def moves(self) -> int:
        """How many moves a game takes; for edges, after how many it is broken off."""
        if self.elimination == "edge":
            return LONGEST * len(self.graph.edges)
        return len(self.graph.intermediates)

    def order(self, moves: Iterable[int], found_by: str) -> Order:
        """The order of a game that was played to its end; moves after that are passed over."""
        if self.elimination == "edge":
            return self._edge_order(moves, found_by)
        steps = (self.graph.intermediates[int(m)] for m in moves)
        return vertex_order(self.graph, steps, found_by)

    def _edge_order(self, moves: Iterable[int], found_by: str) -> Order:
        rows, columns = self.start.edges.shape
        inner, inputs = self.start.left.shape[0], self.start.independents.shape[0]
        vertices, state, steps = self.graph.vertices, Accumulation(self.graph), []
        for move in moves:
            if not state.remaining():
                break
            direction, place = divmod(int(move), rows * columns)
            row, column = divmod(place, columns)
            within, outputs = self.graph.intermediates, self.graph.dependents
            target = within[row] if row < inner else outputs[row - inner]
            fed = column < inputs
            source = self.graph.independents[column] if fed else within[column - inputs]
            if direction:
                state.back(source, target)
            else:
                state.front(source, target)
            names = vertices[source].name, vertices[target].name
            steps.append(str(EdgeStep("back" if direction else "front", *names)))
        return Order("edge", self.graph.fingerprint, tuple(steps), found_by)


def bucket(count: int) -> int:
    """The size to which a group of so many vertices is padded."""
    for limit, step in _STEPS:
        if count <= limit:
            return max(step, -(-count // step) * step)
    return -(-count // 16) * 16


def sizes_of(graphs: Sequence[LinearGraph]) -> Sizes:
    """Room for each of the graphs."""
    return Sizes(
        bucket(max(len(graph.independents) for graph in graphs)),
        bucket(max(len(graph.intermediates) for graph in graphs)),
        bucket(max(len(graph.dependents) for graph in graphs)),
    )


def begin(
    graph: LinearGraph,
    objective: ProductObjective = "muls",
    sizes: Sizes | None = None,
    elimination: Elimination = "vertex",
) -> Game:
    """The game on a graph. Under `edges` every edge counts as a variable one.

    Raises ValueError if the graph does not fit into `sizes`.
    """
    room = sizes_of([graph]) if sizes is None else sizes
    counts = len(graph.independents), len(graph.intermediates), len(graph.dependents)
    if any(count > most for count, most in zip(counts, room, strict=True)):
        raise ValueError(f"a graph of {counts} vertices does not fit into {tuple(room)}")
    inputs, inner, outputs = room
    kinds = compact(graph).kinds
    if objective == "edges":
        kinds = np.where(kinds > 0, np.int8(_VARIABLE), kinds)
    edges = np.zeros((inner + outputs, inputs + inner), np.int8)
    rows = [*range(counts[1]), *range(inner, inner + counts[2])]
    columns = [*range(counts[0]), *range(inputs, inputs + counts[1])]
    targets = [*graph.intermediates, *graph.dependents]
    sources = [*graph.independents, *graph.intermediates]
    edges[np.ix_(rows, columns)] = kinds[np.ix_(targets, sources)]
    start = Board(
        edges=edges,
        left=np.arange(inner) < counts[1],
        independents=np.arange(inputs) < counts[0],
        dependents=np.arange(outputs) < counts[2],
        scale=np.float32(_scale(graph, objective)),
    )
    return Game(graph, objective, start, elimination)


def _scale(graph: LinearGraph, objective: ProductObjective) -> int:
    return max(1, min(cost_of(graph, mode(graph), objective) for mode in (forward, reverse)))


def reversed_position(position: Board) -> Board:
    """The game on the graph with all edges turned round, which costs the same move by move.

    The groups swap their places, so their sizes do as well.
    """
    room = position.left.shape[0]
    inputs = position.independents.shape[0]
    inner = position.edges[:room, inputs:].T
    from_inputs = position.edges[:room, :inputs].T
    to_outputs = position.edges[room:, inputs:].T
    direct = position.edges[room:, :inputs].T
    edges = jnp.block([[to_outputs, inner], [direct, from_inputs]])
    return position._replace(
        edges=edges, independents=position.dependents, dependents=position.independents
    )


def edges_seen(games: Sequence[Game]) -> int:
    """For how many edges a network needs tokens; elimination may bring more than there were."""
    return bucket(8 + max(len(game.graph.edges) for game in games) * 5 // 4)


def stack(positions: Sequence[Board]) -> Board:
    """Several positions of the same sizes as one, with a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *positions)
