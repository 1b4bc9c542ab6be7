"""The network that judges a position: an axial transformer over the matrix of edges.

Every term of an edge is a token, and so is the diagonal of each intermediate
left, which speaks for the vertex. Attention goes along rows, where a token sees the edges into the
same vertex, and along columns, where it sees those out of it (Ho et al., Axial attention in
multidimensional transformers, 2019); a vertex's own token lies on its row and on its column. Graphs
of programs are sparse, so leaving empty entries out saves most of the work.

There are no positions to encode: renumbering the vertices renumbers the moves and changes nothing
else. And no parameter has a size that depends on the graph, so one network plays every graph. The
value is a sum over the vertices left, which lets it grow with the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from gradgen.ir.graph import Elimination
from gradgen.search.alphazero.game import Board, GamePosition, inputs_of, score
from gradgen.search.alphazero.rules import RULES

Params = Mapping[str, Mapping[str, jax.Array]]


@dataclass(frozen=True)
class NetworkSize:
    """How large a network is."""

    channels: int = 32
    """Numbers in a token; a multiple of `heads`."""
    heads: int = 2
    layers: int = 2
    attention: Literal["axial", "full"] = "axial"
    """`full`: every token attends to every other one in both halves of a layer; for comparison."""
    value: bool = True
    """Without a value head, every position is worth nothing; for comparison."""


class Judgement(NamedTuple):
    """What the network says of a position."""

    logits: jax.Array
    """(A,): of the moves; those that are not legal have the lowest number there is."""
    value: jax.Array
    """(): the score that is to be expected in the end."""


class _Tokens(NamedTuple):
    """Where the T = M + edges tokens lie: first the intermediates, then the terms of edges."""

    rows: jax.Array
    """(T,)"""
    columns: jax.Array
    """(T,)"""
    valid: jax.Array
    """(T,) bool"""
    terms: jax.Array
    """(T,): the number of each term; none for intermediates."""


def network(size: NetworkSize, edges: int, elimination: Elimination = "vertex") -> hk.Transformed:
    """The network for one position, as `init(key, board, position)` and `apply(params, board,
    position)`.

    It sees so many terms; should a position have more, those into the last rows escape it. Its
    policy is over the vertices, or over the edges.
    """
    return hk.without_apply_rng(
        hk.transform(lambda board, position: _judge(size, edges, elimination, board, position))
    )


def count_parameters(params: Params) -> int:
    """How many numbers there are to learn."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _judge(
    size: NetworkSize, edges: int, elimination: Elimination, board: Board, position: GamePosition
) -> Judgement:
    found = _tokens(edges, position)
    tokens = _embed(size, board, position, found)
    along_rows = found.valid & (found.rows[:, None] == found.rows)
    along_columns = found.valid & (found.columns[:, None] == found.columns)
    if size.attention == "full":
        along_rows = along_columns = jnp.broadcast_to(found.valid, along_rows.shape)
    for _ in range(size.layers):
        tokens += _attention(size, _normalised(tokens), along_rows)
        tokens += _attention(size, _normalised(tokens), along_columns)
        hidden = hk.Linear(2 * size.channels)(_normalised(tokens))
        tokens += _into_residual(size, jax.nn.gelu(hidden))
    tokens = _normalised(tokens)
    vertices = _vertices(size, position, found, tokens)
    if elimination == "edge":
        logits = _edge_logits(size, position, found, tokens, vertices)
    else:
        logits = _logits(vertices)
    legal = RULES[elimination].legal(board, position)
    return Judgement(
        jnp.where(legal, logits, _lowest(logits)), _value(size, board, position, vertices)
    )


