"""Keeps what was compared in one dtype: the largest errors, and the evidence of every failure."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gradgen.verify.comparisons import Comparison
from gradgen.verify.floats import Array, same_bits
from gradgen.verify.populations import Population
from gradgen.verify.rule import Expected, judge
from gradgen.verify.subject import Subject
from gradgen.verify.values import beyond_another_order
from gradgen.verify.verdict import Failure, Points, Tally

_LOOSELY = 2.0**10
"""By how much tolerances are widened where XLA is free to round differently."""


@dataclass
class Ledger:
    """The comparisons in one dtype, and what they came to."""

    subject: Subject
    dtype: str
    precision: str
    """Of the results: coarser than the dtype where the source converts to less."""
    growth: float = 1.0
    """How much errors on long paths may exceed those on short ones."""
    strict: bool = True
    """Whether compiled programs agree to the bit where they compute the same."""
    points: tuple[Array, ...] = ()
    """The inputs at all points."""
    boundary_points: int = 0
    skipped: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    """The points at which a derivative is not finite that is in one of JAX's modes."""

    def copy(self) -> Ledger:
        """The same, to be written on."""
        tallies, failures, lost = dict(self.tallies), [*self.failures], {*self.lost}
        return replace(self, tallies=tallies, failures=failures, lost=lost)

    def same_values(
        self, name: str, population: Population, values: Any, outputs: Sequence[Any]
    ) -> None:
        """Each function computes the source's value, to the bit, unless XLA adds up."""
        for output, a, b in zip(self.subject.module.trace.outputs, values, outputs, strict=True):
            entry = f"output {output.path}"
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                message = f"{a.dtype}{a.shape} where {b.dtype}{b.shape} is due"
                self.fail("inexact", name, message, population, entry=entry)
                return
            wrong = ~same_bits(a, b)
            if not self.strict:
                wrong = beyond_another_order(wrong, a, b, self.precision)
            if wrong.any():
                self.another_value(name, population, entry, a, b, wrong)
                return

    def another_value(
        self, name: str, population: Population, entry: str, found: Any, due: Any, wrong: Array
    ) -> None:
        """A value differs from the source's."""
        row = int(np.flatnonzero(wrong.reshape(-1))[0])
        got, expected = (np.broadcast_to(np.asarray(x), wrong.shape) for x in (found, due))
        self.fail(
            "inexact",
            name,
            "the value is not bit-identical to the source",
            population,
            entry=entry,
            row=row,
            expected=shown(expected.reshape(-1)[row]),
            got=shown(got.reshape(-1)[row]),
        )

    def compare(self, population: Population, comparison: Comparison) -> None:
        """One derivative, by the rule."""
        found, expected = comparison.found, comparison.expected
        if found.shape != expected.scale.shape:
            message = f"has shape {found.shape} where {expected.scale.shape} is due"
            self.fail("inexact", comparison.function, message, population, entry=comparison.entry)
            return
        verdict = judge(found.reshape(-1), _flat(expected), self.precision, self.growth)
        if verdict.overflowed is not None and comparison.by_jax is not None:
            lost = ~np.isfinite(found) & ~np.isfinite(comparison.by_jax())
            expected = replace(expected, skipped=expected.skipped | lost)
            verdict = judge(found.reshape(-1), _flat(expected), self.precision, self.growth)
        known = self.tallies.get(comparison.function)
        self.tallies[comparison.function] = Tally(
            comparison.function,
            self.dtype,
            verdict.compared + (known.compared if known else 0),
            verdict.one_finite + (known.one_finite if known else 0),
            max(verdict.worst, known.worst if known else 0.0),
        )
        if population.shape == np.shape(self.points[0]) == found.shape:
            self.lost.update(verdict.lost)
        if verdict.wrong is not None:
            message = "the derivative differs from JAX's"
            self._differs("inexact", message, population, comparison, verdict.wrong, verdict.error)
        elif verdict.overflowed is not None:
            message = "is not finite where JAX's is"
            self._differs("nonfinite", message, population, comparison, verdict.overflowed, 0.0)

    def compare_loosely(self, population: Population, comparison: Comparison) -> None:
        """One derivative that XLA compiled as it likes."""
        found = comparison.found.reshape(-1)
        verdict = judge(found, _flat(comparison.expected), self.precision, _LOOSELY)
        if verdict.wrong is not None:
            message = "under jax.jit the derivative differs from JAX's"
            self._differs("inexact", message, population, comparison, verdict.wrong, verdict.error)

    def raised(self, error: Exception, title: str = "") -> None:
        """Generated code that raises where the source does not."""
        first = str(error).strip().split("\n", 1)[0]
        name = next((f.name for f in _generated_frames(error)), "f")
        message = f"raises {type(error).__name__}: {first}"
        self.failures.append(Failure("inexact", name, message, self.dtype, title))

    def lost_points(self) -> Points:
        """The points at which a derivative is lost."""
        rows = sorted(self.lost)
        return Points(self.dtype, tuple(leaf[rows] for leaf in self.points))

    def point(self, row: int) -> tuple[tuple[str, str], ...]:
        """The inputs at one of the points, exactly."""
        return self._inputs(self.points, row)

    def fail(
        self,
        kind: Any,
        function: str,
        message: str,
        population: Population,
        *,
        entry: str = "",
        row: int | None = None,
        expected: str = "",
        got: str = "",
        ulps: float = 0.0,
    ) -> None:
        """Keep the evidence."""
        point: tuple[tuple[str, str], ...] = ()
        if row is not None:
            full = [np.broadcast_to(x, population.shape).reshape(-1) for x in population.leaves]
            point = self._inputs(full, row)
        title = population.title
        self.failures.append(
            Failure(kind, function, message, self.dtype, title, entry, point, expected, got, ulps)
        )

    def _differs(
        self,
        kind: str,
        message: str,
        population: Population,
        comparison: Comparison,
        place: int,
        ulps: float,
    ) -> None:
        modes = [mode.reshape(-1)[place] for mode in comparison.expected.modes]
        self.fail(
            kind,
            comparison.function,
            message,
            population,
            entry=comparison.entry,
            row=place if comparison.found.shape == population.shape else None,
            expected=" or ".join(dict.fromkeys(map(shown, modes))),
            got=shown(comparison.found.reshape(-1)[place]),
            ulps=ulps,
        )

    def _inputs(self, leaves: Sequence[Array], row: int) -> tuple[tuple[str, str], ...]:
        return tuple(
            (path, shown(leaf[row])) for path, leaf in zip(self.subject.paths, leaves, strict=True)
        )


def _generated_frames(error: Exception) -> list[traceback.FrameSummary]:
    """Where in the generated text an error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename.startswith("<_gradgen_isolated")]


def _flat(expected: Expected) -> Expected:
    return Expected(
        tuple(m.reshape(-1) for m in expected.modes),
        tuple(t.reshape(-1) for t in expected.true),
        expected.scale.reshape(-1),
        expected.on_tie.reshape(-1),
        expected.skipped.reshape(-1),
    )


def shown(value: Any) -> str:
    """A number, exactly."""
    scalar = np.asarray(value)
    if scalar.dtype.kind in "biu":
        return repr(scalar.item())
    number = float(scalar.astype(np.float64))
    return f"{number!r} [{number.hex()}]"
