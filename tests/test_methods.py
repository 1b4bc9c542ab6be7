"""Methods, and functions that calls make: the user's objects, what is refused, hints followed."""

from __future__ import annotations

import inspect
import runpy
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from calling import HEADER
from generating import Generated, generate
from projects import gradgen
from test_method_styles import made

from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError

LENGTH = 6


def names_of(generated: Generated) -> dict[str, Any]:
    """What the source's module defines."""
    return inspect.unwrap(generated.source).__globals__


def loss_of(step: Callable[..., Any], start: Any, scale: Any = 1.0) -> Callable[..., jax.Array]:
    """A loss through time by the owner of the step and by the inputs."""

    def loss(owner: Any, inputs: jax.Array) -> jax.Array:
        def one(state: Any, x: Any) -> Any:
            state, z = step(owner, state, x)
            return state, jnp.sum(z * scale)

        return jnp.sum(jax.lax.scan(one, start, inputs)[1])

    return loss


def agree(found: Any, due: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(due)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


def test_an_equinox_module_under_jit_grad_vmap_and_scan() -> None:
    generated = made("equinox_nested.py")
    step, namespace = generated.function(), names_of(generated)
    cell, state = namespace["neuron"], namespace["State"]
    start = state(jnp.zeros(3), jnp.full(3, 0.2))
    inputs = jnp.linspace(0.0, 2.0, LENGTH * 3).reshape(LENGTH, 3)

    def gradients(step: Callable[..., Any]) -> Any:
        loss = loss_of(step, start)
        mapped = jax.vmap(eqx.filter_grad(loss), (None, 0))
        return (
            eqx.filter_jit(eqx.filter_grad(loss))(cell, inputs),
            eqx.filter_jit(mapped)(cell, jnp.stack([inputs, 2.0 * inputs])),
        )

    agree(gradients(step), gradients(namespace["Neuron"].step))


def test_objects_of_one_class_keep_what_each_of_them_is() -> None:
    generated = made("equinox_nested.py")
    namespace = names_of(generated)
    cell, state = namespace["neuron"], namespace["State"]
    primals = cell, state(jnp.array(0.3), jnp.array(0.2)), jnp.array(0.7)
    result, pull = jax.vjp(namespace["Neuron"].step, *primals)
    ones = jax.tree.map(jnp.ones_like, result)
    agree(generated.function("vjp")(primals, ones), pull(ones))
    found, _, _ = generated.function("vjp")(primals, ones)
    assert (found.excitatory.sign, found.inhibitory.sign) == ("excitatory", "inhibitory")


def test_flax_nnx_gradients_are_modules_of_parameters() -> None:
    generated = made("flax_nnx_alif.py")
    module = names_of(generated)["ALIF"]()
    inputs = jnp.linspace(0.0, 2.0, LENGTH)

    def gradient(step: Callable[..., Any]) -> Any:
        def loss(module: Any) -> jax.Array:
            def one(state: Any, x: Any) -> Any:
                z, state = step(module, x, state)
                return state, z + state[0]

            return jnp.sum(jax.lax.scan(one, (jnp.array(0.1), jnp.array(0.0)), inputs)[1])

        return jax.jit(jax.grad(loss))(module)

    agree(gradient(generated.function()), gradient(type(module).__call__))


def test_a_plain_object_is_taken_as_it_is_and_stays_as_it_is() -> None:
    generated = made("plain_adex.py")
    cell = names_of(generated)["AdEx"](tau_m=15.0)
    state, current = {"v": jnp.full(3, -60.0), "w": jnp.ones(3)}, jnp.array(5.0)
    before = dict(vars(cell))
    step = jax.jit(lambda state, x: generated.function()(cell, state, x))
    agree(step(state, current), cell.step(state, current))
    assert vars(cell) == before
    ones = ({"v": jnp.ones(3), "w": jnp.ones(3)}, jnp.ones(3))
    gradient, _, _ = generated.function("vjp")((cell, state, current), ones)
    assert type(gradient) is type(cell)
    assert gradient.mode == "soft"
    assert gradient.tau_w is None

    def by_tau(tau: jax.Array) -> Any:
        other = type(cell)(tau_m=tau)
        return sum(map(jnp.sum, jax.tree.leaves(other.step(state, current))))

    np.testing.assert_allclose(gradient.tau_m, jax.grad(by_tau)(15.0), rtol=1e-5)


def test_it_can_be_the_method_itself() -> None:
    generated = made("plain_adex.py")
    kind = names_of(generated)["AdEx"]
    cell = type("Faster", (kind,), {"step": generated.function()})()
    given = {"v": jnp.array(-60.0), "w": jnp.array(1.0)}, jnp.array(5.0)
    agree(cell.step(*given), kind().step(*given))


def test_what_is_static_or_constant_is_guarded() -> None:
    generated = made("plain_adex.py")
    kind, step = names_of(generated)["AdEx"], generated.function()
    given = {"v": jnp.array(-60.0), "w": jnp.array(1.0)}, jnp.array(5.0)
    with pytest.raises(ValueError, match=r"generated with self.mode=soft, not hard"):
        step(kind(mode="hard"), *given)
    with pytest.raises(TypeError, match=r"self.tau_w held constant"):
        jax.grad(lambda tau: step(kind(tau_w=tau), *given)[1])(jnp.array(90.0))


HOLDERS = """
class Plain:
    def __init__(self, size=1, mode="soft"):
        self.size, self.mode, self.taken, self.scale = size, mode, {"gain": 1}, 2.0

    def step(self, v):
        gain = getattr(self, "tak" + "en")["gain"]
        return jnp.tanh(v * self.scale) * gain if self.mode is not None else v


class Outer:
    def __init__(self):
        self.count, self.inner, self.scale = 3, Plain(), 0.5

    def step(self, v):
        return self.inner.step(v) * self.scale


class ByName:
    def __init__(self):
        self.size, self.mode, self.scale = 1, "soft", 2.0

    def step(self, v):
        return vars(self)["scale"] * v


@dataclass(frozen=True)
class Frozen:
    size: int = 1
    mode: str = "soft"
    scale: float = 2.0

    def step(self, v):
        return jnp.tanh(v) * (self.scale if self.mode == "soft" else 1.0)


class Module(eqx.Module):
    scale: jax.Array
    size: int = eqx.field(static=True)
    act: str = eqx.field(static=True)

    def __init__(self):
        self.scale, self.size, self.act = jnp.ones(()), 1, "tanh"

    def step(self, v):
        return v * self.scale + getattr(jnp, self.act)(v)


class Compiled(eqx.Module):
    scale: jax.Array
    size: int = eqx.field(static=True)

    def __init__(self):
        self.scale, self.size = jnp.ones(()), 1

    @eqx.filter_jit
    def step(self, v):
        return v * self.scale


class Comparing(Plain):
    def step(self, v):
        return v * self.scale * (2.0 if self == self else 1.0)

    def __eq__(self, other):
        return self.__dict__ == other.__dict__
"""


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("Plain", {"mode", "taken"}),
        ("Outer", {"inner.mode", "inner.taken"}),
        ("ByName", {"size", "mode"}),
        ("Frozen", {"mode"}),
        ("Module", {"act"}),
        ("Compiled", {"size"}),
        ("Comparing", {"size", "mode", "taken"}),
    ],
)
@pytest.mark.parametrize("shapes", [(), (("shape", "v=(n,)"),)], ids=["neuron", "arrays"])
def test_what_is_never_read_is_not_bound(
    kind: str, read: set[str], shapes: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    imports = "from dataclasses import dataclass\nimport equinox as eqx\n"
    front = opened(tmp_path, imports + HOLDERS, f"{kind}.step", directives=shapes)
    bound = {b.path.removeprefix("self.") for a in front.trace.arguments for b in a.bound}
    assert bound == read


def test_objects_that_differ_in_what_is_never_read(tmp_path: Path) -> None:
    text = HOLDERS.partition("class Outer")[0]
    (tmp_path / "source.py").write_text(f"{HEADER}{text}")
    step = generate(tmp_path / "source.py", function="Plain.step").function()
    kind = runpy.run_path(str(tmp_path / "source.py"))["Plain"]
    assert step(kind(size=5), 0.25) == kind(size=5).step(jnp.float32(0.25))
    with pytest.raises(ValueError, match=r"generated with self.mode=soft, not None"):
        step(kind(mode=None), 0.25)


def test_an_object_that_is_returned_is_a_copy_with_the_next_state() -> None:
    generated = made("equinox_own_state.py")
    kind = names_of(generated)["Integrator"]
    cell = kind(3)
    found, due = generated.function()(cell, jnp.array(0.5)), cell.step(jnp.array(0.5))
    agree(found, due)
    assert found[0].size == 3


# --- what is refused, and hints ------------------------------------------------------------------

CELL = """
class Cell:
    def __init__(self, tau):
        self.tau = tau

    def step(self, v, x):
        return v + (x - v) / self.tau
"""
EXAMPLE = "\ndef example():\n    return Cell(20.0)\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "source.py"
    path.write_text(HEADER + textwrap.dedent(text), encoding="utf-8")
    return path


def opened(folder: Path, text: str, function: str | None = None, **settings: Any) -> Any:
    return open_front(Settings(str(written(folder, text)), function, **settings))


def refusal(folder: Path, text: str, function: str | None = None, **settings: Any) -> GradgenError:
    with pytest.raises(GradgenError) as caught:
        opened(folder, text, function, **settings)
    assert caught.value.exit_code == 2
    assert caught.value.line
    assert caught.value.hint
    return caught.value


def test_without_an_instance_the_hints_lead_to_one(tmp_path: Path) -> None:
    error = refusal(tmp_path, CELL, "Cell.step")
    assert "no instance of Cell" in error.message
    assert "cell = Cell(...)" in str(error.hint)
    assert "--example FILE:FUNCTION" in str(error.hint)
    inside = opened(tmp_path, f"{CELL}\ncell = Cell(20.0)\n", "Cell.step")
    path = str(written(tmp_path, CELL + EXAMPLE))
    by_example = open_front(Settings(path, "Cell.step", example=f"{path}:example"))
    for front in (inside, by_example):
        assert [i.path for i in front.trace.inputs] == ["self.tau", "v", "x"]
        assert [i.wrt for i in front.trace.inputs] == [False, True, True]


def test_an_example_of_another_file_makes_the_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "source", raising=False)  # of another test
    (tmp_path / "making.py").write_text("from source import Cell\n" + EXAMPLE)
    example = f"{tmp_path / 'making.py'}:example"
    front = opened(tmp_path, CELL, "Cell.step", example=example)
    assert front.signature.examples["self"].tau == 20.0


