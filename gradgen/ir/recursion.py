"""Room for functions that call themselves once for each level of what users wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deeper_recursion() -> Iterator[None]:
    """A context in which Python functions may call each other much more deeply."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 30_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
