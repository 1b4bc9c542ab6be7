"""Objectives by their names, with the prices that they go by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gradgen.errors import GradgenError
from gradgen.ir.objective import NAMED, Objective
from gradgen.prices.presets import PRESETS
from gradgen.prices.reading import read_prices


def objective_of(name: str, prices: str | None = None, folder: Path | None = None) -> Objective:
    """What is to be small, by the name that options have for it.

    `prices` go with `price` alone; a file of them is looked for in `folder`. Raises GradgenError.
    """
    objective = NAMED.get(name)
    if objective is None:
        raise GradgenError(f"objective: {name!r} is none of {', '.join(NAMED)}")
    if objective.count == "price":
        if prices is None:
            raise GradgenError(
                "the objective 'price' goes by prices, and none are given",
                hint=f"add --prices energy:float32, the name of another preset "
                f"({', '.join(PRESETS)}), or the path of a file of prices",
            )
        return replace(objective, prices=read_prices(prices, folder))
    if prices is not None:
        raise GradgenError(
            f"prices are given, and the objective is '{name}', which has none",
            hint="add --objective price, or leave --prices out",
        )
    return objective
