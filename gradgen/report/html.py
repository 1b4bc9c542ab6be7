"""The report as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gradgen.report.drawing import Drawing, draw_replay
from gradgen.report.highlight import highlighted_lines
from gradgen.report.index import entry_of
from gradgen.report.layout import lay_out
from gradgen.report.model_report import (
    ComparedCount,
    Equation,
    LoopReport,
    ModelReport,
    SourceLine,
)
from gradgen.report.templating import fill

_CHARTS = {
    "muls": ("Multiplications", "of the accumulation"),
    "edges": ("Products", "of the accumulation, every one counted"),
    "ops": ("Operations", "of value and Jacobian"),
    "price": ("Price", "of value and Jacobian"),
    "error": ("Rounding error", "of the Jacobian"),
}
_ON_ARRAYS = _CHARTS | {
    "ops": ("Operations", "of value and vector-Jacobian product"),
    "price": ("Price", "of value and vector-Jacobian product"),
    "peak": ("Bytes held at once", "of partials of the accumulation"),
    "locality": ("Values that cross neurons", "in the accumulation"),
}
_CHECKS = {"f": "the step itself", "source": "the source on arrays of neurons"}
"""What verification calls by short names."""


@dataclass(frozen=True)
class Bar:
    """A bar of a chart: its length is a share of the longest."""

    name: str
    count: float | None
    """None where there is no such order."""
    share: float


@dataclass(frozen=True)
class Chart:
    """A count of this file beside what other orders take."""

    title: str
    of: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Listed:
    """A line of the source with its markup and the equations that it became."""

    line: SourceLine
    code: Markup
    equations: tuple[tuple[int, Equation], ...]
    """By number: those that are values of this line."""
    parts: tuple[tuple[int, Equation], ...]
    """Those that this line has a part in only."""
    after_gap: bool
    """Whether lines are left out before it."""


@dataclass(frozen=True)
class WorstError:
    """The largest error of a function, by precision."""

    function: str
    compared: int
    worst: tuple[float | None, ...]


@dataclass(frozen=True)
class LoopPage:
    """A loop as its section of the page wants it."""

    report: LoopReport
    drawing: Drawing
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Page:
    """A model as its section of the page wants it."""

    key: str
    """What its anchors begin with."""
    report: ModelReport
    drawing: Drawing
    charts: tuple[Chart, ...]
    times: tuple[Chart, ...]
    source: tuple[Listed, ...]
    generated: tuple[Markup, ...]
    kinds: tuple[str, ...]
    """The kinds of operation that there are."""
    dtypes: tuple[str, ...]
    verified: tuple[WorstError, ...]
    loops: tuple[LoopPage, ...]


def write_html(reports: Sequence[ModelReport], index: str | None = None) -> str:
    """One page with a section for each model, and a link to the index that lists it, if any."""
    pages = [_page(f"m{k}", report) for k, report in enumerate(reports, start=1)]
    entries = [entry_of(page.report, f"#{page.key}") for page in pages]
    return fill("page.html.jinja", pages=pages, entries=entries, index=index)


def charts(report: ModelReport) -> tuple[Chart, ...]:
    """The comparisons as charts."""
    titles = _ON_ARRAYS if report.on_arrays else _CHARTS
    return tuple(_chart(comparison, *titles[comparison.count]) for comparison in report.comparisons)


def loop_charts(loop: LoopReport) -> tuple[Chart, ...]:
    """The comparisons of a step of a loop."""
    return tuple(_chart(c, "Multiplications", "of a step's accumulation") for c in loop.comparisons)


def time_charts(report: ModelReport) -> tuple[Chart, ...]:
    """Times, where they were measured: the longest of all bars is that of the slowest program."""
    if report.times is None:
        return ()
    parts = report.times.parts
    longest = max(timed.milliseconds for part in parts for timed in part.programs)
    return tuple(
        Chart(
            part.title.capitalize(),
            "in milliseconds",
            tuple(
                Bar(t.name, float(f"{t.milliseconds:.3g}"), round(t.milliseconds / longest, 4))
                for t in part.programs
            ),
        )
        for part in parts
    )


def verified(report: ModelReport) -> tuple[WorstError, ...]:
    """The largest errors that verification met, a function at a time."""
    tallies = report.verification.tallies
    found = {(t.function, t.dtype): t for t in tallies}
    return tuple(
        WorstError(
            _CHECKS.get(function, function),
            sum(t.compared for t in tallies if t.function == function),
            tuple(
                found[function, dtype].worst if (function, dtype) in found else None
                for dtype in dtypes_of(report)
            ),
        )
        for function in dict.fromkeys(t.function for t in tallies)
    )


def dtypes_of(report: ModelReport) -> tuple[str, ...]:
    """The precisions that were verified."""
    return tuple(dict.fromkeys(t.dtype for t in report.verification.tallies))


def kinds_of(report: ModelReport) -> tuple[str, ...]:
    """The kinds of operation that some program of the file has."""
    present = {kind for o in report.operations for kind, n in o.counts if n}
    return tuple(kind for kind, _ in report.operations[0].counts if kind in present)


def _page(key: str, report: ModelReport) -> Page:
    return Page(
        key=key,
        report=report,
        drawing=draw_replay(report.graph, lay_out(report.graph), report.replay),
        charts=charts(report),
        times=time_charts(report),
        source=_listing(report),
        generated=tuple(highlighted_lines(report.text.rstrip("\n"))),
        kinds=kinds_of(report),
        dtypes=dtypes_of(report),
        verified=verified(report),
        loops=tuple(
            LoopPage(
                loop, draw_replay(loop.graph, lay_out(loop.graph), loop.replay), loop_charts(loop)
            )
            for loop in report.loops
        ),
    )


def _listing(report: ModelReport) -> tuple[Listed, ...]:
    code = highlighted_lines("\n".join(line.text for line in report.source))
    listed = []
    previous: int | None = None
    for line, markup in zip(report.source, code, strict=True):
        numbered = [(number, report.equations[number]) for number in line.equations]
        listed.append(
            Listed(
                line=line,
                code=markup,
                equations=tuple(pair for pair in numbered if pair[1].line == line.number),
                parts=tuple(pair for pair in numbered if pair[1].line != line.number),
                after_gap=previous is not None and line.number != previous + 1,
            )
        )
        previous = line.number
    return tuple(listed)


def _chart(comparison: ComparedCount, title: str, of: str) -> Chart:
    counts = {
        "forward": comparison.forward,
        "reverse": comparison.reverse,
        "Markowitz": comparison.markowitz,
        "this file": comparison.best,
    }
    longest = max(n for n in counts.values() if n is not None) or 1
    bars = tuple(Bar(name, n, round((n or 0) / longest, 4)) for name, n in counts.items())
    return Chart(title, f"{of}, in {comparison.unit}" if comparison.unit else of, bars)
