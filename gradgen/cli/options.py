"""The options that commands share, and the settings that they say."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection
from typing import Any

import click
from click.core import ParameterSource

from gradgen.config import (
    DEFAULT_FUNCTIONS,
    DTYPES,
    ELIMINATIONS,
    FORMATS,
    FUNCTIONS,
    LOCALITIES,
    OBJECTIVES,
    RESIDUALS,
    Settings,
)
from gradgen.errors import GradgenError, no_faces
from gradgen.ir.graph import FACE
from gradgen.ir.objective import FRONT_OF_NEURONS, FRONT_ON_ARRAYS
from gradgen.ir.source import is_dotted
from gradgen.prices.objectives import objective_of
from gradgen.prices.presets import PRESETS

_COUNTS = tuple(dict.fromkeys((*FRONT_OF_NEURONS, *FRONT_ON_ARRAYS)))


class FiniteRange(click.FloatRange):
    """Numbers in a range, which no infinity is and nothing that is no number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; fails as `click.FloatRange` does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class EliminationChoice(click.Choice):  # type: ignore[type-arg]
    """Kinds of elimination; one that there was once is refused with a word on where it went."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The kind; fails as `click.Choice` does."""
        if value == FACE:
            error = no_faces()
            self.fail(f"{error.message}; {error.hint}", param, ctx)
        return super().convert(value, param, ctx)


class CountPair(click.ParamType):  # type: ignore[type-arg]
    """Two counts, with a comma between."""

    name = "COUNT,COUNT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The two; fails for anything else."""
        names = [name.strip() for name in str(value).split(",")]
        if len(names) != 2 or names[0] == names[1] or not {*names} <= {*_COUNTS}:
            self.fail(f"'{value}' is not two of {', '.join(_COUNTS)}, as in muls,peak", param, ctx)
        return names[0], names[1]


