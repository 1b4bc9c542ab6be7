"""What an order says of itself is believed only where it is proved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from generating import generate
from projects import gradgen, trust

from gradgen.compile import ordering
from gradgen.config import Settings
from gradgen.elimination.cost import cost_of
from gradgen.errors import GradgenError
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.objective import Count, Objective
from gradgen.project.record import read_record
from gradgen.search.heuristics import propose
from gradgen.targets.jax.seal import text_digest

pytestmark = pytest.mark.usefixtures("trusted")

ROOT = Path(__file__).parents[2]
QIF = ROOT / "models" / "qif.py"
CLAIM = {"found_by": "divine insight", "proved_optimal": True}


@pytest.fixture(scope="module")
def graph() -> LinearGraph:
    return generate(QIF).graph


def considered(graph: LinearGraph, path: Path, **more: Any) -> Order:
    settings = Settings(str(QIF), order=str(path), **more)
    (order,) = ordering.orders_for(settings, graph)
    return order


def stored(path: Path, order: Order, **claims: object) -> Path:
    path.write_text(json.dumps(json.loads(order.to_json()) | claims))
    return path


def test_the_proof_of_an_order_file_is_made_again(graph: LinearGraph, tmp_path: Path) -> None:
    best = ordering.search(Settings(str(QIF)), graph)
    assert best.proved
    worse = max(propose(graph), key=lambda order: cost_of(graph, order, "muls"))
    assert cost_of(graph, worse, "muls") > best.lower_bound
    proved = considered(graph, stored(tmp_path / "best.json", best.order))
    assert proved == best.order
    forged = considered(graph, stored(tmp_path / "worse.json", worse, **CLAIM))
    assert (forged.found_by, forged.proved_optimal) == ("given order", False)
    assert forged.steps == worse.steps
    silent = considered(
        graph, stored(tmp_path / "silent.json", best.order, found_by="luck", proved_optimal=False)
    )
    assert (silent.found_by, silent.proved_optimal) == ("given order", False)


@pytest.mark.parametrize("objective", ["edges", "peak", "ops"])
def test_a_proof_is_one_under_the_objective_of_the_run(
    objective: Count, graph: LinearGraph, tmp_path: Path
) -> None:
    worse = max(propose(graph), key=lambda order: cost_of(graph, order, "edges"))
    path = stored(tmp_path / "order.json", worse, **CLAIM)
    order = considered(graph, path, objective=Objective(objective), budget=0.1)
    assert not order.proved_optimal


MODEL = QIF.read_text()
GENERATED = "qif_grad.py"
NO_CLAIM, CLAIMED = '"proved_optimal": False', '"proved_optimal": True'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Generated files by the order in which they accumulate: the best one, and another."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "model.py").write_text(MODEL)
    texts = {}
    with pytest.MonkeyPatch.context() as patch:
        trust(patch)
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name, options in (("best", ()), ("forward", ("--order", "forward"))):
            made = gradgen("model.py", "-o", GENERATED, *options)
            assert made.exit_code == 0, made.stderr
            texts[name] = Path(GENERATED).read_text()
            Path(GENERATED).unlink()
    assert CLAIMED in texts["best"]
    assert NO_CLAIM in texts["forward"]
    return texts


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def check(text: str) -> tuple[int, str]:
    Path(GENERATED).write_text(text)
    result = gradgen("model.py", "-o", GENERATED, "--check", "--no-verify")
    return result.exit_code, result.stderr


def sealed(text: str) -> str:
    return re.sub(r'(?<="text": ")sha256:[0-9a-f]+', text_digest(text), text, count=1)


@pytest.mark.parametrize("name", ["best", "forward"])
def test_what_was_built_is_current(name: str, built: dict[str, str], folder: Path) -> None:
    assert check(built[name])[0] == 0
    # the claim is no part of what is replayed
    edited = built[name].replace("def _primal", "def _primal_", 1)
    assert "edited by hand" in check(edited)[1]
    assert gradgen("model.py", "-o", GENERATED).exit_code == 0
    assert Path(GENERATED).read_text() == built[name]


def test_a_proof_that_was_written_in(built: dict[str, str], folder: Path) -> None:
    forged = built["forward"].replace(NO_CLAIM, CLAIMED)
    code, said = check(forged)
    assert code == 1
    assert "edited by hand" in said
    made = gradgen("model.py", "-o", GENERATED)
    assert made.exit_code == 0, made.stderr
    assert Path(GENERATED).read_text() == built["forward"]


def test_a_proof_that_was_sealed_in(built: dict[str, str], folder: Path) -> None:
    forged = sealed(built["forward"].replace(NO_CLAIM, CLAIMED))
    found = read_record(forged)
    assert found is not None
    assert not found.edited
    code, said = check(forged)
    assert code == 1
    line = forged[: forged.index(CLAIMED)].count("\n") + 1
    assert said.startswith(f"{GENERATED}:{line}:1: stale:")
    assert "calls its order optimal, and there is no proof of that" in said


def test_a_proof_is_found_again(built: dict[str, str], folder: Path) -> None:
    Path(GENERATED).write_text(sealed(built["best"].replace(CLAIMED, NO_CLAIM)))
    made = gradgen("model.py", "-o", GENERATED, "--search-again")
    assert made.exit_code == 0, made.stderr
    assert Path(GENERATED).read_text() == built["best"]


def test_a_stored_order_of_faces(graph: LinearGraph, tmp_path: Path) -> None:
    path = stored(tmp_path / "order.json", propose(graph)[0], elimination="face", steps=["a>b b>c"])
    with pytest.raises(GradgenError, match="face elimination was taken out") as caught:
        considered(graph, path)
    assert caught.value.path == str(path)
    assert caught.value.hint is not None


def test_a_recorded_order_of_faces(built: dict[str, str], folder: Path) -> None:
    vertex, face = '"elimination": "vertex"', '"elimination": "face"'
    old = sealed(built["best"].replace(vertex, face))
    code, said = check(old)
    assert code == 1
    line = old[: old.index(face)].count("\n") + 1
    assert said.startswith(f"{GENERATED}:{line}:1: stale: {GENERATED} has an order of faces")
    assert f"  hint: gradgen model.py -o {GENERATED}\n" in said
    made = gradgen("model.py", "-o", GENERATED)
    assert made.exit_code == 0, made.stderr
    assert Path(GENERATED).read_text() == built["best"]


@pytest.mark.parametrize("where", ["order", "graph"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply"),
        (b"NaN", "NaN is no number"),
        (b'{"steps": [], "steps": []}', "'steps' is there twice"),
        (b'{"steps": ' + b"9" * 5000 + b"}", "limit"),
        (b"[]", "an object with"),
    ],
)
def test_files_that_are_none(where: str, content: bytes, message: str, folder: Path) -> None:
    path = folder / "file.json"
    path.write_bytes(content)
    options = ("model.py", "--order", path) if where == "order" else ("search", path)
    result = gradgen(*options)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}: error: ")
    assert message in result.stderr


@pytest.mark.parametrize(
    "key", ["elimination", "fingerprint", "steps", "found_by", "proved_optimal"]
)
@pytest.mark.parametrize("value", [None, 3, 1.5, [], ["a"], [[]], {}, {"a": 1}, "a\nb", True])
def test_orders_of_wrong_types(key: str, value: object, graph: LinearGraph, tmp_path: Path) -> None:
    path = stored(tmp_path / "order.json", propose(graph)[0], **{key: value})
    if (key, value) == ("proved_optimal", True):
        assert not considered(graph, path).proved_optimal
        return
    with pytest.raises(GradgenError) as caught:
        considered(graph, path)
    assert caught.value.path == str(path)