def test_a_class_is_suggested_and_can_be_named(tmp_path: Path) -> None:
    text = CELL + "\ncell = Cell(20.0)\n"
    error = refusal(tmp_path, text)
    assert "no public function" in error.message
    name = str(error.hint).rpartition(" ")[2]
    assert opened(tmp_path, text, name).source.name == "Cell_step"


def test_a_method_by_its_own_name_is_suggested_with_its_class(tmp_path: Path) -> None:
    text = CELL + "\ncell = Cell(20.0)\n"
    error = refusal(tmp_path, text, "step")
    assert "is a method of class Cell" in error.message
    assert opened(tmp_path, text, str(error.hint).rpartition(" ")[2])


def test_a_class_without_call_lists_its_methods(tmp_path: Path) -> None:
    text = CELL + "\ncell = Cell(20.0)\n"
    error = refusal(tmp_path, text, "Cell")
    assert "no method '__call__'" in error.message
    assert opened(tmp_path, text, str(error.hint).rpartition(" ")[2])


def test_a_method_that_changes_its_instance_is_refused_where_it_does(tmp_path: Path) -> None:
    text = """
    class Cell:
        def __init__(self):
            self.n, self.tau = 0, 20.0

        def step(self, v, x):
            self.n = self.n + 1
            return v + (x - v) / self.tau
    """
    error = refusal(tmp_path, text, "Cell.step")
    assert "changes 'n' of its instance" in error.message
    line = (tmp_path / "source.py").read_text().splitlines()[error.line - 1]
    assert line.strip().startswith("self.n = self.n +")
    mended = text.replace("self, v", "self, n, v").replace("self.n = self.n + 1", "n = n + 1")
    assert opened(tmp_path, mended.replace("return v", "return n, v"), "Cell.step")


