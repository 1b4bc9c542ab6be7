"""The elimination game: its boards and positions, and how a graph becomes the first of them.

A position is the matrix of a graph's edges. Its rows are the vertices that edges lead to, its
columns those that they come from, so that c_ij has its result first: intermediates and what is left
in the end, against inputs and intermediates. An entry has the numbers of an edge's terms, and what
these are worth is said by the board, the tables of `gradgen.search.tables`: so the four kinds of
partials of a neuron and the patterns of a layer are played by the same rules. A move eliminates an
intermediate or, by other rules, an edge (`gradgen.search.alphazero.rules`), and its price is the
number of multiplications that it takes. The game is over when no move is legal; it is lost if an
intermediate is left then.

Each dimension is padded to a size of `bucket`, so that a compiled program serves many graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradgen.ir.graph import Elimination, Order
from gradgen.search.tables import PricedGraph, Tables
from gradgen.search.task import EdgeMove, Task

Array = Any
"""Of JAX, or of numpy where JAX is to make one of it."""

LONGEST = 4
"""Moves of a game on edges, over the edges that there are at its beginning."""
FREE = 0.01
"""What is added to the price of a game, in units of its scale, before the logarithm is taken."""
_STEPS = ((16, 2), (32, 4), (64, 8))


class Sizes(NamedTuple):
    """For how much the arrays of a game have room."""

    inputs: int
    """I: vertices that edges come from alone, or that both ends of edges are and that stay."""
    intermediates: int
    """M"""
    outputs: int
    """D: vertices that edges lead to, and that stay."""
    terms: int = 5
    """C, none included."""
    slots: int = 1
    """S: terms of an edge."""
    roles: int = 1
    """K: how terms differ in which products with them are impossible."""


class Board(NamedTuple):
    """What stays as it is while a game is played, in arrays of JAX or numpy."""

    product: Array
    """(S, C, C) int16"""
    sum: Array
    """(C, C) int16"""
    price: Array
    """(C, C) float32"""
    roles: Array
    """(2, C) int8: the role of each term as the left factor, and as the right one."""
    impossible: Array
    """(K, K) bool: by these roles."""
    own: Array
    """(C,) float32: how many numbers a term stores, in units of `unit`."""
    sides: Array
    """(2, C, 2) float32: as the left and as the right factor, the highest price of a product in
    units of `unit`, and the share of products that are impossible."""
    scale: Array
    """() float32: the price that counts as one, that of the cheapest plain mode."""
    unit: Array
    """() float32: the scale over the number of intermediates."""


class GamePosition(NamedTuple):
    """Where a game stands, in arrays of JAX or numpy."""

    edges: Array
    """(M + D, I + M, S) int16: the terms of each edge."""
    left: Array
    """(M,) bool: the intermediates that are not eliminated yet."""
    spent: Array
    """() float32: the price of the moves so far."""


@dataclass(frozen=True)
class Game:
    """A task as the position at which its game begins."""

    task: Task
    board: Board
    start: GamePosition
    """Arrays of numpy."""
    rows: tuple[int, ...]
    """The vertex of each row of the matrix; -1 for padding."""
    columns: tuple[int, ...]
    elimination: Elimination = "vertex"
    """Vertices or edges."""

    @property
    def moves(self) -> int:
        """How many moves a game takes; for edges, after how many it is broken off."""
        if self.elimination == "edge":
            return LONGEST * self.edges
        return len(self.task.eliminations.intermediates)

    @property
    def edges(self) -> int:
        """How many edges there are at the beginning."""
        return int((self.start.edges > 0).any(-1).sum())

    def order(self, moves: Iterable[int], found_by: str) -> Order:
        """The order of a game that was played to its end; moves after that are passed over."""
        if self.elimination == "edge":
            return self.task.edge_order(self._edges(moves), found_by)
        return self.task.order((self.rows[int(m)] for m in moves), found_by)

    def _edges(self, moves: Iterable[int]) -> Iterator[EdgeMove]:
        for move in moves:
            direction, place = divmod(int(move), len(self.rows) * len(self.columns))
            row, column = divmod(place, len(self.columns))
            yield ("back" if direction else "front"), self.columns[column], self.rows[row]


def bucket(count: int) -> int:
    """The size to which a dimension of so many is padded."""
    for limit, step in _STEPS:
        if count <= limit:
            return max(step, -(-count // step) * step)
    return -(-count // 16) * 16


def sizes_of(tasks: Sequence[Task]) -> Sizes:
    """Room for each of the tasks."""
    needed = [_needed(task) for task in tasks]
    most = [max(sizes) for sizes in zip(*needed, strict=True)]
    return Sizes(*map(bucket, most[:3]), *most[3:])


def _needed(task: Task) -> Sizes:
    tables = task.priced.tables
    inputs, outputs = _ends(task)
    inner = len(task.eliminations.intermediates)
    slots, terms, _ = tables.product.shape
    roles = 1 + int(_roles(tables.impossible).max())
    return Sizes(len(inputs), inner, len(outputs), terms, slots, roles)


def _ends(task: Task) -> tuple[list[int], list[int]]:
    """The vertices that stay: those with edges out of them, and those with edges into them."""
    there = task.priced.terms.max(-1) > 0
    inner = set(task.eliminations.intermediates)
    stay = [v for v in range(len(task.alike)) if v not in inner]
    return [v for v in stay if there[:, v].any()], [v for v in stay if there[v].any()]


def begin(task: Task, sizes: Sizes | None = None, elimination: Elimination = "vertex") -> Game:
    """The game of a task.

    Raises ValueError if the graph does not fit into `sizes`, and GradgenError if there are too many
    terms in it.
    """
    room, needed = sizes or sizes_of([task]), _needed(task)
    if any(count > most for count, most in zip(needed, room, strict=True)):
        raise ValueError(f"a graph of {tuple(needed)} does not fit into {tuple(room)}")
    inputs, outputs = _ends(task)
    inner = task.eliminations.intermediates
    rows = _padded(inner, room.intermediates) + _padded(outputs, room.outputs)
    columns = _padded(inputs, room.inputs) + _padded(inner, room.intermediates)
    terms = np.zeros((len(rows), len(columns), room.slots), np.int16)
    at = [[k for k, v in enumerate(places) if v >= 0] for places in (rows, columns)]
    targets, sources = ([v for v in places if v >= 0] for places in (rows, columns))
    each = [*range(needed.slots)]
    terms[np.ix_(*at, each)] = task.priced.terms[np.ix_(targets, sources, each)]
    scale = max(1, min((task.cost(order) for order in task.baselines), default=1))
    board = _board(task.priced, room, scale, scale / max(1, len(inner)))
    left = np.arange(room.intermediates) < len(inner)
    return Game(task, board, GamePosition(terms, left, np.float32(0)), rows, columns, elimination)


def _padded(vertices: Sequence[int], count: int) -> tuple[int, ...]:
    return (*vertices, *(-1 for _ in range(count - len(vertices))))


def _board(graph: PricedGraph, room: Sizes, scale: float, unit: float) -> Board:
    tables = graph.tables
    slots, terms, _ = tables.product.shape
    more = (0, room.terms - terms)
    impossible = np.pad(tables.impossible, (more, more))
    roles = _roles(impossible)
    refused = np.zeros((room.roles, room.roles), np.bool_)
    refused[roles[0][:, None], roles[1]] = impossible
    price = np.pad(tables.price, (more, more)) / np.float32(unit)
    return Board(
        product=np.pad(tables.product, ((0, room.slots - slots), more, more)),
        sum=np.pad(tables.sum, (more, more)),
        price=np.pad(tables.price, (more, more)),
        roles=roles.astype(np.int8),
        impossible=refused,
        own=np.pad(tables.size, more) / np.float32(unit),
        sides=np.stack([_side(tables, price, axis) for axis in (1, 0)]),
        scale=np.float32(scale),
        unit=np.float32(unit),
    )


def _roles(impossible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(2, C): terms that are refused alike have one role, and none of them is refused by role 0."""
    return np.stack([_numbered(impossible), _numbered(impossible.T)])


