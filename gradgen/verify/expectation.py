"""What the oracle's Jacobians make of vector products, at one neuron a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gradgen.verify.floats import Array, epsilon
from gradgen.verify.oracle import Reference
from gradgen.verify.rule import OWN, ULPS, Expected

_OfJacobian = Callable[[Array], Array]


@dataclass(frozen=True)
class Expectation:
    """A reference with all that the rule needs."""

    reference: Reference
    """In the working dtype."""
    true: Reference | None
    """In float64 at the same points; None if the working dtype is float64."""
    scale: Array
    """(float outputs, differentiated inputs, points)."""
    on_tie: Array
    """(points,): whether a point was made to lie on or beside a tie."""
    skipped: Array
    """(points,): whether a point is left out."""
    moves: Callable[[], Array]
    """How far roundings move the reference, in the shape of the scale."""

    def entries(self) -> Expected:
        """The Jacobian, (float outputs, differentiated inputs, points)."""
        return self._expected(lambda jacobian: jacobian, self.scale)

    def pulled(self, cotangents: Array) -> Expected:
        """The vector-Jacobian product with (float outputs, points): (inputs, points)."""
        scale = _pull(self.scale, np.abs(cotangents))
        return self._expected(lambda jacobian: _pull(jacobian, cotangents), scale)

    def pushed(self, tangents: Array) -> Expected:
        """The Jacobian-vector product with (differentiated inputs, points): (outputs, points)."""
        scale = _push(self.scale, np.abs(tangents))
        return self._expected(lambda jacobian: _push(jacobian, tangents), scale)

    def at(self, points: Array) -> Expectation:
        """The expectation at some of the points."""
        return Expectation(
            self.reference.at(points),
            None if self.true is None else self.true.at(points),
            self.scale[:, :, points],
            self.on_tie[points],
            self.skipped[points],
            lambda: self.moves()[:, :, points],
        )

    def without(self, points: Array) -> Expectation:
        """The expectation with some of the points left out."""
        skipped = self.skipped.copy()
        skipped[points] = True
        return replace(self, skipped=skipped)

    def measured(self, dtype: str) -> Expectation:
        """The expectation with scales that are no less than what roundings are seen to come of."""
        seen = OWN / ULPS * self.moves() / epsilon(dtype)
        return replace(self, scale=np.fmax(self.scale, seen))

    def _expected(self, of_jacobian: _OfJacobian, scale: Array) -> Expected:
        with np.errstate(all="ignore"):
            return Expected(
                modes=tuple(map(of_jacobian, self.reference.modes)),
                true=() if self.true is None else tuple(map(of_jacobian, self.true.modes)),
                scale=scale,
                on_tie=np.broadcast_to(self.on_tie, scale.shape),
                skipped=np.broadcast_to(self.skipped, scale.shape),
            )


def _pull(jacobian: Array, cotangents: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray((jacobian * cotangents[:, None, :]).sum(0))


def _push(jacobian: Array, tangents: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray((jacobian * tangents[None, :, :]).sum(1))
