"""The commands about AlphaZero: `train`, `compare` and `doctor`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal

import click

from gradgen.cli.options import (
    FiniteRange,
    budget_options,
    force_option,
    settings_of,
    source_options,
    split_source,
)
from gradgen.cli.terminal import Command, Interruption, Terminal, printing
from gradgen.cli.works import graph_to_search
from gradgen.compile.environment import require_jax
from gradgen.compile.outputs import is_order, require_free
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.errors import GradgenError
from gradgen.files import write_atomically
from gradgen.ir.objective import Objective

_objective_option = click.option(
    "--objective",
    type=click.Choice(("edges", "muls")),
    default="muls",
    show_default=True,
    help="Which count to make small.",
)


@click.command(cls=Command)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@_objective_option
@click.option(
    "--elimination",
    type=click.Choice(("vertex", "edge")),
    default="vertex",
    show_default=True,
    help="What a move eliminates.",
)
@click.option("--episodes", type=click.IntRange(1), default=1024, show_default=True, help="Games.")
@click.option(
    "--simulations",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Positions that the search looks at before each move.",
)
@click.option(
    "--policy",
    type=click.Choice(("gumbel", "muzero")),
    default="gumbel",
    show_default=True,
    help="How the search spreads them over the moves: as Gumbel MuZero or as MuZero does.",
)
@click.option(
    "--considered",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Moves that Gumbel MuZero chooses from.",
)
@click.option(
    "--envs", type=click.IntRange(1), default=32, show_default=True, help="Games side by side."
)
@click.option(
    "--channels",
    type=click.IntRange(2),
    help="Width of the network; an even number. Default: 16.",
)
@click.option("--layers", type=click.IntRange(1), help="Depth of the network. Default: 2.")
@click.option(
    "--rate",
    type=FiniteRange(0.0, min_open=True),
    help="The highest learning rate. Default: 0.005, with --pretrained 0.001.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all chance.")
@click.option(
    "--pretrained",
    is_flag=True,
    help="Start with the general network that gradgen ships, and with its width and depth.",
)
@click.option(
    "--warm-start",
    type=FiniteRange(0.0),
    metavar="SECONDS",
    help="Imitate first what the other searches find in so many seconds. Default: learn from "
    "nothing but the game.",
)
@click.option(
    "--checkpoint",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder for the network, the log and, with matplotlib, a picture of the curve.",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint.")
@click.option("-o", "--output", metavar="ORDER", help="Where to write the best order of one graph.")
@force_option
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "gpu", "tpu")),
    default="auto",
    show_default=True,
    help="What to compute on; auto takes the fastest that JAX sees.",
)
@click.option(
    "--coordinator", metavar="HOST:PORT", help="Of several processes, where the first is."
)
@click.option("--processes", type=click.IntRange(1), help="How many processes there are.")
@click.option("--process", type=click.IntRange(0), help="The number of this one, from 0.")
@click.option(
    "--cluster", is_flag=True, help="Ask the cluster's scheduler about the other processes."
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def train(
    sources: tuple[str, ...],
    objective: Literal["edges", "muls"],
    elimination: Literal["vertex", "edge"],
    output: str | None,
    force: bool,
    checkpoint: Path | None,
    resume: bool,
    warm_start: float | None,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Train AlphaZero on graphs: GRAPH.json files, or step functions.

    It plays the elimination game against itself, and the best order that it saw is what counts; a
    heuristic's is written if that is better. Ctrl-C ends the training after the games of now, and
    keeps that order; once more, it ends at once.
    """
    with Terminal(debug, quiet) as terminal, Interruption() as interruption:
        if output is not None and len(sources) > 1:
            raise GradgenError("an order is written for one graph, and several are given")
        if resume and checkpoint is None:
            raise GradgenError("there is nothing to resume without --checkpoint DIR")
        several = options["cluster"] or options["coordinator"] is not None
        if not several and (options["processes"], options["process"]) != (None, None):
            raise GradgenError(
                "several processes have to be told where the first is: --coordinator"
            )
        settings = {source: _settings(source, objective, elimination) for source in sources}
        if output is not None:
            require_free(output, settings[sources[0]], is_order, force=force)  # before all the work
        _choose_device(options["device"])
        require_jax()
        terminal.status("reading")
        graphs = {s: graph_to_search(each, debug=debug) for s, each in settings.items()}
        from gradgen.cli.training_display import Display, conclusion
        from gradgen.compile.ordering import task_of_arrays
        from gradgen.search.alphazero import distributed, run
        from gradgen.search.alphazero.game import begin, sizes_of
        from gradgen.search.alphazero.search import cheapest
        from gradgen.search.task import scalar_task

        if several:
            distributed.join(options["coordinator"], options["processes"], options["process"])
        distributed.require_devices(options["device"])
        tasks = {
            name: task_of_arrays(graph, settings[name].path)
            if isinstance(graph, ArrayGraph)
            else scalar_task(graph, objective)
            for name, graph in graphs.items()
        }
        room = sizes_of(list(tasks.values()))
        games = {name: begin(task, room, elimination) for name, task in tasks.items()}
        training, params = _training(options, elimination, len(games))
        terminal.stop()

        def show(line: Any) -> None:
            interruption.heed()  # first: what is shown is kept
            display.show(line)

        with Display(training, quiet or not distributed.is_first()) as display:
            interruption.before_ending = display.stop
            trained = run.train(
                games,
                training,
                folder=checkpoint,
                resume=resume,
                params=params,
                warm_start=warm_start,
                listener=show,
            )
        if not distributed.is_first():
            return
        if output is not None and trained.orders:
            (game,) = games.values()
            require_free(output, settings[sources[0]], is_order, force=force)
            write_atomically(output, cheapest(game, trained.orders[0]).to_json() + "\n")
        if checkpoint is not None and trained.lines:
            _draw(trained, games, objective, checkpoint, terminal)
        for line in conclusion(trained, games):
            terminal.say(line)
        if trained.interrupted:
            raise KeyboardInterrupt


