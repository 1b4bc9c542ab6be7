"""How much an exact search may do: counted and not timed, so that every machine ends alike."""

from __future__ import annotations


class Allowance:
    """Work that is still allowed, in vertices that A* tries after a set of eliminated ones."""

    def __init__(self, work: float) -> None:
        self._left = work

    def spend(self, work: float) -> None:
        """Count what is about to be done."""
        self._left -= work

    def spent(self) -> bool:
        """Whether nothing is left."""
        return self._left <= 0
