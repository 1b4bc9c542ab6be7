"""Layers and networks: gradients of the committed files through time, and what the models are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from generating import ROOT, each
from jax.extend.core import jaxprs_in_params
from test_models import load

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import open_front, ranges_of
from gradgen.config import Settings
from gradgen.ir.shapes import size

SIZES = {"batch": 3, "n": 10, "n_in": 7, "m": 3, "c_in": 2, "c_out": 4, "height": 6, "width": 5}
SIZES |= {"t": 5, "d": 8, "time": 20, "classes": 4}
STEPS = (
    "alif_recurrent", "ei_conductance", "hh_gap_junctions", "lif_conv", "lif_layer",
    "spiking_attention",
)  # fmt: skip
TRAINED = ("hh_gap_junctions", "lif_conv", "lif_layer", "spiking_attention")
"""Those that the normal run takes through time."""
LENGTH = 20
PRODUCTS = ("dot_general", "conv_general_dilated")
ELEMENTWISE = ("select_n", "mul", "sub", "div")


def source(name: str) -> Any:
    return getattr(load(ROOT / "models" / "layers" / f"{name}.py"), name)


def generated(name: str) -> Any:
    return load(ROOT / "generated" / "layers" / f"{name}_grad.py")


def front_of(name: str) -> ArrayFront:
    front = open_front(Settings(str(ROOT / "models" / "layers" / f"{name}.py")))
    assert isinstance(front, ArrayFront)
    return front


def drawn(front: ArrayFront, rng: np.random.Generator) -> dict[str, jax.Array]:
    """An argument for each path, in its range; matrices are scaled so that neurons fire at times.

    What is called x has an axis of time before its own.
    """
    ranges = ranges_of(front)
    found = {}
    for i, shape in zip(front.trace.inputs, front.trace.shapes, strict=True):
        low, high = ranges.get(i.path) or ranges.get(i.path.partition(".")[0], (0, 4))
        axes = tuple(size(dim, SIZES) for dim in shape)
        if i.path == "x":
            axes = (LENGTH, *axes)
        values = rng.uniform(low, high, axes)
        if "w" in i.path and shape:
            values *= 4 / np.sqrt(axes[0])
        found[i.path] = jnp.asarray(values, None if i.dtype == "float" else i.dtype)
    return found


def through_time(front: ArrayFront, step: Any, leaves: dict[str, jax.Array]) -> jax.Array:
    """A loss of all outputs in all steps."""
    trace = front.trace
    places = {o.path: k for k, o in enumerate(trace.outputs)}
    renewed = {path: places[output] for path, output in trace.recurrence}

    def body(state: Any, x: jax.Array) -> Any:
        now = leaves | state | {"x": x}
        positional, keyword = front.signature.bind([now[i.path] for i in trace.inputs])
        outputs = jax.tree.leaves(step(*positional, **keyword))
        loss = sum((k + 1) * jnp.mean(jnp.sin(out)) for k, out in enumerate(outputs))
        return {path: outputs[k] for path, k in renewed.items()}, loss

    start = {path: leaves[path] for path in renewed}
    return jax.lax.scan(body, start, leaves["x"])[1].sum()


def close(found: Any, due: Any) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        scale = max(float(jnp.abs(other).max()), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11 * scale)


def test_every_layer_is_listed() -> None:
    files = {path.stem for path in (ROOT / "models" / "layers").glob("*.py")}
    assert files == {*STEPS, "readout_loss"}


@pytest.mark.parametrize("name", each(*STEPS, representatives=TRAINED))
def test_gradients_through_time_are_those_of_the_source(name: str) -> None:
    front = front_of(name)
    wrt = {i.path for i in front.trace.inputs if i.wrt}
    with jax.enable_x64(True):
        leaves = drawn(front, np.random.default_rng(5))
        chosen = {path: leaves[path] for path in wrt}

        def gradient(step: Any) -> Any:
            loss = lambda chosen: through_time(front, step, leaves | chosen)  # noqa: E731
            return run_compiled(jax.value_and_grad(loss), chosen)

        found, due = gradient(getattr(generated(name), name)), gradient(source(name))
        close(found, due)
        assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(due))
        # the spikes that are subtracted in lif_layer are not differentiated
        assert {path for path, x in due[1].items() if not x.any()} == (
            {"z"} if name == "lif_layer" else set()
        )


def in_loops(jaxpr: Any, inside: bool = False) -> Iterator[Any]:
    """The operations of a program that are in loops, and in what is called there."""
    for equation in jaxpr.eqns:
        if inside:
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from in_loops(inner, inside or equation.primitive.name == "scan")


@pytest.mark.parametrize("name", ["alif_recurrent", "ei_conductance", "lif_conv", "lif_layer"])
def test_each_step_computes_no_more_than_that_of_jax(name: str) -> None:
    """No more products, nothing on matrices of weights that could be done before the loop, and
    nothing more is carried.

    What keeps its state alone computes in the backward pass what the forward pass has computed.
    """
    front = front_of(name)
    with jax.enable_x64(True):
        leaves = drawn(front, np.random.default_rng(5))
        chosen = {i.path: leaves[i.path] for i in front.trace.inputs if i.wrt}
        matrices = {x.shape for path, x in chosen.items() if path in ("w", "r", "kernel") if x.ndim}

        def counted(step: Any) -> tuple[int, ...]:
            loss = lambda chosen: through_time(front, step, leaves | chosen)  # noqa: E731
            whole = jax.make_jaxpr(jax.value_and_grad(loss))(chosen).jaxpr
            found = [*in_loops(whole)]
            on_matrices = [e for e in found if e.outvars[0].aval.shape in matrices]
            return (
                sum(e.primitive.name in PRODUCTS for e in found),
                sum(e.primitive.name in ELEMENTWISE for e in on_matrices),
                *(e.params["num_carry"] for e in whole.eqns if e.primitive.name == "scan"),
            )

        found, due = counted(getattr(generated(name), name)), counted(source(name))
    assert len(found) == len(due) == 4
    assert 0 < found[0] <= due[0]
    assert all(one <= other for one, other in zip(found, due, strict=True))


def test_the_gradient_of_a_loss_is_that_of_the_source() -> None:
    front = front_of("readout_loss")
    with jax.enable_x64(True):
        leaves = drawn(front, np.random.default_rng(6))
        arguments, _ = front.signature.bind([leaves[i.path] for i in front.trace.inputs])
        module = generated("readout_loss")
        due, found = (
            run_compiled(jax.value_and_grad(loss, argnums=(0, 1, 2)), *arguments)
            for loss in (source("readout_loss"), module.readout_loss)
        )
        close(found, due)
        close(run_compiled(module.readout_loss_value_and_grad, *arguments), due)


def run(step: Any, state: Any, inputs: Any) -> Any:
    """The states over time."""

    def body(state: Any, x: Any) -> Any:
        new = step(state, x)
        return new, new

    return run_compiled(lambda: jax.lax.scan(body, state, inputs)[1])


def test_lif_layer_settles_below_the_threshold_and_fires_more_with_more_input() -> None:
    step, w = source("lif_layer"), jnp.asarray([[0.05, 0.2, 0.4]])
    rest = (jnp.zeros((1, 3)),) * 3
    v, _, z = run(lambda s, x: step(*s, x, w), rest, jnp.ones((2000, 1, 1)))
    np.testing.assert_allclose(v[-1, 0, 0], 0.5, rtol=1e-3)  # the input through 1 / (1 - b)
    rates = np.asarray(z[:, 0].mean(0))
    assert rates[0] == 0.0
    assert 0.0 < rates[1] < rates[2] < 0.5


def test_alif_counts_its_spikes_adapts_and_does_not_excite_itself() -> None:
    module = load(ROOT / "models" / "layers" / "alif_recurrent.py")
    rest = module.ALIFState(*[jnp.zeros((1, 2))] * 3)
    w, r = jnp.asarray([[0.1, 0.2]]), jnp.diag(jnp.asarray([5.0, 5.0]))
    states = run(lambda s, x: module.alif_recurrent(s, x, w, r), rest, jnp.ones((1000, 1, 1)))
    spikes = np.asarray(states.z[:, 0])
    kernel = 0.995 ** np.arange(1000)
    for k in range(2):
        counted = np.convolve(spikes[:-1, k], kernel)[:999]
        np.testing.assert_allclose(states.a[1:, 0, k], counted, rtol=1e-3, atol=1e-3)
    assert 5 < spikes[-300:].sum() < spikes[:300].sum()
    alone = run(lambda s, x: module.alif_recurrent(s, x, w, 0 * r), rest, jnp.ones((1000, 1, 1)))
    np.testing.assert_array_equal(states.z, alone.z)


def test_ei_network_stays_between_its_reversal_potentials_and_inhibition_quiets_it() -> None:
    module = load(ROOT / "models" / "layers" / "ei_conductance.py")
    rng = np.random.default_rng(1)
    rest = module.EIState(jnp.full((1, 50), -60.0), *[jnp.zeros((1, 50))] * 3)
    x = jnp.asarray(0.4 * rng.binomial(1, 0.05, (3000, 1, 50)), jnp.float32)
    we = jnp.asarray(0.3 * rng.binomial(1, 0.2, (40, 50)), jnp.float32)
    wi = jnp.asarray(3.0 * rng.binomial(1, 0.2, (10, 50)), jnp.float32)
    rates = []
    for gain in (0.0, 1.0):
        states = run(lambda s, x, g=gain: module.ei_conductance(s, x, we, g * wi), rest, x)
        assert -80.0 <= states.v.min() <= states.v.max() <= -50.0
        assert min(states.ge.min(), states.gi.min()) >= 0.0
        rates.append(float(states.z.mean()) / 1e-4)
    assert 1.0 < rates[1] < 0.9 * rates[0]  # in Hz


def test_gap_junctions_conserve_charge_and_draw_potentials_together() -> None:
    step = source("hh_gap_junctions")
    rng = np.random.default_rng(2)
    g = rng.uniform(0.0, 0.2, (8, 8))
    g = jnp.asarray(g + g.T)
    x, w = jnp.ones((1, 1)), jnp.asarray(rng.uniform(0.0, 20.0, (1, 8)))
    start = [jnp.asarray(rng.uniform(-70.0, -60.0, (1, 8)))]
    start += [jnp.full((1, 8), gate) for gate in (0.05, 0.6, 0.32)]
    with jax.enable_x64(True):
        wide = [jnp.asarray(a, "float64") for a in (*start, x, w)]
        coupled, alone = (step(*wide, k * jnp.asarray(g, "float64"))[0] for k in (1.0, 0.0))
        np.testing.assert_allclose(coupled.sum(), alone.sum(), rtol=1e-13)
        assert np.abs(coupled - alone).max() > 1e-3
    drive = jnp.ones((5000, 1, 1))
    spreads = []
    for k in (1.0, 0.0):
        v = run(lambda s, x, k=k: step(*s, x, w, k * g), tuple(start), drive)[0]
        assert v.max() > 20.0  # they fire
        spreads.append(float(v[1000:].std(-1).mean()))
    assert spreads[0] < 0.5 * spreads[1]
    gates = [jnp.full((1, 2), 0.3)] * 3
    singular = step(jnp.asarray([[-40.0, -55.0]]), *gates, x, w[:, :2], g[:2, :2])
    assert all(jnp.isfinite(value).all() for value in singular)


def test_convolution_sees_a_neighbourhood_alike_everywhere() -> None:
    step = source("lif_conv")
    rng = np.random.default_rng(3)
    v, kernel = jnp.zeros((1, 4, 9, 9)), jnp.asarray(rng.normal(size=(4, 2, 3, 3)))
    x = np.zeros((1, 2, 9, 9))
    x[0, :, 3, 4] = 1.0
    first, _ = step(v, jnp.asarray(x), kernel, jnp.zeros(4), 0.0)
    second, _ = step(v, jnp.asarray(np.roll(x, (1, 2), (2, 3))), kernel, jnp.zeros(4), 0.0)
    np.testing.assert_allclose(jnp.roll(first, (1, 2), (2, 3)), second, atol=1e-6)
    assert np.count_nonzero(first[0].any(0)) == 9
    # a time constant of two steps: half of the way to the input
    held, _ = step(jnp.full((1, 4, 9, 9), 0.5), jnp.asarray(0 * x), kernel, jnp.zeros(4), 0.0)
    np.testing.assert_allclose(held, 0.25)


def test_attention_keeps_examples_apart_and_knows_no_order_of_tokens() -> None:
    module = load(ROOT / "models" / "layers" / "spiking_attention.py")
    front = front_of("spiking_attention")
    leaves = drawn(front, np.random.default_rng(4))
    leaves["x"] = leaves["x"][0]
    arguments, _ = front.signature.bind([leaves[i.path] for i in front.trace.inputs])
    state, x, params, *_ = arguments
    outputs = lambda state, x: module.spiking_attention(state, x, params)  # noqa: E731
    elsewhere = lambda x: sum(out[1:].sum() for out in jax.tree.leaves(outputs(state, x)))  # noqa: E731
    others = run_compiled(jax.grad(elsewhere), x)
    assert not others[0].any()
    assert others[1].any()
    order = np.random.default_rng(5).permutation(SIZES["t"])
    mixed = run_compiled(outputs, jax.tree.map(lambda u: u[:, order], state), x[:, order])
    kept = run_compiled(outputs, state, x)
    for one, other in zip(jax.tree.leaves(mixed), jax.tree.leaves(kept), strict=True):
        np.testing.assert_allclose(one, other[:, order], atol=1e-5)


def test_the_readout_knows_nothing_before_it_has_learnt() -> None:
    loss = source("readout_loss")
    labels = jnp.asarray([0, 3, 1])
    s = jnp.asarray(np.random.default_rng(6).uniform(size=(20, 3, 10)))
    start = loss(s, jnp.zeros((10, 4)), jnp.zeros(4), labels)
    assert start == pytest.approx(np.log(4.0), rel=1e-6)
    w, b = jnp.asarray(np.random.default_rng(7).normal(size=(10, 4))), jnp.zeros(4)
    slope = jax.grad(loss, argnums=2)(s, w, b, labels)
    np.testing.assert_allclose(slope.sum(), 0.0, atol=1e-6)  # probabilities sum to one
    assert loss(s, w, b, labels) > loss(s, w, b - 0.1 * slope, labels) > 0.0


def test_a_loss_that_is_called_like_a_matrix_is_not_its_next_value() -> None:
    front = open_front(Settings(str(ROOT / "models" / "networks" / "feedforward_loss.py")))
    assert isinstance(front, ArrayFront)
    assert "params.out" in {i.path for i in front.trace.inputs}
    assert front.trace.recurrence == ()
