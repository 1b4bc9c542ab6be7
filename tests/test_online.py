"""Eligibility traces: the gradient forward in time, against backpropagation through time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import MODELS, Generated, each, generate, generate_text

from gradgen.compile.front import ranges_of
from gradgen.errors import GradgenError

EMIT = ("f", "traces")
STEPS, PRESYNAPTIC, NEURONS = 30, 4, 3
DRIVEN = {
    "adex": "I", "alif": "S", "cuba_lif_state": "x", "glif": "I", "hodgkin_huxley": "I",
    "izhikevich": "I", "lif": "S", "lif_2023": "S", "lif_reset": "S", "morris_lecar": "I",
}  # fmt: skip
"""The models' inputs that a layer of weights can drive."""
FILES = pytest.mark.parametrize("name", each(*DRIVEN))


def layer(generated: Generated, name: str):
    """The layer's leaves at the start, the activities of its presynaptic neurons, its weights."""
    random = np.random.default_rng(0)
    ranges = ranges_of(generated.front)
    leaves = []
    for i in generated.front.trace.inputs:
        low, high = ranges.get(i.path, (0.0, 1.0))
        leaves.append(jnp.asarray(random.uniform(0.7 * low + 0.3 * high, high, NEURONS)))
        if i.name == DRIVEN[name]:
            weights = jnp.asarray(random.uniform(0.0, 0.6 * high, (PRESYNAPTIC, NEURONS)))
    activities = jnp.asarray(random.binomial(1, 0.4, (STEPS, PRESYNAPTIC)), float)
    return leaves, activities, weights


def states_of(generated: Generated) -> list[tuple[int, int]]:
    """The numbers of the state's leaves among inputs and outputs."""
    trace = generated.front.trace
    inputs, outputs = [i.path for i in trace.inputs], [o.path for o in trace.outputs]
    return [(inputs.index(a), outputs.index(b)) for a, b in trace.differentiated_state]


def advance(generated: Generated, function, leaves, driven, current):
    """One step on flat leaves: the outputs, and the leaves with the new state."""
    given = list(leaves)
    given[driven] = current
    positional, keyword = generated.front.signature.bind(given)
    outputs = jax.tree.leaves(function(*positional, **keyword))
    for k, output in states_of(generated):
        given[k] = outputs[output]
    return outputs, given


def loss_of(outputs, step):
    """Of one step; every float output counts, differently at each time."""
    floats = [x for x in outputs if jnp.issubdtype(x.dtype, jnp.floating)]
    return sum(jnp.sum(jnp.cos(step + k + jnp.arange(NEURONS)) * x) for k, x in enumerate(floats))


def by_time(generated: Generated, driven, leaves, activities, weights):
    """The gradient by the weights, by backpropagation through the source over time."""

    def loss(weights):
        def scanned(leaves, xs):
            activity, step = xs
            outputs, leaves = advance(
                generated, generated.source, leaves, driven, activity @ weights
            )
            return leaves, loss_of(outputs, step)

        return jnp.sum(jax.lax.scan(scanned, leaves, (activities, jnp.arange(STEPS)))[1])

    return jax.grad(loss)(weights)


def online(generated: Generated, driven, leaves, activities, weights):
    """The same gradient, step by step and without a look back."""
    name = generated.front.trace.inputs[driven].path
    outputs_by_path = [o.path for o in generated.front.trace.outputs]

    def call(leaves, current):
        given = list(leaves)
        given[driven] = current
        positional, keyword = generated.front.signature.bind(given)
        return (*positional, *keyword.values()), given

    def scanned(carry, xs):
        leaves, traces, gradient = carry
        activity, step = xs
        primals, given = call(leaves, activity @ weights)
        result, traces, so_far = generated.function("traces_step")(
            traces, primals, {name: activity[:, None]}
        )
        outputs = jax.tree.leaves(result)
        errors = jax.grad(loss_of, allow_int=True)(outputs, step)
        for (path, by), derivative in so_far.items():
            if by == name:
                gradient += errors[outputs_by_path.index(path)] * derivative
        for k, output in states_of(generated):
            given[k] = outputs[output]
        return (given, traces, gradient), None

    primals, given = call(leaves, activities[0] @ weights)
    traces = generated.function("traces_init")(primals, {name: activities[0][:, None]})
    start = (given, traces, jnp.zeros_like(weights))
    return jax.lax.scan(scanned, start, (activities, jnp.arange(STEPS)))[0][2]


