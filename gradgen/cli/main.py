"""The command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click_default_group import DefaultGroup

from gradgen.cli.alphazero_commands import compare, doctor, train
from gradgen.cli.loop_options import loop_options
from gradgen.cli.options import (
    CountPair,
    differentiation_options,
    emit_option,
    emitted,
    force_option,
    locality_option,
    objective_options,
    order_option,
    refuse_options,
    residuals_option,
    search_option,
    search_options,
    settings_of,
    source_options,
    target_options,
)
from gradgen.cli.report_commands import explain, report, show
from gradgen.cli.terminal import Command, Terminal, open_what_is_closed, printing
from gradgen.cli.works import graph_to_search
from gradgen.compile.outputs import is_order, require_free
from gradgen.config import SEARCHES
from gradgen.files import write_atomically
from gradgen.version import __version__


class _Commands(Command, DefaultGroup):  # type: ignore[misc]
    """All commands."""

    command_class = Command


@click.group(
    cls=_Commands,
    default="generate",
    default_if_no_args=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="gradgen")
@click.pass_context
def main(context: click.Context) -> None:
    """Write the exact derivative of a neuron's step function as Python source.

    `gradgen SOURCE -o OUT` reads a step function written in JAX, finds a cheap order in which to
    accumulate its derivative, and writes a standalone file that has been compared with JAX.

    `gradgen` alone builds the targets in pyproject.toml, `gradgen init SOURCE` adds one, and
    `gradgen --check` tells whether all their files are current.

    The source file is executed to get its function: treat it like any program that you run.
    """
    open_what_is_closed()
    # derivatives are the same everywhere; the CPU starts fastest and is always there
    if context.invoked_subcommand not in ("train", "doctor"):
        os.environ["JAX_PLATFORMS"] = "cpu"


@main.command()  # type: ignore[untyped-decorator]
@click.argument("sources", nargs=-1, metavar="[SOURCE | TARGET...]")
@differentiation_options
@order_option
@search_options
@search_option(SEARCHES)
@click.option("-o", "--output", metavar="OUT", help="The file to write; default: standard output.")
@emit_option
@residuals_option
@loop_options
@locality_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is done and how exact it is.")
@force_option
@target_options
@click.pass_context
def generate(
    context: click.Context,
    /,
    sources: tuple[str, ...],
    output: str | None,
    emit: str,
    search: str,
    quiet: bool,
    force: bool,
    check: bool,
    diff: bool,
    verify: bool,
    **options: Any,
) -> None:
    """Write the derivative of the step function in SOURCE (`-` reads standard input).

    With the names of targets, or without any argument, build these or all targets in
    pyproject.toml. This is the default command: `gradgen SOURCE` is enough.
    """
    with Terminal(options["debug"], quiet) as terminal:
        from gradgen.cli.targets import Request, carry_out
        from gradgen.project.selection import chosen, configuration, is_source
        from gradgen.project.target import Target

        if not (verify or check):
            raise click.UsageError("--no-verify goes with --check: nothing is written unverified")
        if check and options["search_again"]:
            raise click.UsageError("--check never searches: leave out --search-again")
        machine = options["output_format"] != "text"
        if diff and machine:
            raise click.UsageError("--diff is for people: leave out --output-format")
        terminal.status("reading and tracing")
        outputs: frozenset[Path] = frozenset()
        if len(sources) == 1 and is_source(sources[0]) and (output is not None or not check):
            if output is None and (diff or machine):
                raise click.UsageError("this is about a file: -o OUT says which")
            options["source"] = sources[0]
            settings = settings_of(options, emit=emitted(emit), search=search)
            targets: tuple[Target, ...] = (Target(settings, output),)
        else:
            refuse_options(context, _FOR_TARGETS)
            found = configuration()
            targets = tuple(
                t.searched(options["budget"], options["seed"]) for t in chosen(found, sources)
            )
            outputs = frozenset() if sources else frozenset(found.outputs)
        request = Request(
            targets=targets,
            outputs=outputs,
            check=check,
            diff=diff,
            verified=verify,
            search_again=options["search_again"],
            force=force,
            output_format=options["output_format"],
            verbose=options["verbose"],
            debug=options["debug"],
        )
        code = carry_out(request, terminal)
    context.exit(code)


_FOR_TARGETS = {
    "sources", "budget", "seed", "quiet", "verbose", "debug", "check", "diff", "verify",
    "search_again", "output_format", "force",
}  # fmt: skip
"""What the command line may say where pyproject.toml says the rest."""


@main.command()  # type: ignore[untyped-decorator]
@source_options
@objective_options
@emit_option
@residuals_option
@loop_options
@locality_option
@click.option("-o", "--output", metavar="OUT", help="The file to write; default: SOURCE_grad.py.")
@click.option("--name", help="Of the target; default: the name of the source file.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def init(
    output: str | None, name: str | None, emit: str, quiet: bool, debug: bool, **options: Any
) -> None:
    """Add a target for SOURCE to pyproject.toml, with the options given here."""
    with Terminal(debug, quiet) as terminal:
        from gradgen.project.init import add_target

        target = add_target(settings_of(options, emit=emitted(emit)), output, name)
        terminal.say(
            f"{target.configuration}:{target.line()}: target '{target.name}' added; "
            f"`{target.command}` writes {target.output}"
        )


@main.command()  # type: ignore[untyped-decorator]
@source_options
@search_option(("auto", "alphazero"))
@search_options
@click.option(
    "--pareto",
    type=CountPair(),
    help="Two counts that are both to be small, as in muls,peak: orders of which none is better in "
    "one and as good in the other.",
)
@click.option(
    "--figure", type=click.Path(dir_okay=False), metavar="FILE.svg", help="Where to draw them."
)
@click.option(
    "-o",
    "--output",
    metavar="ORDER",
    help="Where to write the order, as JSON; of several, ORDER.json becomes ORDER_1.json and on.",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def search(
    pareto: tuple[str, str] | None,
    figure: str | None,
    output: str | None,
    force: bool,
    as_json: bool,
    search: str,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Search for an elimination order for SOURCE: a graph GRAPH.json, or a step function.

    The order is used by `gradgen SOURCE --order ORDER`.
    """
    with Terminal(debug, quiet) as terminal:
        settings = settings_of(options, search=search)
        if pareto is not None:
            from gradgen.cli.pareto import search_front

            search_front(
                settings, pareto, terminal,
                output=output, figure=figure, force=force, as_json=as_json, debug=debug,
            )  # fmt: skip
            return
        if figure is not None:
            raise click.UsageError("--figure is of a front: add --pareto, as in --pareto muls,peak")
        if output is not None:
            require_free(output, settings, is_order, force=force)
        terminal.status("reading")
        graph = graph_to_search(settings, terminal.status, debug=debug)
        from gradgen.cli.search_table import as_document, print_table
        from gradgen.compile import ordering

        result = ordering.search(settings, graph, terminal.status)
        terminal.stop()
        if output is not None:
            require_free(output, settings, is_order, force=force)
            write_atomically(output, result.order.to_json() + "\n")
        with printing():
            if as_json:
                click.echo(as_document(settings, graph, result))
            else:
                print_table(settings, graph, result)


for _command in (show, report, explain, train, compare, doctor):
    main.add_command(_command)
