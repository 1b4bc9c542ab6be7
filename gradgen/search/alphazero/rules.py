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
from gradgen.search.alphazero.game import Board, GamePosition, inputs_of, score, turned

LOST = 100.0
"""What a game that is lost costs beside its moves, in units of its scale."""


@dataclass(frozen=True)
class Rules:
    """A kind of elimination as a game. A is how many moves there are, legal or not."""

    legal: Callable[[Board, GamePosition], jax.Array]
    """(A,) bool: which moves are legal; none when the game is over."""
    play: Callable[[Board, GamePosition, jax.Array], tuple[GamePosition, jax.Array]]
    """The position after a move, and the multiplications that it took."""
    turned: Callable[[GamePosition, jax.Array], jax.Array]
    """(A,): numbers for the moves, as those of the position with all edges turned round."""

    def is_over(self, board: Board, position: GamePosition) -> jax.Array:
        """() bool: whether there is no move left."""
        return ~self.legal(board, position).any()


def total(board: Board, position: GamePosition) -> jax.Array:
    """(): what a game costs that ends here, be it over or broken off."""
    return position.spent + jnp.where(position.left.any(), LOST * board.scale, 0.0)


def outcome(board: Board, position: GamePosition) -> jax.Array:
    """(): what a game is worth that ends here."""
    return score(board, total(board, position))


def play_vertex(
    board: Board, position: GamePosition, move: jax.Array
) -> tuple[GamePosition, jax.Array]:
    """Eliminate an intermediate, given by its number among them."""
    inputs = inputs_of(position)
    edges = position.edges
    out, into = edges[:, inputs + move], edges[move]
    met = _one_role(board, out, 0).any(0), _one_role(board, into, 1).any(0)
    legal = position.left[move] & ~_refused(board, "a,ab,b->", *met)
    out, into = jnp.where(legal, out, 0), jnp.where(legal, into, 0)
    joined, price = _join(board, edges, out, into)
    rows = (jnp.arange(edges.shape[0]) == move)[:, None]
    columns = jnp.arange(edges.shape[1]) == inputs + move
    edges = jnp.where((legal & (rows | columns))[..., None], 0, joined)
    left = position.left & ~(legal & (jnp.arange(position.left.shape[0]) == move))
    return GamePosition(edges, left, position.spent + price), price


def legal_vertices(board: Board, position: GamePosition) -> jax.Array:
    """(M,) bool: those left, out of which no operator leads that would meet more than a vector."""
    out, into = _roles(board, position)
    return position.left & ~_refused(board, "va,ab,vb->v", out.any(0), into.any(1))


def play_edge(
    board: Board, position: GamePosition, move: jax.Array
) -> tuple[GamePosition, jax.Array]:
    """Eliminate an edge, given by its entry, in front or, counted on from there, in the back.

    With the last edge into an intermediate those out of it go, and the other way round (Griewank
    and Walther, section 9.3).
    """
    edges = position.edges
    height, width, _ = edges.shape
    inputs, inner = inputs_of(position), position.left.shape[0]
    back, place = move // (height * width), move % (height * width)
    row, column = place // width, place % width
    legal = legal_edges(board, position)[move]
    terms = edges[row, column]
    # in front, what leads out of its target is multiplied with it, and lands in its column; in the
    # back, it is multiplied with what leads into its source, and that lands in its row
    out = edges[:, jnp.minimum(inputs + row, width - 1)]
    into = edges[jnp.clip(column - inputs, 0, inner - 1)]
    alone = (
        jnp.where((jnp.arange(height) == row)[:, None], terms, 0),
        jnp.where((jnp.arange(width) == column)[:, None], terms, 0),
    )
    lefts, rights = jnp.where(back == 1, alone[0], out), jnp.where(back == 1, into, alone[1])
    joined, price = _join(board, edges, jnp.where(legal, lefts, 0), rights)
    gone = (jnp.arange(height) == row)[:, None] & (jnp.arange(width) == column)
    edges = jnp.where((legal & gone)[..., None], 0, joined)
    there = edges.any(-1)
    left = position.left & there[:inner].any(1) & there[:, inputs:].any(0)
    rows = jnp.concatenate([left, jnp.ones(height - inner, bool)])
    columns = jnp.concatenate([jnp.ones(inputs, bool), left])
    edges = jnp.where((rows[:, None] & columns)[..., None], edges, 0)
    return GamePosition(edges, left, position.spent + price), price


