"""What each product of a plan does to the graph: it joins two edges over the vertex between."""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.ir.plan import Plan


@dataclass(frozen=True)
class Contraction:
    """A product c_target,middle * c_middle,source, which is a part of c_target,source."""

    source: int
    middle: int
    target: int
    step: int
    """Of the plan, from 0."""
    free: bool
    """Whether it costs nothing under `muls`."""


def contractions(plan: Plan) -> tuple[Contraction, ...]:
    """The products of a plan in order, whatever kind of elimination made it."""
    ends = [(edge.source, edge.target) for edge in plan.graph.edges]
    found = []
    for number, step in enumerate(plan.steps):
        if step.op == "mul":
            source, middle = ends[step.right]
            target = ends[step.left][1]
            ends.append((source, target))
            found.append(Contraction(source, middle, target, number, step.free))
        else:
            ends.append(ends[step.left])
    return tuple(found)


def additions(plan: Plan) -> tuple[int, ...]:
    """For each sum of a plan, the vertex that the product before it passes over."""
    middles = {c.step: c.middle for c in contractions(plan)}
    latest = -1
    found = []
    for number, step in enumerate(plan.steps):
        latest = middles.get(number, latest)
        if step.op == "add":
            found.append(latest)
    return tuple(found)