@FILES
def test_weights_of_a_feedforward_layer(name):
    generated = generate(next(p for p in MODELS if p.stem == name), emit=EMIT)
    paths = [i.name for i in generated.front.trace.inputs]
    driven = paths.index(DRIVEN[name])
    with jax.enable_x64(True):
        arguments = (driven, *layer(generated, name))
        wanted = by_time(generated, *arguments)
        found = online(generated, *arguments)
        assert np.isfinite(wanted).all()
        assert np.abs(wanted).max() > 0
        scale = float(np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12 * scale)


NEURON = """
import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def spike_jvp(primals, tangents):
    return spike(primals[0]), tangents[0] / (10.0 * jnp.abs(primals[0]) + 1.0) ** 2


def step(v, a, x, alpha=0.9, rho=0.95):
    v_next = alpha * v * (1.0 - a) + x
    z = spike(v_next - 1.0)
    return v_next, rho * a + (1.0 - rho) * z, z
"""
NEXT = "\n# gradgen: next v=0, a=1\n# gradgen: wrt v, a, x, alpha, rho\n"


def recurrent(step, parameters, inputs, feedback, *, through):
    """Some loss of a layer that feeds itself, with or without the gradient through that."""

    def scanned(carry, x):
        v, a, z = carry
        x = x + (z if through else jax.lax.stop_gradient(z)) @ feedback
        v, a, z = step(v, a, x, **parameters)
        return (v, a, z), jnp.sum(z * jnp.cos(jnp.arange(NEURONS)))

    start = (jnp.zeros(NEURONS),) * 3
    return jnp.sum(jax.lax.scan(scanned, start, inputs)[1])


def test_shared_parameters_and_explicit_recurrence(tmp_path):
    generated = generate_text(tmp_path, NEURON + NEXT, emit=EMIT)
    with jax.enable_x64(True):
        random = np.random.default_rng(2)
        inputs = jnp.asarray(random.uniform(0.0, 1.0, (STEPS, NEURONS)))
        feedback = jnp.asarray(random.normal(0.0, 0.8, (NEURONS, NEURONS)))
        parameters = {"alpha": jnp.asarray(0.9), "rho": jnp.asarray(0.95)}

        def gradient(*, through):
            of = lambda p: recurrent(generated.source, p, inputs, feedback, through=through)  # noqa: E731
            return jax.grad(of)(parameters)

        primals = (*(jnp.zeros(NEURONS),) * 3, *parameters.values())
        traces = generated.function("traces_init")(primals)
        found = dict.fromkeys(parameters, 0.0)
        v, a, z = (jnp.zeros(NEURONS),) * 3
        for x in inputs:
            primals = (v, a, x + z @ feedback, *parameters.values())
            (v, a, z), traces, so_far = generated.function("traces_step")(traces, primals)
            for name in parameters:
                found[name] += jnp.sum(jnp.cos(jnp.arange(NEURONS)) * so_far["2", name])
        # e-prop: what a spike does to other neurons later is left out, and nothing else is
        for name, value in gradient(through=False).items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12)
        assert any(abs(gradient(through=True)[n] - found[n]) > 1e-3 for n in parameters)