def legal_edges(board: Board, position: GamePosition) -> jax.Array:
    """(2 * rows * columns,) bool: the edges into intermediates, then those out of intermediates."""
    inputs, inner = inputs_of(position), position.left.shape[0]
    out, into = _roles(board, position)
    lefts, rights = (_one_role(board, position.edges, side) for side in (0, 1))
    there = position.edges.any(-1)
    ahead = _refused(board, "va,ab,vib->vi", out.any(0), rights[:inner])
    behind = _refused(board, "kva,ab,vb->kv", lefts[:, inputs:], into.any(1))
    front = jnp.zeros_like(there).at[:inner].set(~ahead)
    back = jnp.zeros_like(there).at[:, inputs:].set(~behind)
    return jnp.concatenate([(there & front).ravel(), (there & back).ravel()])


def _roles(board: Board, position: GamePosition) -> tuple[jax.Array, jax.Array]:
    """(M + D, M, K) and (M, I + M, K): the roles of edges out of intermediates and into them."""
    out = position.edges[:, inputs_of(position) :]
    into = position.edges[: position.left.shape[0]]
    return _one_role(board, out, 0), _one_role(board, into, 1)


def _refused(board: Board, places: str, lefts: jax.Array, rights: jax.Array) -> jax.Array:
    """Where the roles of left factors meet those of right ones that they cannot, as an einsum."""
    counts = (x.astype(jnp.float32) for x in (lefts, jnp.asarray(board.impossible), rights))
    return jnp.einsum(places, *counts) > 0


def _one_role(board: Board, edges: jax.Array, side: int) -> jax.Array:
    """(..., K) bool: whether an edge has a term of each role, as the left or the right factor."""
    roles = jnp.asarray(board.roles)[side][edges]
    return (roles[..., None] == jnp.arange(board.impossible.shape[0])).any(-2)


def _join(
    board: Board, edges: jax.Array, lefts: jax.Array, rights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Add the products of terms in rows, (M + D, S), with those in columns, (I + M, S), to the
    edges; and what they cost."""
    slots, terms, _ = board.product.shape
    products = jnp.asarray(board.product).reshape(slots, -1)
    sums, prices = jnp.asarray(board.sum).ravel(), jnp.asarray(board.price).ravel()

    def add(
        carry: tuple[jax.Array, jax.Array], factors: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        joined, price = carry
        pairs = factors[0][:, None] * terms + factors[1]
        found = products[:, pairs].astype(jnp.int32)
        joined = sums[joined * terms + found].astype(jnp.int32)
        return (joined, price + prices[pairs].sum()), None

    planes = jnp.moveaxis(edges, -1, 0).astype(jnp.int32)
    left, right = lefts.T.astype(jnp.int32), rights.T.astype(jnp.int32)
    each = jnp.repeat(left, slots, 0), jnp.tile(right, (slots, 1))
    (joined, price), _ = jax.lax.scan(add, (planes, jnp.float32(0)), each)
    return jnp.moveaxis(joined, 0, -1).astype(jnp.int16), price


def _turned_edges(position: GamePosition, numbers: jax.Array) -> jax.Array:
    """Front and back change places, and the entries go where reversal takes them."""
    ahead, behind = numbers.reshape(2, *position.edges.shape[:2])
    return jnp.concatenate([turned(position, part).ravel() for part in (behind, ahead)])


RULES: dict[Elimination, Rules] = {
    "vertex": Rules(legal_vertices, play_vertex, lambda position, numbers: numbers),
    "edge": Rules(legal_edges, play_edge, _turned_edges),
}
"""The rules by the kind of elimination."""
