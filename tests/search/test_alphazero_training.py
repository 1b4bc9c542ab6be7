"""Self-play, learning, checkpoints and commands, on games of seconds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from eliminating import cost_of_vertices
from generating import made_once
from graphs import FOLDER, reference_graph
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from gradgen.cli.main import main
from gradgen.elimination.accumulate import accumulate
from gradgen.errors import GradgenError
from gradgen.ir.graph_file import read_graph
from gradgen.search.alphazero import distributed, run
from gradgen.search.alphazero.checkpoint import read_network
from gradgen.search.alphazero.demonstrations import demonstrate, equals
from gradgen.search.alphazero.game import FREE, begin
from gradgen.search.alphazero.imitation import Imitation
from gradgen.search.alphazero.learning import Learning
from gradgen.search.alphazero.network import NetworkSize
from gradgen.search.alphazero.planning import Planning
from gradgen.search.alphazero.pretrained import general
from gradgen.search.alphazero.search import cheapest, play
from gradgen.search.alphazero.training import Trainer, Training
from gradgen.search.portfolio import search
from gradgen.search.task import scalar_task

GRAPH = reference_graph("lif_2023")
GAME = begin(scalar_task(GRAPH, "edges"))
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")

    def train() -> tuple[Any, dict[str, bytes]]:
        found = run.train({"lif": GAME}, SMALL, folder=folder)
        return found, {path.name: path.read_bytes() for path in folder.iterdir()}

    found, files = made_once("a whole training", train)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return found, folder


def test_orders_cost_what_is_said(trained):
    found, _ = trained
    number = {vertex.name: k for k, vertex in enumerate(GRAPH.vertices)}
    (order,), (price,) = found.orders, found.prices
    assert price == cost_of_vertices(GRAPH, "edges", [number[step] for step in order.steps])
    assert 22 <= price <= 25
    assert order.found_by == "alphazero"
    assert [line.episodes for line in found.lines] == [8, 16, 24]
    assert all(line.best <= line.mean for line in found.lines)
    assert found.lines[-1].squared_error < found.lines[0].squared_error


def test_a_game_is_worth_what_it_costs_in_the_end():
    trainer = Trainer([GAME], SMALL)
    state, iteration = next(trainer.run(trainer.begin()))
    replay = jax.tree.map(np.asarray, state.replay)
    for k in range(SMALL.environments):
        steps = [GRAPH.intermediates[m] for m in iteration.moves[k]]
        assert iteration.prices[k] == cost_of_vertices(GRAPH, "edges", steps)
        values = replay.experiences.value[k][: GAME.moves]
        np.testing.assert_allclose(values, -np.log(iteration.prices[k] / 22 + FREE), rtol=1e-5)
        weights = replay.experiences.weights[k][: GAME.moves]
        np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
        legal = replay.experiences.position.left[k][: GAME.moves]
        assert (weights[~legal] < 1e-6).all()
        assert legal.sum(-1).tolist() == list(range(GAME.moves, 0, -1))


def test_a_run_that_is_resumed_ends_the_same(trained, tmp_path):
    whole, _ = trained
    interrupting = iter((None, KeyboardInterrupt))

    def interrupt(line: run.LogLine) -> None:
        error = next(interrupting)
        if error is not None:
            raise error

    first = run.train({"lif": GAME}, SMALL, folder=tmp_path, listener=interrupt)
    assert first.interrupted
    assert len(first.lines) == 2
    rest = run.train({"lif": GAME}, SMALL, folder=tmp_path, resume=True)

    def timeless(lines: tuple[run.LogLine, ...]) -> list[list[float]]:
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


def _edited(change):
    """A checkpoint with other arrays or another description."""

    def edit(path: Path) -> None:
        with safe_open(path, "numpy") as file:
            about = dict(file.metadata())
        arrays = load_file(path)
        change(arrays, about)
        save_file(arrays, path, about)

    return edit


def _first(arrays, kind: str, where: str = "") -> str:
    return next(k for k in sorted(arrays) if arrays[k].dtype.kind == kind and where in k)


def _with(array, value):
    changed = array.copy()
    changed.reshape(-1)[-1] = value
    return changed


def _change(kind: str, value, where: str = ""):
    def change(arrays, about) -> None:
        name = _first(arrays, kind, where)
        arrays[name] = _with(arrays[name], value)

    return _edited(change)


def _transform(function, where: str = ""):
    def change(arrays, about) -> None:
        name = _first(arrays, "f", where)
        arrays[name] = function(arrays[name])

    return _edited(change)


DAMAGES = {
    "nothing": (lambda path: path.write_bytes(b""), "this is no network"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[: 1 << 12]), "this is no network"),
    "text": (lambda path: path.write_text("{}" * 99), "this is no network"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "network"),
    "nan": (_change("f", np.nan, ".params"), "not all numbers of .params"),
    "infinity": (_change("f", np.inf, ".optimizer"), "not all numbers of .optimizer"),
    "shape": (_transform(lambda a: a[..., None], ".params"), "where float32"),
    "dtype": (_transform(lambda a: a.astype(np.float64), ".params"), "is float64"),
    "fewer": (_edited(lambda a, about: a.pop(_first(a, "f"))), "it holds other arrays"),
    "more": (_edited(lambda a, about: a.update(x=np.zeros(1))), "other arrays, such as x"),
    "described by nothing": (_edited(lambda a, about: about.clear()), "it does not say which"),
    "described by a list": (_edited(lambda a, about: about.update(games="[]")), "which games"),
    "no JSON": (_edited(lambda a, about: about.update(training="{")), "which training"),
    "negative": (_change("i", -1, ".iteration"), "negative numbers in .iteration"),
    "too far": (_change("i", 99, ".iteration"), "it is of iteration 99"),
    "a move that there is not": (_change("i", 999, ".best.moves"), "do not cost what it says"),
    "another price": (_change("f", 5.0, ".best.prices"), "do not cost what it says"),
}


@pytest.fixture(scope="module")
def begun():
    trainer = Trainer([GAME], SMALL)
    return trainer, trainer.begin()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused(trained, begun, tmp_path, damage):
    trainer, state = begun
    edit, message = DAMAGES[damage]
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    edit(tmp_path / run.LATEST)
    with pytest.raises(GradgenError) as raised:
        run.restored(trainer, state, tmp_path, {"lif": GAME})
    assert message in raised.value.message
    assert raised.value.path == str(tmp_path / run.LATEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lambda lines: "", "does not tell of the checkpoint's 3 iterations"),
        (lambda lines: "\n".join(lines[1:]), "does not tell of the checkpoint's 3 iterations"),
        (lambda lines: "\n".join(lines)[:-20], "no log of a training"),
        (lambda lines: "\n".join(["[]", *lines]), "no log of a training"),
        (lambda lines: "\n".join(lines).replace('"best": 2', '"best": "2'), "no log"),
        (lambda lines: "\n".join(lines).replace('"mean": 2', '"mean": 1e9992'), "no log"),
        (lambda lines: "\n".join(lines).replace('"best": 22.0', '"best": "22"'), "no log"),
    ],
)
def test_a_damaged_log_is_refused(trained, begun, tmp_path, text, message):
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    lines = (tmp_path / run.LOG).read_text().splitlines()
    (tmp_path / run.LOG).write_text(text(lines))
    with pytest.raises(GradgenError, match=message):
        run.restored(*begun, tmp_path, {"lif": GAME})


def test_files_of_others_are_not_overwritten(tmp_path):
    for name in (run.LOG, run.PICTURE):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(GradgenError, match=f"there is a file '{name}' already"):
            run.train({"lif": GAME}, SMALL, folder=folder)
        assert (folder / name).read_text() == "mine"


@pytest.mark.full
def test_an_interrupted_training(tmp_path):
    # early: there is nothing to keep, and nothing to wait for; then once, after the first games
    asked = [sys.executable, "-m", "gradgen", "train", str(FOLDER / "lif_2023.json")]
    asked += ["--episodes", "400", "--envs", "4", "--simulations", "2", "--channels", "4"]
    for name, begun in (("early", ""), ("late", "games: best")):
        folder = tmp_path / name
        process = subprocess.Popen(
            [*asked, "--layers", "1", "--checkpoint", str(folder)],
            env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_PLATFORMS": "cpu"},
            stderr=subprocess.PIPE,
            text=True,
        )
        while not folder.exists():
            assert process.poll() is None
            time.sleep(0.02)
        while begun and begun not in (line := process.stderr.readline()):
            assert line, process.wait()
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 130, errors
        assert errors.endswith("interrupted\n")
        assert "Traceback" not in errors
        assert (folder / run.LATEST).exists() == bool(begun)
    lines = (folder / run.LOG).read_text().splitlines()
    assert 0 < len(lines) < 100


DEVICES = """
import sys
import numpy as np
from test_alphazero_training import GAME, SMALL
from gradgen.search.alphazero import distributed, run
from gradgen.search.alphazero.checkpoint import read_network
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