def test_a_field_that_is_branched_on_can_be_bound(tmp_path: Path) -> None:
    text = """
    class Cell:
        def __init__(self):
            self.ref, self.tau = 2.0, 20.0

        def step(self, v, x):
            v = v + (x - v) / self.tau
            return v * 0.5 if self.ref > 1.0 else v
    """
    error = refusal(tmp_path, text, "Cell.step")
    assert "--static self.NAME=VALUE" in str(error.hint)
    front = opened(tmp_path, text, "Cell.step", directives=(("static", "self.ref=2.0"),))
    assert [i.path for i in front.trace.inputs] == ["self.tau", "v", "x"]


def test_directives_belong_to_their_method(tmp_path: Path) -> None:
    text = """
    class Cell:
        def __init__(self):
            self.tau, self.gain = 20.0, 2.0

        # gradgen: wrt self.tau, v
        def step(self, v, x):
            return v + (x - v) / self.tau

        # gradgen: wrt current
        def other(self, current):
            return self.gain * current
    """
    one, other = (opened(tmp_path, text, f"Cell.{name}") for name in ("step", "other"))
    assert [i.path for i in one.trace.inputs if i.wrt] == ["self.tau", "v"]
    assert [i.path for i in other.trace.inputs if i.wrt] == ["current"]


