"""Train the general network that gradgen ships: `python -m benchmarks.pretrain`.

It imitates cheap orders of random programs, which the other searches found, and is watched on
random programs that it does not learn from. What is written holds, beside the network, the command,
the hardware and how the training went. On two cores it takes about an hour, half of which goes into
the orders; these are kept in the folder given by --work, so that a second run starts with them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import jax
import numpy as np
from numpy.typing import NDArray

from benchmarks.random_programs import random_program
from gradgen.elimination.cost import cost_of
from gradgen.ir.graph import LinearGraph
from gradgen.ir.plan import ProductObjective
from gradgen.search.alphazero.checkpoint import write_network
from gradgen.search.alphazero.demonstrations import demonstrate
from gradgen.search.alphazero.game import Game, Sizes, begin, stack
from gradgen.search.alphazero.imitation import Imitation, imitate
from gradgen.search.alphazero.learning import Learning
from gradgen.search.alphazero.network import NetworkSize, count_parameters, network
from gradgen.search.alphazero.rules import RULES
from gradgen.search.alphazero.selfplay import play_greedily

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "gradgen" / "search" / "alphazero" / "general.safetensors"
ROOM = Sizes(12, 56, 12)
EDGES = 160
WAYS = 4
"""Demonstrations for each graph."""
WATCHED = 64
"""Graphs that are kept aside."""


def game_of(seed: int) -> Game:
    """The game on a random program, under one of the two objectives."""
    chance = random.Random(seed)
    objective: ProductObjective = chance.choice(("edges", "muls"))
    while True:
        graph = random_program(chance, chance.randint(5, 48))
        if _fits(graph):
            return begin(graph, objective, ROOM)


def _fits(graph: LinearGraph) -> bool:
    groups = (graph.independents, graph.intermediates, graph.dependents)
    fits = all(len(group) <= most for group, most in zip(groups, ROOM, strict=True))
    return fits and len(graph.intermediates) > 4 and len(graph.edges) * 5 // 4 < EDGES


def shown(seed: int) -> NDArray[np.int32]:
    """(WAYS, moves): demonstrations of the game on the random program of a seed."""
    game = game_of(seed)
    found = demonstrate(game, WAYS, budget=0.3, seed=seed)
    return np.pad(found, ((0, 0), (0, ROOM.intermediates - game.moves)))


def demonstrations(count: int, work: Path) -> NDArray[np.int32]:
    """(count, WAYS, moves): of the graphs with the seeds from 0 on, made or read."""
    path = work / f"demonstrations_{count}.npy"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            np.save(path, np.array(list(pool.map(shown, range(count), chunksize=16)), np.int32))
    return np.load(path)


def prices(game: Game, moves: Sequence[int]) -> int:
    """What a game costs, by the elimination engine."""
    order = game.order(moves[: game.moves], "demonstration")
    return cost_of(game.graph, order, game.objective)


def main() -> None:
    """Train and write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--graphs", type=int, default=3000)
    options.add_argument("--updates", type=int, default=3000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--work", type=Path, default=Path("pretraining"))
    options.add_argument("--output", type=Path, default=SHIPPED)
    chosen = options.parse_args()
    begun = time.time()
    orders = demonstrations(chosen.graphs, chosen.work)
    games = [game_of(seed) for seed in range(chosen.graphs)]
    aside, learned = games[:WATCHED], games[WATCHED:]
    best = sum(prices(game, orders[k, 0]) for k, game in enumerate(aside))
    size = NetworkSize(channels=32, heads=2, layers=3)
    general = network(size, EDGES)
    params = general.init(jax.random.key(chosen.seed), games[0].start)
    imitation = Imitation(
        chosen.updates, seed=chosen.seed, learning=Learning(rate=2e-3, value_weight=10.0)
    )
    greedy = jax.jit(
        jax.vmap(
            partial(play_greedily, general.apply, RULES["vertex"], ROOM.intermediates), (None, 0)
        )
    )
    starts = stack([game.start for game in aside])
    log = []
    steps = imitate(general.apply, params, learned, orders[WATCHED:], imitation)
    for number, (params, loss) in enumerate(steps, start=1):
        if number % 100 and number != chosen.updates:
            continue
        played = np.asarray(greedy(params, starts).price).sum()
        log.append(
            {
                "update": number,
                "divergence": round(float(loss.divergence), 4),
                "squared_error": round(float(loss.squared_error), 6),
                "greedy_excess": round(float(played) / best - 1, 4),
            }
        )
        print(json.dumps({**log[-1], "seconds": round(time.time() - begun)}), flush=True)
    about = {
        "command": f"python -m benchmarks.pretrain --graphs {chosen.graphs} "
        f"--updates {chosen.updates} --seed {chosen.seed}",
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}, jax {jax.__version__}",
        "imitation": json.dumps(asdict(imitation)),
        "parameters": str(count_parameters(params)),
        "log": json.dumps(log),
    }
    write_network(chosen.output, params, size, about)


if __name__ == "__main__":
    main()
