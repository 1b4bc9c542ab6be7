"""`f_forward`: the generated forward rule under JAX's transformations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from generating import MODELS, STYLES, Generated, each, generate, generate_text
from test_generated_interface import apply, describe, draw, gradients, is_float, loss

FILES = pytest.mark.parametrize("path", each(*MODELS, *STYLES))
TWICE = ("alif_multi", "coba_lif", "lif_2023", "research_scan", "research_sqrt_branch", "spyx_alif")
"""What the normal run differentiates twice: containers, integers, rules, loops and roots."""

SPIKE = """
import jax
import jax.numpy as jnp


@jax.custom_vjp
def spike(x):
    return jnp.heaviside(x, 0.0)


spike.defvjp(lambda x: (spike(x), x), lambda x, g: (g / (10.0 * jnp.abs(x) + 1.0) ** 2,))


def step(v, x, gain, tau=0.9):
    v = tau * v + gain * jnp.tanh(x)
    z = spike(v - 1.0)
    return v * (1.0 - z), z
"""


def on_floats(generated: Generated, function, leaves, wrt):
    """The function's float outputs, of its differentiated leaves."""

    def of(*chosen):
        given = list(leaves)
        for k, value in zip(wrt, chosen, strict=True):
            given[k] = value
        return [x for x in jax.tree.leaves(apply(generated, function, given)) if is_float(x)]

    return of


@FILES
def test_value_and_tangents(path):
    generated = generate(path)
    wrt = [k for k, i in enumerate(generated.front.trace.inputs) if i.wrt]
    leaves = draw(generated)
    forward = generated.function("forward")
    assert describe(apply(generated, forward, leaves)) == describe(
        apply(generated, generated.source, leaves)
    )
    chosen = [leaves[k] for k in wrt]
    random = np.random.default_rng(3)
    tangents = [jnp.asarray(random.normal(), x.dtype) for x in chosen]
    rule = on_floats(generated, forward, leaves, wrt)
    pushed = run_compiled(lambda x, t: jax.jvp(rule, x, t)[1], chosen, tangents)
    source = on_floats(generated, generated.source, leaves, wrt)
    try:
        wanted = run_compiled(lambda x, t: jax.jvp(source, x, t)[1], chosen, tangents)
    except TypeError:  # a custom_vjp function has no forward mode
        rows = run_compiled(jax.jacrev(source, tuple(range(len(wrt)))), *chosen)
        wanted = [sum(map(jnp.multiply, row, tangents)) for row in rows]
    for one, two in zip(pushed, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=5e-4, atol=1e-4)


@FILES
def test_reverse_mode_transposes_the_rule(path):
    generated = generate(path)
    wrt = [k for k, i in enumerate(generated.front.trace.inputs) if i.wrt]
    leaves = draw(generated, (3,))
    leaves[wrt[-1]] = leaves[wrt[-1]][0]
    pulled = gradients(generated, generated.function("forward"), leaves, wrt)
    wanted = gradients(generated, generated.function(), leaves, wrt)
    for one, two in zip(pulled, wanted, strict=True):
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
        np.testing.assert_allclose(one, two, rtol=5e-4, atol=1e-4)


@FILES
def test_what_is_held_constant_raises(path):
    generated = generate(path)
    leaves = draw(generated)
    for k, i in enumerate(generated.front.trace.inputs):
        if not i.wrt and i.dtype == "float":
            with pytest.raises(TypeError, match=rf"generated with {i.path} held constant"):
                gradients(generated, generated.function("forward"), leaves, [k])


def through_time(step, v, gain, inputs):
    """A loss over a simulation."""

    def advance(v, x):
        v, z = step(v, x, gain)
        return v, (v, z)

    _, (v, z) = jax.lax.scan(advance, v, inputs)
    return jnp.sum(v**2) + jnp.sum(z * jnp.cos(v))