@pytest.mark.full
def test_two_devices_learn_what_one_does(trained, tmp_path):
    process = start(
        [str(tmp_path / "numbers")], XLA_FLAGS="--xla_force_host_platform_device_count=2"
    )
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    np.testing.assert_allclose(np.loadtxt(tmp_path / "numbers"), numbers_of(trained[0]), rtol=1e-3)


@pytest.mark.full  # two devices of one process are the same program
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


def test_numbers_that_are_not_finite_are_not_kept(trained, begun, monkeypatch, tmp_path):
    def diverging(self, state):
        params = jax.tree.map(lambda leaf: leaf * np.nan, state.params)
        yield state._replace(params=params, iteration=state.iteration + 1), None

    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(Trainer, "run", diverging)
    with pytest.raises(GradgenError, match="not finite any more after iteration 3") as raised:
        run.train({"lif": GAME}, SMALL, folder=tmp_path, resume=True)
    assert "the checkpoint is of the iteration before" in raised.value.hint
    state, lines = run.restored(*begun, tmp_path, {"lif": GAME})
    assert (int(state.iteration), len(lines)) == (3, 3)


def test_what_cannot_be_learned(trained, tmp_path):
    text = '{"independents": 1, "dependents": [1], "edges": [[0, 1, "variable"]]}'
    nothing = begin(scalar_task(read_graph(text), "edges"))
    with pytest.raises(GradgenError, match="without intermediates"):
        Trainer([nothing], SMALL)
    edges = begin(scalar_task(reference_graph("human_heart_dipole"), "edges"), elimination="edge")
    with pytest.raises(GradgenError, match="games to be remembered take"):
        Trainer([edges], Training()).begin()
    with pytest.raises(GradgenError, match="there is a checkpoint already"):
        run.train({"lif": GAME}, SMALL, folder=trained[1])
    other = begin(scalar_task(GRAPH, "muls"))
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
        (["--rate", "nan"], "nan is not a finite number"),
        (["--rate", "inf"], "inf is not a finite number"),
        (["--warm-start", "nan"], "nan is not a finite number"),
    ],
)
def test_train_refuses(options, message):
    refused = CliRunner().invoke(main, ["train", str(FOLDER / "lif_2023.json"), *options])
    assert refused.exit_code == 2
    assert message in refused.output


