"""Targets in pyproject.toml: read, chosen, built, added; and the order that a file records."""

from __future__ import annotations

import ast
import json
import re
import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from projects import NEURON, contents, edit, gradgen, write_project

from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.files import line_of
from gradgen.frontend.reading.directives import parse_static
from gradgen.project.configuration import parse
from gradgen.project.init import add_target
from gradgen.project.record import read_record

GENERATED = "generated/neuron_grad.py"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    path = tmp_path / "brain"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def record(path: Path) -> dict[str, Any]:
    found = read_record(path.read_text())
    assert found is not None
    assert not found.edited
    return runpy.run_path(str(path))["GRADGEN"]


class TestConfiguration:
    def test_a_target(self, tmp_path: Path) -> None:
        found = parse(
            tmp_path / "pyproject.toml",
            "[tool.gradgen]\nobjective = 'ops'\nemit = ['vjp']\nstatic = { dt = 0.1 }\n"
            "[tool.gradgen.targets.a]\nsource = 'a.py'\noutput = 'b.py'\nfunction = 'f'\n"
            "wrt = ['v', 'p.tau']\nranges = { v = [-90, 40.5] }\nexample = 'a.py:g'\n"
            "static = { on = true, mode = \"'fast'\", n = 3 }\nper-neuron = true\n"
            "elimination = 'edge'\nemit = ['jvp', 'f']\nmax-muls = 3\n",
        )
        (target,) = found.targets
        settings = target.settings
        assert Path(settings.path).resolve() == tmp_path / "a.py"
        assert settings.function == "f"
        assert set(settings.directives) == {
            ("wrt", "v, p.tau"),
            ("range", "v=-90:40.5"),
            ("static", "on=True"),
            ("static", "mode='fast'"),
            ("static", "n=3"),
        }
        assert (settings.objective.count, settings.elimination) == ("ops", "edge")
        assert settings.emit == ("jvp", "f")
        assert settings.per_neuron
        assert target.budgets == {"max-muls": 3}
        assert dict(settings.options())["example"] == "a.py:g"

    @pytest.mark.parametrize(
        ("lines", "line", "message"),
        [
            (("[tool.gradgen]", "colour = 1"), 2, "there is no key 'colour'"),
            (("[tool.gradgen]", "targets = 1"), 2, "'targets' is not a table"),
            (("[tool.gradgen]", "objective = 'speed'"), 2, "'objective' is not one of muls"),
            (("[tool]", "gradgen = 3"), 2, "'gradgen' is not a table"),
            (("[tool.gradgen", "x = 1"), 1, "not valid TOML: "),
            (("[tool.gradgen.targets]", "a = 1"), 2, "the target 'a' is not a table"),
            (("[tool.gradgen.targets.a]", "source = 'a.py'"), 1, "'a' has no output"),
            (("[tool.gradgen.targets.a]", "output = 'a.py'"), 1, "'a' has no source"),
            (("[tool.gradgen]", "elimination = 'face'"), 2, "face elimination was taken out"),
            (("[tool.gradgen.targets.a]", "source = 3"), 2, "'source' is not a string"),
            (("[tool.gradgen.targets.a]", "max-ops = -1"), 2, "'max-ops' is not a whole number"),
            (("[tool.gradgen.targets.a]", "max-ops = true"), 2, "'max-ops' is not a whole number"),
            (("[tool.gradgen.targets.a]", "max_ops = 1"), 2, "there is no key 'max_ops'"),
            (("[tool.gradgen.targets.a]", "wrt = 'v'"), 2, "'wrt' is not a list of names"),
            (("[tool.gradgen.targets.a]", "emit = ['g']"), 2, "'emit' is not a list of f, "),
            (("[tool.gradgen.targets.a]", "ranges = { v = 1 }"), 2, "'ranges' is not a table"),
            (("[tool.gradgen.targets.a]", "output = 'a/'"), 2, "'output' is not the path of"),
            (
                ("[tool.gradgen.targets.a]", "source = 's.py'", "output = 'pyproject.toml'"),
                3,
                "the output of 'a' would overwrite this configuration",
            ),
            (("[tool.gradgen.targets.a]", "static = { v = [] }"), 2, "'static' is not a table"),
            (("[tool.gradgen.targets.a]", "per-neuron = 1"), 2, "'per-neuron' is not true or"),
            (("[tool.gradgen.targets.a]", "[tool.gradgen.targets.a]"), 2, "not valid TOML"),
            (("[tool.gradgen]", "targets.a.source = 'a.py'", "targets.a.output = 'a.py'"), 3,
             "the output of 'a' would overwrite the source of 'a'"),
            (("[tool.gradgen.targets]", "a = { source = 'a.py', output = 'c.py' }",
              "b = { source = 'b.py', output = './c.py' }"), 3, "'a' and 'b' have the same output"),
            (("[tool.gradgen.targets]", "a = { source = 'a.py', output = 'c.py', example = 'x' }"),
             2, "'x' is not of the form FILE:FUNCTION"),
        ],
    )  # fmt: skip
    def test_errors_have_their_line(
        self, tmp_path: Path, lines: tuple[str, ...], line: int, message: str
    ) -> None:
        with pytest.raises(GradgenError) as caught:
            parse(tmp_path / "pyproject.toml", "\n".join(lines) + "\n")
        assert message in caught.value.message
        assert caught.value.line == line
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize(
        ("table", "key", "line"),
        [
            (("tool",), "", 1),
            (("tool", "a b"), "", 3),
            (("tool", "a b"), "x", 4),
            (("tool", "a b"), "y", 3),
            (("tool", "c", "d"), "x", 7),
            (("other",), "x", 1),
            (("other",), "z", 1),
        ],
    )
    def test_lines(self, table: tuple[str, ...], key: str, line: int) -> None:
        text = "[other]\n\n[ tool . 'a b' ]\nx = 1\n[[tool.list]]\n[tool.c]\n'd'.x = 1\n"
        assert line_of(text, table, key) == line


