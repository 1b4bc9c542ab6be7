"""Gradients of learning online by generated functions, and those of JAX through time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from test_arrays import Pair

EMIT = ("f", "traces")
STEPS = 15
FAST_TO_COMPILE = {"xla_backend_optimization_level": 0}


class Run:
    """A sequence for a source: what drives it in each step, and the errors at its outputs."""

    def __init__(self, made: Pair, sizes: Sequence[int] = (3, 4, 5, 2, 6), steps: int = STEPS):
        trace = made.front.trace
        random = np.random.default_rng(0)
        self.made, self.leaves = made, made.leaves(sizes, jnp.result_type(float).name, random)
        self.paths = [i.path for i in trace.inputs]
        outputs = [o.path for o in trace.outputs]
        self.state = [(self.paths.index(i), outputs.index(o)) for i, o in trace.recurrence]
        states = [place for place, _ in self.state]
        self.learned = [k for k, i in enumerate(trace.inputs) if i.wrt and k not in states]
        arguments = {self.paths[k].split(".")[0] for k in self.learned}
        staying = {k for k, path in enumerate(self.paths) if path.split(".")[0] in arguments}
        fixed = {*states, *staying}
        self.driven = [k for k, x in enumerate(self.leaves) if k not in fixed and x.ndim]
        self.drive = [random.normal(size=(steps, *self.leaves[k].shape)) for k in self.driven]
        due = made.types(made.source, self.leaves)
        self.errors = [random.normal(size=(steps, *x.shape)) for x in due]

    def at(self, start: Sequence[Any], state: Sequence[Any], drive: Sequence[Any]) -> list[Any]:
        """The leaves in a step."""
        given = list(start)
        for k, value in zip(self.driven, drive, strict=True):
            given[k] = value
        for (k, _), value in zip(self.state, state, strict=True):
            given[k] = value
        return given

    def primals(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments of a call."""
        positional, keyword = self.made.front.signature.bind(leaves)
        return (*positional, *keyword.values())

    def through_time(self, leaves: Sequence[Any]) -> list[Any]:
        """By `jax.grad` of the source."""

        def loss(chosen: Sequence[Any]) -> Any:
            start = list(leaves)
            for k, value in zip(self.learned, chosen, strict=True):
                start[k] = value

            def step(state: Sequence[Any], now: Any) -> Any:
                drive, errors = now
                outputs = self.made.flat(self.made.source, self.at(start, state, drive))
                total = sum(jnp.vdot(e, o) for e, o in zip(errors, outputs, strict=True))
                return [outputs[o] for _, o in self.state], total

            first = [leaves[k] for k, _ in self.state]
            return jax.lax.scan(step, first, (self.drive, self.errors))[1].sum()

        return list(jax.grad(loss)([leaves[k] for k in self.learned]))

    def online(self, leaves: Sequence[Any]) -> list[Any]:
        """By the generated functions."""
        made = self.made
        result = made.source(*self.primals(leaves))
        tree = jax.tree.structure(result)

        def step(carry: Any, now: Any) -> Any:
            state, traces, total = carry
            drive, errors = now
            primals = self.primals(self.at(leaves, state, drive))
            value, traces = made.function("_traces_step")(traces, primals)
            found = made.function("_traces_vjp")(traces, jax.tree.unflatten(tree, errors))
            total = [a + b for a, b in zip(total, self._by_leaf(found), strict=True)]
            outputs = jax.tree.leaves(value)
            return ([outputs[o] for _, o in self.state], traces, total), None

        zeros = made.function("_traces_init")(self.primals(leaves))
        start = [leaves[k] for k, _ in self.state], zeros
        total = [jnp.zeros_like(leaves[k]) for k in self.learned]
        return jax.lax.scan(step, (*start, total), (self.drive, self.errors))[0][2]

    def _by_leaf(self, gradients: Any) -> list[Any]:
        paths = [self.paths[k].split(".") for k in self.learned]
        arguments = list(dict.fromkeys(path[0] for path in paths))
        found = []
        for first, *rest in paths:
            value = gradients[arguments.index(first)]
            for key in rest:
                value = value[key] if isinstance(value, dict) else value[int(key)]
            found.append(value)
        return found


def compare(one: Callable[..., Any], other: Callable[..., Any], run: Run, accuracy: float) -> None:
    """Gradients are equal, relative to the largest element of each, and not all zero."""

    def both(leaves: Sequence[Any]) -> Any:
        return one(leaves), other(leaves)

    program = jax.jit(both).lower(run.leaves).compile(FAST_TO_COMPILE)
    found, due = program(run.leaves)
    assert any(np.abs(x).max() > 0 for x in due)
    for a, b in zip(found, due, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert np.isfinite(b).all()
        np.testing.assert_allclose(a, b, rtol=0, atol=accuracy * max(np.abs(b).max(), 1e-30))
