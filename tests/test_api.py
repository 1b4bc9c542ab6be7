"""gradgen as a library."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from generating import ROOT
from sessions import Session

import gradgen
from gradgen.cli.main import main
from gradgen.config import FUNCTIONS
from gradgen.targets.jax.seal import is_generated

IMPORTS = """\
import jax
import jax.numpy as jnp
from typing import NamedTuple
"""
STATE = """\
class State(NamedTuple):
    v: float
    i: float
"""
SPIKE = """\
@jax.custom_jvp
def spike(x):
    return jnp.where(x > 0, 1.0, 0.0)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2
"""
STEP = """\
# gradgen: range state.v=-1:2
def step(state: State, x, threshold=1.0):
    '''One step.'''
    potential = decay * state.v + (1.0 - decay) * state.i
    current = 0.5 * state.i + x * x
    return State(potential, current), spike(potential - threshold)
"""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], ModuleType]]:
    """Imports a file as a module, which is forgotten after the test."""

    def load(path: Path) -> ModuleType:
        name = f"imported_{path.stem}"
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        specification.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def lif(load: Callable[[Path], ModuleType]) -> Any:
    return load(ROOT / "models" / "lif.py").lif_step


@pytest.fixture(scope="module")
def notebook() -> Session:
    """A neuron in several cells, beside others that have nothing to do with it."""
    session = Session()
    session.cell(IMPORTS + "decay = float(jnp.exp(-0.1))\nlog = []")
    session.cell(STATE)
    session.cell(SPIKE + "\nlog.append('the surrogate')")
    session.cell("log.append('nothing')\n" + STEP)
    return session


@pytest.fixture(scope="module")
def derived(notebook: Session) -> gradgen.Differentiated:
    return gradgen.differentiate(notebook["step"])


def command(*arguments: str) -> str:
    done = CliRunner().invoke(main, [*arguments, "-q"])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def without_source(text: str) -> str:
    """A generated text without what tells its source."""
    text = re.sub(r" from \S+?\.( DO NOT EDIT.|\"\"\")", r" from here.\1", text)
    return re.sub(r'^    "(source|digest|text)": .*$', "", text, flags=re.M)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


class TestPackage:
    def test_importing_it_imports_no_jax(self):
        code = """
import sys, gradgen
assert "differentiate" in dir(gradgen) and gradgen.__version__
assert issubclass(gradgen.GradgenError, Exception)
print([name for name in ("jax", "numpy", "libcst", "jinja2") if name in sys.modules])
"""
        done = run(code, ROOT)
        assert done.stdout == "[]\n", done.stderr

    def test_the_search_is_a_function_though_a_package_has_its_name(self):
        import gradgen.search.heuristics

        assert gradgen.search.__module__ == "gradgen.api"
        assert gradgen.search.__name__ == "search"

    def test_other_names_are_not_there(self):
        with pytest.raises(AttributeError, match="has no attribute 'integrate'"):
            gradgen.integrate  # noqa: B018

    def test_examples_in_docstrings(self):
        import gradgen.api

        results = doctest.testmod(gradgen.api)
        assert results.failed == 0
        assert results.attempted > 8


@pytest.mark.usefixtures("trusted")
@pytest.mark.usefixtures("trusted")
class TestSameAsTheCommand:
    @pytest.mark.parametrize(
        ("path", "arguments", "options"),
        [
            ("models/lif.py:lif_step", {}, []),
            (
                "models/lif.py:lif_step",
                {"wrt": ("U", "a"), "ranges": {"U": (-1, 3)}},
                ["--wrt", "U,a", "--range", "U=-1:3"],
            ),
            (
                "models/izhikevich.py:izhikevich_step",
                {"objective": "ops", "order": "reverse", "emit": ("f", "vjp")},
                ["--objective", "ops", "--order", "reverse", "--emit", "f,vjp"],
            ),
            ("models/cuba_lif_state.py:cuba_lif_step", {"elimination": "edge"},
             ["--elimination", "edge"]),
            ("models/lif.py:lif_step", {"objective": "price", "prices": "energy:float16"},
             ["--objective", "price", "--prices", "energy:float16"]),
            ("tests/styles/jaxsnn_lif.py:lif_step", {}, []),
        ],
    )  # fmt: skip
    def test_text(self, path, arguments, options, load, monkeypatch):
        monkeypatch.chdir(ROOT)
        file, _, name = path.partition(":")
        function = getattr(load(ROOT / file), name)
        expected = command(path, *options)
        assert gradgen.differentiate(function, **arguments).source == expected

    def test_text_after_the_function_was_called_and_jitted(self, load, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        source = tmp_path / "neuron.py"
        text = STATE + "\n\n" + SPIKE + "\n\ndecay = 0.9\n\n\n" + STEP
        source.write_text(IMPORTS + "\n\n" + text.replace("def step", "@jax.jit\ndef step"))
        step = load(source).step
        step(load(source).State(1.0, 2.0), 3.0)
        assert gradgen.differentiate(step).source == command("neuron.py")
        assert gradgen.differentiate(jax.jit(step)).source == command("neuron.py")

    def test_text_in_a_program_that_differentiates_its_own_function(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        program = """