def test_forward_mode_where_the_source_has_none(tmp_path):
    generated = generate_text(tmp_path, SPIKE)
    with jax.enable_x64(True):
        v, gain = jnp.linspace(0.2, 1.4, 5), jnp.asarray(0.7)
        inputs = jnp.sin(jnp.arange(200.0).reshape(40, 5))
        with pytest.raises(TypeError, match="custom_vjp"):
            jax.jvp(lambda g: through_time(generated.source, v, g, inputs), (gain,), (gain,))
        of = lambda g: through_time(generated.function("forward"), v, g, inputs)  # noqa: E731

        def everything(g):
            _, pushed = jax.jvp(of, (g,), (jnp.ones_like(g),))
            due = jax.grad(lambda g: through_time(generated.source, v, g, inputs))(g)
            return due, pushed, jax.jacfwd(of)(g), jax.grad(of)(g)

        by_time, *found = run_compiled(everything, gain)
        np.testing.assert_allclose(found, [by_time] * 3, rtol=1e-12)


@pytest.mark.parametrize("path", each(*MODELS, *STYLES, representatives=TWICE))
@pytest.mark.parametrize("suffix", ["", "forward"])
def test_forward_over_reverse(path, suffix):
    generated = generate(path)
    wrt = [k for k, i in enumerate(generated.front.trace.inputs) if i.wrt]
    with jax.enable_x64(True):
        leaves = draw(generated, dtype="float64")
        chosen = [leaves[k] for k in wrt]

        def second(function):
            def gradient(*chosen):
                given = list(leaves)
                for k, value in zip(wrt, chosen, strict=True):
                    given[k] = value
                return gradients(generated, function, given, wrt)

            return jax.jvp(gradient, chosen, [jnp.ones_like(x) for x in chosen])[1]

        if generated.front.trace.own_rules:
            with pytest.raises(TypeError, match="no second derivative"):
                second(generated.function(suffix))
            return
        for found, wanted in zip(
            second(generated.function(suffix)), second(generated.source), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


PLAIN = SPIKE.replace("lambda x: (spike(x), x)", "lambda x: (jnp.heaviside(x, 0.0), x)")


@pytest.mark.parametrize("suffix", ["", "forward"])
def test_second_derivatives_of_a_rule_in_plain_code(tmp_path, suffix):
    generated = generate_text(tmp_path, PLAIN)
    with jax.enable_x64(True):
        v, gain = jnp.linspace(0.2, 1.4, 5), jnp.asarray(0.7)
        inputs = jnp.sin(jnp.arange(200.0).reshape(40, 5))
        # of the source once: each order is taken of the function that is tested
        steps = generated.function(suffix), generated.source
        slopes = [jax.grad(lambda g, f=f: through_time(f, v, g, inputs)) for f in steps]
        derivatives = [jax.jacfwd(slopes[0]), jax.jacrev(slopes[0]), jax.jacfwd(slopes[1])]
        *found, wanted = run_compiled(lambda g: [of(g) for of in derivatives], gain)
        np.testing.assert_allclose(found, [wanted] * 2, rtol=1e-10)
        assert abs(wanted) > 1.0


@pytest.mark.parametrize(
    "text",
    [
        SPIKE,
        PLAIN.replace("(jnp.heaviside(x, 0.0), x)", "(jnp.where(x > 0.0, 1.0, 0.0), x)"),
        PLAIN.replace("jnp.abs(x)", "jax.nn.relu(x)"),
        PLAIN.replace("gain * jnp.tanh(x)", "gain * jnp.tanh(jax.lax.stop_gradient(x))"),
    ],
    ids=["itself", "another function", "a custom_jvp", "stop_gradient"],
)
def test_second_derivatives_of_rules_that_code_does_not_show(tmp_path, text):
    step = generate_text(tmp_path, text).function()
    with pytest.raises(TypeError, match="no second derivative"):
        jax.hessian(lambda g: step(0.5, 1.0, g)[0])(0.7)


def test_no_float_is_differentiated_in_vain(tmp_path):
    generated = generate_text(
        tmp_path,
        "import jax.numpy as jnp\n\ndef step(v, count: int):\n    return v * v, count + 1, v > 0\n",
    )
    forward = generated.function("forward")
    primals = jnp.asarray([1.0, 2.0]), jnp.asarray([3, 4])
    tangents = jnp.asarray([1.0, 0.5]), np.zeros(2, jax.dtypes.float0)
    value, pushed = jax.jvp(forward, primals, tangents)
    assert describe(value) == describe(forward(*primals))
    np.testing.assert_allclose(pushed[0], [2.0, 2.0])
    assert [t.dtype for t in pushed[1:]] == [jax.dtypes.float0] * 2
    assert loss(generated, forward, primals).shape == ()
