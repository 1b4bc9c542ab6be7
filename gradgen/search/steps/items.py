"""Sequences of items that stand for elimination orders of any kind.

An item is five numbers, `[kind, a, b, c, which]`:

- `[VERTEX, v, 0, 0, 0]` eliminates all that passes through v;
- `[FRONT, a, b, 0, 0]` and `[BACK, a, b, 0, 0]` eliminate all edges from a to b at that end;
- `[FACE, a, b, c, which]` eliminates the faces from a over b to c: all, the first, or the last.

Whatever an item names that is not there is skipped, so every sequence that names all vertices is
complete, and moving, adding and removing items always gives another order.
"""

from __future__ import annotations

VERTEX, FRONT, BACK, FACE = 0, 1, 2, 3
ALL, FIRST, LAST = 0, 1, 2
WIDTH = 5
"""Numbers in an item."""

TIE_BITS = 20
"""A packed cost is the cost of the objective times two to this, plus all products and sums."""