def test_memory_does_not_grow_with_time(tmp_path):
    generated = generate_text(tmp_path, NEURON, emit=EMIT)
    step = generated.function("traces_step")
    zeros = (jnp.zeros(64),) * 3

    def gradient(inputs):
        def scanned(carry, x):
            v, a, traces, total = carry
            (v, a, z), traces, so_far = step(traces, (v, a, x))
            return (v, a, traces, total + z * so_far["2", "x"]), None

        start = (*zeros[:2], generated.function("traces_init")(zeros), zeros[0])
        return jax.lax.scan(scanned, start, inputs)[0][3]

    def by_time(inputs):
        def loss(bias):
            def scanned(carry, x):
                v, a, z = generated.source(*carry, x + bias)
                return (v, a), 0.5 * jnp.sum(z**2)

            return jnp.sum(jax.lax.scan(scanned, zeros[:2], inputs)[1])

        return jax.grad(loss)(zeros[0])

    def kept(function, steps):
        compiled = jax.jit(function).lower(jnp.zeros((steps, 64))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert kept(gradient, 10_000) == kept(gradient, 100)
    assert kept(by_time, 10_000) > 50 * kept(by_time, 100)


def test_what_the_state_is(tmp_path):
    by_name = generate_text(tmp_path, NEURON, emit=EMIT)
    told = generate_text(tmp_path, NEURON + NEXT, emit=EMIT)
    assert by_name.front.trace.recurrence == (("v", "0"),)
    assert told.front.trace.recurrence == (("v", "0"), ("a", "1"))
    container = generate(next(p for p in MODELS if p.stem == "cuba_lif_state"), emit=EMIT)
    assert container.front.trace.recurrence == (
        ("state.v", "0.v"),
        ("state.i", "0.i"),
        ("state.z", "0.z"),
    )
    # places in the tuples of its parameters are called like those in its state
    nested = generate(next(p for p in MODELS if p.stem == "alif_multi")).front.trace.recurrence
    assert {path.split(".")[0] for path, _ in nested} == {"state"}


UNPACKED = "    v, w = {}\n    a, b = {}\n    return (v * a, w + b), v\n"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("def step(state, inputs):\n" + UNPACKED.format("state", "inputs"), "state.0 state.1"),
        ("def step(x, state):\n" + UNPACKED.format("state", "x"), "state.0 state.1"),
        ("def step(one, other):\n" + UNPACKED.format("one", "other"), ""),
        (
            "def step(v, w, x, params=(0.9, 0.8)):\n    return v * params[0] + x, w * params[1]\n",
            "",
        ),
        (
            "def step(v, w, x):\n    a, b = x\n"
            "    v_next = v * a\n    w_next = w + b\n    return v_next, w_next\n",
            "v w",
        ),
    ],
    ids=["named", "named, second", "alike", "constants", "variables"],
)
def test_containers_that_look_like_the_state(tmp_path, text, state):
    recurrence = generate_text(tmp_path, text).front.trace.recurrence
    assert " ".join(path for path, _ in recurrence) == state


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def step(v, x):\n    return x * v\n", "'step' has no state"),
        (
            "# gradgen: wrt v, x\n# gradgen: next v=0, a=1\n"
            "def step(v, a, x):\n    return v * a + x, a * v\n",
            "'a' is state that is held constant",
        ),
        (
            "# gradgen: next v=3\ndef step(v, x):\n    return x * v, x\n",
            "'3' in `next` is no output",
        ),
        (
            "# gradgen: next y=0\ndef step(v, x):\n    return x * v, x\n",
            "the directive names 'y', which is not an argument",
        ),
        (
            "# gradgen: next v=0:1\ndef step(v, x):\n    return x * v, x\n",
            "'0:1', for 'v', is not the path of an output",
        ),
    ],
)
def test_no_state(tmp_path, text, message):
    with pytest.raises(GradgenError, match=message.replace("(", r"\(")):
        generate_text(tmp_path, text, emit=EMIT)


def test_an_input_that_is_not_driven(tmp_path):
    generated = generate_text(tmp_path, NEURON, emit=EMIT)
    zeros = (jnp.zeros(3),) * 3
    with pytest.raises(
        ValueError, match="has no input 'alpha' that weights can drive; there are: a, x"
    ):
        generated.function("traces_init")(zeros, {"alpha": 1.0})
