"""The command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click
from click_default_group import DefaultGroup

from gradgen import __version__
from gradgen.config import ELIMINATIONS, FUNCTIONS, OBJECTIVES, SEARCHES, Settings
from gradgen.errors import GradgenError
from gradgen.files import write_atomically
from gradgen.report.formats import (
    DOCUMENT_FORMATS,
    PICTURE_FORMATS,
    DocumentFormat,
    PictureFormat,
    document_format,
)
from gradgen.reporting import Reporting

STAGES = ("source", "trace", "graph", "order", "plan", "program")
DTYPES = ("float32", "float64")


@click.group(
    cls=DefaultGroup,
    default="generate",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="gradgen")
@click.pass_context
def main(context: click.Context) -> None:
    """Write the exact derivative of a neuron's step function as Python source.

    `gradgen SOURCE -o OUT` reads a step function written in JAX, finds a cheap order in which to
    accumulate its derivative, and writes a standalone file that has been compared with JAX.

    The source file is executed to get its function: treat it like any program that you run.
    """
    # derivatives are the same everywhere; the CPU starts fastest and is always there
    if context.invoked_subcommand not in ("train", "doctor"):
        os.environ.setdefault("JAX_PLATFORMS", "cpu")


def _together(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator, in the order in which help shows them."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


_source_options = _together(
    click.argument("source"),
    click.option(
        "--function",
        metavar="NAME",
        help="The step function; default: the one public function that no other one calls. "
        "SOURCE may also be FILE:NAME.",
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
        help="Bind an argument when generating; VALUE is a Python expression.",
    ),
    click.option(
        "--range",
        "ranges",
        metavar="NAME=LO:HI",
        multiple=True,
        help="Where to verify; repeatable.",
    ),
    click.option(
        "--example",
        metavar="FILE:FUNCTION",
        help="A function that returns example arguments: a tuple, or a dict by name.",
    ),
    click.option(
        "--per-neuron",
        is_flag=True,
        help="The source is meant for one neuron; its callers vmap it.",
    ),
    click.option("--debug", is_flag=True, help="Show tracebacks."),
)
"""The argument and the options that say what to differentiate, and how."""


_order_option = click.option(
    "--order",
    metavar="ORDER",
    help="forward, reverse, markowitz, or a stored order FILE.json. Default: search for one.",
)


_search_options = _together(
    click.option(
        "--objective",
        type=click.Choice(OBJECTIVES),
        default="muls",
        show_default=True,
        help="Which count to make small.",
    ),
    click.option(
        "--elimination",
        type=click.Choice(ELIMINATIONS),
        default="vertex",
        show_default=True,
        help="What is eliminated one at a time.",
    ),
    click.option(
        "--budget",
        type=click.FloatRange(min=0.0),
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
"""The options that say how to look for an order."""


def _search_option(choices: tuple[str, ...]) -> Callable[[Any], Any]:
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


@main.command()  # type: ignore[untyped-decorator]
@_source_options
@_order_option
@_search_options
@_search_option(SEARCHES)
@click.option("-o", "--output", metavar="OUT", help="The file to write; default: standard output.")
@click.option(
    "--emit",
    metavar="NAMES",
    default=",".join(FUNCTIONS),
    help=f"Which public functions to write, separated by commas: {', '.join(FUNCTIONS)}.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(DTYPES),
    multiple=True,
    default=DTYPES,
    help="In which precision to verify; repeatable, default both.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is done and how exact it is.")
def generate(
    output: str | None,
    emit: str,
    dtypes: tuple[str, ...],
    search: str,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Write the derivative of the step function in SOURCE (`-` reads standard input).

    This is the default command: `gradgen SOURCE` is enough.
    """
    with Reporting(debug, quiet) as reporting:
        settings = _settings(options, emit=_emitted(emit), dtypes=dtypes, search=search)
        reporting.status("reading and tracing")
        from gradgen import pipeline

        outcome = pipeline.generate(settings, output, reporting.status)
        reporting.stop()
        for warning in outcome.report.warnings:
            reporting.say(f"{settings.path}: warning: {warning}")
        if output is None:
            click.echo(outcome.text, nl=False)
        if verbose:
            reporting.say("\n".join(outcome.orders))
            reporting.say(outcome.report.pretty())
        reporting.say(outcome.sentence())


@main.command()  # type: ignore[untyped-decorator]
@_source_options
@_search_option(("auto", "alphazero"))
@_search_options
@click.option("-o", "--output", metavar="ORDER", help="Where to write the order, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def search(
    output: str | None, as_json: bool, search: str, quiet: bool, debug: bool, **options: Any
) -> None:
    """Search for an elimination order for SOURCE: a graph GRAPH.json, or a step function.

    The order is used by `gradgen SOURCE --order ORDER`.
    """
    with Reporting(debug, quiet) as reporting:
        settings = _settings(options, search=search)
        reporting.status("reading")
        from gradgen import pipeline
        from gradgen.search_report import as_document, print_table

        graph = pipeline.graph_from(settings)
        result = pipeline.search(settings, graph, reporting.status)
        reporting.stop()
        if output is not None:
            write_atomically(output, result.order.to_json() + "\n")
        if as_json:
            click.echo(as_document(settings, graph, result))
        else:
            print_table(settings, graph, result)