def test_a_static_method_takes_no_instance(tmp_path: Path) -> None:
    text = """
    class Cell:
        @staticmethod
        def leak(v, tau=20.0):
            return v * jnp.exp(-1.0 / tau)
    """
    front = opened(tmp_path, text, "Cell.leak")
    assert [i.path for i in front.trace.inputs] == ["v", "tau"]


def test_a_function_that_is_taken_off_its_class_takes_no_instance(tmp_path: Path) -> None:
    text = """
    def euler(t, v, slope, dt, params):
        return v + dt * slope(t, v, params)


    class Cell:
        def slope(t, v, params):
            x, tau = params
            return (x - v) / tau

        def bound(this, v):
            return (this.x - v) / this.tau

        def advance(self, v, dt):
            return euler(0.0, v, Cell.slope, dt, (self.x, self.tau)) + dt * self.bound(v)
    """
    front = opened(tmp_path, text, "Cell.slope")
    assert [i.path for i in front.trace.inputs] == ["t", "v", "params.0", "params.1"]
    assert front.source.instance is None
    text = f"{textwrap.dedent(text)}\ncell = Cell()\ncell.x = cell.tau = 2.0\n"
    assert opened(tmp_path, text, "Cell.bound").source.instance == "this"


def test_an_instance_tells_the_keys_of_dicts_and_others_may_go_unread(tmp_path: Path) -> None:
    text = """
    class Gate:
        def __init__(self):
            self.name = "Kd"

        @property
        def prefix(self):
            return self.name.lower()

        @property
        def failing(self):
            raise RuntimeError("never mind")

        def step(self, states: dict, v, params: dict):
            return {f"{self.name}_n": states[f"{self.prefix}_n"] * jnp.exp(-v)}
    """
    generated = generate(written(tmp_path, text), function="Gate.step")
    gate, v = names_of(generated)["Gate"](), jnp.linspace(-1.0, 1.0, 3)
    states, params = {"kd_n": 0.5 * v}, {"Kd_g": 0.03, "unknown": {"a": v}}

    def gradients(step: Callable[..., Any]) -> Any:
        def loss(states: Any, v: Any, params: Any) -> jax.Array:
            return jnp.sum(step(gate, states, v, params)["Kd_n"])

        return jax.grad(loss, (0, 1, 2))(states, v, params)

    agree(gradients(generated.function()), gradients(type(gate).step))


