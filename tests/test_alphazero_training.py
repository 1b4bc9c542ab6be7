"""Self-play, learning, checkpoints and commands, on games of seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from small_graphs import FOLDER, price_of, stored

from gradgen.cli import main
from gradgen.elimination.accumulate import accumulate
from gradgen.errors import GradgenError
from gradgen.ir.graph_file import read_graph
from gradgen.search.alphazero import run
from gradgen.search.alphazero.demonstrations import demonstrate, equals
from gradgen.search.alphazero.game import begin
from gradgen.search.alphazero.learning import Learning
from gradgen.search.alphazero.network import NetworkSize
from gradgen.search.alphazero.planning import Planning
from gradgen.search.alphazero.pretrained import general
from gradgen.search.alphazero.search import cheapest, play
from gradgen.search.alphazero.training import Trainer, Training
from gradgen.search.portfolio import search

GRAPH = stored("lif_2023")
GAME = begin(GRAPH, "edges")
SMALL = Training(
    episodes=24,
    environments=8,
    updates=4,
    batch=4,
    remembered=2,
    seed=3,
    size=NetworkSize(channels=8, layers=1),
    planning=Planning(simulations=4, considered=4),
    learning=Learning(rate=1e-2),
)


@pytest.fixture(scope="module", autouse=True)
def _compile_quickly():
    """Most of the time here is XLA's, for programs that then run for a second."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    # what was compiled so is of no use to other tests, which compare bits
    jax.clear_caches()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run.train({"lif": GAME}, SMALL, folder=folder), folder


def test_orders_cost_what_is_said(trained):
    found, _ = trained
    number = {vertex.name: k for k, vertex in enumerate(GRAPH.vertices)}
    (order,), (price,) = found.orders, found.prices
    assert price == price_of(GRAPH, "edges", [number[step] for step in order.steps])
    assert 22 <= price <= 25
    assert order.found_by == "alphazero"
    assert [line.episodes for line in found.lines] == [8, 16, 24]
    assert all(line.best <= line.mean for line in found.lines)
    assert found.lines[-1].squared_error < found.lines[0].squared_error


def test_returns_are_the_prices_to_come():
    trainer = Trainer([GAME], SMALL)
    state, iteration = next(trainer.run(trainer.begin()))
    replay = jax.tree.map(np.asarray, state.replay)
    for k in range(SMALL.environments):
        steps = [GRAPH.intermediates[m] for m in iteration.moves[k]]
        assert iteration.prices[k] == price_of(GRAPH, "edges", steps)
        values = replay.experiences.value[k][: GAME.moves]
        np.testing.assert_allclose(values[0], -iteration.prices[k] / 25, rtol=1e-6)
        assert (np.diff(values) >= 0).all()
        weights = replay.experiences.weights[k][: GAME.moves]
        np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
        legal = replay.experiences.position.left[k][: GAME.moves]
        assert (weights[~legal] < 1e-6).all()
        assert legal.sum(-1).tolist() == list(range(GAME.moves, 0, -1))


def test_a_run_that_is_resumed_ends_the_same(trained, tmp_path):
    whole, _ = trained
    interrupting = iter((None, KeyboardInterrupt))

    def interrupt(line: run.Line) -> None:
        error = next(interrupting)
        if error is not None:
            raise error

    first = run.train({"lif": GAME}, SMALL, folder=tmp_path, listener=interrupt)
    assert first.interrupted
    assert len(first.lines) == 2
    rest = run.train({"lif": GAME}, SMALL, folder=tmp_path, resume=True)

    def timeless(lines: tuple[run.Line, ...]) -> list[list[float]]:
        fields = [f for f in vars(lines[0]) if f != "simulations_per_second"]
        return [[getattr(line, f) for f in fields] for line in lines]

    np.testing.assert_allclose(timeless(rest.lines), timeless(whole.lines), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, rest.params, whole.params)
    assert rest.orders == whole.orders
    log = (tmp_path / run.LOG).read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in log] == [0, 1, 2]


