"""What JAX says of the source: values, Jacobians by both modes, in either precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import error_in
from gradgen.verify.compiling import Compiled, Compiler
from gradgen.verify.floats import Array, widest
from gradgen.verify.points import Range
from gradgen.verify.subject import Called, arrays, result_leaves


@dataclass(frozen=True)
class Reference:
    """The source at many points, one neuron each."""

    outputs: tuple[Array, ...]
    """Every leaf of the result, (points,)."""
    forward: Array | None
    """(float outputs, differentiated inputs, points), by `jax.jacfwd`; None where that raises."""
    reverse: Array | None
    """The same by `jax.jacrev`."""
    nudged: tuple[Array, ...] = ()
    """The same where inputs are off by roundings, if what XLA compiles may be."""

    @property
    def modes(self) -> tuple[Array, ...]:
        """The modes that there are."""
        both = (self.forward, self.reverse)
        return (*(mode for mode in both if mode is not None), *self.nudged)

    @property
    def broken(self) -> Array:
        """(points,): whether some derivative is finite in no mode."""
        finite = np.any([np.isfinite(mode) for mode in self.modes], axis=0)
        return np.asarray(~finite.all(axis=(0, 1)))

    def at(self, points: Any) -> Reference:
        """The reference at some of the points."""
        return Reference(
            tuple(output[points] for output in self.outputs),
            None if self.forward is None else self.forward[:, :, points],
            None if self.reverse is None else self.reverse[:, :, points],
            tuple(mode[:, :, points] for mode in self.nudged),
        )


class Oracle:
    """The source's values and Jacobians, compiled once for a dtype and a number of points."""

    def __init__(self, called: Called[Any], compiler: Compiler, leaves: Sequence[Array]) -> None:
        """Compile for leaves like these; raises GradgenError if JAX cannot differentiate at all."""
        self._called = called
        self.compiler = compiler
        given = arrays(leaves)
        self.modes: tuple[str, ...] = ("forward", "reverse")
        try:
            self._compiled = compiler(self._program(self.modes), *given)
        except Exception:
            self.modes, self._compiled = self._single_mode(given)

    def __call__(self, leaves: Sequence[Array]) -> Reference:
        """Values and Jacobians at as many points as it was compiled for."""
        outputs, jacobians = self._compiled(*arrays(leaves))
        found = {
            mode: np.array([[widest(entry) for entry in row] for row in jacobian])
            for mode, jacobian in zip(self.modes, jacobians, strict=True)
        }
        return Reference(
            tuple(np.asarray(output) for output in outputs),
            found.get("forward"),
            found.get("reverse"),
        )

    def pushed(self, leaves: Sequence[Array], tangents: Array) -> Array:
        """JAX's own Jacobian-vector products: (differentiated inputs, points) to (outputs, points).

        What is on their way may overflow where no entry of the Jacobian does. Where the source has
        rules for cotangents alone, these are transposed.
        """

        def product(of_floats: Callable[..., Any], chosen: Any, along: Any) -> Any:
            if "forward" in self.modes:
                return jax.jvp(of_floats, chosen, along)[1]
            outputs, pull = jax.vjp(of_floats, *chosen)
            return jax.vjp(pull, jax.tree.map(jnp.zeros_like, outputs))[1](along)[0]

        dtypes = [leaves[k].dtype for k in self._called.wrt]
        return self._products(product, leaves, tangents, dtypes)

    def pulled(self, leaves: Sequence[Array], cotangents: Array) -> Array:
        """JAX's own vector-Jacobian products: (float outputs, points) to (inputs, points)."""

        def product(of_floats: Callable[..., Any], chosen: Any, along: Any) -> Any:
            return jax.vjp(of_floats, *chosen)[1](along)

        outputs = jax.eval_shape(lambda *flat: self._called.source(flat), *leaves)
        flat = jax.tree.leaves(outputs)
        dtypes = [flat[k].dtype for k in self._called.floats]
        return self._products(product, leaves, cotangents, dtypes)

    def _products(
        self,
        product: Callable[..., Any],
        leaves: Sequence[Array],
        vectors: Array,
        dtypes: Sequence[Any],
    ) -> Array:
        called = self._called

        def at_a_point(leaves: Any, along: Any) -> Any:
            def of_floats(*chosen: Any) -> tuple[Any, ...]:
                outputs = result_leaves(called.direct(called.with_differentiated(leaves, chosen)))
                return tuple(outputs[k] for k in called.floats)

            return product(of_floats, tuple(leaves[k] for k in called.wrt), along)

        arguments = (
            arrays(leaves),
            tuple(jnp.asarray(v, dtype) for v, dtype in zip(vectors, dtypes, strict=True)),
        )
        found = self.compiler(jax.vmap(at_a_point), *arguments)(*arguments)
        return np.array([widest(one) for one in found])

    def left_out(
        self, leaves: Sequence[Array], reference: Reference, stated: Sequence[Range | None]
    ) -> Array:
        """(points,): where no mode is finite, and would be if inputs without a range were others.

        A neuron's constants are not all zero at once, as they may be in ranges that nobody stated.
        `stated` are the ranges that somebody did.
        """
        broken = reference.broken
        if None not in stated or broken.all() or not broken.any():
            return np.zeros_like(broken)
        good = int(np.flatnonzero(~broken)[0])
        moved = [
            np.full_like(leaf, leaf[good]) if known is None else leaf
            for leaf, known in zip(leaves, stated, strict=True)
        ]
        return np.asarray(broken & ~self(moved).broken)

    def _single_mode(self, given: Sequence[Any]) -> tuple[tuple[str, ...], Compiled]:
        failures = []
        for mode in ("forward", "reverse"):
            try:
                return (mode,), self.compiler(self._program((mode,)), *given)
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}".split("\n", 1)[0])
        source = self._called.module.source
        raise error_in(
            source,
            f"JAX itself differentiates '{source.function}' neither forwards nor backwards",
            hint="; ".join(failures),
        )

    def _program(self, modes: Sequence[str]) -> Callable[..., Any]:
        """The source on scalars with its Jacobians, mapped over points."""
        called = self._called
        numbers = tuple(range(len(called.wrt)))
        transforms = {"forward": jax.jacfwd, "reverse": jax.jacrev}

        def at_a_point(*leaves: Any) -> tuple[Any, list[Any]]:
            def of_floats(*chosen: Any) -> tuple[list[Any], list[Any]]:
                outputs = result_leaves(called.direct(called.with_differentiated(leaves, chosen)))
                return [outputs[k] for k in called.floats], outputs

            chosen = [leaves[k] for k in called.wrt]
            outputs: list[Any] = []
            jacobians = []
            for mode in modes:
                jacobian, outputs = transforms[mode](of_floats, argnums=numbers, has_aux=True)(
                    *chosen
                )
                jacobians.append(jacobian)
            return outputs, jacobians

        return jax.vmap(at_a_point)
