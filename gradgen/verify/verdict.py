"""The result of a verification."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gradgen.verify.floats import Array

VerdictKind = Literal["exact", "inexact", "nonfinite"]

SOURCE = "source"
"""In place of a generated function: the source itself, called on a population."""


@dataclass(frozen=True)
class Failure:
    """One difference, with the evidence."""

    kind: Literal["inexact", "nonfinite"]
    """`nonfinite` where the generated code overflows or gives nan and JAX does not."""
    function: str
    """The generated function by suffix, `f` for the step function itself; or what was checked."""
    message: str
    dtype: str = ""
    shape: str = ""
    """The shapes it was called on, where that is not one neuron a point."""
    entry: str = ""
    """Which output, cotangent, tangent or Jacobian entry."""
    point: tuple[tuple[str, str], ...] = ()
    """The inputs by path, exactly."""
    expected: str = ""
    got: str = ""
    ulps: float = 0.0

    @property
    def headline(self) -> str:
        """What it is, without the evidence."""
        where = ", ".join(part for part in (self.dtype, self.shape, self.entry) if part)
        return f"{self.function}{f' ({where})' if where else ''}: {self.message}"

    def pretty(self) -> str:
        """On a few lines."""
        lines = [self.headline]
        if self.point:
            lines.append("  at " + ", ".join(f"{path}={value}" for path, value in self.point))
        if self.expected or self.got:
            off = f" ({self.ulps:.3g} ulp)" if self.ulps else ""
            lines.append(f"  expected {self.expected}, got {self.got}{off}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Tally:
    """What was compared of one function in one dtype."""

    function: str
    dtype: str
    compared: int
    """Numbers compared."""
    one_finite: int
    """Of these: where only one of JAX's two modes is finite."""
    worst: float
    """The largest error in ulps."""


@dataclass(frozen=True)
class Points:
    """Some of the points of one dtype."""

    dtype: str
    leaves: tuple[Array, ...]
    """The inputs."""


@dataclass(frozen=True)
class Verdict:
    """What a verification found."""

    points: int
    """Random points and points on boundaries, in each dtype."""
    boundary_points: int
    """Of these, those on ties or right beside them, in all dtypes together."""
    skipped: int
    """Points left out of the comparison of derivatives."""
    tallies: tuple[Tally, ...]
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
    lost: tuple[Points, ...] = ()
    """Where a derivative is not finite that is in one of JAX's modes."""
    counted: str = "points"
    """What is called a point here: on arrays, a set of arguments."""

    def with_more(self, other: Verdict) -> Verdict:
        """The verdict on a text of which another part was verified by itself."""
        return replace(
            self,
            boundary_points=self.boundary_points + other.boundary_points,
            skipped=self.skipped + other.skipped,
            tallies=self.tallies + other.tallies,
            failures=self.failures + other.failures,
            warnings=tuple(dict.fromkeys(self.warnings + other.warnings)),
        )

    @property
    def exact(self) -> bool:
        """Whether the text may be written."""
        return not self.failures

    @property
    def kind(self) -> VerdictKind:
        """`nonfinite` if another order may do better; `inexact` if something is wrong."""
        return "exact" if self.failure is None else self.failure.kind

    @property
    def failure(self) -> Failure | None:
        """The most serious failure."""
        ordered = sorted(self.failures, key=lambda f: f.kind != "inexact")
        return ordered[0] if ordered else None

    @property
    def of_source(self) -> bool:
        """Whether it is the source that is at fault: its own gradient of many neurons is not
        theirs."""
        return self.failure is not None and self.failure.function == SOURCE

    def worst(self, dtype: str) -> float:
        """The largest error in ulps in a dtype."""
        return max((t.worst for t in self.tallies if t.dtype == dtype), default=0.0)

    def summary(self) -> str:
        """One line."""
        if self.failure is not None:
            return f"not exact ({self.kind}): {self.failure.headline}"
        dtypes = list(dict.fromkeys(tally.dtype for tally in self.tallies))
        errors = ", ".join(f"{self.worst(dtype):.2g} ulp ({dtype})" for dtype in dtypes)
        return f"exact: {self.points:,} {self.counted}, worst error {errors}"

    def pretty(self) -> str:
        """The summary, then the worst errors by function, counts and warnings."""
        lines = [self.summary()]
        for tally in self.tallies:
            remark = f", {tally.one_finite} with one mode finite" if tally.one_finite else ""
            lines.append(
                f"  {tally.function} {tally.dtype}: worst {tally.worst:.3g} ulp "
                f"of {tally.compared:,} numbers{remark}"
            )
        lines.append(
            f"  {self.boundary_points} {self.counted} on boundaries, "
            f"{self.skipped} {self.counted} skipped"
        )
        lines += [f"  warning: {warning}" for warning in self.warnings]
        for failure in self.failures:
            lines += [f"  {line}" for line in failure.pretty().splitlines()]
        return "\n".join(lines)
