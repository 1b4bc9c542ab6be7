"""`gradgen --check`: what it says of a file that is current, and of one that no longer is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import contents, edit, gradgen, judge_by, trust, write_project

from gradgen.compile import generation
from gradgen.elimination.accumulate import OrderMismatchError
from gradgen.project import inspecting
from gradgen.verify.verdict import Failure, Verdict

GENERATED = "generated/neuron_grad.py"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("built")
    write_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        trust(patch)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.chdir(folder)
        result = gradgen()
        assert result.exit_code == 0, result.stderr
        yield folder


@pytest.fixture
def project(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a project whose file is current."""
    folder = tmp_path / "project"
    shutil.copytree(built, folder, ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def check(project: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and messages of a check, which changes no file."""
    before = contents(project)
    result = gradgen("--check", *arguments)
    assert contents(project) == before
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stderr


def test_a_built_file_is_current(project: Path) -> None:
    code, said = check(project)
    assert code == 0, said
    assert "current" in said
    assert "exact" in said
    for word in ("neuron", GENERATED, "models/neuron.py", f"{project}/models/neuron.py"):
        code, said = check(project, "--no-verify", word)
        assert code == 0, said


def test_a_folder_below_finds_the_configuration(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "models")
    code, said = check(project, "--no-verify")
    assert code == 0, said
    assert "../generated/neuron_grad.py: current" in said
    edit(project / "pyproject.toml", "max-ops = 40", "max-ops = 1")
    code, said = check(project, "--no-verify")
    assert code == 1
    assert said.startswith("../pyproject.toml:8:1: over budget: ")


def test_unchanged_digests_need_no_jax(project: Path) -> None:
    code = (
        "import sys\nsys.modules['jax'] = None\nfrom gradgen.cli.main import main\n"
        "main(['--check', '--no-verify'])\n"
    )

    def without_jax() -> subprocess.CompletedProcess[str]:
        root = str(Path(__file__).resolve().parents[2])
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=project,
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=False,
        )

    assert without_jax().returncode == 3  # nothing is known yet of this copy of the project
    assert check(project, "--no-verify")[0] == 0
    result = without_jax()
    assert result.returncode == 0, result.stderr
    assert "nothing has changed" in result.stderr
    edit(project / "models" / "surrogate.py", "10.0", "11.0")
    assert without_jax().returncode == 3


def test_a_budget_counts_though_nothing_has_changed(project: Path) -> None:
    assert check(project, "--no-verify")[0] == 0
    edit(project / "pyproject.toml", "max-ops = 40", "max-ops = 10")
    code, said = check(project, "--no-verify")
    assert code == 1
    assert "nothing has changed" in said
    assert re.match(
        r"pyproject.toml:8:1: over budget: generated/neuron_grad.py takes (\d+) operations, "
        r"\d+ over its budget of 10\n  hint: .* raise max-ops to \1\n",
        said,
    )


@pytest.mark.parametrize(
    ("path", "old", "new", "message", "place"),
    [
        ("models/neuron.py", "One step", "A step", f"the source of {GENERATED} has changed",
         "models/neuron.py:4:"),
        ("models/neuron.py", "+ x", "+ x * x", "graph is another one", "models/neuron.py:4:"),
        ("models/surrogate.py", "10.0", "9.0", "this module has changed, which is part of",
         "models/surrogate.py:1:"),
        (GENERATED, "    v_next = ", "    v_next = 0.0 + ", "edited by hand", GENERATED),
        (GENERATED, '"proved_optimal": ', '"proved_optimal": not ', "edited by hand", GENERATED),
        ("pyproject.toml", "max-muls = 10", 'wrt = ["v", "alpha"]',
         f"configuration of {GENERATED} has changed: wrt", "pyproject.toml:7:"),
        ("pyproject.toml", "max-muls = 10", "ranges = { v = [-1, 2] }",
         f"configuration of {GENERATED} has changed: range", "pyproject.toml:7:"),
        ("pyproject.toml", "max-muls = 10", 'emit = ["vjp"]',
         f"configuration of {GENERATED} has changed: emit", "pyproject.toml:7:"),
    ],
)  # fmt: skip
def test_a_stale_file(
    project: Path, path: str, old: str, new: str, message: str, place: str
) -> None:
    edit(project / path, old, new)
    code, said = check(project)
    assert code == 1, said
    assert message in said
    assert said.startswith(place)
    assert "  hint: gradgen neuron\n" in said


def test_a_file_that_is_not_there(project: Path) -> None:
    (project / GENERATED).unlink()
    code, said = check(project)
    assert code == 1
    assert f"pyproject.toml:6:1: stale: {GENERATED} does not exist" in said
    (project / GENERATED).write_text("def step():\n    pass\n")
    code, said = check(project)
    assert code == 1
    assert "was not written by gradgen" in said
    result = gradgen()
    assert result.exit_code == 2
    assert "gradgen did not write this file" in result.stderr
    assert (project / GENERATED).read_text() == "def step():\n    pass\n"


def test_an_import_that_is_gone(project: Path) -> None:
    source = project / "models" / "neuron.py"
    source.write_text((project / "models" / "surrogate.py").read_text() + source.read_text()[29:])
    code, said = check(project)
    assert code == 1
    assert "the module surrogate.py is not any more part of the source" in said


@pytest.mark.usefixtures("trusted")
def test_release_and_line_ends_do_not_count(project: Path) -> None:
    file = project / GENERATED
    text = re.sub(r"gradgen [\w.]+ from", "gradgen 9.9 from", file.read_text(), count=1)
    text = re.sub(r'"version": ".*"', '"version": "9.9"', text, count=1)
    assert text != file.read_text()
    for other in (text.encode(), text.replace("\n", "\r\n").encode()):
        file.write_bytes(other)
        code, said = check(project, "--no-verify")
        assert code == 0, said
        assert "current" in said
    result = gradgen()
    assert result.exit_code == 0, result.stderr
    assert "unchanged" in result.stderr
    assert file.read_bytes() == text.replace("\n", "\r\n").encode()


@pytest.mark.usefixtures("trusted")
def test_another_renderer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render = inspecting.render
    monkeypatch.setattr(inspecting, "render", lambda module: render(module) + "# the end\n")
    code, said = check(project)
    assert code == 1
    assert f"gradgen changed, and writes another {GENERATED} for the same source" in said
    edit(project / GENERATED, '"version": "', '"version": "0.0.1')
    code, said = check(project)
    assert "gradgen changed (it was 0.0.1" in said


@pytest.mark.usefixtures("trusted")
def test_another_trace_of_the_same_source(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OrderMismatchError("the graph is another one")

    monkeypatch.setattr(generation, "replay", refuse)
    code, said = check(project)
    assert code == 1
    assert "though its source is the same: JAX (now " in said


def test_a_file_that_does_not_match_jax(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Failure("inexact", "vjp", "off by one")
    report = Verdict(1, 0, 0, (), (failure,), ())
    judge_by(monkeypatch, lambda _: report)
    code, said = check(project)
    assert code == 1
    assert f"inexact: {GENERATED} does not match JAX: not exact (inexact): vjp: off by one" in said
    assert "hint: gradgen neuron --search-again" in said


def test_counts_that_are_not_those_of_the_code(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting, "miscounted", lambda *_: "_vjp: mul: 3 in the text, 2 stated")
    code, said = check(project, "--no-verify")
    assert code == 1
    assert "counts differ: _vjp" in said


def test_a_broken_source(project: Path) -> None:
    edit(project / "models" / "neuron.py", "return v_next", "return v_next +")
    code, said = check(project)
    assert code == 2
    assert re.match(r"models/neuron.py:8:\d+: error: not valid Python: ", said)


@pytest.mark.usefixtures("trusted")
def test_orphans(project: Path) -> None:
    shutil.copy(project / GENERATED, project / "generated" / "old_grad.py")
    (project / "generated" / "mine.py").write_text("x = 1\n")
    code, said = check(project, "--no-verify")
    assert code == 1
    assert "generated/old_grad.py:1:1: orphan: no target writes this file" in said
    assert "mine.py" not in said
    assert check(project, "--no-verify", "neuron")[0] == 0
    result = gradgen()
    assert result.exit_code == 0, result.stderr
    assert "old_grad.py:1:1: orphan" in result.stderr
    assert (project / "generated" / "old_grad.py").exists()


@pytest.mark.usefixtures("trusted")
def test_the_difference(project: Path) -> None:
    assert gradgen("--check", "--diff", "--no-verify").stdout == ""
    edit(project / "models" / "neuron.py", "One step", "A step")
    before = contents(project)
    checked, built = gradgen("--check", "--diff"), gradgen("--diff")
    assert (checked.exit_code, built.exit_code) == (1, 0)
    assert checked.stdout == built.stdout
    assert contents(project) == before
    patch = subprocess.run(
        ["git", "apply", "-"], cwd=project, input=built.stdout, text=True, capture_output=True
    )
    assert patch.returncode == 0, patch.stderr
    assert '    """A step of a leaky' in (project / GENERATED).read_text()
    assert check(project, "--no-verify")[0] == 0


def test_a_source_and_its_output_need_no_configuration(project: Path) -> None:
    (project / "pyproject.toml").unlink()
    arguments = ("models/neuron.py", "-o", GENERATED)
    assert check(project, *arguments, "--no-verify")[0] == 0
    code, said = check(project, *arguments, "--no-verify", "--wrt", "v, alpha")
    assert code == 1
    assert f"  hint: gradgen models/neuron.py --wrt 'v, alpha' -o {GENERATED}" in said, said


@pytest.mark.usefixtures("trusted")
def test_output_for_machines(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(project / "pyproject.toml", "max-ops = 40", "max-ops = 1")
    edit(project / GENERATED, "    v_next = ", "    v_next = 0.0 + ")
    summary = project / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    def said(form: str) -> str:
        result = gradgen("--check", "--output-format", form)
        assert result.exit_code == 1
        assert result.stderr == ""
        return result.stdout

    document = json.loads(said("json"))
    assert document["exit_code"] == 1
    (target,) = document["targets"]
    assert target["state"] == "stale"
    assert target["counts"]["forward_ops"] >= target["counts"]["ops"] == target["before"]["ops"]
    kinds = [(found["kind"], found["path"], found["line"]) for found in target["findings"]]
    lines = (project / GENERATED).read_text().splitlines()
    edited = next(n for n, line in enumerate(lines, 1) if "v_next = 0.0 + " in line)
    assert kinds == [("stale", GENERATED, edited), ("over budget", "pyproject.toml", 8)]

    run = json.loads(said("sarif"))["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == ["stale", "over-budget"]
    (place,) = run["results"][1]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "pyproject.toml"
    assert place["physicalLocation"]["region"]["startLine"] == 8

    assert not summary.exists()
    lines = said("github").splitlines()
    assert lines[0] == (
        f"::error file={GENERATED},line={edited},col=1,title=gradgen%3A stale::"
        f"{GENERATED} was edited by hand%0Agradgen neuron"
    )
    assert lines[1].startswith("::error file=pyproject.toml,line=8,col=1,")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.parent))
    assert "::error file=project/pyproject.toml," in said("github")
    ops = target["counts"]["ops"]
    assert f"| `{GENERATED}` | stale | {ops} | {ops} | " in summary.read_text()
    assert "max-ops" in summary.read_text()


def test_errors_for_machines(project: Path) -> None:
    edit(project / "models" / "neuron.py", "return", "return return")
    document = json.loads(gradgen("--check", "--output-format", "json").stdout)
    assert document["exit_code"] == 2
    (found,) = document["targets"][0]["findings"]
    assert (found["kind"], found["path"], found["line"]) == ("error", "models/neuron.py", 8)
