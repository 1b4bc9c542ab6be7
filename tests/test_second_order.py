"""Hessian-vector products: the generated `f_hvp` beside `jax.jvp(jax.grad(f))`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from generating import ROOT, Generated, each, generate, generate_text, run_text
from test_models import load

from benchmarks.network_arguments import arguments
from benchmarks.second_order import (
    LOSSES,
    MODELS,
    generated_operations,
    jax_operations,
    settings_for,
)
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front, ranges_of
from gradgen.compile.generation import generate as generate_and_verify
from gradgen.compile.programs import replay
from gradgen.compile.stages import cheapest
from gradgen.compile.status import mute
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.project.record import read_record
from gradgen.report.collect import collect
from gradgen.report.notebook import write_notebook
from gradgen.targets.jax.render import render, render_arrays
from gradgen.verify.points import cast, draw, input_ranges
from gradgen.verify.recount import recount
from gradgen.verify.verdict import Verdict

HVP = ("hvp",)
NOTHING = Verdict(0, 0, 0, (), (), ())
POINTS = 40
HEADER = "import jax\nimport jax.numpy as jnp\n"


def products(generated: Generated, leaves, tangents) -> list[Any]:
    """What the generated function gives, of leaves and of tangents of those differentiated."""
    function, wrt = generated.function("hvp"), chosen(generated)
    flat: list[Any] = [None] * len(leaves)
    for k, tangent in zip(wrt, tangents, strict=True):
        flat[k] = tangent
    bind = generated.front.signature.bind
    (primals, keyword), (vectors, more) = bind(leaves), bind(flat)
    found = function((*primals, *keyword.values()), (*vectors, *more.values()))
    return jax.tree.leaves(found)


def chosen(generated: Generated) -> list[int]:
    return [k for k, i in enumerate(generated.front.trace.inputs) if i.wrt]


def gradient(generated: Generated, leaves) -> Any:
    """The source's gradient by the differentiated leaves, as JAX takes it."""
    wrt = chosen(generated)

    def value(*some):
        given = list(leaves)
        for k, one in zip(wrt, some, strict=True):
            given[k] = one
        (result,) = jax.tree.leaves(generated.front.signature.call(generated.source, given))
        return result

    return jax.grad(value, tuple(range(len(wrt))))


def pushed(generated: Generated, leaves, tangents) -> Any:
    """`jax.jvp` of that at one point."""
    some = tuple(leaves[k] for k in chosen(generated))
    return jax.jvp(gradient(generated, leaves), some, tuple(tangents))[1]


def both(generated: Generated, leaves, tangents) -> Any:
    """What the generated function gives at many points, and JAX."""

    def run(leaves, tangents):
        due = jax.vmap(lambda x, t: pushed(generated, x, t))(leaves, tangents)
        return products(generated, leaves, tangents), due

    return run_compiled(run, leaves, tangents)


def drawn(generated: Generated, count: int = POINTS) -> tuple[list[Any], list[Any]]:
    """Leaves at points in the source's ranges, and tangents."""
    trace = generated.front.trace
    ranges = input_ranges(trace, ranges_of(generated.front))
    leaves = [jnp.asarray(x) for x in cast(trace, draw(trace, ranges, count, 0), "float64")]
    rng = np.random.default_rng(1)
    return leaves, [jnp.asarray(rng.normal(size=count)) for _ in chosen(generated)]


def close(found, due, tolerance: float = 1e-9) -> None:
    for one, other in zip(found, due, strict=True):
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("name", each(*MODELS, representatives=("lif_2023",)))
def test_products_of_models_are_those_of_jax(name: str, tmp_path: Path) -> None:
    settings = settings_for(ROOT / "models" / f"{name}.py", tmp_path)
    function = settings.function
    generated = generate(settings.path, function=function, emit=HVP, order="reverse")
    with jax.enable_x64(True):
        leaves, tangents = drawn(generated)
        close(*both(generated, leaves, tangents))


