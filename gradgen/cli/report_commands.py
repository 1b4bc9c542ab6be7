"""The commands that make pictures and reports: `show`, `report` and `explain`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gradgen.cli import works
from gradgen.cli.options import (
    differentiation_options,
    force_option,
    order_option,
    refuse_options,
    search_options,
    settings_of,
    source_options,
)
from gradgen.cli.terminal import Command, Terminal, printing
from gradgen.compile.outputs import require_free
from gradgen.config import Settings
from gradgen.files import write_atomically
from gradgen.report.formats import (
    DOCUMENT_FORMATS,
    PICTURE_FORMATS,
    DocumentFormat,
    PictureFormat,
    document_format,
    is_report,
)

STAGES = ("source", "trace", "graph", "order", "plan", "program", "text")


@click.command(cls=Command)
@source_options
@order_option
@search_options
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
    "Markdown, svg a picture.",
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
    with Terminal(debug, quiet=True):
        text = works.stage(settings_of(options), stage, form, debug=debug)
        with printing():
            click.echo(text)


@click.command(cls=Command)
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@differentiation_options
@order_option
@search_options
@click.option("--all", "everything", is_flag=True, help="Report on every target, into a folder.")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="The file to write, default standard output; with --all the folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(DOCUMENT_FORMATS),
    help="Default: what OUT ends with, else html.",
)
@click.option(
    "--measure",
    "measured",
    is_flag=True,
    help="Of functions on arrays, measure what the passes take here, beside jax.grad and "
    "jax.checkpoint.",
)
@force_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.pass_context
def report(
    context: click.Context,
    /,
    sources: tuple[str, ...],
    everything: bool,
    output: str | None,
    form: DocumentFormat | None,
    measured: bool,
    force: bool,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Write a report on each SOURCE: its graph, the elimination, what it costs, how exact it is.

    An HTML report is one page that needs no network. The code is generated and compared with JAX
    for it, and not written.

    With --all there is a page for each target in pyproject.toml, with the order that its file
    records, and an index of them.
    """
    if bool(sources) == everything:
        raise click.UsageError("either a SOURCE, or --all for the targets in pyproject.toml")
    with Terminal(debug, quiet) as terminal:
        terminal.status("reading and tracing")
        if not everything:
            settings = [settings_of({**options, "source": source}) for source in sources]
            _report_sources(settings, output, form, measured, force, terminal, debug)
            return
        if output is None:
            raise click.UsageError("--all makes several files: -o FOLDER says where")
        if measured:
            raise click.UsageError(
                "--measure is about one function at a time, and --all works on several: name a "
                "SOURCE instead"
            )
        refuse_options(context, _FOR_ALL)
        code = _report_targets(output, form or "html", options, force, terminal, debug)
    context.exit(code)


_FOR_ALL = {"everything", "output", "form", "force", "budget", "seed", "quiet", "debug"}
"""What the command line may say where pyproject.toml says the rest."""


def _report_targets(
    folder: str,
    form: DocumentFormat,
    options: dict[str, Any],
    force: bool,
    terminal: Terminal,
    debug: bool,
) -> int:
    from gradgen.cli.targets import print_findings
    from gradgen.project.outcome import worst
    from gradgen.project.reports import index_page, report_all
    from gradgen.project.selection import configuration

    targets = [t.searched(options["budget"], options["seed"]) for t in configuration().targets]
    outcomes = []
    for outcome in report_all(targets, folder, form, terminal.status, force=force, debug=debug):
        terminal.stop()
        print_findings(outcome, terminal)
        if outcome.state != "error":
            terminal.say(f"{outcome.output or outcome.source}: {outcome.state}, {outcome.sentence}")
        outcomes.append(outcome)
    total = [f"{len(targets)} targets"]
    if count := sum(outcome.state == "error" for outcome in outcomes):
        total.append(f"{count} failed")
    terminal.say(f"{index_page(folder, form)}: {', '.join(total)}")
    return worst(outcomes)


def _report_sources(
    sources: Sequence[Settings],
    output: str | None,
    form: DocumentFormat | None,
    measured: bool,
    force: bool,
    terminal: Terminal,
    debug: bool,
) -> None:
    if output is not None:
        _require_free(output, sources, force)  # before all the work
    document = form or document_format(output)
    text = works.reports(sources, document, terminal.status, measured=measured, debug=debug)
    terminal.stop()
    if output is None:
        with printing():
            click.echo(text, nl=False)
        return
    _require_free(output, sources, force)
    changed = write_atomically(output, text)
    terminal.say(f"{output}: {'written' if changed else 'unchanged'}")


def _require_free(output: str, sources: Sequence[Settings], force: bool) -> None:
    for settings in sources:
        require_free(output, settings, is_report, force=force)


@click.command(cls=Command)
@source_options
@order_option
@search_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def explain(quiet: bool, debug: bool, **options: Any) -> None:
    """Explain what the derivative of the step function in SOURCE costs, and where.

    Nothing is verified or written.
    """
    with Terminal(debug, quiet) as terminal:
        settings = settings_of(options)
        terminal.status("reading and tracing")
        module = works.cheapest(settings, terminal.status, debug=debug)
        terminal.stop()
        from gradgen.report.explain import print_explanation

        with printing():
            print_explanation(module)