def test_modules_of_a_package_do_not_hide_libraries(tmp_path: Path) -> None:
    package = tmp_path / "cells"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "colorsys.py").write_text("raise ImportError('not the library of this name')\n")
    (package / "own_units.py").write_text("MV = 1e-3\n")
    text = f"{HEADER}import colorsys\nimport own_units as units\nfrom . import own_units as own\n"
    text += "def step(v):\n    import wave, colorsys\n    return v * units.MV * own.MV\n"
    (package / "wave.py").write_text("raise ImportError('nor this')\n")
    (package / "cell.py").write_text(text)
    front = open_front(Settings(str(package / "cell.py")))
    assert [i.path for i in front.trace.inputs] == ["v"]


def test_the_shapes_of_an_instance_are_not_stated(tmp_path: Path) -> None:
    text = """
    class Cell:
        def __init__(self):
            self.beta = jnp.asarray(0.9)

        def __call__(self, x, vi):
            v, i = jnp.split(vi, 2, -1)
            i = self.beta * i + x
            return v + i, jnp.concatenate([v, i], -1)
    """
    front = opened(tmp_path, textwrap.dedent(text), "Cell")
    assert front.read == "# gradgen: shape x=(..., n) vi=(..., 2*n)"
    assert front.trace.shapes[0] == ()


@pytest.mark.parametrize(
    ("body", "shapes"),
    [
        ("v, i = jnp.split(s, 2, -1)\n        v = self.beta * v + x - i\n"
         "        return jnp.concatenate([v, x * i], -1)", {"x": "(..., n)", "s": "(..., 2*n)"}),
        ("v, i = s\n        v = self.beta[0] * v + x - i\n        return [v, x * i], v",
         {"x": "(...,)", "s.0": "(...,)", "s.1": "(...,)"}),
        ("v = s[0]\n        return [self.beta[1] * v + x]", {"x": "(...,)", "s.0": "(...,)"}),
    ],
)  # fmt: skip
def test_beside_arrays_of_an_instance_the_code_tells_shapes(
    tmp_path: Path, body: str, shapes: dict[str, str]
) -> None:
    text = f"""
    class Cell:
        def __init__(self):
            self.beta = jnp.linspace(0.7, 0.9, 4)

        def step(self, x: jax.Array, s: jax.Array):
            {body.replace(chr(10), chr(10) + "    ")}
    """
    front = opened(tmp_path, text, "Cell.step")
    stated = " ".join(f"{path}={shape}" for path, shape in shapes.items())
    assert front.read == f"# gradgen: shape {stated}"
    assert front.found == "# gradgen: shape self.beta=(n,)"


def test_methods_on_arrays_take_shapes_from_their_instance(tmp_path: Path) -> None:
    text = """
    # gradgen: shape v=(batch, n) x=(batch, n_in)
    class Layer:
        def __init__(self):
            self.w, self.beta = jnp.ones((3, 4)), 0.9

        def __call__(self, v, x):
            return self.beta * v + x @ self.w
    """
    front = opened(tmp_path, text, "Layer")
    shapes = dict(zip((i.path for i in front.trace.inputs), front.trace.shapes, strict=True))
    assert shapes == {
        "self.w": ("n_in", "n"), "self.beta": (), "v": ("batch", "n"), "x": ("batch", "n_in")
    }  # fmt: skip
    assert [i.path for i in front.trace.inputs if i.wrt] == ["self.w", "v", "x"]


