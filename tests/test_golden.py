"""The committed files in generated/ are current: the check that users run, on this repository.

`gradgen --check --diff` shows what would change, and `gradgen` accepts it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from generating import each
from projects import gradgen

from gradgen.project.configuration import read
from gradgen.project.record import read_record
from gradgen.project.target import BUDGETS
from gradgen.verify.recount import recount

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {str(t.name): t for t in read(ROOT / "pyproject.toml").targets}
COMPARED = frozenset((
    # rules of one's own, nested containers, integers, long equations
    "lif", "cuba_lif_state", "hodgkin_huxley",
    # arrays: products of matrices, batches of products, losses
    "lif_layer", "spiking_attention", "readout_loss",
))  # fmt: skip
"""What the normal run compares with JAX; the other files were when they were written.

Polynomials are compared in verify/test_verify.py.
"""


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in COMPARED])
def test_generated_file_is_current_and_within_its_budget(name: str) -> None:
    result = gradgen("--check", "--diff", "--no-verify", name)
    assert result.exit_code == 0, result.stderr + result.stdout
    assert "; not verified" in result.stderr


@pytest.mark.parametrize("name", each(*TARGETS, representatives=COMPARED))
def test_generated_file_is_current_within_its_budget_and_exact(name: str) -> None:
    result = gradgen("--check", "--diff", name)
    assert result.exit_code == 0, result.stderr + result.stdout
    assert "; exact: " in result.stderr


@pytest.mark.parametrize("name", TARGETS)
def test_a_budget_is_what_the_file_takes(name: str) -> None:
    """So that a change that saves operations is held on to."""
    target = TARGETS[name]
    text = (ROOT / str(target.output)).read_text(encoding="utf-8")
    record = read_record(text)
    assert record is not None
    assert record.counts is not None
    counts = record.counts
    found = (counts.muls, counts.ops, counts.residuals, counts.memory)
    stated = zip(BUDGETS, found, strict=True)
    assert target.budgets == {key: number for key, number in stated if number is not None}
    if record.counts.forward_ops is not None:  # of neurons; on arrays what is counted has sizes
        assert recount(text)["_value_and_entries"].total == record.counts.ops


def test_every_model_is_a_target_and_there_are_no_orphans() -> None:
    models = {path.relative_to(ROOT / "models") for path in (ROOT / "models").rglob("*.py")}
    assert {path.stem for path in models} <= set(TARGETS)
    committed = {
        path.relative_to(ROOT / "generated") for path in (ROOT / "generated").rglob("*.py")
    }
    assert {path.with_stem(f"{path.stem}_grad") for path in models} <= committed
    assert {ROOT / "generated" / path for path in committed} == {
        ROOT / str(target.output) for target in TARGETS.values()
    }