from unittest.mock import call

import gradgen


def step(v, x):
    scaled = x * x
    return v * scaled


if __name__ == "__main__":
    print(gradgen.differentiate(step).source, end="")
"""
        (tmp_path / "program.py").write_text(program)
        ran = [sys.executable, "program.py"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(ran, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout == command("program.py"), done.stderr

    def test_example_function(self, load, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "model.py").write_text("def step(state, x):\n    return sum(state) * x\n")
        (tmp_path / "given.py").write_text("def given():\n    return (1.0, 2.0), 3.0\n")
        step, given = load(tmp_path / "model.py").step, load(tmp_path / "given.py").given
        expected = command("model.py", "--example", "given.py:given")
        assert gradgen.differentiate(step, example=given).source == expected
        by_value = gradgen.differentiate(step, example=given())
        assert by_value.jacobian((1.0, 2.0), 3.0) == ((3.0, 3.0), 3.0)

    def test_static_values(self, load, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        text = "import jax.numpy as jnp\n\n\ndef step(v, x, act, dt):\n    return act(v) * x * dt\n"
        (tmp_path / "model.py").write_text(text)
        step = load(tmp_path / "model.py").step
        expected = command("model.py", "--static", "act=jnp.tanh", "--static", "dt=0.5")
        static = {"act": jnp.tanh, "dt": 0.5}
        assert gradgen.differentiate(step, static=static).source == expected

    def test_graph_and_search(self, lif, tmp_path, monkeypatch):
        monkeypatch.chdir(ROOT)
        graph = gradgen.graph(lif, wrt="U, I, S, a")
        shown = command_show("models/lif.py:lif_step", "--wrt", "U,I,S,a")
        assert graph.pretty() == shown.rstrip("\n")
        found = gradgen.search(graph)
        assert found.proved
        assert found.cost <= min(cost for _, cost in found.baselines)
        stored = tmp_path / "order.json"
        stored.write_text(found.order.to_json())
        for order in (found.order, str(stored)):
            derived = gradgen.differentiate(lif, wrt="U, I, S, a", order=order)
            assert derived.order == found.order
            assert derived.graph == graph
            assert derived.counts["value_and_jacobian"]["accumulation"]["muls"] == found.cost

    def test_elimination_of_the_search(self, lif):
        graph = gradgen.graph(lif)
        found = gradgen.search(graph, elimination="edge", objective="edges", budget=0.1)
        assert found.cost <= min(cost for _, cost in found.baselines)


def command_show(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["show", "--stage", "graph", *arguments])
    assert done.exit_code == 0, done.stderr
    return done.stdout


class TestNotebook:
    def test_jacobian(self, notebook, derived):
        State, step = notebook["State"], notebook["step"]
        state, x = State(0.7, 0.4), 0.3
        expected = jax.jacfwd(step, argnums=(0, 1))(state, x)
        got = derived.jacobian(state, x)
        assert jax.tree.structure(got) == jax.tree.structure(expected)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)

    def test_all_functions(self, notebook, derived):
        State, step = notebook["State"], notebook["step"]
        arguments = State(jnp.array([0.7, 0.9]), jnp.array([0.4, 2.0])), jnp.array([0.3, 0.1])
        expected = step(*arguments)
        jax.tree.map(np.testing.assert_array_equal, derived.f(*arguments), expected)
        value, jacobian = derived.value_and_jacobian(*arguments)
        jax.tree.map(np.testing.assert_array_equal, value, expected)
        jax.tree.map(np.testing.assert_array_equal, jacobian, derived.jacobian(*arguments))
        entries = derived.jacobian_entries(*arguments)
        np.testing.assert_allclose(entries["0.i", "x"], 2.0 * arguments[1], rtol=1e-6)
        tangents = State(jnp.ones(2), jnp.ones(2)), jnp.ones(2)
        primal, pushed = derived.jvp(arguments, tangents)
        _, wanted = jax.jvp(step, arguments, tangents)
        jax.tree.map(np.testing.assert_array_equal, primal, expected)
        for a, b in zip(jax.tree.leaves(pushed), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)
        cotangents = jax.tree.map(jnp.ones_like, expected)
        pulled = derived.vjp(arguments, cotangents)
        wanted = jax.vjp(step, *arguments)[1](cotangents)
        for a, b in zip(jax.tree.leaves(pulled), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)

    def test_gradient_through_the_function(self, notebook, derived):
        State = notebook["State"]

        def loss(step: Callable[..., Any], x: Any) -> Any:
            def body(state: Any, x: Any) -> Any:
                state, z = step(state, x)
                return state, (z, state.v)

            _, (spikes, v) = jax.lax.scan(body, State(0.0, 0.0), x)
            return spikes.sum() + (v**2).sum()

        x = jnp.linspace(0.0, 1.5, 20)
        got = jax.grad(lambda x: loss(derived.f, x))(x)
        np.testing.assert_allclose(got, jax.grad(lambda x: loss(notebook["step"], x))(x), rtol=1e-5)

    @pytest.mark.usefixtures("trusted")
    def test_members_that_were_not_generated(self, notebook, derived):
        with pytest.raises(AttributeError, match="not one scalar"):
            derived.value_and_grad  # noqa: B018
        assert not hasattr(derived, "value_and_grad")
        some = gradgen.differentiate(notebook["step"], emit="f, vjp", order="reverse")
        assert [name for name in FUNCTIONS if hasattr(some, name)] == ["f", "vjp"]
        with pytest.raises(AttributeError, match="emit="):
            some.jacobian  # noqa: B018

    @pytest.mark.usefixtures("trusted")
    def test_traces(self):
        session = Session()
        session.cell("def step(v, x):\n    v_next = 0.5 * v + x\n    return v_next")
        derived = gradgen.differentiate(session["step"], emit="traces")
        traces = derived.traces_init((1.0, 2.0))
        for expected in (1.0, 1.5, 1.75):
            _, traces, so_far = derived.traces_step(traces, (1.0, 2.0))
            assert so_far == {("out", "x"): expected}
        with pytest.raises(AttributeError, match="not among those"):
            derived.forward  # noqa: B018

    @pytest.mark.usefixtures("trusted")
    def test_value_and_grad(self):
        session = Session()
        session.cell("def loss(v, w):\n    return v * w * w")
        derived = gradgen.differentiate(session["loss"])
        assert derived.value_and_grad(2.0, 3.0) == (18.0, (9.0, 12.0))

    def test_the_source_is_what_the_function_is_made_of(self, notebook, derived):
        text = derived.source
        assert is_generated(text)
        assert text.startswith("# Code generated by gradgen")
        assert " from <notebook>. DO NOT EDIT." in text.splitlines()[0]
        # the user's names, from cells of their own
        assert "potential = " in text
        assert "log" not in derived.source

    def test_same_text_as_for_a_file(self, derived, load, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        source = tmp_path / "neuron.py"
        decay = "decay = float(jnp.exp(-0.1))"
        source.write_text("\n\n".join([IMPORTS, decay, STATE, SPIKE, STEP]))
        assert without_source(derived.source) == without_source(command("neuron.py:step"))

    @pytest.mark.usefixtures("trusted")
    def test_text_stays_whatever_else_the_session_does(self, notebook, derived):
        notebook.cell("other = [1, 2]\n\n\ndef unused(v):\n    return other")
        assert gradgen.differentiate(notebook["step"]).source == derived.source

    @pytest.mark.usefixtures("trusted")
    def test_cells_that_are_run_again(self):
        session = Session()
        session.cell("def gain(v):\n    return 2.0 * v")
        session.cell("def step(v):\n    return gain(v) * v")
        first = gradgen.differentiate(session["step"])
        session.cell("def gain(v):\n    tripled = 3.0 * v\n    return tripled")
        again = gradgen.differentiate(session["step"])
        assert first.jacobian(1.0) == (4.0,)
        assert again.jacobian(1.0) == (6.0,)
        assert "tripled" in again.source

    @pytest.mark.usefixtures("trusted")
    def test_classes(self):
        session = Session()
        session.cell("from collections import namedtuple\nimport dataclasses, jax")
        session.cell("Inner = namedtuple('Inner', 'a b')")
        session.cell(
            "@jax.tree_util.register_dataclass\n@dataclasses.dataclass(frozen=True)\n"
            "class Params:\n    tau: float\n    inner: Inner"
        )
        session.cell("DEFAULT = Params(2.0, Inner(3.0, 4.0))")
        session.cell(
            "def step(v, params=DEFAULT):\n"
            "    return Inner(v * params.tau, params.inner.a * v + params.inner.b)"
        )
        derived = gradgen.differentiate(session["step"], wrt="v, params.inner.a")
        assert derived.f(2.0) == (4.0, 10.0)
        (dv, dparams), _ = derived.jacobian(2.0)
        assert dv == 2.0
        assert dparams.inner.a == 0.0
        assert type(derived.f(2.0)).__name__ == "Inner"

    @pytest.mark.usefixtures("trusted")
    def test_values_are_those_of_the_session(self):
        session = Session()
        session.cell("import numpy as np\ntable = np.array([2.0, 5.0])\n")
        session.cell("def step(v):\n    return table[1] * v")
        assert gradgen.differentiate(session["step"]).jacobian(1.0) == (5.0,)


class TestWriting:
    def test_write(self, derived, tmp_path):
        path = tmp_path / "neuron_grad.py"
        assert derived.write(path)
        assert path.read_text(encoding="utf-8") == derived.source
        assert not derived.write(str(path))
        assert [p.name for p in tmp_path.iterdir()] == ["neuron_grad.py"]

    def test_another_version_alone_is_no_change(self, derived, tmp_path):
        path = tmp_path / "neuron_grad.py"
        older = derived.source.replace(gradgen.__version__, "0.0.1")
        path.write_text(older, encoding="utf-8")
        assert not derived.write(path)
        assert path.read_text(encoding="utf-8") == older

    def test_a_written_file_needs_jax_alone(self, derived, tmp_path):
        derived.write(tmp_path / "neuron_grad.py")
        code = """
