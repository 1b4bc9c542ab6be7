"""Methods, and what calls at module level make, as people write them: trained as their sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from generating import ROOT, Generated, generate

from gradgen.compile.front import Front, ranges_of
from gradgen.ir.code import is_float
from gradgen.verify.points import input_ranges

STYLES = ROOT / "tests" / "styles" / "methods"
TARGETS = {
    "analog_neuron.py": "AnalogNeuron.step",
    "annotated_only.py": "Cell",
    "equinox_lif.py": "LIF",
    "equinox_nested.py": "Neuron.step",
    "equinox_own_state.py": "Integrator.step",
    "flax_linen.py": "LeakyIntegrator",
    "flax_nnx_alif.py": "ALIF.__call__",
    "flax_struct.py": "Parameters.update",
    "frozen_dataclass.py": "LIFParameters.step",
    "haiku_closure.py": None,
    "packaged/inner/relative.py": None,
    "partial_step.py": None,
    "plain_adex.py": "AdEx.step",
    "postponed_dataclass.py": "Exponential.evolve",
}
"""Which function of each file is meant; None for the only one."""
REPRESENTATIVES = (
    "equinox_nested.py", "equinox_own_state.py", "flax_nnx_alif.py", "frozen_dataclass.py",
    "haiku_closure.py", "packaged/inner/relative.py", "plain_adex.py",
)  # fmt: skip
"""Objects in objects, one returned, wrapped arrays, a compiled method, closures, a plain class."""
LENGTH = 20


def made(name: str) -> Generated:
    return generate(STYLES / name, function=TARGETS[name], order="reverse")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in REPRESENTATIVES else pytest.mark.full) for n in TARGETS],
)
def test_gradients_through_time_are_those_of_the_source(name: str) -> None:
    generated = made(name)
    front = generated.front
    with jax.enable_x64(True):
        leaves = drawn(front, np.random.default_rng(5))
        chosen = {i.path: leaves[i.path] for i in front.trace.inputs if i.wrt}

        def gradient(step: Callable[..., Any]) -> Any:
            def loss(chosen: Any) -> jax.Array:
                return through_time(front, step, leaves | chosen)

            return run_compiled(jax.value_and_grad(loss), chosen)

        found, due = gradient(generated.function()), gradient(front.function)
    assert any(np.any(x) for x in due[1].values())
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.isfinite(other).all()
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * max(np.abs(other).max(), 1e-3))


def drawn(front: Front, rng: np.random.Generator) -> dict[str, Any]:
    """A value for each path: parameters are shared by five neurons."""
    names = [a.name for a in front.trace.arguments if a.is_parameter]
    found = {}
    for i, bounds in zip(
        front.trace.inputs, input_ranges(front.trace, ranges_of(front)), strict=True
    ):
        shape = () if i.path.split(".")[0] in names else (5,)
        assert is_float(i.dtype)
        found[i.path] = jnp.asarray(rng.uniform(*bounds, shape), "float")
    return found


def through_time(front: Front, step: Callable[..., Any], leaves: dict[str, Any]) -> jax.Array:
    """A loss of all results of twenty steps, the state being fed back."""
    following = dict(front.trace.recurrence)
    assert following

    def one(carry: dict[str, Any], time: Any) -> Any:
        values = leaves | carry
        positional, keyword = front.signature.bind([values[p] for p in values])
        result = jax.tree.leaves(step(*positional, **keyword))
        outputs = dict(zip((o.path for o in front.trace.outputs), result, strict=True))
        known = {path: jnp.broadcast_to(outputs[following[path]], (5,)) for path in carry}
        return known, sum(jnp.sum(jnp.tanh(value) * jnp.cos(time)) for value in result)

    start = {path: jnp.broadcast_to(leaves[path], (5,)) for path in following}
    _, losses = jax.lax.scan(one, start, jnp.arange(LENGTH, dtype="float"))
    return jnp.sum(losses)