def test_a_device_whose_plugin_is_missing(monkeypatch):
    def devices():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(GradgenError, match="JAX sees no gpu\n"):
        distributed.require_devices("gpu")
    assert distributed.devices() == "none"


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
    assert "JAX sees no tpu" in done.stderr


def test_a_heuristic_is_written_where_it_is_better():
    graph = reference_graph("human_heart_dipole")
    game = begin(scalar_task(graph, "edges"))
    forward = game.order(np.arange(game.moves), "alphazero")
    assert cheapest(game, forward).found_by.startswith("markowitz")
    best = search(graph, objective="edges", budget=0.0).order
    assert cheapest(game, best) is best


def test_demonstrations_cost_the_same():
    graph = reference_graph("propane_combustion")
    game = begin(scalar_task(graph, "edges"))
    best = search(graph, objective="edges", budget=0.0)
    orders = equals(game, best.order, 3, seed=1)
    assert len({tuple(order) for order in orders}) == 3
    assert {cost_of_vertices(graph, "edges", order) for order in orders} == {best.cost}
    shown = demonstrate(game, best.order, 2, seed=1)
    prices = {
        cost_of_vertices(graph, "edges", [graph.intermediates[m] for m in row]) for row in shown
    }
    assert prices == {best.cost}


@pytest.mark.full
def test_a_warm_start_plays_what_it_was_shown(monkeypatch):
    monkeypatch.setattr(run, "Imitation", partial(Imitation, updates=60))
    warm = run.train({"lif": GAME}, SMALL, warm_start=0.0)
    assert warm.lines[0].greedy <= 23


@pytest.mark.full
def test_edge_orders_are_learned():
    found = run.train({"lif": replace(GAME, elimination="edge")}, replace(SMALL, episodes=16))
    (order,), (price,) = found.orders, found.prices
    assert order.elimination == "edge"
    assert accumulate(GRAPH, order).edges == price


@pytest.mark.full
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


