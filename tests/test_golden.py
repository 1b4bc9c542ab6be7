"""The committed files in generated/ are current: the check that users run, on this repository.

`gradgen --check --diff` shows what would change, and `gradgen` accepts it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import gradgen

from gradgen.project.configuration import read

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {str(t.name): t for t in read(ROOT / "pyproject.toml").targets}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", TARGETS)
def test_generated_file_is_current_within_its_budget_and_exact(name: str) -> None:
    result = gradgen("--check", "--diff", name)
    assert result.exit_code == 0, result.stderr + result.stdout
    assert "; exact: " in result.stderr
    # a budget is what the file takes, so that a change that saves operations is held on to; that
    # nothing has changed since is known by now
    result = gradgen("--check", "--no-verify", "--output-format", "json", name)
    assert f'"ops": {TARGETS[name].budgets["max-ops"]},' in result.stdout
    assert f'"muls": {TARGETS[name].budgets["max-muls"]},' in result.stdout


def test_every_model_is_a_target_and_there_are_no_orphans() -> None:
    models = {path.stem for path in (ROOT / "models").glob("*.py")}
    assert set(TARGETS) == models
    committed = {path.stem for path in (ROOT / "generated").glob("*.py")}
    assert committed == {f"{model}_grad" for model in models}
