"""A time limit for a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


class Deadline:
    """A time limit that begins when it is made."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def passed(self) -> bool:
        """Whether the time is over."""
        return monotonic() >= self._end

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What runs inside does not count: compilation, which happens once."""
        start = monotonic()
        yield
        self._end += monotonic() - start
