"""Simulated annealing over sequences of items. Imports numba: import it late."""

# mypy: disable-error-code="untyped-decorator, import-untyped, no-untyped-def, no-untyped-call"

from __future__ import annotations

import math

import numpy as np
from numba import njit

from gradgen.search.random_kernels import draw, unit
from gradgen.search.steps.edge_kernels import random_edge, run_edges
from gradgen.search.steps.items import TIE_BITS, VERTEX, WIDTH

LENGTH_PRICE = 0.03
"""What a step that is not a vertex adds to the energy, so that idle ones do not pile up."""
TIE_PRICE = 0.03
"""What a product or sum adds to the energy beside its cost."""


@njit(cache=True)
def _copy(items, first, last, other, at):
    """Copy items, the last not included."""
    for n in range(first, last):
        for k in range(WIDTH):
            other[at + n - first, k] = items[n, k]


@njit(cache=True)
def _move(items, length, state, other):
    """Copy the items to `other` with one moved, near or far; the new length."""
    old = draw(state, length)
    new = draw(state, length)
    if draw(state, 2):
        new = min(max(old + draw(state, 9) - 4, 0), length - 1)
    low, high = min(old, new), max(old, new)
    _copy(items, 0, low, other, 0)
    _copy(items, low + (old < new), high + (old < new), other, low + (old > new))
    _copy(items, old, old + 1, other, new)
    _copy(items, high + 1, length, other, high + 1)
    return length


@njit(cache=True)
def _add(graph, items, length, used, state, other):
    """Copy the items to `other` with one more step, possible where it stands; the new length."""
    _, work, inner, _ = graph
    at = draw(state, length)
    run_edges(*graph, items, at, used)
    _copy(items, 0, at, other, 0)
    for k in range(WIDTH):
        other[at, k] = 0
    shift = 1 if random_edge(work, inner, state, other[at]) else 0
    _copy(items, at, length, other, at + shift)
    return length + shift


@njit(cache=True)
def _drop(items, length, state, other):
    """Copy the items to `other` without one of the steps that are no vertices; the new length."""
    at = draw(state, length)
    for _ in range(length):
        if items[at, 0] != VERTEX:
            break
        at = (at + 1) % length
    gone = 0 if items[at, 0] == VERTEX else 1
    _copy(items, 0, at, other, 0)
    _copy(items, at + gone, length, other, at)
    return length - gone


@njit(cache=True)
def _compress(items, length, used):
    """Drop the steps that did nothing, but no vertex; returns the new length."""
    kept = 0
    for n in range(length):
        if used[n] or items[n, 0] == VERTEX:
            _copy(items, n, n + 1, items, kept)
            kept += 1
    return kept


@njit(cache=True)
def anneal(kinds, inner, tables, items, length, iterations, hot, cold, seed):
    """Improve the items in place; returns the length and packed cost of the best sequence.

    The temperature falls geometrically from `hot` to `cold`, in units of cost. `items` has room for
    the longest sequence to consider.
    """
    graph = kinds, np.empty_like(kinds), inner, tables
    room = items.shape[0]
    state = np.array([seed * 2 + 1], np.uint64)
    for _ in range(8):
        draw(state, 2)
    used = np.zeros(room, np.bool_)
    now, other = np.zeros_like(items), np.zeros_like(items)
    now_length, best, best_length = length, np.int64(1 << 62), length
    vertices, energy = 0, np.inf
    for n in range(length):
        vertices += items[n, 0] == VERTEX
    _copy(items, 0, length, now, 0)
    for iteration in range(iterations + 1):
        temperature = hot * (cold / hot) ** (iteration / iterations)
        choice = draw(state, 20)
        if iteration == 0:
            _copy(now, 0, now_length, other, 0)
            new_length = now_length
        elif choice < 9 or (choice < 16 and now_length == room):
            new_length = _move(now, now_length, state, other)
        elif choice < 16:
            new_length = _add(graph, now, now_length, used, state, other)
        else:
            new_length = _drop(now, now_length, state, other)
        cost = run_edges(*graph, other, new_length, used)
        new_length = _compress(other, new_length, used)
        new_energy = (
            float(cost >> TIE_BITS)
            + TIE_PRICE * (cost & ((1 << TIE_BITS) - 1))
            + LENGTH_PRICE * (new_length - vertices)
        )
        if unit(state) < math.exp(min(0.0, (energy - new_energy) / temperature)):
            energy, now_length = new_energy, new_length
            _copy(other, 0, now_length, now, 0)
            if cost < best or (cost == best and now_length < best_length):
                best, best_length = cost, now_length
                _copy(now, 0, now_length, items, 0)
    return best_length, best
