"""Train the general network that gradgen ships: `python -m benchmarks.pretrain`.

It imitates cheap orders of random programs, of random steps of neurons and of layers, and of random
functions of small arrays, which the other searches found, and is watched on graphs that it does not
learn from. What is written holds, beside the network, the command, the hardware and how the
training went, and it is written again and again meanwhile. The graphs and their orders are kept in
the folder given by --work, so that a second run starts with them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from benchmarks.random_arrays import random_arrays
from benchmarks.random_layers import random_layer
from benchmarks.random_neurons import random_neuron
from benchmarks.random_programs import random_program
from gradgen.errors import GradgenError
from gradgen.ir.plan import ProductObjective
from gradgen.search.alphazero.checkpoint import read_network, write_network
from gradgen.search.alphazero.demonstrations import demonstrate
from gradgen.search.alphazero.game import Board, Game, GamePosition, Sizes, begin, edges_seen, stack
from gradgen.search.alphazero.imitation import Imitation, imitate
from gradgen.search.alphazero.learning import Learning
from gradgen.search.alphazero.network import NetworkSize, count_parameters, network
from gradgen.search.alphazero.rules import RULES
from gradgen.search.alphazero.selfplay import play_greedily
from gradgen.search.tables import priced_graph
from gradgen.search.task import Task, scalar_task

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "gradgen" / "search" / "alphazero" / "general.safetensors"
ROOM = Sizes(16, 64, 12, terms=160, slots=2)
EDGES = 160
WAYS = 4
"""Demonstrations for each graph."""
WATCHED = 64
"""Graphs that are kept aside."""
BUDGET = 0.3
"""Seconds of search for each graph."""
WRITTEN_EVERY = 100
"""Updates between versions of the file."""

Shown = tuple[tuple[Board, GamePosition], NDArray[np.int32], float]
"""Of a graph the beginning of its game, (WAYS, moves) demonstrations, and what these cost."""


def task_of(chance: random.Random) -> Task:
    """A random function of arrays, a layer's step, or, under one of the two objectives, a neuron's
    step or a random program."""
    family = chance.random()
    if family < 0.4:
        return random_arrays(chance, 60)
    if family < 0.6:
        return random_layer(chance, 48)
    objective: ProductObjective = chance.choice(("edges", "muls"))
    if family < 0.8:
        return scalar_task(random_neuron(chance), objective)
    return scalar_task(random_program(chance, chance.randint(5, 48)), objective)


def game_of(seed: int) -> Game:
    """The game on a random graph that has room, and something to decide."""
    chance = random.Random(seed)
    while True:
        task = task_of(chance)
        if 4 < len(task.eliminations.intermediates) <= ROOM.intermediates:
            try:
                priced_graph(task.eliminations, task.alike, most=ROOM.terms)  # cheaper to refuse
                game = begin(task, ROOM)
            except (GradgenError, ValueError):
                continue
            if edges_seen([game]) <= EDGES:
                return game


def shown(seed: int) -> Shown:
    """The game of a seed, with demonstrations."""
    game = game_of(seed)
    order = game.task.search(BUDGET, seed)
    found = demonstrate(game, order, WAYS, seed=seed)
    padded = np.pad(found, ((0, 0), (0, ROOM.intermediates - game.moves)))
    return (game.board, game.start), padded, float(game.task.cost(order))


def demonstrations(count: int, processes: int, work: Path) -> Any:
    """Shown for the seeds from 0 on, stacked: made or read."""
    path = work / f"demonstrations_{count}.npz"
    like = (Board(*range(9)), GamePosition(*range(3))), 0, 0
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(processes) as pool:
            every = stack(list(pool.map(shown, range(count), chunksize=16)))
        np.savez(path, *jax.tree.leaves(every))
    with np.load(path) as kept:
        leaves = [kept[f"arr_{k}"] for k in range(len(kept.files))]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def main() -> None:
    """Train and write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--graphs", type=int, default=1500)
    options.add_argument("--updates", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--processes", type=int, default=os.cpu_count())
    options.add_argument("--work", type=Path, default=Path("pretraining"))
    options.add_argument("--output", type=Path, default=SHIPPED)
    options.add_argument("--start", type=Path, help="a network of the same size to go on from")
    options.add_argument("--rate", type=float, default=2e-3)
    chosen = options.parse_args()
    begun = time.time()
    every = demonstrations(chosen.graphs, chosen.processes, chosen.work)
    print(json.dumps({"demonstrations": round(time.time() - begun)}), flush=True)
    (aside, _, best), (given, orders, _) = (
        jax.tree.map(lambda leaf, part=part: leaf[part], every)
        for part in (slice(None, WATCHED), slice(WATCHED, None))
    )
    size = NetworkSize(channels=32, heads=2, layers=3)
    general = network(size, EDGES)
    if chosen.start:
        params, _ = read_network(chosen.start)
    else:
        first = jax.tree.map(lambda leaf: leaf[0], given)
        params = general.init(jax.random.key(chosen.seed), *first)
    imitation = Imitation(
        chosen.updates, seed=chosen.seed, positions=4, learning=Learning(rate=chosen.rate)
    )
    greedy = jax.jit(
        jax.vmap(
            partial(play_greedily, general.apply, RULES["vertex"], ROOM.intermediates), (None, 0, 0)
        )
    )
    log: list[dict[str, float]] = []
    steps = imitate(general.apply, RULES["vertex"], params, given, orders, imitation)
    for number, (params, loss) in enumerate(steps, start=1):
        if number % WRITTEN_EVERY and number != chosen.updates:
            continue
        played = np.asarray(greedy(params, *aside).price)
        log.append(
            {
                "update": number,
                "divergence": round(float(loss.divergence), 4),
                "squared_error": round(float(loss.squared_error), 6),
                "greedy_excess": round(float(np.exp(np.log(played / best).mean()) - 1), 4),
                "seconds": round(time.time() - begun),
            }
        )
        print(json.dumps(log[-1]), flush=True)
        about = {
            "command": f"python -m benchmarks.pretrain --graphs {chosen.graphs} "
            f"--updates {chosen.updates} --seed {chosen.seed} --processes {chosen.processes} "
            f"--rate {chosen.rate}" + (f" --start {chosen.start.name}" if chosen.start else ""),
            "hardware": f"{os.cpu_count()} cores, {platform.machine()}, jax {jax.__version__}",
            "imitation": json.dumps(asdict(imitation)),
            "parameters": str(count_parameters(params)),
            "log": json.dumps(log),
        }
        write_network(chosen.output, params, size, about)


if __name__ == "__main__":
    main()