def test_another_training_is_not_resumed(trained):
    _, folder = trained
    other = replace(SMALL, seed=4, learning=Learning())
    with pytest.raises(GradgenError, match="training differ in learning, seed"):
        run.train({"lif": GAME}, other, folder=folder, resume=True)
    with pytest.raises(GradgenError, match="there is no network here"):
        run.train({"lif": GAME}, SMALL, folder=folder / "nowhere", resume=True)


DEVICES = """
import sys
import numpy as np
from test_alphazero_training import GAME, SMALL
from gradgen.search.alphazero import distributed, run
if len(sys.argv) > 2:
    distributed.join(sys.argv[2], 2, int(sys.argv[3]))
import jax
assert jax.device_count() == 2, jax.devices()
found = run.train({"lif": GAME}, SMALL)
line = found.lines[-1]
if distributed.is_first():
    numbers = [line.mean, line.greedy, line.divergence, line.squared_error, found.prices[0]]
    np.savetxt(sys.argv[1], numbers)
"""


def numbers_of(found: run.Trained) -> list[float]:
    line = found.lines[-1]
    return [line.mean, line.greedy, line.divergence, line.squared_error, found.prices[0]]


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", DEVICES, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.full  # two processes have a device each as well
def test_two_devices_learn_what_one_does(trained, tmp_path):
    process = start(
        [str(tmp_path / "numbers")], XLA_FLAGS="--xla_force_host_platform_device_count=2"
    )
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    np.testing.assert_allclose(np.loadtxt(tmp_path / "numbers"), numbers_of(trained[0]), rtol=1e-3)


def test_two_processes_learn_what_one_does(trained, tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    both = [start([str(tmp_path / "numbers"), address, str(k)]) for k in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    np.testing.assert_allclose(np.loadtxt(tmp_path / "numbers"), numbers_of(trained[0]), rtol=1e-3)


def test_environments_must_be_spread_evenly():
    with pytest.raises(GradgenError, match="3 games evenly"):
        Trainer([GAME] * 3, SMALL)


def test_what_cannot_be_learned(trained, tmp_path):
    text = '{"independents": 1, "dependents": [1], "edges": [[0, 1, "variable"]]}'
    nothing = begin(read_graph(text), "edges")
    with pytest.raises(GradgenError, match="without intermediates"):
        Trainer([nothing], SMALL)
    edges = begin(stored("human_heart_dipole"), "edges", None, "edge")
    with pytest.raises(GradgenError, match="games to be remembered take"):
        Trainer([edges], Training()).begin()
    with pytest.raises(GradgenError, match="there is a checkpoint already"):
        run.train({"lif": GAME}, SMALL, folder=trained[1])
    other = begin(GRAPH, "muls")
    with pytest.raises(GradgenError, match="games differ in lif"):
        run.train({"lif": other}, SMALL, folder=trained[1], resume=True)
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    (tmp_path / run.LOG).write_text('{"iteration": 0}\n')
    with pytest.raises(GradgenError, match="no log of a training"):
        run.train({"lif": GAME}, SMALL, folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "nothing to resume without --checkpoint"),
        (["--processes", "2"], "where the first is"),
        (["-o", "nowhere/order.json"], "there is no folder 'nowhere'"),
        (["--channels", "7"], "an even number"),
    ],
)
def test_train_refuses(options, message):
    refused = CliRunner().invoke(main, ["train", str(FOLDER / "lif_2023.json"), *options])
    assert refused.exit_code == 2
    assert message in refused.output


def test_a_device_that_there_is_not():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gradgen",
            "train",
            str(FOLDER / "lif_2023.json"),
            "--device",
            "tpu",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no such device" in done.stderr


