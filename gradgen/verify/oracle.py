"""What JAX says of the source: values, Jacobians by both modes, in either precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import error_in
from gradgen.verify.eager import Program
from gradgen.verify.floats import Array, widest
from gradgen.verify.noise import draw_signs, moved
from gradgen.verify.points import Range
from gradgen.verify.subject import Called, arrays, result_leaves

_RUNS = 8
"""How often roundings are drawn."""
_AT_ONCE = 8
"""Along so many directions derivatives are taken together: of every source, so that the operations
have the same shapes."""


@dataclass(frozen=True)
class Reference:
    """The source at many points, one neuron each."""

    outputs: tuple[Array, ...]
    """Every leaf of the result, (points,)."""
    forward: Array | None
    """(float outputs, differentiated inputs, points), by `jax.jacfwd`; None where that raises."""
    reverse: Array | None
    """The same by `jax.jacrev`."""

    @property
    def modes(self) -> tuple[Array, ...]:
        """The modes that there are."""
        return tuple(mode for mode in (self.forward, self.reverse) if mode is not None)

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
        )


_Product = Callable[[Callable[..., Any], Sequence[Any], Sequence[Any]], tuple[Any, Any]]
"""From a function, where it is and along what, to its results and their product."""


def _pushed(function: Callable[..., Any], chosen: Sequence[Any], along: Sequence[Any]) -> Any:
    _, product, outputs = jax.jvp(function, tuple(chosen), tuple(along), has_aux=True)
    return outputs, product


def _pulled(function: Callable[..., Any], chosen: Sequence[Any], along: Sequence[Any]) -> Any:
    _, pull, outputs = jax.vjp(function, *chosen, has_aux=True)
    return outputs, pull(list(along))


def _transposed(function: Callable[..., Any], chosen: Sequence[Any], along: Sequence[Any]) -> Any:
    floats, pull, outputs = jax.vjp(function, *chosen, has_aux=True)
    return outputs, jax.vjp(pull, jax.tree.map(jnp.zeros_like, floats))[1](tuple(along))[0]


_PRODUCTS: dict[str, _Product] = {
    "forward": _pushed,
    "reverse": _pulled,
    "transposed": _transposed,
}
"""By mode: Jacobian-vector products, vector-Jacobian products, and the former of the latter."""


_Run = Callable[..., Any]
"""What is made of a program and its arguments."""


class Oracle:
    """The source's values and Jacobians in one dtype, traced for a number of points."""

    def __init__(self, called: Called[Any], leaves: Sequence[Array]) -> None:
        """Trace for leaves like these; raises GradgenError if JAX cannot differentiate at all."""
        self._called = called
        self._like = [np.resize(leaf, _AT_ONCE * len(leaf)) for leaf in leaves]
        self._programs: dict[str, Program] = {}
        failures = []
        for mode in ("forward", "reverse"):
            try:
                self._programs[mode] = self._program(mode)
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}".split("\n", 1)[0])
        self.modes = tuple(self._programs)
        if not self.modes:
            source = called.module.source
            raise error_in(
                source,
                f"JAX itself differentiates '{source.function}' neither forwards nor backwards",
                hint="; ".join(failures),
            )

    def __call__(self, leaves: Sequence[Array]) -> Reference:
        """Values and Jacobians at as many points as it was traced for."""
        outputs: tuple[Array, ...] = ()
        jacobians: dict[str, Array] = {}
        for mode in self.modes:
            outputs, jacobians[mode] = self._jacobian(mode, leaves)
        return Reference(outputs, jacobians.get("forward"), jacobians.get("reverse"))

    def pushed(self, leaves: Sequence[Array], tangents: Array) -> Array:
        """JAX's own Jacobian-vector products: (differentiated inputs, points) to (outputs, points).

        What is on their way may overflow where no entry of the Jacobian does. Where the source has
        rules for cotangents alone, these are transposed.
        """
        mode = "forward" if "forward" in self.modes else "transposed"
        return self._along(mode, leaves, tangents)[1]

    def pulled(self, leaves: Sequence[Array], cotangents: Array) -> Array:
        """JAX's own vector-Jacobian products: (float outputs, points) to (inputs, points).

        Where it has none, as through a loop that ends by itself, those with its Jacobian.
        """
        if "reverse" not in self.modes:
            jacobian = self._jacobian("forward", leaves)[1]
            products: Array = np.einsum("op,oip->ip", cotangents, jacobian)
            return products
        return self._along("reverse", leaves, cotangents)[1]

    def moves(self, leaves: Sequence[Array]) -> Array:
        """How far roundings move the Jacobians at most: (outputs, inputs, points).

        Those of what XLA computes in several ways decide on ties as well.
        """
        found = []
        for mode in self.modes:
            runs = [partial(moved, signs=signs) for signs in draw_signs(_RUNS)]
            if self._program_of(mode).has_several_ways:
                runs += [partial(run, with_decisions=True) for run in runs]
            found += [self._jacobian(mode, leaves, run)[1] for run in runs]
        most: Array = np.max([np.where(np.isfinite(one), one, 0.0) for one in found], axis=0)
        return most

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

    def _jacobian(
        self, mode: str, leaves: Sequence[Array], run: _Run = Program.__call__
    ) -> tuple[tuple[Array, ...], Array]:
        """The outputs, and (float outputs, differentiated inputs, points)."""
        points, directions = len(leaves[0]), len(self._vectors(mode))
        outputs: tuple[Array, ...] = ()
        rows = []
        repeated = [np.tile(leaf, _AT_ONCE) for leaf in leaves]
        for first in range(0, directions, _AT_ONCE):
            basis = np.eye(_AT_ONCE, directions, first).T.repeat(points, axis=1)
            outputs, products = self._along(mode, repeated, basis, run)
            rows.append(products.reshape(len(products), _AT_ONCE, points))
        jacobian = np.concatenate(rows, axis=1)[:, :directions]
        values = tuple(output[:points] for output in outputs)
        return values, jacobian if mode == "forward" else jacobian.swapaxes(0, 1)

    def _along(
        self, mode: str, leaves: Sequence[Array], vectors: Array, run: _Run = Program.__call__
    ) -> tuple[tuple[Array, ...], Array]:
        """The outputs, and products with a vector (directions, points) at each point."""
        rows = len(leaves[0])
        given = [np.resize(leaf, like.shape) for leaf, like in zip(leaves, self._like, strict=True)]
        along = [
            np.resize(vector, like.shape).astype(like.dtype)
            for vector, like in zip(vectors, self._vectors(mode), strict=True)
        ]
        outputs, products = run(self._program_of(mode), arrays(given), arrays(along))
        return (
            tuple(np.asarray(output)[:rows] for output in outputs),
            np.array([widest(product)[:rows] for product in products]),
        )

    def _vectors(self, mode: str) -> list[Any]:
        """What vectors for products look like."""
        if mode != "reverse":
            return [self._like[k] for k in self._called.wrt]
        return [self._outputs[k] for k in self._called.floats]

    @cached_property
    def _outputs(self) -> list[Any]:
        result = jax.eval_shape(lambda *flat: self._called.source(flat), *self._like)
        return jax.tree.leaves(result)

    def _program_of(self, mode: str) -> Program:
        if mode not in self._programs:
            self._programs[mode] = self._program(mode)
        return self._programs[mode]

    def _program(self, mode: str) -> Program:
        """The source on scalars with its products, mapped over points."""
        called = self._called

        def at_a_point(leaves: Sequence[Any], along: Sequence[Any]) -> Any:
            def of_floats(*chosen: Any) -> tuple[list[Any], list[Any]]:
                outputs = result_leaves(called.direct(called.with_differentiated(leaves, chosen)))
                return [outputs[k] for k in called.floats], outputs

            return _PRODUCTS[mode](of_floats, [leaves[k] for k in called.wrt], along)

        return Program(jax.vmap(at_a_point), self._like, self._vectors(mode))