def together(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator, in the order in which help shows them."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


differentiation_options = together(
    click.option(
        "--function",
        metavar="NAME",
        help="The step function; default: the one public function that no other one calls. "
        "SOURCE may also be `FILE:NAME`; a method is `Class.method`.",
    ),
    click.option(
        "--wrt",
        metavar="NAMES",
        multiple=True,
        help="What to differentiate against, separated by commas: arguments, or leaves of them "
        "such as params.tau. Default: every argument without a default value.",
    ),
    click.option(
        "--static",
        metavar="NAME=VALUE",
        multiple=True,
        help="Bind an argument, or a field such as self.dt, when generating; VALUE is a Python "
        "expression.",
    ),
    click.option(
        "--range",
        "ranges",
        metavar="NAME=LO:HI",
        multiple=True,
        help="Where to verify; repeatable.",
    ),
    click.option(
        "--shape",
        "shapes",
        metavar="NAME=(AXES)",
        multiple=True,
        help="The axes of an argument, by name or number, so that the function is one on arrays; "
        "repeatable.",
    ),
    click.option(
        "--size",
        "sizes",
        metavar="AXIS=NUMBER",
        multiple=True,
        help="The size of an axis that operations are counted for; repeatable.",
    ),
    click.option(
        "--example",
        metavar="FILE:FUNCTION",
        help="A function that returns example arguments, a tuple or a dict by name, or the "
        "object of a method.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        help="Trace, write and verify for this dtype alone. Default: for all, or for float32 "
        "where the source fits no other.",
    ),
    click.option(
        "--per-neuron",
        is_flag=True,
        help="The source is meant for one neuron; its callers vmap it.",
    ),
    click.option("--debug", is_flag=True, help="Show tracebacks."),
)
"""The options that say what to differentiate, and how."""


source_options = together(click.argument("source"), differentiation_options)
"""The source as well."""


order_option = click.option(
    "--order",
    metavar="ORDER",
    help="forward, reverse, markowitz, or a stored order FILE.json. Default: search for one.",
)


objective_options = together(
    click.option(
        "--objective",
        type=click.Choice(OBJECTIVES),
        default="muls",
        show_default=True,
        help="Which count to make small.",
    ),
    click.option(
        "--prices",
        metavar="FILE|NAME",
        help="With --objective price, what operations cost: a TOML file, or one of "
        f"{', '.join(PRESETS)}; behind a colon the precision, as in energy:float16.",
    ),
    click.option(
        "--elimination",
        type=EliminationChoice(ELIMINATIONS),
        default="vertex",
        show_default=True,
        help="What is eliminated one at a time.",
    ),
)
"""The options that say what is to be small, and how."""


budget_options = together(
    click.option(
        "--budget",
        type=FiniteRange(min=0.0),
        default=2.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to search where no order is proved to be the best before.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Of the search's random numbers.",
    ),
)
"""The options that say how much to search."""


search_options = together(objective_options, budget_options)
"""The options that say how to look for an order."""


emit_option = click.option(
    "--emit",
    metavar="NAMES",
    default=",".join(DEFAULT_FUNCTIONS),
    help=f"Which public functions to write, separated by commas: {', '.join(FUNCTIONS)}.",
)


residuals_option = click.option(
    "--residuals",
    type=click.Choice(RESIDUALS),
    default="auto",
    show_default=True,
    help="What the drop-in function keeps for its backward pass. auto: the fewest bytes. inputs: "
    "the step's. entries: those of the Jacobian. JAX: all that the backward pass reads.",
)


locality_option = click.option(
    "--locality",
    type=click.Choice(LOCALITIES),
    default="auto",
    show_default=True,
    help="What traces of a function on arrays keep where its state couples neurons. full: all. "
    "layer: what stays within a layer. neuron: nothing. auto: all, if there is nothing.",
)


force_option = click.option(
    "--force", is_flag=True, help="Replace a file even if gradgen did not write it."
)
"""The option for files that are written."""


target_options = together(
    click.option("--check", is_flag=True, help="Write nothing: is each file what a build gives?"),
    click.option("--diff", is_flag=True, help="Write nothing: print what a build would change."),
    click.option(
        "--verify/--no-verify",
        default=True,
        help="Whether --check compares with JAX as well.",
    ),
    click.option(
        "--search-again",
        is_flag=True,
        help="Look for a cheaper order than the one that the file records.",
    ),
    click.option(
        "--output-format",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="How to say what was found.",
    ),
)
"""The options for files that are committed."""


def search_option(choices: tuple[str, ...]) -> Callable[[Any], Any]:
    """The option `--search` with some of its choices."""
    said = {
        "auto": "exact where that ends in time, else annealing",
        "alphazero": "games of the network that comes with gradgen",
        "heuristics": "forward, reverse and Markowitz orders alone",
    }
    return click.option(
        "--search",
        type=click.Choice(choices),
        default="auto",
        show_default=True,
        help=" ".join(f"{name}: {said[name]}." for name in choices),
    )


def settings_of(options: dict[str, Any], **more: Any) -> Settings:
    """The settings that the options of a source say."""
    path, function = split_source(options["source"], options["function"])
    directives = [("static", text) for text in options["static"]]
    for kind, given in (("range", "ranges"), ("shape", "shapes"), ("size", "sizes")):
        directives += [(kind, text) for text in options[given]]
    if options["dtype"]:
        directives.append(("dtype", options["dtype"]))
    if options["wrt"]:
        directives.append(("wrt", ", ".join(options["wrt"])))
    return Settings(
        path=path,
        function=function,
        directives=tuple(directives),
        example=options["example"],
        order=options.get("order"),
        per_neuron=options["per_neuron"],
        objective=objective_of(options["objective"], options.get("prices")),
        elimination=options.get("elimination", Settings.elimination),
        budget=options.get("budget", Settings.budget),
        seed=options.get("seed", Settings.seed),
        residuals=options.get("residuals", Settings.residuals),
        blocks=options.get("blocks", Settings.blocks),
        segments=options.get("segments", Settings.segments),
        unroll=options.get("unroll", Settings.unroll),
        memory=options.get("memory", Settings.memory),
        locality=options.get("locality", Settings.locality),
        **more,
    )


def refuse_options(context: click.Context, allowed: Collection[str]) -> None:
    """Raise UsageError for an option that pyproject.toml has to say for a target."""
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        if given and parameter.name not in allowed:
            raise click.UsageError(
                f"{parameter.opts[-1]} belongs to a source; for a target it stands in "
                "pyproject.toml"
            )


def split_source(source: str, function: str | None) -> tuple[str, str | None]:
    """A path, or FILE:NAME, a method's name being Class.method; a file of that name wins."""
    path, colon, name = source.rpartition(":")
    if colon and is_dotted(name) and path and not os.path.exists(source):
        if function is not None and function != name:
            raise GradgenError(f"both '{name}' and '{function}' are asked for", path=path)
        return path, name
    return source, function


def emitted(text: str) -> tuple[str, ...]:
    """The functions that `--emit` names; raises BadParameter for one that there is not."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in FUNCTIONS]
    if unknown or not names:
        raise click.BadParameter(
            f"{unknown[0] if unknown else text!r} is none of {', '.join(FUNCTIONS)}",
            param_hint="--emit",
        )
    return names
