"""Calls of a generated module's public functions, with flat leaves in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.ir.emitted import public_name
from gradgen.verify.subject import Array, Call, Subject, result_leaves


@dataclass(frozen=True)
class Generated:
    """A loaded text, and what it is called with."""

    subject: Subject
    loaded: ModuleType

    @property
    def emitted(self) -> tuple[str, ...]:
        """What the text should hold."""
        return tuple(function.name for function in self.subject.module.functions)

    def function(self, member: str) -> Any:
        """A public function; AttributeError if the text lacks it."""
        return getattr(self.loaded, public_name(self.subject.module.source.function, member))

    def call(self, member: str, leaves: Sequence[Array]) -> Any:
        """A function that takes the source's arguments."""
        positional, keyword = self.subject.bind(leaves)
        return self.function(member)(*positional, **keyword)

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
