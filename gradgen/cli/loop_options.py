"""The options that say how loops over time run."""

from __future__ import annotations

from typing import Any

import click

from gradgen.cli.options import together
from gradgen.config import bytes_in, is_count_or_auto


class CountOrAuto(click.ParamType):  # type: ignore[type-arg]
    """A number from 1, or `auto`."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; fails for anything else."""
        if not is_count_or_auto(value):
            self.fail(f"{value} is neither a number from 1 nor auto.", param, ctx)
        return str(value)


class Memory(click.ParamType):  # type: ignore[type-arg]
    """An amount of memory."""

    name = "BYTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; fails if it says no memory."""
        try:
            bytes_in(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return str(value)


loop_options = together(
    click.option(
        "--blocks",
        metavar="N|auto",
        type=CountOrAuto(),
        default="auto",
        show_default=True,
        help="How many steps of a loop over time are taken at a time, through all layers. auto: "
        "blocks where they are faster at the recorded sizes.",
    ),
    click.option(
        "--segments",
        metavar="N|auto",
        type=CountOrAuto(),
        help="Cut loops over time into N segments, store what each begins with, and compute the "
        "rest again. auto: the square root of the number of steps.",
    ),
    click.option(
        "--unroll",
        metavar="N|auto",
        type=CountOrAuto(),
        default="auto",
        show_default=True,
        help="How many steps of a loop over time are compiled in a row. auto: one.",
    ),
    click.option(
        "--memory",
        type=Memory(),
        help="Choose blocks or segments so that the gradient takes no more, such as 200MB, at the "
        "recorded sizes.",
    ),
)
"""The options about loops over time."""
