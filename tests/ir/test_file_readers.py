"""What anyone may have written: orders, graphs, networks, configurations, generated files.

Each reader takes what gradgen wrote, and answers anything else with an error; never with a
traceback. `GRADGEN_FUZZ=20000 pytest tests/ir/test_file_readers.py` looks for longer.
"""

from __future__ import annotations

import copy
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from gradgen.config import Settings
from gradgen.elimination.accumulate import accumulate
from gradgen.errors import GradgenError
from gradgen.ir.graph import Order
from gradgen.ir.graph_file import read_graph, write_graph
from gradgen.project.budgets import over_budget
from gradgen.project.configuration import parse
from gradgen.project.facts import Facts, reasons
from gradgen.project.record import read_record
from gradgen.project.target import Target
from gradgen.search.alphazero.checkpoint import (
    FORMAT,
    LATEST,
    read_network,
    read_state,
    write_state,
)
from gradgen.search.alphazero.run import _read_log
from gradgen.search.alphazero.training import Training
from gradgen.search.heuristics import propose

ROOT = Path(__file__).parents[2]
FUZZ = settings(
    max_examples=int(os.environ.get("GRADGEN_FUZZ", "150")),
    derandomize="GRADGEN_FUZZ" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

GRAPH = {
    "independents": 2,
    "dependents": [4, 5],
    "edges": [
        [0, 2, "variable"], [1, 2, "unit"], [2, 3, "mask"], [1, 3, "constant"],
        [3, 4, "variable"], [2, 5, "variable"],
    ],
    "names": ["a", "b", "c d", "e>f", "out:0", "out:1"],
    "aliases": ["v", "w", "x", "y", "out 0", "out 1"],
}  # fmt: skip
ORDER = {
    "elimination": "vertex",
    "fingerprint": "0123456789abcdef",
    "steps": ["c d", "e>f"],
    "found_by": "exact search",
    "proved_optimal": True,
}
CONFIGURATION = """\
[tool.gradgen]
static = { dt = 0.1 }
ranges = { v = [-1, 2.5] }
[tool.gradgen.targets.a]
source = "a.py"
output = "b.py"
function = "step"
wrt = ["v"]
example = "a.py:example"
max-muls = 3
emit = ["f", "vjp"]
objective = "edges"
per-neuron = true
"""
GENERATED = (ROOT / "generated" / "lif_grad.py").read_text()
NETWORK = {"['linear']['w']": np.ones((2, 3), np.float32), "['linear']['b']": np.zeros(3)}
SIZE = {"channels": 4, "heads": 2, "layers": 1, "attention": "axial", "value": True}

numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([10**400, -(10**30), 2**31, 2**63, 10**6, 0, -1])
)
texts = st.one_of(st.text(max_size=8), st.sampled_from(["", "\n", "\0", "\ud800", "%", "a>b", " "]))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """The document with something else in one place of it, or in a few."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        parent, key = None, None
        here = found
        while isinstance(here, dict | list) and here and draw(st.integers(0, 3)):
            keys = sorted(here, key=repr) if isinstance(here, dict) else range(len(here))
            parent, key = here, draw(st.sampled_from(list(keys)))
            here = parent[key]
        if parent is None:
            continue
        if draw(st.integers(0, 4)) == 0:
            del parent[key]
        else:
            parent[key] = draw(values)
    return found


@st.composite
def spoiled(draw: st.DrawFn, text: str) -> str:
    """The text with pieces of it cut out, doubled, swapped or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 40)))
        piece = draw(
            st.sampled_from(
                ["", text[begin:end] * 2, "9" * 5000, "[" * 20000, "{", "'", "\\", "nan"]
            )
            | texts
        )
        text = text[:begin] + piece + text[end:]
    return text.encode(errors="ignore").decode()  # as from a file


def documents(document: Any, text: str | None = None) -> st.SearchStrategy[str]:
    plain = json.dumps(document) if text is None else text
    return mutated(document).map(json.dumps) | spoiled(plain) | st.text(max_size=20)


def refused_or_read(reader: Callable[[], Any], refusal: type[Exception] = GradgenError) -> Any:
    """What is read; None where it is refused, with a sentence."""
    try:
        return reader()
    except refusal as raised:
        error = raised
    assert str(error).strip()
    assert getattr(error, "exit_code", 2) == 2
    return None


@FUZZ
@given(documents(ORDER))
def test_orders(text: str) -> None:
    order = refused_or_read(lambda: Order.from_json(text), ValueError)
    if order is not None:
        assert Order.from_json(order.to_json()) == order
        assert "\n" not in order.found_by
        refused_or_read(lambda: accumulate(read_graph(json.dumps(GRAPH)), order), ValueError)


@FUZZ
@given(documents(GRAPH))
def test_graphs(text: str) -> None:
    graph = refused_or_read(lambda: read_graph(text), ValueError)
    if graph is not None and len(graph.vertices) < 100:
        assert read_graph(write_graph(graph)).fingerprint == graph.fingerprint
        for order in propose(graph):
            accumulate(graph, order).check()
            assert Order.from_json(order.to_json()) == order
        json.dumps([vertex.alias for vertex in graph.vertices]).encode()


@FUZZ
@given(documents({}, CONFIGURATION))
def test_configurations(text: str) -> None:
    refused_or_read(lambda: parse(Path("pyproject.toml"), text))