def _tokens(edges: int, position: GamePosition) -> _Tokens:
    room, inputs = position.left.shape[0], inputs_of(position)
    inner = jnp.arange(room)
    _, width, slots = position.edges.shape
    flat = position.edges.ravel()
    (places,) = jnp.nonzero(flat, size=edges, fill_value=flat.size)
    there = places < flat.size
    terms = jnp.where(there, flat[jnp.minimum(places, flat.size - 1)], 0)
    entries = places // slots
    return _Tokens(
        rows=jnp.concatenate([inner, jnp.where(there, entries // width, -1)]),
        columns=jnp.concatenate([inputs + inner, jnp.where(there, entries % width, -1)]),
        valid=jnp.concatenate([position.left, there]),
        terms=jnp.concatenate([jnp.zeros(room, jnp.int32), terms.astype(jnp.int32)]),
    )


def _embed(size: NetworkSize, board: Board, position: GamePosition, found: _Tokens) -> jax.Array:
    """(T, channels): between which groups of vertices each token is, and what it is by price and
    size: what a term stores, what its dearest product takes on either side, and what eliminating
    it now would take in front and in the back; of a vertex, what eliminating it now would. And the
    same of what would come of that, which tells copies that are free, and make what they are
    applied to larger or smaller, from one another."""
    room, inputs = position.left.shape[0], inputs_of(position)
    groups = (found.rows < room) * 2 + (found.columns >= inputs)
    terms, rows, columns = (x[room:] for x in (found.terms, found.rows, found.columns))
    # what leads out of a vertex meets what leads into it
    meets = (columns[:, None] == rows + inputs) & (rows >= 0) & (rows < room)
    pairs = terms[:, None], terms
    sides = jnp.asarray(board.sides)
    worth = jnp.stack([jnp.asarray(board.own), *sides[..., 0]], -1)
    products = worth[jnp.asarray(board.product)[:, *pairs]].sum(0)
    prices = jnp.asarray(board.price)[pairs] / board.unit
    each = jnp.where(meets[..., None], jnp.concatenate([prices[..., None], products], -1), 0.0)
    ahead, behind = each.sum(0), each.sum(1)
    alone = jax.ops.segment_sum(ahead, jnp.where(rows < 0, room, rows), room)
    priced = jnp.concatenate([worth[terms], ahead[:, :1], behind[:, :1]], -1)
    following = jnp.concatenate([ahead[:, 1:], behind[:, 1:]], -1)
    of_terms = (_magnified(priced), sides[:, terms, 1].T, _magnified(following))
    embedded = (
        hk.Linear(size.channels)(_magnified(alone)),
        hk.Linear(size.channels)(jnp.concatenate(of_terms, -1)),
    )
    return jnp.concatenate(embedded) + hk.Embed(4, size.channels)(groups)


def _magnified(ratios: jax.Array) -> jax.Array:
    """(..., 3 * features): prices and sizes in units of the board's, in log scale. It is nearly
    linear below one, so that small ones are told apart by being magnified."""
    scaled = jnp.log1p(ratios[..., None] * jnp.array([1.0, 1e2, 1e4]))
    return scaled.reshape(*ratios.shape[:-1], -1) / 4.0


def _attention(size: NetworkSize, tokens: jax.Array, seen: jax.Array) -> jax.Array:
    """(T, channels): each token attends to those that it sees, (T, T)."""
    count, channels = tokens.shape
    depth = channels // size.heads
    mixed = hk.Linear(3 * channels, with_bias=False)(tokens)
    query, key, value = mixed.reshape(count, 3, size.heads, depth).transpose(1, 2, 0, 3)
    scores = query @ key.swapaxes(-1, -2) / depth**0.5
    scores = jnp.where(seen, scores, jnp.finfo(scores.dtype).min)
    found = jax.nn.softmax(scores) @ value
    return _into_residual(size, found.swapaxes(0, 1).reshape(tokens.shape))


def _into_residual(size: NetworkSize, hidden: jax.Array) -> jax.Array:
    """A layer's contribution, small at first, so that depth does not drown the tokens."""
    start = hk.initializers.VarianceScaling(0.5 / size.layers)
    return hk.Linear(size.channels, w_init=start)(hidden)


def _normalised(tokens: jax.Array) -> jax.Array:
    return hk.LayerNorm(-1, create_scale=True, create_offset=True)(tokens)


def _vertices(
    size: NetworkSize, position: GamePosition, found: _Tokens, tokens: jax.Array
) -> jax.Array:
    """(M, channels): each intermediate by its own token and the sums of its edges' tokens."""
    room, inputs = position.left.shape[0], inputs_of(position)
    inner = jnp.arange(room)[:, None]
    edges = found.valid & (found.terms > 0)
    into = (edges & (found.rows == inner)).astype(tokens.dtype) @ tokens
    out = (edges & (found.columns == inputs + inner)).astype(tokens.dtype) @ tokens
    around = hk.Linear(size.channels)(into) + hk.Linear(size.channels)(out)
    own = jnp.concatenate([tokens[:room], around], -1)
    return jax.nn.gelu(hk.Linear(size.channels)(own))


def _edge_logits(
    size: NetworkSize,
    position: GamePosition,
    found: _Tokens,
    tokens: jax.Array,
    vertices: jax.Array,
) -> jax.Array:
    """(2 * rows * columns,): each edge's front and back elimination, by it and the vertex there; of
    several terms the one that says most for it counts."""
    room, inputs = position.left.shape[0], inputs_of(position)
    height, width, _ = position.edges.shape
    rows, columns = found.rows[room:], found.columns[room:]
    ends = (rows < room, rows), (columns >= inputs, columns - inputs)
    logits = []
    for inner, vertex in ends:
        legal = found.valid[room:] & inner
        there = vertices[jnp.clip(vertex, 0, room - 1)]
        both = jnp.concatenate([tokens[room:], there], -1)
        scores = _logits(jax.nn.gelu(hk.Linear(size.channels)(both)))
        places = jnp.where(legal, rows * width + columns, height * width)
        full = jnp.full(height * width, _lowest(tokens))
        logits.append(full.at[places].max(scores, mode="drop"))
    return jnp.concatenate(logits)


def _logits(tokens: jax.Array) -> jax.Array:
    """(tokens,): nearly even at first."""
    return hk.Linear(1, w_init=hk.initializers.VarianceScaling(0.01))(tokens)[:, 0]


def _lowest(tokens: jax.Array) -> float:
    return float(jnp.finfo(tokens.dtype).min)


def _value(
    size: NetworkSize, board: Board, position: GamePosition, vertices: jax.Array
) -> jax.Array:
    """What the game is worth with the prices to be expected for the vertices left."""
    if not size.value:
        return jnp.zeros(())
    prices = board.unit * jnp.exp(hk.Linear(1)(vertices)[:, 0])
    return score(board, position.spent + jnp.where(position.left, prices, 0.0).sum())
