"""Prints tables and columns as they are: nothing in them is markup, or worth a colour."""

from __future__ import annotations

import errno
import os

from rich.console import Console


class PlainConsole(Console):
    """A console on standard output, whose end is an error as with any other output."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False)

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError; by itself the console would end the process."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