import sys
sys.modules["gradgen"] = None
import collections, neuron_grad
state = collections.namedtuple("State", "v i")(1.0, 2.0)
print(neuron_grad.step_jacobian_entries(state, 3.0)["0.i", "x"])
"""
        done = run(code, tmp_path)
        assert done.stdout == "6.0\n", done.stderr

    @pytest.mark.usefixtures("trusted")
    def test_the_source_is_not_overwritten(self, load, tmp_path):
        path = tmp_path / "model.py"
        path.write_text("def step(v):\n    return v * v\n")
        derived = gradgen.differentiate(load(path).step)
        with pytest.raises(gradgen.GradgenError, match="overwrite the source"):
            derived.write(path)
        assert path.read_text() == "def step(v):\n    return v * v\n"

    def test_no_such_folder(self, derived, tmp_path):
        with pytest.raises(gradgen.GradgenError, match="there is no folder"):
            derived.write(tmp_path / "none" / "neuron_grad.py")


class TestDisplay:
    def test_html(self, derived):
        from html.parser import HTMLParser

        class Reader(HTMLParser):
            def __init__(self) -> None:
                super().__init__()
                self.open: list[str] = []
                self.seen: list[str] = []
                self.text = ""

            def handle_starttag(self, tag: str, attrs: Any) -> None:
                self.seen.append(tag)
                if tag != "img":
                    self.open.append(tag)

            def handle_endtag(self, tag: str) -> None:
                assert self.open.pop() == tag

            def handle_data(self, data: str) -> None:
                self.text += data

        reader = Reader()
        page = derived._repr_html_()
        reader.feed(page)
        assert not reader.open
        assert {"table", "details", "img"} <= set(reader.seen)
        assert not {"script", "style", "link"} & set(reader.seen)
        counts = derived.counts["value_and_jacobian"]
        assert f"{counts['total']} ({counts['accumulation']['muls']})" in reader.text
        assert f"{counts['reverse']['total']} ({counts['reverse']['muls']})" in reader.text
        assert " ".join(derived.source.split()) in " ".join(reader.text.split())

    def test_repr(self, derived):
        text = repr(derived)
        assert text.startswith("<gradgen: step with respect to state.v, state.i, x; ")
        assert f"{derived.counts['value_and_jacobian']['total']} operations" in text
        assert "\n" not in text

    def test_counts_are_those_of_the_text(self, derived):
        names: dict[str, Any] = {}
        exec(derived.source, names)
        assert derived.counts == names["GRADGEN"]["counts"]

    def test_report(self, derived):
        assert derived.report.exact
        assert derived.report.points > 1000


class TestErrors:
    @pytest.mark.parametrize("function", [lambda v: v * v, "step", len, Session().cell, dict])
    def test_what_is_no_step_function(self, function):
        with pytest.raises(gradgen.GradgenError):
            gradgen.differentiate(function)

    def test_nested_function(self):
        def step(v):
            return v * v

        with pytest.raises(gradgen.GradgenError, match="top level"):
            gradgen.differentiate(step)

    def test_text_is_not_known(self):
        names: dict[str, Any] = {}
        exec("def step(v):\n    return v * v", names)
        with pytest.raises(gradgen.GradgenError, match="text of 'step' is not known"):
            gradgen.differentiate(names["step"])

    def test_text_of_a_class_is_not_known(self):
        session = Session()
        exec(IMPORTS + STATE.replace("State", "Hidden"), session.names)
        session.cell("def step(v, i):\n    return Hidden(v * i, v)")
        with pytest.raises(gradgen.GradgenError, match="the class 'Hidden', which 'step' uses"):
            gradgen.differentiate(session["step"])

    @pytest.mark.usefixtures("trusted")
    def test_file_has_changed(self, load, tmp_path):
        path = tmp_path / "model.py"
        path.write_text("def gain(v):\n    return 2 * v\n\n\ndef step(v):\n    return gain(v)\n")
        step = load(path).step
        for old, new in (("2 * v", "3 * v"), ("def gain", "\ndef gain")):
            text = path.read_text()
            path.write_text(text.replace(old, new))
            with pytest.raises(gradgen.GradgenError, match="has changed since it was imported"):
                gradgen.differentiate(step)
            path.write_text(text)
        assert gradgen.differentiate(step).jacobian(1.0) == (2.0,)

    def test_place_is_that_in_the_cell(self):
        session = Session()
        session.cell("def twice(v):\n    return 2 * v")
        path = session.cell(
            "x = 1\n\n\ndef step(v):\n    u = twice(v)\n    if u > 0:\n        v = u"
        )
        with pytest.raises(gradgen.GradgenError, match="branches in Python") as caught:
            gradgen.differentiate(session["step"])
        assert (caught.value.path, caught.value.line) == (path, 6)
        path = session.cell("x = 1\n\n\nasync def step(v):\n    return v")
        with pytest.raises(gradgen.GradgenError):
            gradgen.differentiate(session["step"])
        path = session.cell("\n\ndef step(v):\n    # gradgen: wrt nothing\n    return v * v")
        with pytest.raises(gradgen.GradgenError, match="nothing") as caught:
            gradgen.graph(session["step"])
        assert (caught.value.path, caught.value.line) == (path, 4)

    def test_place_is_that_in_the_cell_of_a_notebook(self, tmp_path):
        pytest.importorskip("IPython")
        code = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import gradgen", store_history=True)
shell.run_cell("def step(v):\\n    return v if v > 0 else -v", store_history=True)
done = shell.run_cell("gradgen.differentiate(step)", store_history=True)
print(str(done.error_in_exec).splitlines()[0])
"""
        done = run(code, tmp_path)
        assert "Cell In[2]:2:17: error: 'step' branches in Python" in done.stdout, done.stderr

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"wrt": "q"}, "'q', which is not an argument"),
            ({"static": {"x": object()}}, "cannot be written down"),
            ({"static": {"q": 1.0}}, "'q'"),
            ({"ranges": {"x": (2.0, 1.0)}}, "lower bound"),
            ({"ranges": {"q": (1.0, 2.0)}}, "'q'"),
            ({"objective": "least"}, "objective: 'least' is none of muls"),
            ({"elimination": "corner"}, "elimination: 'corner' is none of vertex"),
            ({"elimination": "face"}, "face elimination was taken out"),
            ({"emit": ("f", "hessian")}, "emit: 'hessian' is none of f"),
            ({"order": "no_such_file.json"}, "cannot read the order"),
        ],
    )
    def test_arguments(self, notebook, options, message):
        with pytest.raises(gradgen.GradgenError, match=re.escape(message)):
            gradgen.differentiate(notebook["step"], **options)

    def test_order_of_another_graph(self, notebook, lif):
        order = gradgen.search(gradgen.graph(lif)).order
        with pytest.raises(gradgen.GradgenError, match="this order is for another graph") as caught:
            gradgen.differentiate(notebook["step"], order=order)
        assert caught.value.path is None

    @pytest.mark.parametrize(
        "options", [{"objective": "ops"}, {"elimination": "edge", "objective": "peak"}]
    )
    def test_search(self, lif, options):
        with pytest.raises(gradgen.GradgenError):
            gradgen.search(gradgen.graph(lif), **options)
