"""Counts against budgets, and counts in the text against those that it states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.own_names import own_name
from gradgen.project.outcome import Finding
from gradgen.project.record import Counts
from gradgen.project.target import Target
from gradgen.verify.recount import recount

_SAID = {
    "max-muls": "takes {} multiplications",
    "max-ops": "takes {} operations",
    "max-residuals": "keeps {} bytes{} in training",
    "max-memory": "takes about {} bytes{} in training",
}

_LONGER = "--search-again --budget 60"


def over_budget(target: Target, counts: Counts) -> tuple[Finding, ...]:
    """A finding for each budget that is passed."""
    found = {
        "max-muls": counts.muls,
        "max-ops": counts.ops,
        "max-residuals": counts.residuals or 0,
        "max-memory": counts.memory or 0,
    }
    on_arrays = counts.forward_ops is None
    each = "" if on_arrays else " a neuron and step"
    # the search on arrays takes no time limit
    search = "" if on_arrays else f"search longer with `{target.command} {_LONGER}`, or "
    without = Finding(
        "over budget",
        f"{target.label} has no loop over time, which max-memory is about",
        "leave max-memory out; max-residuals is about what training keeps",
        target.configuration,
        target.line("max-memory"),
    )
    missing = "max-memory" in target.budgets and counts.memory is None
    return (without,) * missing + tuple(
        Finding(
            "over budget",
            f"{target.label} {_SAID[key].format(found[key], each)}, {found[key] - allowed} over "
            f"its budget of {allowed}",
            f"{search}raise {key} to {found[key]}",
            target.configuration,
            target.line(key),
        )
        for key, allowed in target.budgets.items()
        if found[key] > allowed
    )


def miscounted(text: str, stated: Mapping[str, Any]) -> str | None:
    """Where a text holds other operations than it states; None where it does not.

    Raises SyntaxError if the text is not Python, KeyError or TypeError if it states no counts.
    """
    counts = recount(text)
    for program in PROGRAMS.values():
        function = own_name(program.function, counts)
        if function in counts:
            by_kind = {kind: n for kind, n in stated[program.name].items() if isinstance(n, int)}
            different = counts[function].differs_from(by_kind)
            if different is not None:
                return f"{function}: {different}"
    return None
