"""Pareto fronts as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from gradgen.report.templating import fill
from gradgen.search.arrays.states import Cost
from gradgen.search.pareto.points import ParetoFront

_WIDTH, _HEIGHT = 300.0, 250.0
"""Of a panel, with what is written around it."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 18.0, 34.0, 48.0
"""What is left around the axes."""
_IN_A_ROW = 3
_FAR = 3
"""Plain orders that are so many times as dear as the dearest point are left out: nothing else could
be told apart."""


@dataclass(frozen=True)
class Panel:
    """One front, and what its axes are called."""

    front: ParetoFront
    title: str
    labels: tuple[str, str]


@dataclass(frozen=True)
class _Tick:
    at: float
    text: str


@dataclass(frozen=True)
class _Mark:
    x: float
    y: float
    text: str
    title: str
    below: bool
    """Where the text is."""


@dataclass(frozen=True)
class _Drawn:
    """A panel in numbers of the picture."""

    title: str
    labels: tuple[str, str]
    left: float
    top: float
    right: float
    bottom: float
    columns: tuple[_Tick, ...]
    rows: tuple[_Tick, ...]
    steps: str
    """The front as an SVG path."""
    points: tuple[_Mark, ...]
    plain: tuple[_Mark, ...]


def write_fronts(panels: Sequence[Panel], title: str) -> str:
    """Fronts side by side as SVG, the same bytes for the same fronts."""
    columns, rows = min(len(panels), _IN_A_ROW), -(-len(panels) // _IN_A_ROW)
    drawn = [
        _drawn(panel, _WIDTH * (k % _IN_A_ROW), _HEIGHT * (k // _IN_A_ROW))
        for k, panel in enumerate(panels)
    ]
    size = columns * _WIDTH, rows * _HEIGHT
    return fill("front.svg.jinja", title=title, panels=drawn, width=size[0], height=size[1])


def _drawn(panel: Panel, left: float, top: float) -> _Drawn:
    points = [point.costs for point in panel.front.points]
    room = [_FAR * max(column) for column in zip(*points, strict=True)]
    plain: dict[Cost, str] = {}
    for name, costs in panel.front.plain:
        if all(cost <= limit for cost, limit in zip(costs, room, strict=True)):
            plain[costs] = f"{plain[costs]}, {name}" if costs in plain else name
    every = [*points, *plain]
    across = _Scale.of((x for x, _ in every), left + _LEFT, left + _WIDTH - _RIGHT)
    down = _Scale.of((y for _, y in every), top + _HEIGHT - _BOTTOM, top + _TOP)

    def mark(costs: Cost, text: str, *, below: bool) -> _Mark:
        told = (f"{c:,} {label}" for c, label in zip(costs, panel.labels, strict=True))
        return _Mark(
            across.at(costs[0]), down.at(costs[1]), text, f"{text}: {', '.join(told)}", below
        )

    marks = tuple(mark(costs, str(k), below=True) for k, costs in enumerate(points, start=1))
    path = [f"M{marks[0].x:g} {top + _TOP:g}V{marks[0].y:g}"]
    path += [f"H{m.x:g}V{m.y:g}" for m in marks[1:]]
    path.append(f"H{left + _WIDTH - _RIGHT:g}")
    return _Drawn(
        panel.title,
        panel.labels,
        left + _LEFT,
        top + _TOP,
        left + _WIDTH - _RIGHT,
        top + _HEIGHT - _BOTTOM,
        across.ticks,
        down.ticks,
        "".join(path),
        marks,
        # where they lie near each other, they can be told apart
        tuple(mark(costs, name, below=name == "forward") for costs, name in plain.items()),
    )


@dataclass(frozen=True)
class _Scale:
    """Where numbers are on an axis."""

    low: float
    high: float
    start: float
    end: float

    @staticmethod
    def of(numbers: Iterable[int], start: float, end: float) -> _Scale:
        """An axis with some room at both ends."""
        found = list(numbers)
        span = max(found) - min(found)
        room = max(0.15 * span, 0.6) if span else max(0.02 * max(found), 0.6)
        return _Scale(min(found) - room, max(found) + room, start, end)

    def at(self, number: float) -> float:
        """The place of a number."""
        share = (number - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> tuple[_Tick, ...]:
        """About four round numbers."""
        rough = (self.high - self.low) / 4
        power = 10 ** floor(log10(rough))
        step = max(1, round(next(k * power for k in (1, 2, 5, 10) if k * power >= rough)))
        first, last = ceil(max(self.low, 0) / step), floor(self.high / step)
        return tuple(_Tick(self.at(k * step), _short(k * step)) for k in range(first, last + 1))


def _short(number: int) -> str:
    """`1.74M`, `24k`, `350`."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= 10 * unit or (number >= unit and unit > 10**3):
            return f"{number / unit:g}{name}"
    return str(number)
