"""Exponentials that the backward pass computes from each other."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from generating import generate_text

from gradgen.lowering.exponentials import share_exponentials

HEAD = "import jax.numpy as jnp\n# gradgen: next v=0, w=1\n# gradgen: range v=-60:60 w=0:1\n"


def generated(folder, *rates):
    lines = [f"r{k} = {rate}" for k, rate in enumerate(rates)]
    total = " + ".join(f"r{k} * w" for k in range(len(rates)))
    body = "\n    ".join([*lines, f"return v - 0.1 * ({total}), 0.9 * w"])
    return generate_text(
        folder, f"{HEAD}def step(v, w):\n    {body}\n", residuals="inputs", order="reverse"
    )


def exponentials(program):
    return sum(i.op == "exp" for i in program.instructions)


@pytest.mark.parametrize(
    ("rates", "left"),
    [
        (("jnp.exp((v + 35.0) / 10.0)", "jnp.exp(0.1 * v - 2.0)"), 1),
        # the flatter one is evaluated, wherever it stands: the steeper one overflows before it
        (("jnp.exp(-(v + 65.0) / 10.0)", "jnp.exp(-(v + 65.0) / 20.0)"), 1),
        (("jnp.exp(-(v + 65.0) / 20.0)", "0.1 * jnp.exp(-(v + 60.0) / 80.0)"), 1),
        (("jnp.exp(v / 16.0)", "jnp.exp(v / 80.0)"), 2),
        (("jnp.exp(-v / 10.0)", "jnp.exp(v / 20.0)"), 2),
        # equal ones, spelled differently
        (("jnp.exp(v / 10.0)", "0.5 * jnp.exp(0.1 * v)"), 1),
        (("0.07 * jnp.exp((5.0 - v) / 20.0)", "4.0 * jnp.exp((5.0 - v) / 10.0)"), 1),
        (("jnp.exp(v / 10.0)", "1.0 / (1.0 + jnp.exp((v + 5.0) / 10.0))"), 1),
        # no simple ratio, another variable, a factor that could overflow
        (("jnp.exp(v / 10.0)", "jnp.exp(v / 18.0)"), 2),
        (("jnp.exp(v / 10.0)", "jnp.exp(w / 10.0)"), 2),
        (("jnp.exp(v / 10.0)", "jnp.exp((v + 90.0) / 10.0)"), 2),
        # 1 - exp(x) loses digits near 0, where the quotient needs them
        (("jnp.exp(v / 10.0)", "(v + 5.0) / (1.0 - jnp.exp((v + 5.0) / 10.0))"), 1),
        (("jnp.exp(v / 20.0)", "(v + 5.0) / (1.0 - jnp.exp((v + 5.0) / 10.0))"), 2),
        (("jnp.exp(v / 20.0)", "(v + 5.0) * (1.0 - jnp.exp((v + 5.0) / 10.0)) ** -2"), 2),
        (("jnp.exp(v / 20.0)", "1.0 - jnp.exp(v / 10.0) / 3.0"), 1),
    ],
)
def test_what_is_shared(tmp_path, rates, left):
    found = generated(tmp_path, *rates)
    backward = found.module.passes.backward
    assert exponentials(backward) == left
    # the step itself is untouched
    assert exponentials(found.module.primal) == 2
    with jax.enable_x64(True):
        v, w = jnp.linspace(-60.0, 60.0, 241) + 0.1, jnp.linspace(0.1, 1.0, 241)
        gradients = [
            jax.grad(lambda v, w, f=f: jnp.sum(jnp.stack(f(v, w)) ** 2), (0, 1))
            for f in (found.function(), found.source)
        ]
        ours, due = run_compiled(lambda v, w: [of(v, w) for of in gradients], v, w)
        np.testing.assert_allclose(ours, due, rtol=1e-13, atol=1e-13)


def test_nothing_to_share(tmp_path):
    backward = generated(tmp_path, "jnp.exp(v / 10.0)", "jnp.sin(v)").module.passes.backward
    assert share_exponentials(backward) is backward