def _numbered(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    number: dict[bytes, int] = {}
    return np.array([number.setdefault(row.tobytes(), len(number)) for row in rows])


def _side(tables: Tables, price: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """(C, 2): the highest price of a term's products, and the share of those that there are not."""
    there = tables.product.any(0)
    met = (there | tables.impossible).sum(axis)
    refused = np.zeros(len(price), np.float32)
    refused[: len(met)] = tables.impossible.sum(axis) / np.maximum(1, met)
    return np.stack([price.max(axis), refused], axis=1)


def score(board: Board, price: Array) -> jax.Array:
    """() what a price is worth: minus its logarithm, about 0 for that of the cheapest plain mode.

    Prices of bad orders span orders of magnitude, those of good ones percents.
    """
    return -jnp.log(price / board.scale + FREE)


def inputs_of(position: GamePosition) -> int:
    """How many columns of the matrix are inputs, padding included."""
    return int(position.edges.shape[1] - position.left.shape[0])


def reversed_position(position: GamePosition) -> GamePosition:
    """The position on the graph with all edges turned round; inputs and outputs swap places."""
    return position._replace(edges=turned(position, position.edges))


def turned(position: GamePosition, matrix: Array) -> jax.Array:
    """A matrix like that of the edges, (M + D, I + M, ...), as it is with all edges turned round:
    (M + I, D + M, ...)."""
    room, inputs = position.left.shape[0], inputs_of(position)
    parts = (
        (matrix[room:, inputs:], matrix[:room, inputs:]),
        (matrix[room:, :inputs], matrix[:room, :inputs]),
    )
    return jnp.concatenate(
        [jnp.concatenate([jnp.swapaxes(part, 0, 1) for part in pair], axis=1) for pair in parts],
        axis=0,
    )


def reversed_board(board: Board) -> Board:
    """The tables for edges that are turned round: factors change places, and prices stay."""
    return board._replace(
        product=jnp.swapaxes(board.product, 1, 2),
        price=board.price.T,
        roles=board.roles[::-1],
        impossible=board.impossible.T,
        sides=board.sides[::-1],
    )


def edges_seen(games: Sequence[Game]) -> int:
    """For how many terms a network needs tokens; elimination may bring more than there were."""
    terms = (int((game.start.edges > 0).sum()) for game in games)
    return bucket(8 + max(terms) * 5 // 4)


def stack(trees: Sequence[Any]) -> Any:
    """Several positions or boards of the same sizes as one, with a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