@pytest.mark.parametrize("name", each(*LOSSES, representatives=LOSSES[:1]))
def test_products_of_losses_are_those_of_jax(name: str) -> None:
    path = ROOT / "models" / "networks" / f"{name}.py"
    running = run_text(render_arrays(array_module(open_front(Settings(str(path), emit=HVP)))))
    sizes = {"time": 12, "batch": 3, "n_in": 5, "n": 4, "n_out": 2}
    with jax.enable_x64(True):
        params, *rest = arguments(name, load(path), sizes, "float64", rate=0.3)
        rng = np.random.default_rng(2)
        tangents = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), params)
        gradient = jax.grad(getattr(load(path), name))
        hvp = getattr(running, f"{name}_hvp")

        def both_ways(x, t, rest):
            due = jax.jvp(lambda y: gradient(y, *rest), (x,), (t,))[1]
            return hvp((x, *rest), (t, *(None for _ in rest))), due

        found, due = run_compiled(both_ways, params, tangents, rest)
        close(jax.tree.leaves(found), jax.tree.leaves(due))


def test_products_take_no_more_operations_than_jax(tmp_path: Path) -> None:
    for path in (ROOT / "models" / "lif.py", ROOT / "models" / "networks" / f"{LOSSES[0]}.py"):
        settings = settings_for(path, tmp_path)
        assert generated_operations(settings) <= jax_operations(open_front(settings))


TIES = """
def f(x, y, a=2.0):
    branch = jnp.where(x > 0.0, jnp.sqrt(jnp.where(x > 0.0, x, 1.0)) * y, x * y * y)
    return jnp.maximum(x, y) ** 2 * a + jnp.abs(x) ** 3 + branch
"""


BRANCHES = """
def f(x, y, a=2.0):
    return jax.lax.cond(x > 0.0, lambda k: jnp.log(k) * y, lambda k: k * k * jnp.sin(a * y), x)
"""


@pytest.mark.parametrize("source", [TIES, BRANCHES])
def test_ties_and_branches_are_those_of_jax(source: str, tmp_path: Path) -> None:
    generated = generate_text(tmp_path, HEADER + source, emit=HVP, order="reverse")
    with jax.enable_x64(True):
        x, y = (k.ravel() for k in jnp.meshgrid(*[jnp.array([-1.0, 0.0, 0.5, 1.0])] * 2))
        leaves, tangents = [x, y, jnp.full(16, 2.0)], [jnp.full(16, 0.7), jnp.full(16, -0.3)]
        close(*both(generated, leaves, tangents))


def test_the_product_of_each_neuron_has_the_shape_of_its_result(tmp_path: Path) -> None:
    generated = generate_text(tmp_path, "def f(x, y, a=2.0):\n    return a * x * x * y\n", emit=HVP)
    x, y = jnp.arange(6.0).reshape(2, 3), jnp.float32(3.0)
    dx, dy = generated.function("hvp")((x, y), (jnp.ones((2, 3)), jnp.float32(1.0)))
    np.testing.assert_allclose(dx, 2 * 2.0 * y + 2 * 2.0 * x)
    np.testing.assert_allclose(dy, 2 * 2.0 * x)
    with pytest.raises(ValueError, match="a vector of"):
        generated.function("hvp")((x, y), (jnp.ones(3), jnp.float32(1.0)))
    with pytest.raises(TypeError, match="held constant"):
        generated.function("hvp")((x, y, 2.0), (jnp.ones((2, 3)), jnp.float32(1.0), 1.0))


def test_reports_list_the_product(tmp_path: Path) -> None:
    text = "def f(x, y, a=2.0):\n    return a * x * x * y\n"
    generated = generate_text(tmp_path, text, emit=HVP)
    module, written = generated.module, generated.text
    counted = recount(written)["_hvp"].total
    found = {o.program: o.total for o in collect(module, written, NOTHING).operations}
    assert found["Hessian-vector product"] == counted == module.second.jvp.chosen.operations.total
    row = write_notebook(module, written).partition("Hessian-vector product")[2]
    assert f"<b>{counted} (" in row[:200]


def test_what_is_linear_has_no_curvature(tmp_path: Path) -> None:
    generated = generate_text(tmp_path, "def f(x, y):\n    return 3.0 * x + y\n", emit=HVP)
    assert products(generated, [1.0, 2.0], [jnp.float32(1.0)] * 2) == [0.0, 0.0]


SPIKE = """
@jax.custom_vjp
def spike(x):
    return (x > 0.0).astype(x.dtype)


spike.defvjp(
    lambda x: (FORWARD, x), lambda x, g: (g / (1.0 + 10.0 * jnp.abs(x)) ** 2,)
)


def f(x, w):
    z = spike(x * w - 1.0)
    return z * z * x + w * jnp.tanh(z)
"""


