"""How long-running work tells what is going on."""

from __future__ import annotations

from collections.abc import Callable

Status = Callable[[str], None]
"""Told what is going on."""


def mute(what: str) -> None:
    """A status that nobody watches: that of one of several processes, say."""