@main.command()  # type: ignore[untyped-decorator]
@_source_options
@_order_option
@_search_options
@click.option(
    "--stage", type=click.Choice(STAGES), default="graph", show_default=True, help="What to show."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(PICTURE_FORMATS),
    default="text",
    show_default=True,
    help="Of a graph: json is a file that `gradgen search` reads; dot is for Graphviz, mermaid for "
    "Markdown; svg needs gradgen-jax[report].",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
def show(stage: str, form: PictureFormat, debug: bool, **options: Any) -> None:
    """Show a stage of the pipeline for the step function in SOURCE."""
    if form != "text" and stage != "graph" and (form, stage) != ("json", "order"):
        raise click.BadParameter(
            f"only a graph is shown as {form}"
            if form != "json"
            else "only a graph or an order is shown as JSON",
            param_hint="--format",
        )
    with Reporting(debug, quiet=True):
        settings = _settings(options)
        from gradgen import pipeline

        click.echo(pipeline.show(settings, stage, form))


@main.command()  # type: ignore[untyped-decorator]
@_source_options
@click.argument("more", metavar="[SOURCE]...", nargs=-1)
@_order_option
@_search_options
@click.option("-o", "--output", metavar="OUT", help="The file to write; default: standard output.")
@click.option(
    "--format",
    "form",
    type=click.Choice(DOCUMENT_FORMATS),
    help="Default: what OUT ends with, else html.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def report(
    source: str,
    more: tuple[str, ...],
    output: str | None,
    form: DocumentFormat | None,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Write a report on each SOURCE: its graph, the elimination, what it costs, how exact it is.

    An HTML report is one page that needs no network. The code is generated and compared with JAX
    for it, and not written.
    """
    with Reporting(debug, quiet) as reporting:
        targets = [_settings({**options, "source": path}) for path in (source, *more)]
        reporting.status("reading and tracing")
        from gradgen import pipeline
        from gradgen.report.collect import collect
        from gradgen.report.document import write_document

        found = []
        for target in targets:
            outcome = pipeline.generate(target, None, reporting.status)
            found.append(collect(outcome.module, outcome.text, outcome.report))
        text = write_document(found, form or document_format(output))
        reporting.stop()
        if output is None:
            click.echo(text, nl=False)
            return
        changed = write_atomically(output, text)
        reporting.say(f"{output}: {'written' if changed else 'unchanged'}")


@main.command()  # type: ignore[untyped-decorator]
@_source_options
@_order_option
@_search_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def explain(quiet: bool, debug: bool, **options: Any) -> None:
    """Explain what the derivative of the step function in SOURCE costs, and where.

    Nothing is verified or written.
    """
    with Reporting(debug, quiet) as reporting:
        settings = _settings(options)
        reporting.status("reading and tracing")
        from gradgen import pipeline
        from gradgen.report.explain import print_explanation

        module = pipeline.cheapest(settings, reporting.status)
        reporting.stop()
        print_explanation(module)


def _settings(options: dict[str, Any], **more: Any) -> Settings:
    path, function = _split_target(options["source"], options["function"])
    directives = [("static", text) for text in options["static"]]
    directives += [("range", text) for text in options["ranges"]]
    if options["wrt"]:
        directives.append(("wrt", ", ".join(options["wrt"])))
    return Settings(
        path=path,
        function=function,
        directives=tuple(directives),
        example=options["example"],
        order=options.get("order"),
        per_neuron=options["per_neuron"],
        objective=options["objective"],
        elimination=options["elimination"],
        budget=options["budget"],
        seed=options["seed"],
        **more,
    )


def _split_target(source: str, function: str | None) -> tuple[str, str | None]:
    """A path, or FILE:NAME; a file whose own name has a colon wins."""
    path, colon, name = source.rpartition(":")
    if colon and name.isidentifier() and path and not os.path.exists(source):
        if function is not None and function != name:
            raise GradgenError(f"both '{name}' and '{function}' are asked for", path=path)
        return path, name
    return source, function


def _emitted(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in FUNCTIONS]
    if unknown or not names:
        raise click.BadParameter(
            f"{unknown[0] if unknown else text!r} is none of {', '.join(FUNCTIONS)}",
            param_hint="--emit",
        )
    return names


def _register() -> None:
    from gradgen.alphazero_commands import compare, doctor, train

    for command in (train, compare, doctor):
        main.add_command(command)


_register()