TABLES = {
    "static": {"dt": 0.1},
    "ranges": {"v": [-1, 2.5]},
    "targets": {
        "a": {
            "source": "a.py", "output": "b.py", "function": "step", "wrt": ["v"], "max-ops": 3,
            "example": "a.py:example", "emit": ["f"], "objective": "edges", "per-neuron": True,
        }
    },
}  # fmt: skip


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return "''" if value is None else json.dumps(value)


@FUZZ
@given(mutated({"tool": {"gradgen": TABLES}}))
def test_configurations_of_every_type(document: dict[str, Any]) -> None:
    text = "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in document.items())
    refused_or_read(lambda: parse(Path("pyproject.toml"), text))


def literal(document: dict[str, Any]) -> str:
    before, _, rest = GENERATED.partition("GRADGEN = {\n")
    body = "".join(f"    {key!r}: {value!r},\n" for key, value in document.items())
    return f"{before}GRADGEN = {{\n{body}}}\n{rest.partition(chr(10) + '}' + chr(10))[2]}"


def recorded() -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    start = GENERATED.index("GRADGEN = {\n")
    exec(GENERATED[start : GENERATED.index("\n}\n", start) + 3], namespace)
    return dict(namespace["GRADGEN"], imports={"b.py": "sha256:0"}, options={"wrt": ("v",)})


@FUZZ
@given(
    mutated(recorded()).map(literal)
    | spoiled(GENERATED[: GENERATED.index("def ")])
    | st.sampled_from(["-" * 100_000 + "1", "[" * 9000, "{[]: 1}", "{1: 2, 'a': 3}"]).map(
        lambda value: literal({}).replace("GRADGEN = {\n", f'GRADGEN = {{\n    "x": {value},\n')
    )
)
def test_generated_files(text: str) -> None:
    record = read_record(text)
    if record is None:
        return
    target = Target(Settings("models/lif.py"), "generated/lif_grad.py", "lif", {"max-ops": 1}, None)
    facts = Facts("models/lif.py", "0", (("b.py", "1"),), (("objective", "edges"),), "step")
    for finding in reasons(target, record, facts):
        finding.pretty().encode(errors="surrogateescape")
    if record.counts is not None:
        over_budget(target, record.counts)
    if record.recipe is not None:
        assert "\n" not in record.recipe.order.found_by
        assert isinstance(record.recipe.order.proved_optimal, bool)
    assert record.line_of("proved_optimal") >= 1


def spoiled_bytes(content: bytes) -> st.SearchStrategy[bytes]:
    head = st.integers(0, 300)

    def spoil(parts: tuple[int, int, bytes]) -> bytes:
        begin, length, piece = parts
        return content[:begin] + piece + content[begin + length :]

    return st.tuples(head, st.integers(0, 30), st.binary(max_size=12)).map(spoil) | st.binary()


@FUZZ
@given(
    spoiled_bytes(save(NETWORK, {"size": json.dumps(SIZE)}))
    | mutated(SIZE).map(lambda size: save(NETWORK, {"size": json.dumps(size)}))
    | texts.map(lambda name: save({name.encode("utf-8", "replace").decode(): np.ones(2)}))
)
def test_networks(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.safetensors")
        path.write_bytes(content)
        read = refused_or_read(lambda: read_network(path))
        assert read is None or read[1].channels % read[1].heads == 0


class State(NamedTuple):
    params: dict[str, Any]
    iteration: Any


STATE = State({"linear": {"w": np.ones((2, 3), np.float32)}}, np.int32(3))
TRAINING = Training()
GAMES = {"graph.json": "0123, vertex, muls"}


with tempfile.TemporaryDirectory() as _folder:
    write_state(Path(_folder), STATE, TRAINING, GAMES)
    CHECKPOINT = Path(_folder, LATEST).read_bytes()
TENSORS = load(CHECKPOINT)
SAME = {"format": FORMAT}


@FUZZ
@given(
    spoiled_bytes(CHECKPOINT)
    | mutated(asdict(TRAINING)).map(
        lambda about: save(TENSORS, SAME | {"training": json.dumps(about)})
    )
    | spoiled(json.dumps(GAMES)).map(lambda about: save(TENSORS, SAME | {"games": about}))
)
def test_checkpoints(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, LATEST).write_bytes(content)
        read = refused_or_read(lambda: read_state(Path(folder), STATE, TRAINING, GAMES))
        assert read is None or read.params["linear"]["w"].shape == (2, 3)


@pytest.mark.parametrize("name", sorted(TENSORS))
@pytest.mark.parametrize("wrong", [None, np.ones((3, 2), np.float32), np.ones((2, 3), np.int8)])
def test_checkpoints_with_other_arrays(name: str, wrong: Any, tmp_path: Path) -> None:
    tensors = {key: value for key, value in TENSORS.items() if key != name}
    if wrong is not None:
        tensors[name] = wrong
    about = SAME | {"training": json.dumps(asdict(TRAINING)), "games": json.dumps(GAMES)}
    (tmp_path / LATEST).write_bytes(save(tensors, about))
    with pytest.raises(GradgenError, match=f"is damaged: .*{re.escape(name)}"):
        read_state(tmp_path, STATE, TRAINING, GAMES)


LOG = {
    "iteration": 0, "episodes": 4, "best": 3.0, "mean": 3.5, "greedy": 3.0, "random_best": 3.0,
    "divergence": 0.1, "squared_error": 0.2, "simulations_per_second": 1e3,
}  # fmt: skip


@FUZZ
@given(documents(LOG))
def test_logs(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "log.jsonl").write_text(text, encoding="utf-8")
        for line in refused_or_read(lambda: _read_log(Path(folder), 5)) or ():
            assert line.iteration < 5
            float(line.best)
