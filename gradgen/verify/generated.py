"""Calls of a generated module's public functions, with flat leaves in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.verify.subject import Array, Call, Subject, result_leaves

PUBLIC = {"f": ("",), "traces": ("_traces_init", "_traces_step")}
"""What follows the step function's name where it is not the emitted name itself."""


@dataclass(frozen=True)
class Generated:
    """A loaded text, and what it is called with."""

    subject: Subject
    loaded: ModuleType

    @property
    def emitted(self) -> tuple[str, ...]:
        """The public functions that the text should hold."""
        module = self.subject.module
        single = module.trace.result.is_leaf
        return tuple(f for f in module.emit if f != "value_and_grad" or single)

    def function(self, suffix: str) -> Any:
        """A public function; AttributeError if the text lacks it."""
        name = self.subject.module.source.function
        return getattr(self.loaded, name if suffix == "f" else f"{name}_{suffix}")

    def call(self, suffix: str, leaves: Sequence[Array]) -> Any:
        """A function that takes the source's arguments."""
        positional, keyword = self.subject.bind(leaves)
        return self.function(suffix)(*positional, **keyword)

    def vjp(self, leaves: Sequence[Array], cotangents: Any) -> Any:
        """`f_vjp`; the cotangents are a result's pytree."""
        return self.function("vjp")(primals(self.subject.bind(leaves)), cotangents)

    def jvp(self, leaves: Sequence[Array], tangents: Sequence[Array]) -> Any:
        """`f_jvp`; the tangents are those of the differentiated leaves."""
        return self.function("jvp")(primals(self.subject.bind(leaves)), self.tangents_of(tangents))

    def gradient(self, leaves: Sequence[Array], cotangents: Sequence[Array]) -> list[Array]:
        """Cotangents of the differentiated leaves that JAX obtains through `f`."""
        subject = self.subject

        def of_differentiated(*chosen: Array) -> list[Array]:
            outputs = result_leaves(self.call("f", subject.with_differentiated(leaves, chosen)))
            return [outputs[k] for k in subject.floats]

        pull = jax.vjp(of_differentiated, *(leaves[k] for k in subject.wrt))[1]
        return list(pull(list(cotangents)))

    def pushed(self, leaves: Sequence[Array], tangents: Sequence[Array]) -> tuple[Any, Any]:
        """The result, and the tangents that JAX obtains through `f_forward`."""
        subject = self.subject

        def of_differentiated(*chosen: Array) -> Any:
            return self.call("forward", subject.with_differentiated(leaves, chosen))

        chosen = tuple(leaves[k] for k in subject.wrt)
        return jax.jvp(of_differentiated, chosen, tuple(tangents))

    def traces(self, leaves: Sequence[Array], tangents: Sequence[Array]) -> Any:
        """`f_traces_step`, with each state's tangent as its traces, an input's as its factor."""
        traces = self.subject.module.traces
        assert traces is not None
        given = dict(zip((self.subject.paths[k] for k in self.subject.wrt), tangents, strict=True))
        presynaptic = {path: given[path] for path, _ in traces.factors}
        call = primals(self.subject.bind(leaves))
        zeros = self.function("traces_init")(call, presynaptic)
        known = {pair: jnp.broadcast_to(given[pair[0]], zeros[pair].shape) for pair in zeros}
        return self.function("traces_step")(known, call, presynaptic)

    def tangents_of(self, tangents: Sequence[Array]) -> tuple[Any, ...]:
        """Tangents as `f_jvp` takes them: None for every leaf that is held constant."""
        subject = self.subject
        flat: list[Any] = [None] * len(subject.paths)
        for position, tangent in zip(subject.wrt, tangents, strict=True):
            flat[position] = tangent
        trees = primals(subject.bind(flat))
        chosen = {subject.paths[k].split(".")[0] for k in subject.wrt}
        order = _in_order(subject)
        return tuple(
            tree if name in chosen else None for name, tree in zip(order, trees, strict=True)
        )


def _in_order(subject: Subject) -> list[str]:
    arguments = subject.module.trace.arguments
    positional = [a.name for a in arguments if not a.keyword_only]
    return [*positional, *(a.name for a in arguments if a.keyword_only)]


def primals(call: Call) -> tuple[Any, ...]:
    """All arguments in order, those that are passed by keyword included."""
    positional, keyword = call
    return (*positional, *keyword.values())


def cotangent_tree(result: Any, floats: Sequence[int], cotangents: Sequence[Array]) -> Any:
    """Cotangents in the result's pytree: of type float0 for what is not a float."""
    leaves, tree = jax.tree.flatten(result)
    flat: list[Any] = [np.zeros(jnp.shape(leaf), jax.dtypes.float0) for leaf in leaves]
    for position, cotangent in zip(floats, cotangents, strict=True):
        flat[position] = cotangent
    return jax.tree.unflatten(tree, flat)


def everything(
    generated: Generated,
    leaves: Sequence[Array],
    cotangents: Sequence[Array],
    tangents: Sequence[Array],
    result: Any,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Every emitted function, or those named, at the same point: values and derivatives.

    Both are flat lists, by function.
    A value is kept under `<function>`, its derivatives under `d:<function>`; the gradient through
    `f` under `d:f`, the tangents through `f_forward` under `d:forward`; `d:jacobian_entries` and
    `d:traces` are dicts. `result` is a result of the source, for its pytree.
    """
    found: dict[str, Any] = {}
    floats = generated.subject.floats
    for name in generated.emitted if names is None else names:
        if name == "f":
            found[name] = result_leaves(generated.call(name, leaves))
            found[f"d:{name}"] = generated.gradient(leaves, cotangents)
        elif name == "vjp":
            tree = cotangent_tree(result, floats, cotangents)
            found[f"d:{name}"] = result_leaves(generated.vjp(leaves, tree))
        elif name in ("forward", "jvp"):
            push = generated.pushed if name == "forward" else generated.jvp
            value, pushed = push(leaves, tangents)
            found[name] = result_leaves(value)
            found[f"d:{name}"] = [jnp.asarray(jax.tree.leaves(pushed)[k]) for k in floats]
        elif name == "traces":
            value, _, so_far = generated.traces(leaves, tangents)
            found[name] = result_leaves(value)
            found[f"d:{name}"] = {"|".join(key): value for key, value in so_far.items()}
        elif name == "jacobian_entries":
            entries = generated.call(name, leaves)
            found[f"d:{name}"] = {"|".join(key): value for key, value in entries.items()}
        elif name == "jacobian":
            found[f"d:{name}"] = result_leaves(generated.call(name, leaves))
        else:
            value, nested = generated.call(name, leaves)
            found[name] = result_leaves(value)
            found[f"d:{name}"] = result_leaves(nested)
    return found
