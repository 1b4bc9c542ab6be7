"""What AlphaZero finds, and how fast: `python -m benchmarks.alphazero PART`, PART one of

learn       lif_2023 from nothing, five seeds; draws the curve of the first
models      every model of at most 30 intermediates from nothing, until the proved optimum is met
references  the larger graphs from the literature from nothing, for --seconds each
general     the network that gradgen ships, on graphs that it never saw, and on networks
mix         its policy and annealing together, beside each alone, at equal time
speed       simulations a second by the size of the graph, beside what the arithmetic allows
ablation    lif_2023 and propane_combustion without parts of the method

Random orders stand beside every result, as many as positions were judged, over the moves of a game.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.mixing import SEARCHES, cases
from benchmarks.mixing import excess as mixing_excess
from benchmarks.network_tasks.tasks import KNOWN, network_tasks
from benchmarks.orders import PUBLISHED, ROOT, model_graphs, reference_graphs
from gradgen.cli.training_display import baselines
from gradgen.ir.graph import LinearGraph
from gradgen.ir.plan import ProductObjective
from gradgen.search import portfolio
from gradgen.search.alphazero import run
from gradgen.search.alphazero.curve import draw
from gradgen.search.alphazero.game import Game, begin, edges_seen, stack
from gradgen.search.alphazero.learning import Learning
from gradgen.search.alphazero.network import NetworkSize, Params, network
from gradgen.search.alphazero.planning import Planning, advise
from gradgen.search.alphazero.pretrained import general
from gradgen.search.alphazero.rules import RULES
from gradgen.search.alphazero.search import Expertise, play
from gradgen.search.alphazero.training import Training
from gradgen.search.task import Task, scalar_task

CONSOLE = Console(width=140)
SCRATCH = Training(episodes=1024, size=NetworkSize(channels=16), learning=Learning(rate=5e-3))
"""What `gradgen train` does by default."""
MOST = 30
"""Intermediates of a model that is learned from nothing."""


class Enough(KeyboardInterrupt):
    """Ends a training that has shown what it was to show."""


@dataclass(frozen=True)
class Watched:
    """A training, with the seconds at which each line of its log was reached."""

    trained: run.Trained
    seconds: tuple[float, ...]


def watch(
    game: Game,
    training: Training,
    enough: Callable[[list[run.LogLine], float], bool],
    params: Params | None = None,
) -> Watched:
    """Train until there is enough, compilation included in the time."""
    started = time.perf_counter()
    lines: list[run.LogLine] = []
    seconds: list[float] = []

    def listen(line: run.LogLine) -> None:
        lines.append(line)
        seconds.append(time.perf_counter() - started)
        if enough(lines, seconds[-1]):
            raise Enough

    trained = run.train({"graph": game}, training, params=params, listener=listen)
    return Watched(trained, tuple(seconds))


def learn(options: argparse.Namespace) -> None:
    """The first demand: on lif_2023 the policy itself comes to play 22."""
    game = begin(scalar_task(dict(reference_graphs())["lif_2023"], "edges"))
    table = Table(
        title="lif_2023, edges, from nothing: when the policy plays 22 and the last 100 games 22.5"
    )
    for heading in ("seed", "seconds", "games", "policy", "mean of 100", "best", "random"):
        table.add_column(heading, justify="right")

    def learned(lines: list[run.LogLine], seconds: float) -> bool:
        recent = lines[-4:]
        mean = statistics.fmean(line.mean for line in recent)
        return len(recent) == 4 and lines[-1].greedy == 22 and mean <= 22.5

    for seed in range(options.seeds):
        training = replace(SCRATCH, seed=seed)
        watched = watch(game, training, learned if seed else lambda lines, seconds: False)
        ends = [
            learned(list(watched.trained.lines[: k + 1]), 0.0) for k in range(len(watched.seconds))
        ]
        at = ends.index(True) if True in ends else len(ends) - 1
        line = watched.trained.lines[at]
        mean = statistics.fmean(
            each.mean for each in watched.trained.lines[max(0, at - 3) : at + 1]
        )
        table.add_row(
            str(seed), f"{watched.seconds[at]:.0f}" if True in ends else "never",
            str(line.episodes), f"{line.greedy:g}", f"{mean:.2f}", f"{line.best:g}",
            f"{line.random_best:g}",
        )  # fmt: skip
        if seed == 0:
            path = ROOT / "docs" / "_static" / "alphazero_lif.svg"
            draw(watched.trained.lines, baselines({"lif": game}), "edges", path)
    CONSOLE.print(table)


def models(options: argparse.Namespace) -> None:
    """The second: from nothing, the proved optimum of every small model."""
    table = Table(title=f"models of at most {MOST} intermediates, from nothing, until the optimum")
    for heading in (
        "model",
        "objective",
        "vertices",
        "optimum",
        "found",
        "games",
        "seconds",
        "random",
    ):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    objectives: tuple[ProductObjective, ...] = ("edges", "muls")
    for name, graph in model_graphs():
        if len(graph.intermediates) > MOST:
            continue
        for objective in objectives:
            optimum = portfolio.search(graph, objective=objective, budget=20.0)
            watched = watch(
                begin(scalar_task(graph, objective)),
                SCRATCH,
                lambda lines, seconds, cost=optimum.cost: lines[-1].best == cost,
            )
            line = watched.trained.lines[-1]
            table.add_row(
                name, objective, str(len(graph.intermediates)),
                f"{optimum.cost}{'' if optimum.proved else '?'}", f"{line.best:g}",
                str(line.episodes), f"{watched.seconds[-1]:.0f}", f"{line.random_best:g}",
            )  # fmt: skip
    CONSOLE.print(table)


def references(options: argparse.Namespace) -> None:
    """The third: the larger graphs, as far as the seconds go."""
    origin = "the general network" if options.pretrained else "nothing"
    table = Table(title=f"edges, from {origin}, {options.seconds:.0f} s each, {device()}")
    headings = ("graph", "forward", "reverse", "markowitz", "AlphaGrad", "found", "mean", "policy")
    for heading in (*headings, "random", "games", "simulations", "seconds"):
        table.add_column(heading, justify="left" if heading == "graph" else "right")
    for name, graph in reference_graphs():
        if name not in options.graphs:
            continue
        game = begin(scalar_task(graph, "edges"))
        training = replace(
            SCRATCH, episodes=options.episodes, environments=options.envs, updates=options.updates,
            planning=Planning(options.simulations, options.considered), remembered=4,
            seed=options.seed,
        )  # fmt: skip
        params = None
        if options.pretrained:
            shipped = general()
            params = shipped.params
            training = replace(training, size=shipped.size, learning=Learning(rate=1e-3))
        watched = watch(game, training, lambda lines, seconds: seconds > options.seconds, params)
        line = watched.trained.lines[-1]
        known = baselines({name: game})
        table.add_row(
            name, *(f"{known[k]:g}" for k in ("forward", "reverse", "markowitz")),
            str(PUBLISHED[name]), f"{line.best:g}", f"{line.mean:.1f}", f"{line.greedy:g}",
            f"{line.random_best:g}", str(line.episodes),
            f"{line.episodes * game.moves * options.simulations:,}", f"{watched.seconds[-1]:.0f}",
        )  # fmt: skip
        from_what = "_pretrained" if options.pretrained else ""
        path = ROOT / "docs" / "_static" / f"alphazero_{name}{from_what}.svg"
        rivals = {**known, "AlphaGrad": float(PUBLISHED[name])}
        draw(watched.trained.lines, rivals, "edges", path)
    CONSOLE.print(table)


def unseen() -> Iterator[tuple[str, Task, int]]:
    """The ten graphs on which the general network is judged, with the best cost known; then the
    networks."""
    kept = ("adex", "glif", "hodgkin_huxley", "izhikevich", "lif_2023", "morris_lecar")
    graphs: list[tuple[str, LinearGraph, ProductObjective]] = [
        *((name, graph, "muls") for name, graph in model_graphs() if name in kept),
        *((name, graph, "edges") for name, graph in reference_graphs() if name != "lif_2023"),
    ]
    for name, graph, objective in graphs:
        best = portfolio.search(graph, objective=objective, budget=20.0)
        yield name, scalar_task(graph, objective), best.cost
    for name, task in network_tasks():
        yield name, task, KNOWN[name]


def general_network(options: argparse.Namespace) -> None:
    """The fourth: the network that is shipped, against other searches and an untrained one."""
    trained = general()
    table = Table(
        title=f"the general network, {options.seconds:g} s of budget; excess over the best known"
    )
    headings = ("likeliest", "games", "untrained", "annealing", "markowitz", "random")
    for heading in ("graph", "best", *headings, "seconds"):
        table.add_column(heading, justify="left" if heading == "graph" else "right")
    excess: dict[str, list[list[float]]] = {heading: [[], []] for heading in headings}
    for name, task, best in unseen():
        game = begin(task)
        key = jax.random.key(0)
        fresh = network(trained.size, edges_seen([game])).init(key, game.board, game.start)
        costs = {}
        found = [
            least_played(game, Expertise(params, trained.size), options.seconds)
            for params in (trained.params, fresh)
        ]
        costs["likeliest"], costs["games"], seconds = found[0]
        costs["untrained"] = found[1][1]
        costs["annealing"] = task.cost(task.search(options.seconds, 0))
        costs["markowitz"] = int(baselines({name: game})["markowitz"])
        costs["random"] = random_best(game, options.games)
        for heading in headings:
            excess[heading][name in KNOWN].append(costs[heading] / best - 1)
        table.add_row(name, str(best), *(str(costs[h]) for h in headings), f"{seconds:.1f}")
    for row, title in enumerate(("mean excess, ten graphs", "mean excess, networks")):
        means = (f"{statistics.fmean(excess[heading][row]):.1%}" for heading in headings)
        table.add_row(title, "", *means, "")
    CONSOLE.print(table)


def least_played(game: Game, expertise: Expertise, budget: float) -> tuple[int, int, float]:
    """What the likeliest moves cost, the least of all games, and the seconds that this took."""
    started = time.perf_counter()
    costs = [game.task.cost(order) for order in play(game, expertise, budget, 0)]
    return costs[0], min(costs), time.perf_counter() - started


def random_best(game: Game, count: int) -> int:
    """The least that so many random orders cost."""
    chance = np.random.default_rng(0)
    orders = (game.order(chance.permutation(game.moves), "random") for _ in range(count))
    return min(map(game.task.cost, filter(game.task.is_possible, orders)))


def mix(options: argparse.Namespace) -> None:
    """The policy's starts and neighbourhoods for annealing, against annealing and the network."""
    chosen = list(cases(60, 400))
    for seconds in options.budgets:
        table = Table(title=f"{seconds:g} s of two cores, graphs of 60 to 400 intermediates")
        for heading in ("graph", "vertices", *SEARCHES):
            table.add_column(heading, justify="left" if heading == "graph" else "right")
        rows = []
        for case in chosen:
            jax.clear_caches()  # what one has compiled is not there for the others
            costs = [look(case, seconds) for look in SEARCHES.values()]
            rows.append(costs)
            count = len(case.task.eliminations.intermediates)
            table.add_row(case.name, str(count), *map(str, costs))
            CONSOLE.print(f"{seconds:g} s, {case.name}: {costs}")
        best = [min(costs) for costs in rows]
        means = [mixing_excess([row[k] for row in rows], best) for k in range(len(SEARCHES))]
        table.add_row("geometric mean", "", *(f"{mean:+.2%}" for mean in means))
        CONSOLE.print(table)