def _settings(
    source: str, objective: Literal["edges", "muls"], elimination: Literal["vertex", "edge"]
) -> Settings:
    path, function = split_source(source, None)
    asked = Objective(objective)
    return Settings(path, function=function, objective=asked, elimination=elimination)


def _choose_device(device: str) -> None:
    """Choose before JAX starts, which reads this once."""
    if device != "auto":
        os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(device, device)


def _training(options: dict[str, Any], elimination: str, games: int) -> tuple[Any, Any]:
    """How to train, and the network to start with if it is a given one."""
    from gradgen.search.alphazero.distributed import count_devices
    from gradgen.search.alphazero.learning import Learning
    from gradgen.search.alphazero.network import NetworkSize
    from gradgen.search.alphazero.planning import Planning
    from gradgen.search.alphazero.training import Training

    given = {name: options[name] for name in ("channels", "layers") if options[name] is not None}
    if given.get("channels", 0) % 2:
        raise click.BadParameter("an even number", param_hint="--channels")
    params, size, rate = None, NetworkSize(**{"channels": 16, **given}), 5e-3
    if options["pretrained"]:
        if given:
            raise GradgenError("a pretrained network has a width and a depth already")
        if elimination == "edge":
            raise GradgenError("the pretrained network plays vertices, and edges are eliminated")
        from gradgen.search.alphazero.pretrained import general

        shipped = general()
        params, size, rate = shipped.params, shipped.size, 1e-3
    # each game in as many environments, and each device with as many
    even = math.lcm(games, count_devices())
    environments = -(-options["envs"] // even) * even
    training = Training(
        episodes=options["episodes"],
        environments=environments,
        seed=options["seed"],
        size=size,
        planning=Planning(options["simulations"], options["considered"], options["policy"]),
        learning=Learning(rate=options["rate"] or rate),
    )
    return training, params


def _draw(trained: Any, games: Any, objective: str, folder: Path, terminal: Terminal) -> None:
    from gradgen.cli.training_display import baselines
    from gradgen.search.alphazero import run
    from gradgen.search.alphazero.curve import draw

    try:
        draw(trained.lines, baselines(games), objective, folder / run.PICTURE)
    except GradgenError as error:
        terminal.say(f"no picture: {error.message}" + (f"; {error.hint}" if error.hint else ""))


@click.command(cls=Command)
@source_options
@_objective_option
@budget_options
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def compare(as_json: bool, debug: bool, **options: Any) -> None:
    """Run all searches on SOURCE, a graph, a step function or a function on arrays, and print one
    table."""
    with Terminal(debug, quiet=False) as terminal:
        settings = settings_of(options)
        terminal.status("reading")
        graph = graph_to_search(settings, terminal.status, debug=debug)
        from gradgen.cli import comparison

        found = comparison.compare(settings, graph, terminal.status)
        terminal.stop()
        with printing():
            click.echo(comparison.as_json(found)) if as_json else comparison.print_table(found)


@click.command(cls=Command)
def doctor() -> None:
    """Say which versions and devices gradgen sees."""
    with Terminal(debug=False, quiet=False), printing():
        require_jax()
        from gradgen.cli.diagnosis import facts

        found = facts()
        width = max(len(name) for name, _ in found)
        click.echo("\n".join(f"{name:{width}}  {value}" for name, value in found))
