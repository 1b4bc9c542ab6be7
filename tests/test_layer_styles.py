"""Layers as other libraries and papers write them, trained through time as their sources are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from generating import ROOT, each, run_text

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front, ranges_of
from gradgen.config import Settings
from gradgen.ir.code import is_float
from gradgen.ir.shapes import axes_in, size
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.points import default_values

STYLES = sorted((ROOT / "tests" / "styles" / "layers").glob("*.py"))
REPRESENTATIVES = (
    "jaxsnn_recurrent", "paper_dropout", "paper_fixed_kernel", "paper_k_winners",
    "paper_sparse_synapses", "snnax_conv",
)  # fmt: skip
"""A recurrent layer, a key, constants of the module, sorting, lists of synapses, a convolution."""
INPUTS = ("x", "inputs", "target")
"""What the arguments are called that are others in each step."""
LENGTH = 20


@pytest.mark.parametrize("path", each(*STYLES, representatives=REPRESENTATIVES))
def test_gradients_through_time_are_those_of_the_source(path: Path) -> None:
    front = open_front(Settings(str(path)))
    assert isinstance(front, ArrayFront)
    trace = front.trace
    generated = getattr(run_text(render_arrays(array_module(front))), trace.function)
    with jax.enable_x64(True):
        leaves = drawn(front, np.random.default_rng(3))
        chosen = {i.path: leaves[i.path] for i in trace.inputs if i.wrt}

        def gradient(step: Callable[..., Any]) -> Any:
            def loss(chosen: Any) -> jax.Array:
                return through_time(front, step, leaves | chosen)

            return run_compiled(jax.value_and_grad(loss), chosen)

        found, due = gradient(generated), gradient(front.function)
    assert any(np.any(x) for x in due[1].values())
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.isfinite(other).all()
        scale = max(np.abs(other).max(), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * scale)


def drawn(front: ArrayFront, rng: np.random.Generator) -> dict[str, Any]:
    """A value for each path, in its range or around zero; inputs have an axis of time."""
    trace, ranges = front.trace, ranges_of(front)
    sizes = {axis: k for k, axis in enumerate(axes_in(trace.shapes), start=3)}
    defaults = default_values(trace.arguments)
    found: dict[str, Any] = {}
    for i, shape in zip(trace.inputs, trace.shapes, strict=True):
        low, high = ranges.get(i.path) or ranges.get(i.path.partition(".")[0], (-1, 2))
        axes = tuple(size(dim, sizes) for dim in shape)
        if i.path.partition(".")[0] in INPUTS:
            axes = (LENGTH, *axes)
        if i.dtype == "key":
            found[i.path] = jax.random.key(1)
            continue
        if i.path in defaults and not shape:
            values = np.asarray(defaults[i.path])
        elif is_float(i.dtype):
            values = rng.uniform(low, high, axes)
        else:
            values = rng.integers(max(low, 0), high + 1, axes)
        found[i.path] = jnp.asarray(values, "float" if is_float(i.dtype) else i.dtype)
    return found


def through_time(front: ArrayFront, step: Callable[..., Any], leaves: dict[str, Any]) -> jax.Array:
    """A loss of all float outputs in all steps."""
    trace = front.trace
    places = {o.path: k for k, o in enumerate(trace.outputs)}
    renewed = {path: places[output] for path, output in trace.recurrence}
    assert renewed
    floats = [k for k, o in enumerate(trace.outputs) if is_float(o.dtype)]
    inputs = {p: x for p, x in leaves.items() if p.partition(".")[0] in INPUTS}

    def body(state: Any, now: Any) -> Any:
        number, given = now
        known = leaves | state | given
        if "key" in known:
            known["key"] = jax.random.fold_in(known["key"], number)
        positional, keyword = front.signature.bind([known[i.path] for i in trace.inputs])
        outputs = jax.tree.leaves(step(*positional, **keyword))
        loss = sum((k + 1) * jnp.mean(jnp.sin(outputs[k])) for k in floats)
        return {path: outputs[k] for path, k in renewed.items()}, loss

    start = {path: leaves[path] for path in renewed}
    return jax.lax.scan(body, start, (jnp.arange(LENGTH), inputs))[1].sum()