class TestChoice:
    def test_no_configuration(self, folder: Path) -> None:
        for arguments in ((), ("lif",), ("--check",)):
            result = gradgen(*arguments)
            assert result.exit_code == 2
            assert "no pyproject.toml with a table [tool.gradgen]" in result.stderr
        (folder / "pyproject.toml").write_text("[tool.gradgen]\n")
        result = gradgen()
        assert result.exit_code == 2
        assert "pyproject.toml: error: there are no targets" in result.stderr

    def test_no_such_target(self, folder: Path) -> None:
        write_project(folder)
        for word in ("neurone", "models/neurone.py"):
            result = gradgen("--check", word)
            assert result.exit_code == 2
            assert f"'{word}'\n  hint: there are: neuron" in result.stderr

    @pytest.mark.parametrize(
        "option",
        [("--wrt", "v"), ("--emit", "vjp"), ("--objective", "ops"), ("--order", "reverse")],
    )
    def test_what_pyproject_says_is_not_said_again(
        self, folder: Path, option: tuple[str, str]
    ) -> None:
        write_project(folder)
        result = gradgen("neuron", *option)
        assert result.exit_code == 2
        assert f"{option[0]} belongs to a source" in result.stderr

    def test_combinations_without_meaning(self, folder: Path) -> None:
        write_project(folder)
        assert "goes with --check" in gradgen("--no-verify").stderr
        assert "never searches" in gradgen("--check", "--search-again").stderr
        assert "is for people" in gradgen("--diff", "--output-format", "json").stderr
        for option in (("--diff",), ("--output-format", "json")):
            assert "-o OUT says which" in gradgen("models/neuron.py", *option).stderr
        assert gradgen("models/neuron.py", "neuron", "-o", "x.py").exit_code == 2


