"""What commands want to know of a source, found out by another process, since it is executed.

Nothing here is imported that loads JAX: the command's own process can mostly do without.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.compile.environment import require_jax
from gradgen.compile.status import Status, mute
from gradgen.compile.worker import apart
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.graph import LinearGraph
from gradgen.ir.module import Module
from gradgen.report.formats import DocumentFormat, PictureFormat


def graph_to_search(
    settings: Settings, status: Status = mute, *, debug: bool = False
) -> LinearGraph | ArrayGraph:
    """The graph of a step function or of a function on arrays, or of a graph file, of which
    nothing is executed."""
    if settings.path.endswith(".json"):
        require_jax()
        return _graph_to_search(settings, status)
    return apart(_graph_to_search, settings, path=settings.path, status=status, debug=debug)


def stage(settings: Settings, name: str, form: PictureFormat, *, debug: bool) -> str:
    """A stage of the pipeline as text."""
    return apart(_stage, settings, name, form, path=settings.path, debug=debug)


def cheapest(settings: Settings, status: Status, *, debug: bool) -> Module | ArrayModule:
    """The module that would be written if it is exact."""
    return apart(_cheapest, settings, path=settings.path, status=status, debug=debug)


def reports(
    sources: Sequence[Settings],
    form: DocumentFormat,
    status: Status,
    *,
    measured: bool = False,
    debug: bool,
) -> str:
    """A report on each source, in one document; with times if `measured`."""
    first = sources[0].path
    return apart(_reports, tuple(sources), form, measured, path=first, status=status, debug=debug)


def _graph_to_search(settings: Settings, status: Status) -> LinearGraph | ArrayGraph:
    from gradgen.compile.graphs import graph_to_search

    return graph_to_search(settings)


def _stage(settings: Settings, name: str, form: PictureFormat, status: Status) -> str:
    from gradgen.compile.stages import show

    return show(settings, name, form)


def _cheapest(settings: Settings, status: Status) -> Module | ArrayModule:
    from gradgen.compile.stages import cheapest

    return cheapest(settings, status)


def _reports(
    sources: Sequence[Settings], form: DocumentFormat, measured: bool, status: Status
) -> str:
    from gradgen.compile.reporting import report_from
    from gradgen.report.document import write_document

    return write_document([report_from(each, status, measured=measured) for each in sources], form)