def speed(options: argparse.Namespace) -> None:
    """The fifth: simulations a second, and where the time goes."""
    table = Table(
        title=f"16 simulations for each of 16 positions, network of 16 channels, {device()}"
    )
    headings = ("vertices", "tokens", "network us", "play us", "simulation us", "simulations/s")
    for heading in ("graph", *headings, "arithmetic us", "ratio"):
        table.add_column(heading, justify="left" if heading == "graph" else "right")
    peak = arithmetic_per_second()
    chosen = [*reference_graphs()]
    for name, graph in chosen:
        game = begin(scalar_task(graph, "edges"))
        edges = edges_seen([game])
        judge = network(NetworkSize(channels=16), edges)
        params = judge.init(jax.random.key(0), game.board, game.start)
        positions = stack([game.start] * 16)
        judged = jax.jit(jax.vmap(judge.apply, (None, None, 0)))
        looking = jax.jit(
            jax.vmap(
                partial(advise, judge.apply, RULES["vertex"], Planning(16)), (None, 0, None, 0)
            )
        )
        network_seconds = timed(judged, params, game.board, positions) / 16
        playing = jax.jit(jax.vmap(RULES["vertex"].play, (None, 0, 0)))
        play_seconds = timed(playing, game.board, positions, jnp.zeros(16, int)) / 16
        keys = jax.random.split(jax.random.key(0), 16)
        simulation = timed(looking, params, keys, game.board, positions) / 16 / 17
        cost: Any = judged.lower(params, game.board, positions).compile().cost_analysis()
        floor = float((cost[0] if isinstance(cost, list) else cost)["flops"]) / 16 / peak
        table.add_row(
            name, str(game.moves), str(game.start.left.shape[0] + edges),
            f"{network_seconds * 1e6:.0f}", f"{play_seconds * 1e6:.1f}", f"{simulation * 1e6:.0f}",
            f"{1 / simulation:,.0f}", f"{floor * 1e6:.0f}", f"{simulation / floor:.1f}",
        )  # fmt: skip
    CONSOLE.print(table)


