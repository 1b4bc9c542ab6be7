"""What a verification on arrays writes down in one dtype."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gradgen.verify.array_rule import Judged
from gradgen.verify.verdict import Failure, Tally


@dataclass
class ArrayLedger:
    """Failures, and what was compared."""

    dtype: str
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    samples: int = 0
    """Sets of arguments."""
    on_ties: int = 0
    """Of these, those of values many of which are equal."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By function."""

    def write(self, function: str, sizes: str, entry: str, judged: Judged) -> None:
        """How one array compares."""
        so_far = self.tallies.get(function) or Tally(function, self.dtype, 0, 0, 0.0)
        self.tallies[function] = replace(
            so_far,
            compared=so_far.compared + judged.compared,
            one_finite=so_far.one_finite + judged.one_finite,
            worst=max(so_far.worst, judged.worst),
        )
        if (found := judged.difference) is not None:
            message = "is not JAX's" if found.kind == "inexact" else "is not finite, and JAX's is"
            place = f"{entry}{list(found.place)}" if found.place else entry
            self.failures.append(
                Failure(
                    found.kind, function, message, self.dtype, sizes, place,
                    expected=found.expected, got=found.got, ulps=found.ulps,
                )
            )  # fmt: skip