def test_what_an_attribute_may_be(tmp_path: Path) -> None:
    text = """
    import functools


    class Cell:
        def __init__(self):
            self.tau, self.np, self.activation = 20.0, jnp, jnp.tanh
            self.options = {"gain": 2.0, 1: "one"}
            self.weights = [0.5, 0.25]

        @functools.cached_property
        def decay(self):
            return jnp.exp(-1.0 / self.tau)

        def step(self, v, x):
            v = self.decay * v + self.weights[0] * x
            return v, self.activation(v)


    cell = Cell()
    cell.decay
    """
    directives = (("wrt", "self.tau, v"),)
    front = opened(tmp_path, text, "Cell.step", directives=directives)
    paths = [i.path for i in front.trace.inputs]
    assert paths == ["self.tau", "self.weights.0", "self.weights.1", "v", "x"]
    decay = [e for e in front.trace.elementals if e.operation == "exp"]
    assert decay, "the derivative by tau goes through the property"


def test_what_a_list_holds_beside_numbers_has_no_gradient(tmp_path: Path) -> None:
    text = """
    class Cell:
        def __init__(self):
            self.taus = [20.0, "tau", (), (3,), jnp.tanh, {}]

        def step(self, v, x):
            return v + x / self.taus[0]


    cell = Cell()
    """
    path, out = written(tmp_path, text), tmp_path / "cell_grad.py"
    done = gradgen(f"{path}:Cell.step", "--wrt", "self.taus,v", "-o", out)
    assert done.exit_code == 0, done.stderr
    module = runpy.run_path(str(out))
    cell, _ = module["Cell_step_vjp"]((runpy.run_path(str(path))["cell"], 1.0, 2.0), 1.0)
    assert [part is None for part in cell.taus] == [False, *(True,) * 5]
    np.testing.assert_allclose(cell.taus[0], -2.0 / 20.0**2, rtol=1e-6)


def test_lists_that_a_method_changes_are_refused(tmp_path: Path) -> None:
    text = """
    class Cell:
        def __init__(self):
            self.tau, self.seen = 20.0, []

        def step(self, v, x):
            self.seen.append(v)
            return v + x / self.tau
    """
    assert "changes 'seen.0' of its instance" in refusal(tmp_path, text, "Cell.step").message


SETTING_UP = """
class Cell:
    def __init__(self):
        self.tau, self._sources = 20.0, None

    def sources(self):
        if self._sources is None:
            self._sources = {}
        return self._sources

    def step(self, v, x):
        known = self.sources()
        for source in known.values():
            x = source(x)
        return v + x / self.tau
"""


def test_what_is_made_when_it_is_first_asked_for_is_no_state(tmp_path: Path) -> None:
    front = opened(tmp_path, SETTING_UP, "Cell.step")
    assert [i.path for i in front.trace.inputs] == ["self.tau", "v", "x"]


@pytest.mark.parametrize(
    "change",
    [("_sources = {}", "_sources = {'count': lambda x: x, 'more': 1}"),
     ("known =", "known = {'first': jnp.tanh} if self._sources is None else {}\n        _ =")],
)  # fmt: skip
def test_what_makes_the_first_call_another_one_is_state(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    text = SETTING_UP.replace(*change).replace("known.values()", "list(known.values())[:1]")
    assert "changes '_sources' of its instance" in refusal(tmp_path, text, "Cell.step").message


def test_an_object_that_holds_itself_is_refused(tmp_path: Path) -> None:
    text = CELL.replace("self.tau = tau", "self.tau, self.itself = tau, self")
    error = refusal(tmp_path, f"{text}\ncell = Cell(20.0)\n", "Cell.step")
    assert "'self' holds itself" in error.message


def test_what_is_static_in_an_object_inside_is_guarded(tmp_path: Path) -> None:
    text = """
    class Settings:
        def __init__(self, order):
            self.order = order


    class Cell:
        def __init__(self, order=2):
            self.tau, self.settings = 20.0, Settings(order)

        def step(self, v, x):
            return v**self.settings.order + x / self.tau
    """
    generated = generate(written(tmp_path, text), function="Cell.step")
    kind = names_of(generated)["Cell"]
    agree(generated.function()(kind(), 3.0, 4.0), kind().step(3.0, 4.0))
    with pytest.raises(ValueError, match=r"self.settings.order=2, not 3"):
        generated.function()(kind(3), 3.0, 4.0)
