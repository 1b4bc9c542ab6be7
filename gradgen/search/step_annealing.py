"""Simulated annealing over sequences of items. Imports numba: import it late."""

# mypy: disable-error-code="untyped-decorator, import-untyped, no-untyped-def, no-untyped-call"

from __future__ import annotations

import math

import numpy as np
from numba import njit

from gradgen.search.edge_kernels import random_edge, run_edges
from gradgen.search.face_kernels import random_face, run_faces
from gradgen.search.items import VERTEX, WIDTH
from gradgen.search.random_kernels import draw, unit

LENGTH_PRICE = 0.03
"""What a step that is not a vertex adds to the energy, so that idle ones do not pile up."""


@njit(cache=True)
def run(faces, graph, items, stop, used):
    """Take the items before `stop`; returns how many line-graph numbers are taken, and the cost."""
    kinds, work, line, first, inner, tables, stack = graph
    if faces:
        return run_faces(line, first, inner, tables, items, stop, used, stack)
    work[:] = kinds
    return 0, run_edges(work, inner, tables, items, stop, used)


@njit(cache=True)
def _move(items, length, state, other):
    """Copy the items to `other` with one moved, near or far."""
    old = draw(state, length)
    new = draw(state, length)
    if draw(state, 2):
        new = min(max(old + draw(state, 9) - 4, 0), length - 1)
    other[:length] = items[:length]
    for n in range(old, new):
        other[n] = items[n + 1]
    for n in range(old, new, -1):
        other[n] = items[n - 1]
    other[new] = items[old]
    return length


@njit(cache=True)
def _add(faces, graph, items, length, used, state, other):
    """Copy the items to `other` with one more step, possible where it stands; the new length."""
    _, work, line, _, inner, _, _ = graph
    at = draw(state, length)
    count, _ = run(faces, graph, items, at, used)
    other[:at] = items[:at]
    other[at] = 0
    if faces:
        found = random_face(line, inner, count, state, other[at])
    else:
        found = random_edge(work, inner, state, other[at])
    shift = 1 if found else 0
    other[at + shift : length + shift] = items[at:length]
    return length + shift


@njit(cache=True)
def _drop(items, length, state, other):
    """Copy the items to `other` without one of the steps that are no vertices; the new length."""
    at = draw(state, length)
    for _ in range(length):
        if items[at, 0] != VERTEX:
            break
        at = (at + 1) % length
    other[:length] = items[:length]
    if items[at, 0] == VERTEX:
        return length
    other[at : length - 1] = items[at + 1 : length]
    return length - 1


@njit(cache=True)
def _compress(items, length, used):
    """Drop the steps that did nothing, but no vertex; returns the new length."""
    kept = 0
    for n in range(length):
        if used[n] or items[n, 0] == VERTEX:
            items[kept] = items[n]
            kept += 1
    return kept


@njit(cache=True)
def anneal(faces, graph, items, length, iterations, hot, cold, seed):
    """Improve the items in place; returns the length and cost of the best sequence found.

    The temperature falls geometrically from `hot` to `cold`, in units of cost. `items` has room for
    the longest sequence to consider.
    """
    room = items.shape[0]
    state = np.array([seed * 2 + 1], np.uint64)
    for _ in range(8):
        draw(state, 2)
    used = np.zeros(room, np.bool_)
    now, other = items.copy(), np.zeros((room, WIDTH), items.dtype)
    vertices = 0
    for n in range(length):
        vertices += items[n, 0] == VERTEX
    _, cost = run(faces, graph, now, length, used)
    now_length, best, best_length = length, cost, length
    energy = cost + LENGTH_PRICE * (length - vertices)
    for iteration in range(iterations):
        temperature = hot * (cold / hot) ** (iteration / iterations)
        choice = draw(state, 20)
        if choice < 9 or (choice < 16 and now_length == room) or vertices == 0:
            new_length = _move(now, now_length, state, other)
        elif choice < 16:
            new_length = _add(faces, graph, now, now_length, used, state, other)
        else:
            new_length = _drop(now, now_length, state, other)
        _, cost = run(faces, graph, other, new_length, used)
        new_length = _compress(other, new_length, used)
        new_energy = cost + LENGTH_PRICE * (new_length - vertices)
        if unit(state) < math.exp(min(0.0, (energy - new_energy) / temperature)):
            energy, now_length = new_energy, new_length
            now[:now_length] = other[:now_length]
            if cost < best or (cost == best and now_length < best_length):
                best, best_length = cost, now_length
                items[:best_length] = now[:best_length]
    return best_length, best