@pytest.mark.parametrize("forward", ["(x > 0.0).astype(x.dtype)", "spike(x)"])
def test_backward_rules_are_differentiated(forward: str, tmp_path: Path) -> None:
    """Where the forward rule calls the function, JAX goes through it in reverse mode alone."""
    text = HEADER + SPIKE.replace("FORWARD", forward)
    generated = generate_text(tmp_path, text, emit=HVP, order="reverse")
    with jax.enable_x64(True):
        leaves, tangents = [jnp.float64(1.5), jnp.float64(0.8)], [jnp.float64(0.4), jnp.float64(-2)]
        rows = jax.jacrev(gradient(generated, leaves), (0, 1))(*leaves)
        due = [sum(h * t for h, t in zip(row, tangents, strict=True)) for row in rows]
        close(products(generated, leaves, tangents), due)
        if forward.startswith("spike"):
            with pytest.raises(TypeError, match="forward-mode"):
                jax.block_until_ready(pushed(generated, leaves, tangents))
        else:
            close(pushed(generated, leaves, tangents), due)


@dataclass(frozen=True)
class Refused:
    """A source without Hessian-vector products: what is said, at which text, and what helps."""

    text: str
    message: str
    at: str
    mended: tuple[str, str]


CARRIED_KEYS = """def f(w, xs, key):
    def step(carry, x):
        v, key = carry
        key, new = jax.random.split(key)
        v = 0.9 * v + jnp.tanh(x * w) * jax.random.normal(new, x.shape, x.dtype)
        return (v, key), v * v

    return jnp.sum(jax.lax.scan(step, (jnp.zeros_like(w), key), xs)[1])
"""
DRAWN_BEFORE = """def f(w, xs, key):
    def step(v, now):
        x, noise = now
        v = 0.9 * v + jnp.tanh(x * w) * noise
        return v, v * v

    noise = jax.random.normal(key, xs.shape, xs.dtype)
    return jnp.sum(jax.lax.scan(step, jnp.zeros_like(w), (xs, noise))[1])
"""
ARRAYS = "# gradgen: shape w=(8,) x=(batch, 8)\n"
REFUSED = {
    "two results": Refused(
        "def f(x, y):\n    return x * y, x\n",
        "does not return one scalar",
        "def f",
        ("x * y, x", "x * y + 0.5 * x"),
    ),
    "a loop that JAX does not differentiate backwards": Refused(
        "def f(x):\n    step = lambda s: (s[0] + 1, s[1] * x)\n"
        "    return jax.lax.while_loop(lambda s: s[0] < 3, step, (0, x))[1]\n",
        "JAX has no gradient of 'f'",
        "def f",
        (
            "jax.lax.while_loop(lambda s: s[0] < 3, step, (0, x))",
            "jax.lax.fori_loop(0, 3, lambda k, s: step(s), (0, x))",
        ),
    ),
    "a rule without a derivative": Refused(
        "@jax.custom_jvp\ndef spike(x):\n    return (x > 0.0) * 1.0\n\n\n"
        "@spike.defjvp\ndef _spike_jvp(primals, tangents):\n"
        "    (x,), (t,) = primals, tangents\n"
        "    return spike(x), t * jax.lax.reduce_precision(1.0 / (1.0 + x * x), 8, 7)\n\n\n"
        "def f(x, w):\n    return spike(x * w) * x\n",
        "JAX rounds the derivative of 'reduce_precision'",
        "jax.lax.reduce_precision",
        ("1.0 / (1.0 + x * x), 8", "jax.lax.stop_gradient(1.0 / (1.0 + x * x)), 8"),
    ),
    "a gradient with another primitive": Refused(
        ARRAYS + "def f(w, x):\n    y = jax.lax.reduce_window(\n"
        "        x * w, -jnp.inf, jax.lax.max, (1, 2), (1, 2), 'VALID')\n"
        "    return jnp.sum(y * y)\n",
        "'select_and_scatter_add' is not supported",
        "jax.lax.reduce_window",
        (
            "jax.lax.reduce_window(\n"
            "        x * w, -jnp.inf, jax.lax.max, (1, 2), (1, 2), 'VALID')",
            "(x * w).reshape(-1, 4, 2).max(-1)",
        ),
    ),
    "keys that a loop carries": Refused(
        "# gradgen: shape w=(n,) xs=(time, n) key=():key\n" + CARRIED_KEYS,
        "draws random numbers in a way that is not supported",
        "jax.random.normal(new",
        (CARRIED_KEYS, DRAWN_BEFORE),
    ),
    "a backward rule on the way forwards": Refused(
        ARRAYS + "@jax.custom_vjp\ndef unit(x):\n    return x / jnp.sum(x * x)\n\n\n"
        "def _unit_fwd(x):\n    return unit(x), x\n\n\n"
        "def _unit_bwd(x, g):\n    return (g / jnp.sum(x * x) - x * jnp.sum(g * x),)\n\n\n"
        "unit.defvjp(_unit_fwd, _unit_bwd)\n\n\n"
        "def f(w, x):\n    return jnp.sum(unit(x @ w) ** 3)\n",
        "goes through a backward rule here",
        "unit(x), x",
        ("return unit(x), x", "return x / jnp.sum(x * x), x"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_differentiated_twice_is_refused(case: str, tmp_path: Path) -> None:
    refused = REFUSED[case]
    path = tmp_path / "source.py"
    text = HEADER + refused.text
    path.write_text(text)
    settings = Settings(str(path), function="f", emit=HVP)
    with pytest.raises(GradgenError, match=refused.message) as caught:
        cheapest(settings)
    line = text[: text.index(refused.at)].count("\n") + 1
    assert caught.value.line == line
    assert "leave hvp out of --emit" in str(caught.value.hint)
    path.write_text(text.replace(*refused.mended))
    assert cheapest(settings).second is not None


def test_a_rule_is_linear_whose_zero_the_gradient_computes(tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text(
        f"{HEADER}\n\n# gradgen: shape w=(n,) x=(batch, n)\n"
        "def f(w, x):\n    return jnp.sum(jax.nn.softplus(x @ w))\n"
    )
    running = run_text(render_arrays(array_module(open_front(Settings(str(path), emit=HVP)))))
    w, x = jnp.array([0.3, -0.2]), jnp.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.1]])
    (found,) = running.f_hvp((w, x), (jnp.array([1.0, 0.5]), None))
    due = jax.hessian(lambda w: jnp.sum(jax.nn.softplus(x @ w)))(w) @ jnp.array([1.0, 0.5])
    np.testing.assert_allclose(found, due, rtol=1e-5)


def test_recurrences_that_only_begin_alike_stay_apart(tmp_path: Path) -> None:
    """Loops that carry the same become one; these make something else of the same start."""
    path = tmp_path / "source.py"
    path.write_text(
        f"{HEADER}\n\n# gradgen: shape w=(n, n) xs=(time, n)\n"
        "def f(w, xs):\n"
        "    def run(decay):\n"
        "        def step(v, x):\n"
        "            v = decay * v + jnp.tanh(x + v @ w)\n"
        "            return v, jnp.sin(v)\n"
        "        return jax.lax.scan(step, jnp.zeros_like(xs[0]), xs)[1]\n"
        "    return jnp.sum(run(0.9) * run(0.5))\n"
    )
    front = open_front(Settings(str(path), emit=HVP))
    running = run_text(render_arrays(array_module(front)))
    with jax.enable_x64(True):
        w, t = jax.random.normal(jax.random.key(0), (2, 3, 3), "float64")
        xs = jax.random.normal(jax.random.key(1), (5, 3), "float64")
        gradient = jax.grad(front.function)

        def both_ways(w, t, xs):
            due = jax.jvp(lambda w: gradient(w, xs), (w,), (t,))[1]
            return running.f_hvp((w, xs), (t, None)), [due]

        close(*run_compiled(both_ways, w, t, xs))


def test_orders_are_recorded_and_replayed(tmp_path: Path) -> None:
    text = f"{HEADER}\ndef f(x, y, a=2.0):\n    return jnp.sin(x * y) * a + x * x * y\n"
    generated = generate_text(tmp_path, text, emit=("hvp", "value_and_grad"))
    record = read_record(generated.text)
    assert record is not None
    assert record.recipe == generated.module.recipe
    again = replay(generated.front, generated.graph, generated.module.recipe)
    assert render(again) == generated.text


def test_what_is_written_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text(f"{HEADER}\ndef f(x, y, a=2.0):\n    return jnp.maximum(x, y) ** 2 * a\n")
    verified = generate_and_verify(Settings(str(path), emit=HVP, order="reverse"), mute)
    assert {t.function for t in verified.report.tallies} >= {"hvp"}
    assert verified.report.boundary_points > 0