def test_compare_on_arrays(tmp_path, monkeypatch):
    """Of two products of matrices that follow each other the second goes first."""
    source = (
        "# gradgen: shape x=(b, n) w=(n, m) u=(m, k)\n# gradgen: size b=2 n=3 m=5 k=7\n"
        "def f(x, w, u):\n    return (x @ w) @ u\n\n\n"
        "# gradgen: shape xs=(time, n)\ndef loop(xs):\n"
        "    return jax.lax.scan(lambda v, x: (v * x, v), xs[0], xs)[1].sum()\n"
    )
    monkeypatch.chdir(tmp_path)
    Path("f.py").write_text(f"import jax\n\n\n{source}")
    options = ("f.py:f", "--budget", "0.1", "--json")
    found = CliRunner().invoke(main, ["compare", *options])
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    costs = {row["search"]: row["cost"] for row in document["rows"]}
    # cotangents of x @ w, of x, w and u
    least = 2 * 7 * 5 + 2 * 5 * 3 + 2 * 5 * 3 + 2 * 5 * 7
    assert costs["reverse"] == costs["auto"] == document["lower_bound"] == least
    assert costs["annealing"] == costs["alphazero"] == least
    refused = CliRunner().invoke(main, ["compare", "f.py:loop"])
    assert refused.exit_code == 2
    assert "for whole loops there is gradgen search" in refused.stderr
    assert CliRunner().invoke(main, ["search", "f.py:loop"]).exit_code == 0


@pytest.mark.usefixtures("trusted")
def test_a_model_is_generated_by_the_network(tmp_path):
    model = Path(__file__).parents[2] / "models" / "fitzhugh_nagumo.py"
    target = tmp_path / "out.py"
    found = CliRunner().invoke(
        main, [str(model), "--search", "alphazero", "--budget", "0", "-o", str(target)]
    )
    assert found.exit_code == 0, found.output
    assert "3 multiplications" in found.output
    refused = CliRunner().invoke(main, [str(model), "--search", "alphazero", "--objective", "peak"])
    assert refused.exit_code == 2
    assert "AlphaZero eliminates vertices" in refused.output


def test_a_network_of_an_older_format_is_refused(tmp_path):
    path = tmp_path / "network.safetensors"
    save_file({"['linear']['w']": np.zeros((2, 2), np.float32)}, path, {"size": "{}"})
    with pytest.raises(GradgenError, match="of format '1', and gradgen plays with those of '3'"):
        read_network(path)


LAYER = """
import jax.numpy as jnp


# gradgen: shape x=(batch, n) w=(n, m) v=(batch, m) g=(m,)
def step(x, w, v, g):
    current = jnp.tanh(x @ w) * g
    return v * current, jnp.exp(current) * v
"""
LOOP = """
import jax
import jax.numpy as jnp


# gradgen: shape x=(time, n) w=(n,)
def run(x, w):
    return jax.lax.scan(lambda v, i: (jnp.tanh(v * w + i), v), jnp.zeros_like(w), x)[0]
"""


@pytest.fixture
def layer(tmp_path):
    path = tmp_path / "layer.py"
    path.write_text(LAYER)
    return str(path)


@pytest.mark.full
def test_a_layer_is_searched_and_learned(layer, tmp_path):
    def found(*options: str) -> dict[str, int]:
        done = CliRunner().invoke(main, ["search", layer, "--json", *options])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    best, played = found(), found("--search", "alphazero", "--budget", "0.1")
    assert best["best"] <= played["best"] <= min(best["forward"], best["reverse"])
    assert played["found_by"].startswith(("alphazero", "markowitz", "forward", "reverse"))
    order = tmp_path / "order.json"
    few = ["--episodes", "4", "--envs", "4", "--simulations", "2", "--channels", "4"]
    done = CliRunner().invoke(main, ["train", layer, *few, "--layers", "1", "-o", str(order)])
    assert done.exit_code == 0, done.output
    assert "muls after 4 games (forward " in done.output
    assert json.loads(order.read_text())["fingerprint"] == best["graph"]


def test_what_is_not_played_on_arrays(layer, tmp_path):
    for options in (["--objective", "edges"], ["--elimination", "edge"]):
        done = CliRunner().invoke(main, ["train", layer, *options])
        assert done.exit_code == 2
        assert "layer.py:6:1: error: 'step' is on arrays" in done.output
    loop = tmp_path / "loop.py"
    loop.write_text(LOOP)
    for command in (["train", str(loop)], ["search", str(loop), "--search", "alphazero"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2
        assert "AlphaZero plays graphs without loops" in done.output