class TestInit:
    def test_a_new_file(self, folder: Path) -> None:
        (folder / "net").mkdir()
        (folder / "net" / "neuron.py").write_text("def f(v, p):\n    return v * p['tau']\n")
        result = gradgen("init", "net/neuron.py")
        assert result.exit_code == 0, result.stderr
        assert (folder / "pyproject.toml").read_text() == (
            '[tool.gradgen.targets.neuron]\nsource = "net/neuron.py"\n'
            'output = "net/neuron_grad.py"\n'
        )
        assert "pyproject.toml:1: target 'neuron' added; `gradgen neuron` writes" in result.stderr

    def test_everything_else_stays(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_project(folder)
        before = (folder / "pyproject.toml").read_text() + "\n[tool.ruff]  # the last one\nx = 1\n"
        (folder / "pyproject.toml").write_text(before)
        monkeypatch.chdir(folder / "models")
        result = gradgen(
            "init", "neuron.py:step", "--name", "by alpha", "-o", "../generated/b.py",
            "--wrt", "v,alpha", "--static", "beta=0.5", "--range", "v=-1:2", "--emit", "vjp",
            "--objective", "ops", "--example", "neuron.py:args", "--per-neuron",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        after = (folder / "pyproject.toml").read_text()
        added = (
            '\n[tool.gradgen.targets."by alpha"]\nsource = "models/neuron.py"\n'
            'function = "step"\noutput = "generated/b.py"\nwrt = ["v", "alpha"]\n'
            "static = {beta = 0.5}\nranges = {v = [-1.0, 2.0]}\n"
            'example = "models/neuron.py:args"\nper-neuron = true\nobjective = "ops"\n'
            'emit = ["vjp"]\n\n'
        )
        head, found, tail = after.partition(added.lstrip())
        assert found
        assert head + tail == before
        settings = parse(folder / "pyproject.toml", after).targets[1].settings
        assert ("range", "v=-1.0:2.0") in settings.directives
        again = gradgen("init", "neuron.py", "--name", "by alpha")
        assert again.exit_code == 2
        assert "there is a target 'by alpha' already" in again.stderr

    @pytest.mark.parametrize(
        ("source", "arguments", "message"),
        [
            (None, (), "cannot read the source file"),
            ("def f(v):\n  return v +\n", (), "not valid Python"),
            ("def f(v):\n  return v\n\n\ndef g(v):\n  return v\n", (), "several"),
            ("def f(v):\n  return v\n", ("--function", "g"), "there is no function 'g'"),
            ("def f(v):\n  return v\n", ("-o", "model.py"), "would overwrite the source"),
            ("def f(v):\n  return v\n", ("--range", "v=2"), "range"),
        ],
    )
    def test_nothing_is_written_for_a_bad_source(
        self, folder: Path, source: str | None, arguments: tuple[str, ...], message: str
    ) -> None:
        if source is not None:
            (folder / "model.py").write_text(source)
        before = contents(folder)
        result = gradgen("init", "model.py", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert contents(folder) == before


MADE = '''\
import jax.numpy as jnp


def f(u, v):
    """Two outputs of two inputs through one narrow place."""
    a = jnp.sin(u) * jnp.cos(v)
    b = jnp.exp(a) * jnp.tanh(a)
    return jnp.sin(b) * u, jnp.cos(b) * v
'''


@pytest.mark.usefixtures("trusted")
@pytest.mark.usefixtures("trusted")
class TestOrdersLast:
    def test_a_recorded_order_stays(self, folder: Path) -> None:
        source, output = folder / "f.py", folder / "f_grad.py"
        source.write_text(MADE)
        assert gradgen("f.py", "-o", "f_grad.py", "--order", "forward").exit_code == 0
        forward = record(output)
        assert forward["found_by"] == "forward"

        # the file is made anew: by the order that it records, whatever a search would find
        first = output.read_bytes()
        result = gradgen("f.py", "-o", "f_grad.py")
        assert "unchanged" in result.stderr
        assert output.read_bytes() == first

        # the source changes, but not its graph
        edit(source, "Two outputs", "A pair")
        assert "written" in gradgen("f.py", "-o", "f_grad.py").stderr
        assert record(output)["order"] == forward["order"]

        # a cheaper order is looked for only if asked
        result = gradgen("f.py", "-o", "f_grad.py", "--search-again")
        assert "written" in result.stderr, result.stderr
        better = record(output)
        worse, best = (r["counts"]["value_and_jacobian"] for r in (forward, better))
        assert best["accumulation"]["muls"] < worse["accumulation"]["muls"]

        # what is no cheaper does not take its place
        second = output.read_bytes()
        result = gradgen("f.py", "-o", "f_grad.py", "--search-again", "--seed", "1")
        assert "unchanged" in result.stderr
        assert output.read_bytes() == second

        # another graph needs another order, and that is said
        edit(source, "return jnp.sin(b)", "return jnp.sin(b * b)")
        result = gradgen("f.py", "-o", "f_grad.py")
        assert result.exit_code == 0, result.stderr
        assert "its graph is another one now, so that an order was searched for again" in (
            result.stderr
        )

    def test_another_objective_asks_again(self, folder: Path) -> None:
        (folder / "f.py").write_text(MADE)
        assert gradgen("f.py", "-o", "f_grad.py", "--order", "forward").exit_code == 0
        result = gradgen("f.py", "-o", "f_grad.py", "--objective", "edges")
        assert result.exit_code == 0, result.stderr
        now = record(folder / "f_grad.py")
        assert now["options"] == {"objective": "edges"}
        counts = now["counts"]["value_and_jacobian"]
        assert counts["accumulation"]["edges"] < counts["forward"]["edges"]

    def test_an_order_of_edges_is_none_of_vertices(self, folder: Path) -> None:
        (folder / "f.py").write_text(MADE)
        assert gradgen("f.py", "-o", "f_grad.py").exit_code == 0
        text = (folder / "f_grad.py").read_text()
        edges = text.replace('"elimination": "vertex"', '"elimination": "edge"')
        (folder / "f_grad.py").write_text(edges)
        result = gradgen("f.py", "-o", "f_grad.py")
        assert result.exit_code == 0, result.stderr
        assert (folder / "f_grad.py").read_text() == text


class TestBuilding:
    def test_targets_do_not_stop_or_disturb_each_other(self, folder: Path) -> None:
        lines = []
        for name, factor in (("a", "2.0"), ("b", "3.0")):
            (folder / name).mkdir()
            (folder / name / "common.py").write_text(f"FACTOR = {factor}\n")
            (folder / name / "model.py").write_text(
                "from common import FACTOR\n\n\ndef f(v):\n    return FACTOR * v * v\n"
            )
        sources = {"a": "a/model.py", "b": "b/model.py", "broken": "broken.py", "quits": "quits.py"}
        (folder / "broken.py").write_text("def f(v):\n    return v > 0\n")
        (folder / "quits.py").write_text("import os\n\nos._exit(1)\n\n\ndef f(v):\n    return v\n")
        for name, source in sources.items():
            lines += [f"[tool.gradgen.targets.{name}]", f"source = '{source}'"]
            lines += [f"output = '{name}_grad.py'", "max-ops = 3" if name == "a" else ""]
        (folder / "pyproject.toml").write_text("\n".join(lines))
        result = gradgen("--output-format", "json")
        document = json.loads(result.stdout)
        assert result.exit_code == document["exit_code"] == 2
        states = {target["target"]: target["state"] for target in document["targets"]}
        assert states == {"a": "written", "b": "written", "broken": "error", "quits": "error"}
        found = {t["target"]: [f["message"] for f in t["findings"]] for t in document["targets"]}
        assert "returns no float" in found["broken"][0]
        assert "ended all of a sudden" in found["quits"][0]
        for name, factor in (("a", "2.0"), ("b", "3.0")):
            text = (folder / f"{name}_grad.py").read_text()
            assert factor in text
            (path,) = ast.literal_eval(re.search(r'"imports": (\{.*?\})', text, re.S)[1])
            assert path == "common.py"
        assert not (folder / "broken_grad.py").exists()

    @pytest.mark.usefixtures("trusted")
    def test_a_budget_that_is_passed(self, folder: Path) -> None:
        write_project(folder)
        edit(folder / "pyproject.toml", "max-muls = 10", "max-muls = 0")
        result = gradgen("neuron")
        assert result.exit_code == 1
        assert (folder / GENERATED).exists()
        assert "pyproject.toml:7:1: over budget: " in result.stderr
        assert " of 0\n" in result.stderr
        text = (folder / GENERATED).read_text()
        assert '"source": "models/neuron.py"' in text
        assert NEURON.splitlines()[4].strip('" ') in text


def test_numbers_in_toml_that_are_not_finite_are_python_expressions(folder: Path) -> None:
    text = (
        "[tool.gradgen.targets.a]\nsource = 'one.py'\noutput = 'a.py'\n"
        "static = { v = nan, w = -inf, n = 3, x = 0.5 }\n"
    )
    (target,) = parse(folder / "pyproject.toml", text).targets
    values = [parse_static(text)[0] for kind, text in target.settings.directives]
    assert [(name, str(eval(value))) for name, value in values] == [
        ("v", "nan"), ("w", "-inf"), ("n", "3"), ("x", "0.5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("ranges = { v = [2, 1] }", "the lower bound of 'v' is not below the upper one"),
        ("ranges = { q = [1, 2] }", "names 'q', which is not an argument"),
        ("ranges = { 'v.x' = [1, 2] }", "there is a range for 'v.x', which is no input"),
        ("static = { w = '1+' }", "the value of 'w', '1+', is not a Python expression"),
        ("wrt = ['q']", "names 'q', which is not an argument"),
    ],
)
def test_values_of_targets_are_wrong_where_they_stand(folder: Path, key: str, message: str) -> None:
    (folder / "one.py").write_text("def f(v, w):\n    return v * w\n")
    head = "[tool.gradgen.targets.a]\nsource = 'one.py'\noutput = 'a.py'\n"
    (folder / "pyproject.toml").write_text(f"{head}{key}\n")
    result = gradgen("a")
    assert result.exit_code == 2
    assert result.stderr.startswith("pyproject.toml:4:1: error: ")
    assert message in result.stderr


def test_targets_added_at_the_same_time_are_all_there(folder: Path) -> None:
    (folder / "one.py").write_text("def f(v, w):\n    return v * w\n")
    names = [f"t{k}" for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        add = [pool.submit(add_target, Settings("one.py"), f"{n}.py", n) for n in names]
    assert {future.result().name for future in add} == set(names)
    path = folder / "pyproject.toml"
    assert set(names) <= {target.name for target in parse(path, path.read_text()).targets}


@pytest.mark.parametrize("function", ["Cell", "Cell.__call__"])
def test_a_method_is_a_target(folder: Path, function: str) -> None:
    (folder / "cell.py").write_text(
        "class Cell:\n    def __init__(self):\n        self.tau = 20.0\n\n"
        "    def __call__(self, v, x):\n        return v + (x - v) / self.tau\n"
    )
    assert gradgen("init", f"cell.py:{function}").exit_code == 0
    assert f'function = "{function}"' in (folder / "pyproject.toml").read_text()
    assert gradgen().exit_code == 0
    assert record(folder / "cell_grad.py")["function"] == "Cell.__call__"
    assert gradgen("--check", "--no-verify").exit_code == 0
