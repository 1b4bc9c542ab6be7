"""A graph as arrays, for compiled search: which edges there are, and of which kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradgen.elimination.kinds import is_free, product_kind, sum_kind
from gradgen.ir.graph import LinearGraph, PartialKind

CODED: tuple[PartialKind, ...] = ("unit", "constant", "mask", "variable")
"""A kind's code is its place here, counted from one; zero is no edge."""

_CODE = {kind: code for code, kind in enumerate(CODED, start=1)}


def _table(combine: dict[tuple[PartialKind, PartialKind], int]) -> NDArray[np.int8]:
    table = np.zeros((len(CODED) + 1, len(CODED) + 1), np.int8)
    for (left, right), code in combine.items():
        table[_CODE[left], _CODE[right]] = code
    return table


_PAIRS = [(left, right) for left in CODED for right in CODED]
PRODUCT = _table({pair: _CODE[product_kind(*pair)] for pair in _PAIRS})
"""(5, 5): the code of a product's kind."""
SUM = _table({pair: _CODE[sum_kind(*pair)] for pair in _PAIRS})
SUM[0, :] = SUM[:, 0] = np.arange(len(CODED) + 1)
"""(5, 5): the code of a sum's kind; with no edge it is the other summand's."""
COSTS = _table({pair: not is_free(*pair) for pair in _PAIRS})
"""(5, 5): what a product costs under `muls`."""


STORED = np.array([0, *(kind in ("mask", "variable") for kind in CODED)], np.int8)
"""(5,): how many numbers a partial of a kind stores; those known when generating need no room."""


class Kinds:
    """The kinds of partials as the terms of a graph: one to an edge, and all can be added."""

    def product(self, left: int, right: int) -> tuple[int, int]:
        """The code of a product's kind, and what it costs under `muls`."""
        return int(PRODUCT[left, right]), int(COSTS[left, right])

    def sum(self, one: int, other: int) -> int:
        """The code of a sum's kind."""
        return int(SUM[one, other])

    def size(self, code: int) -> int:
        """How many numbers a partial stores."""
        return int(STORED[code])


@dataclass(frozen=True)
class CompactGraph:
    """The edges of a graph as a matrix of kinds."""

    kinds: NDArray[np.int8]
    """(vertices, vertices): the code of edge j -> i is at [i, j], as c_ij has its result first."""
    intermediates: NDArray[np.int32]
    """(intermediates,): their numbers, in topological order."""

    @property
    def size(self) -> int:
        """How many vertices there are."""
        return int(self.kinds.shape[0])


def compact(graph: LinearGraph) -> CompactGraph:
    """The arrays of a graph."""
    kinds = np.zeros((len(graph.vertices),) * 2, np.int8)
    for edge in graph.edges:
        kinds[edge.target, edge.source] = _CODE[edge.kind]
    return CompactGraph(kinds, np.array(graph.intermediates, np.int32))


def packed(vertices: Iterable[int], size: int) -> NDArray[np.uint64]:
    """A set of vertices as `gradgen.search.bitsets` has it: (words,), 64 vertices a word."""
    bits = np.zeros((size + 63) // 64 * 64, np.uint8)
    bits[list(vertices)] = 1
    return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)