def test_a_heuristic_is_written_where_it_is_better():
    graph = stored("human_heart_dipole")
    game = begin(graph, "edges")
    forward = game.order(np.arange(game.moves), "alphazero")
    assert cheapest(game, forward).found_by.startswith("markowitz")
    best = search(graph, objective="edges", budget=0.0).order
    assert cheapest(game, best) is best


def test_demonstrations_cost_the_same():
    graph = stored("propane_combustion")
    game = begin(graph, "edges")
    best = search(graph, objective="edges", budget=0.0)
    orders = equals(game, best.order, 3, seed=1)
    assert len({tuple(order) for order in orders}) == 3
    assert {price_of(graph, "edges", order) for order in orders} == {best.cost}
    shown = demonstrate(game, 2, budget=0.0, seed=1)
    prices = {price_of(graph, "edges", [graph.intermediates[m] for m in row]) for row in shown}
    assert prices == {best.cost}


def test_a_warm_start_plays_what_it_was_shown():
    warm = run.train({"lif": GAME}, SMALL, warm_start=0.0)
    assert warm.lines[0].divergence < 0.5
    assert warm.lines[0].greedy <= 23


def test_edge_orders_are_learned():
    found = run.train({"lif": begin(GRAPH, "edges", None, "edge")}, replace(SMALL, episodes=16))
    (order,), (price,) = found.orders, found.prices
    assert order.elimination == "edge"
    assert accumulate(GRAPH, order).edges == price


def test_a_training_starts_with_the_network_that_is_shipped(tmp_path):
    graph, order, kept = FOLDER / "lif_2023.json", tmp_path / "order.json", tmp_path / "kept"
    asked = ["train", str(graph), "--objective", "edges", "--pretrained"]
    few = ["--episodes", "4", "--envs", "4", "--simulations", "2", "--rate", "1e-9"]
    found = CliRunner().invoke(main, [*asked, *few, "--checkpoint", str(kept), "-o", str(order)])
    assert found.exit_code == 0, found.output
    assert "edges after 4 games (forward 27, reverse 25, markowitz 22)" in found.output
    assert json.loads(order.read_text())["found_by"] == "alphazero"
    again = CliRunner().invoke(main, [*asked, *few, "--checkpoint", str(kept), "--resume"])
    assert again.exit_code == 0, again.output
    assert again.output.splitlines()[-1] == found.output.splitlines()[-1]
    untaught = next(iter(play(GAME, general(), 0.0, 0)))
    assert json.loads((kept / run.LOG).read_text())["greedy"] == accumulate(GRAPH, untaught).edges
    for option in (["--channels", "8"], ["--layers", "1"], ["--elimination", "edge"]):
        refused = CliRunner().invoke(main, [*asked, *option])
        assert refused.exit_code == 2
        assert "pretrained network" in refused.output


def test_doctor_knows_the_versions():
    doctor = CliRunner().invoke(main, ["doctor"])
    assert doctor.exit_code == 0
    assert f"jax          {jax.__version__}" in doctor.output


def test_compare_shows_all_searches():
    graph = str(FOLDER / "lif_2023.json")
    found = CliRunner().invoke(main, ["compare", graph, "--objective", "edges", "--json"])
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    costs = {row["search"]: row["cost"] for row in document["rows"]}
    assert costs["forward"] == 27
    assert costs["reverse"] == 25
    assert costs["auto"] == document["lower_bound"] == 22
    assert costs["alphazero"] == costs["annealing"] == 22


def test_a_model_is_generated_by_the_network(tmp_path):
    model = Path(__file__).parents[1] / "models" / "fitzhugh_nagumo.py"
    target = tmp_path / "out.py"
    found = CliRunner().invoke(
        main, [str(model), "--search", "alphazero", "--budget", "0", "-o", str(target)]
    )
    assert found.exit_code == 0, found.output
    assert "3 multiplications" in found.output
    refused = CliRunner().invoke(main, [str(model), "--search", "alphazero", "--objective", "peak"])
    assert refused.exit_code == 2
    assert "AlphaZero eliminates vertices" in refused.output
