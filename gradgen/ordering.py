"""Which orders a run considers: the one asked for, or what a search and the heuristics find."""

from __future__ import annotations

from pathlib import Path

from gradgen.config import Settings
from gradgen.elimination.accumulate import OrderMismatchError, accumulate
from gradgen.errors import GradgenError
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import PlanObjective
from gradgen.search.elimination import search as search_order
from gradgen.search.heuristics import propose
from gradgen.search.portfolio import Progress, SearchResult
from gradgen.status import Status


def orders_for(
    settings: Settings, graph: LinearGraph, status: Status | None = None
) -> tuple[Order, ...]:
    """The orders to consider: the one asked for, or the one found and those of all heuristics."""
    if settings.order in ("forward", "reverse", "markowitz"):
        return propose(graph, (settings.order,))
    if settings.order is not None:
        return (_given_order(settings.order, graph),)
    heuristics = propose(graph)
    if settings.search == "heuristics":
        return heuristics
    return (search(settings, graph, status).order, *heuristics)


def search(settings: Settings, graph: LinearGraph, status: Status | None = None) -> SearchResult:
    """Search for an order as the settings say.

    Operations depend on the program, so that under `ops` the multiplications lead the search.
    Raises GradgenError for an objective that the elimination has not.
    """
    objective: PlanObjective = "muls" if settings.objective == "ops" else settings.objective
    tell = None if status is None else _told(status, objective)
    if settings.search == "alphazero":
        return _play(settings, graph, objective, tell)
    try:
        return search_order(
            graph,
            elimination=settings.elimination,
            objective=objective,
            budget=settings.budget,
            seed=settings.seed,
            progress=tell,
        )
    except ValueError as error:
        raise GradgenError(str(error)) from None


def _play(
    settings: Settings,
    graph: LinearGraph,
    objective: PlanObjective,
    tell: Progress | None,
) -> SearchResult:
    """Let the general network play; raises GradgenError for what it cannot play."""
    if settings.elimination != "vertex" or objective not in ("edges", "muls"):
        raise GradgenError(
            "AlphaZero eliminates vertices, for few 'edges' or 'muls'",
            hint="leave --elimination and --objective as they are, or leave --search to gradgen",
        )
    # jax, haiku and mctx are needed here alone
    from gradgen.search.alphazero.pretrained import general
    from gradgen.search.alphazero.search import search as play

    return play(
        graph,
        general(),
        objective=objective,
        budget=settings.budget,
        seed=settings.seed,
        progress=tell,
    )


def _told(status: Status, objective: str) -> Progress:
    return lambda cost, bound, found_by: status(
        f"searching: {cost} {objective} by {found_by}, at least {bound}"
    )


def _given_order(given: str | Order, graph: LinearGraph) -> Order:
    """An order that fits the graph, itself or by its path."""
    path = given if isinstance(given, str) else None
    try:
        order = _stored_order(given) if isinstance(given, str) else given
        accumulate(graph, order)
    except OSError as error:
        raise GradgenError(f"cannot read the order: {error.strerror}", path=path) from None
    except OrderMismatchError as error:
        raise GradgenError(
            f"this order is for another graph: {error}",
            hint="the source or --wrt has changed since; let gradgen search again",
            path=path,
        ) from None
    except ValueError as error:
        raise GradgenError(f"this is no stored order: {error}", path=path) from None
    return order


def _stored_order(path: str) -> Order:
    return Order.from_json(Path(path).read_text(encoding="utf-8"))