def arithmetic_per_second() -> float:
    """Floating-point operations a second in a product of matrices of the network's size."""
    count = 512
    matrices = jnp.ones((16, count, count), jnp.float32)
    return 16 * 2 * count**3 / timed(jax.jit(lambda x: x @ x), matrices)


def timed(program: Callable[..., Any], *arguments: Any) -> float:
    """The median of eleven runs in seconds, compilation left out."""
    jax.block_until_ready(program(*arguments))
    found = []
    for _ in range(11):
        started = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def ablation(options: argparse.Namespace) -> None:
    """The sixth: what each part is worth, after equally many games."""
    variants = {
        "as it is": SCRATCH,
        "without a value head": replace(SCRATCH, size=replace(SCRATCH.size, value=False)),
        "without reversal": replace(SCRATCH, learning=replace(SCRATCH.learning, reversals=False)),
        "full attention": replace(SCRATCH, size=replace(SCRATCH.size, attention="full")),
        "plain MuZero policy": replace(SCRATCH, planning=Planning(16, policy="muzero")),
        **{f"{n} simulations": replace(SCRATCH, planning=Planning(n)) for n in (8, 32, 64)},
    }
    graphs = dict(reference_graphs())
    table = Table(
        title=f"edges; the last games, their policy, the best order; mean of {options.seeds} seeds"
    )
    for heading in ("variant", "graph", "games", "mean", "policy", "best", "seconds"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    for name, episodes in (("lif_2023", 320), ("propane_combustion", options.games)):
        game = begin(scalar_task(graphs[name], "edges"))
        for variant, training in variants.items():
            lasts, seconds = [], []
            for seed in range(options.seeds):
                envs = 32 if name == "lif_2023" else 16
                chosen = replace(training, episodes=episodes, seed=seed, environments=envs)
                watched = watch(game, chosen, lambda lines, seconds: False)
                lasts.append(watched.trained.lines[-1])
                seconds.append(watched.seconds[-1])
            means = (
                f"{statistics.fmean(getattr(line, what) for line in lasts):.2f}"
                for what in ("mean", "greedy", "best")
            )
            table.add_row(variant, name, str(episodes), *means, f"{statistics.fmean(seconds):.0f}")
    CONSOLE.print(table)


def device() -> str:
    """On what this runs."""
    return ", ".join(sorted({d.device_kind for d in jax.devices()}))


PARTS = {
    "learn": learn,
    "models": models,
    "references": references,
    "general": general_network,
    "mix": mix,
    "speed": speed,
    "ablation": ablation,
}


def main() -> None:
    """Run a part."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("part", choices=PARTS)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument("--episodes", type=int, default=5000)
    options.add_argument("--games", type=int, default=128)
    options.add_argument("--envs", type=int, default=16)
    options.add_argument("--updates", type=int, default=16)
    options.add_argument("--simulations", type=int, default=16)
    options.add_argument("--budgets", type=float, nargs="+", default=[2.0, 10.0, 60.0])
    options.add_argument("--considered", type=int, default=8)
    options.add_argument("--pretrained", action="store_true", help="references: start with it")
    options.add_argument(
        "--graphs", nargs="+", default=[name for name in PUBLISHED if name != "lif_2023"]
    )
    chosen = options.parse_args()

    PARTS[chosen.part](chosen)


if __name__ == "__main__":
    main()
