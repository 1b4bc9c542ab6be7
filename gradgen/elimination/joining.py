"""The engine of elimination: edges, each a sum of terms, whatever stands for a term.

Single numbers and arrays, plans and searches all join edges here; what a term is, how two are
multiplied and added and what is noted of it is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Vertex = int


@dataclass(frozen=True)
class Edges(Generic[T]):
    """The edges between vertices, which are numbered. Nothing in it ever changes."""

    out: Mapping[Vertex, Mapping[Vertex, tuple[T, ...]]]
    """For each vertex its successors, and the terms of the edges to them."""
    into: Mapping[Vertex, frozenset[Vertex]]
    """The predecessors of each vertex."""

    def products(self, vertex: Vertex) -> Iterable[tuple[T, T]]:
        """What eliminating a vertex multiplies: terms out of it with terms into it."""
        lefts = [left for terms in self.out[vertex].values() for left in terms]
        rights = [right for source in self.into[vertex] for right in self.out[source][vertex]]
        return ((left, right) for right in rights for left in lefts)

    def without(
        self,
        vertex: Vertex,
        times: Callable[[T, T, Vertex, Vertex], T],
        plus: Callable[[T, T], T | None],
    ) -> Edges[T]:
        """The edges when every one into a vertex is joined with every one out of it.

        `times` multiplies a term to a target with one from a source, and is told the vertex and
        the target; `plus` adds two terms of an edge, unless they are to stay two.
        """
        out, into = dict(self.out), dict(self.into)
        lefts = out.pop(vertex)
        sources = into.pop(vertex)
        targets = sorted(lefts)
        for source in sorted(sources):
            edges = dict(out[source])
            rights = edges.pop(vertex)
            for target in targets:
                _join(edges, target, lefts[target], rights, vertex, times, plus)
            out[source] = edges
        for target in targets:
            into[target] = (into[target] - {vertex}) | sources
        return Edges(out, into)

    def front(
        self,
        source: Vertex,
        target: Vertex,
        times: Callable[[T, T, Vertex, Vertex], T],
        plus: Callable[[T, T], T | None],
    ) -> Edges[T]:
        """The edges when one is joined with all out of its target, and gone (Griewank and Walther,
        section 9.3); with the last edge into a vertex those out of it go."""
        out, into = dict(self.out), dict(self.into)
        edges = dict(out[source])
        rights = edges.pop(target)
        for k, lefts in sorted(out[target].items()):
            _join(edges, k, lefts, rights, target, times, plus)
            into[k] |= {source}
        out[source] = edges
        into[target] -= {source}
        if not into[target]:
            for k in out[target]:
                into[k] -= {target}
            out[target] = {}
        return Edges(out, into)

    def back(
        self,
        source: Vertex,
        target: Vertex,
        times: Callable[[T, T, Vertex, Vertex], T],
        plus: Callable[[T, T], T | None],
    ) -> Edges[T]:
        """The edges when one is joined with all into its source, and gone; with the last edge out
        of a vertex those into it go."""
        out, into = dict(self.out), dict(self.into)
        lefts = out[source][target]
        for k in sorted(into[source]):
            edges = dict(out[k])
            _join(edges, target, lefts, edges[source], source, times, plus)
            out[k] = edges
        into[target] = (into[target] - {source}) | into[source]
        out[source] = {t: terms for t, terms in out[source].items() if t != target}
        if not out[source]:
            for k in into[source]:
                out[k] = {t: terms for t, terms in out[k].items() if t != source}
            into[source] = frozenset()
        return Edges(out, into)


def edges_of(
    vertices: int,
    given: Iterable[tuple[Vertex, Vertex, T]],
    plus: Callable[[T, T], T | None],
) -> Edges[T]:
    """The edges of a graph of so many vertices, from their terms."""
    out: dict[Vertex, dict[Vertex, list[T]]] = {v: {} for v in range(vertices)}
    into: dict[Vertex, set[Vertex]] = {v: set() for v in range(vertices)}
    for source, target, term in given:
        _add(out[source].setdefault(target, []), term, plus)
        into[target].add(source)
    return Edges(
        {v: {t: tuple(terms) for t, terms in edges.items()} for v, edges in out.items()},
        {v: frozenset(sources) for v, sources in into.items()},
    )


def _join(
    edges: dict[Vertex, tuple[T, ...]],
    target: Vertex,
    lefts: Iterable[T],
    rights: Iterable[T],
    middle: Vertex,
    times: Callable[[T, T, Vertex, Vertex], T],
    plus: Callable[[T, T], T | None],
) -> None:
    """Add to the edge to a target the products of those to and from the vertex in the middle."""
    terms = list(edges.get(target, ()))
    for left in lefts:
        for right in rights:
            _add(terms, times(left, right, middle, target), plus)
    edges[target] = tuple(terms)


def _add(terms: list[T], term: T, plus: Callable[[T, T], T | None]) -> None:
    """Add a term to the first that it can be added to."""
    for k, other in enumerate(terms):
        found = plus(other, term)
        if found is not None:
            terms[k] = found
            return
    terms.append(term)
