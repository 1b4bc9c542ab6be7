"""What can be done in the elimination game: eliminating vertices, or edges.

Pure functions of JAX for one position; `jax.vmap` makes them work on many. A move that is not legal
changes nothing and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gradgen.ir.graph import Elimination
from gradgen.search.alphazero.game import CODES, Board, reversed_position
from gradgen.search.compact import COSTS, PRODUCT, SUM

_COSTS, _PRODUCT, _SUM = COSTS.ravel(), PRODUCT.ravel(), SUM.ravel()


@dataclass(frozen=True)
class Rules:
    """A kind of elimination as a game. A is how many moves there are, legal or not."""

    legal: Callable[[Board], jax.Array]
    """(A,) bool: which moves are legal; none when the game is over."""
    play: Callable[[Board, jax.Array], tuple[Board, jax.Array]]
    """The position after a move, and the multiplications that it took."""
    turned: Callable[[Board, jax.Array], jax.Array]
    """(A,): numbers for the moves, as those of the position with all edges turned round."""


def is_over(position: Board) -> jax.Array:
    """() bool: whether no intermediate is left."""
    return ~position.left.any()


def play_vertex(position: Board, move: jax.Array) -> tuple[Board, jax.Array]:
    """Eliminate an intermediate, given by its number among them."""
    inputs = position.independents.shape[0]
    edges = position.edges
    legal = position.left[move]
    into = jnp.where(legal, edges[move], 0).astype(jnp.int32)
    out = jnp.where(legal, edges[:, inputs + move], 0).astype(jnp.int32)
    joined, price = _join(edges, out[:, None] * CODES + into)
    rows = (jnp.arange(edges.shape[0]) == move)[:, None]
    columns = jnp.arange(edges.shape[1]) == inputs + move
    edges = jnp.where(legal & (rows | columns), 0, joined).astype(jnp.int8)
    left = position.left & ~(legal & (jnp.arange(position.left.shape[0]) == move))
    return position._replace(edges=edges, left=left), price


def play_edge(position: Board, move: jax.Array) -> tuple[Board, jax.Array]:
    """Eliminate an edge, given by its entry, in front or, counted on from there, in the back.

    With the last edge into an intermediate those out of it go, and the other way round (Griewank
    and Walther, section 9.3).
    """
    height, width = position.edges.shape
    inputs, inner = position.independents.shape[0], position.left.shape[0]
    back, place = move // (height * width), move % (height * width)
    row, column = place // width, place % width
    edges = position.edges
    legal = legal_edges(position)[move]
    kind = edges[row, column].astype(jnp.int32)
    # in front, the edges out of its target are multiplied with it, and land in its column
    out = edges[:, jnp.minimum(inputs + row, width - 1)].astype(jnp.int32)
    ahead = jnp.where(jnp.arange(width) == column, out[:, None] * CODES + kind, 0)
    # in the back, it is multiplied with those into its source, and they land in its row
    into = edges[jnp.clip(column - inputs, 0, inner - 1)].astype(jnp.int32)
    behind = jnp.where((jnp.arange(height) == row)[:, None], kind * CODES + into, 0)
    joined, price = _join(edges, jnp.where(legal, jnp.where(back == 1, behind, ahead), 0))
    gone = (jnp.arange(height) == row)[:, None] & (jnp.arange(width) == column)
    edges = jnp.where(legal & gone, 0, joined).astype(jnp.int8)
    left = position.left & (edges[:inner] > 0).any(1) & (edges[:, inputs:] > 0).any(0)
    rows = jnp.concatenate([left, position.dependents])
    columns = jnp.concatenate([position.independents, left])
    edges = jnp.where(rows[:, None] & columns, edges, 0).astype(jnp.int8)
    return position._replace(edges=edges, left=left), price


def legal_edges(position: Board) -> jax.Array:
    """(2 * rows * columns,) bool: the edges into intermediates, then those out of intermediates."""
    inputs, inner = position.independents.shape[0], position.left.shape[0]
    height, width = position.edges.shape
    there = position.edges > 0
    ahead = there & (jnp.arange(height) < inner)[:, None]
    behind = there & (jnp.arange(width) >= inputs)
    return jnp.concatenate([ahead.ravel(), behind.ravel()])


def _join(edges: jax.Array, pairs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Add the products of pairs of codes to the edges; and what they cost."""
    price = jnp.asarray(_COSTS, jnp.float32)[pairs].sum()
    products = jnp.asarray(_PRODUCT)[pairs]
    return jnp.asarray(_SUM)[edges.astype(jnp.int32) * CODES + products], price


def _turned_edges(position: Board, numbers: jax.Array) -> jax.Array:
    """Front and back change places, and the entries go where reversal takes them."""
    ahead, behind = numbers.reshape(2, *position.edges.shape)
    moved = [
        reversed_position(position._replace(edges=part)).edges.ravel() for part in (behind, ahead)
    ]
    return jnp.concatenate(moved)


RULES: dict[Elimination, Rules] = {
    "vertex": Rules(lambda position: position.left, play_vertex, lambda position, numbers: numbers),
    "edge": Rules(legal_edges, play_edge, _turned_edges),
}
"""The rules by the kind of elimination."""
