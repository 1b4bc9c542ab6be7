"""Which orders a run considers: the one asked for, or what a search and the heuristics find."""

from __future__ import annotations

from dataclasses import replace

from gradgen.compile.status import Status
from gradgen.config import Settings
from gradgen.elimination.accumulate import OrderMismatchError, accumulate
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.elimination.cost import cost_of
from gradgen.errors import GradgenError, no_faces
from gradgen.files import read_text
from gradgen.ir.graph import FaceOrderError, LinearGraph, Order
from gradgen.ir.objective import ON_ARRAYS
from gradgen.ir.plan import PlanObjective
from gradgen.search.arrays.portfolio import search_arrays
from gradgen.search.elimination import search as search_order
from gradgen.search.exact.bounds import lower_bound
from gradgen.search.heuristics import propose
from gradgen.search.portfolio import MANY, Progress, SearchResult, cheapest_known
from gradgen.search.task import Task, array_task, scalar_task

GIVEN = "given order"
"""How an order was found that was given and says what this run cannot tell."""


def orders_for(
    settings: Settings, graph: LinearGraph, status: Status | None = None
) -> tuple[Order, ...]:
    """The orders to consider: the one asked for, or the one found and those of all heuristics."""
    if settings.order in ("forward", "reverse", "markowitz"):
        return propose(graph, (settings.order,))
    if settings.order is not None:
        order = _given_order(settings.order, graph)
        return (order if _is_proved(settings, graph, order) else _without_claims(order),)
    heuristics = propose(graph)
    if settings.search == "heuristics":
        return heuristics
    found, objective = search(settings, graph, status), settings.objective.searched
    optimal = {
        order
        for order in heuristics
        if found.proved and cost_of(graph, order, objective) == found.cost
    }
    # what costs as little as is proved least is optimal, whoever proposed it
    told = (replace(order, proved_optimal=order in optimal) for order in heuristics)
    return (found.order, *told)


def search(
    settings: Settings, graph: LinearGraph | ArrayGraph, status: Status | None = None
) -> SearchResult:
    """Search for an order as the settings say.

    Operations depend on the program, so that where they decide multiplications lead the search.
    Raises GradgenError for an objective that the elimination has not. On arrays vertices are
    eliminated for few multiplications, in work that is fixed.
    """
    if isinstance(graph, ArrayGraph):
        count = settings.objective.count
        if count not in ON_ARRAYS or settings.elimination != "vertex":
            raise GradgenError(
                f"on arrays vertices are eliminated, for {', '.join(ON_ARRAYS)}",
                hint="leave --elimination as it is, and --objective or take one of these",
            )
        if settings.search == "alphazero":
            if count != "muls":
                raise GradgenError(
                    "the network plays for few multiplications on arrays",
                    hint="leave --objective as it is, or search with --search auto",
                )
            return _play_arrays(settings, graph, status)
        return search_arrays(graph, settings.objective.searched_on_arrays)
    if settings.objective.count == "locality":
        raise GradgenError(
            "this graph is of one neuron, in which no value crosses to others",
            hint="leave the objective out, or take the graph of a function on arrays",
        )
    objective = settings.objective.searched
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


def is_credible(settings: Settings, graph: LinearGraph, order: Order, *, sealed: bool) -> bool:
    """Whether an order that a generated file calls optimal may be called so again.

    That is made sure of where it takes no search. Where it does, the file is believed if it is
    `sealed`, as gradgen wrote it, and no cheaper order is at hand. Raises OrderMismatchError if the
    order is for another graph.
    """
    objective = settings.objective.searched
    cost = cost_of(graph, order, objective)
    least, proved = cheapest_known(graph, objective)
    if proved and order.elimination == "vertex":
        return cost == least
    return sealed and cost <= least


def _is_proved(settings: Settings, graph: LinearGraph, order: Order) -> bool:
    """Whether an order that claims to be optimal is so, by the bound of a search in this run."""
    if not order.proved_optimal:
        return False
    objective = settings.objective.searched
    try:
        found = search_order(
            graph,
            elimination=order.elimination,
            objective=objective,
            budget=settings.budget,
            seed=settings.seed,
        )
    except ValueError:
        return False  # nothing is proved of such orders under this objective
    return cost_of(graph, order, objective) == found.lower_bound


def _without_claims(order: Order) -> Order:
    return replace(order, found_by=GIVEN, proved_optimal=False)


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
    from gradgen.search.alphazero.search import UNKNOWN
    from gradgen.search.alphazero.search import search as play

    few = len(graph.intermediates) <= MANY
    return play(
        scalar_task(graph, objective),
        general(),
        bound=lower_bound(graph, objective) if few else UNKNOWN,
        budget=settings.budget,
        seed=settings.seed,
        progress=tell,
    )


def _play_arrays(settings: Settings, graph: ArrayGraph, status: Status | None) -> SearchResult:
    """Let the general network play a graph of arrays; raises GradgenError for what it cannot."""
    from gradgen.search.alphazero.pretrained import general
    from gradgen.search.alphazero.search import search as play

    return play(
        task_of_arrays(graph, settings.path),
        general(),
        budget=settings.budget,
        seed=settings.seed,
        progress=None if status is None else _told(status, "muls"),
    )


def task_of_arrays(graph: ArrayGraph, path: str) -> Task:
    """What learned search plays on arrays; raises GradgenError for loops over time.

    `path` is of the source.
    """
    if graph.loops:
        raise GradgenError(
            "AlphaZero plays graphs without loops, and this function has a loop over time",
            hint="give a step of the loop, as a function of its own; for whole loops there is "
            "gradgen search, without --search",
            path=path,
        )
    return array_task(graph, graph.sizes)


def _told(status: Status, objective: str) -> Progress:
    return lambda cost, bound, found_by: status(
        f"searching: {cost} {objective} by {found_by}, at least {bound}"
    )


def orders_of_arrays(settings: Settings) -> tuple[Order, ...]:
    """The orders that are asked for, each for a graph of arrays; none to look for them.

    A file may hold those of loops' steps beside its own. Raises GradgenError for the name of a
    heuristic, which stands for no one order there, and for what is no order.
    """
    given = settings.order
    if given in ("forward", "reverse", "markowitz"):
        raise GradgenError(
            f"functions on arrays have several graphs, of which {given} is no order of all",
            hint="leave --order away, or name a file with an order, as gradgen show --stage order "
            "writes it",
            about="order",
        )
    if given is None:
        return ()
    found = _readable(given)
    return tuple(replace(order, found_by=GIVEN, proved_optimal=False) for order in found)


def of_another_graph(given: str | Order, error: object) -> GradgenError:
    """The error for an order that does not fit."""
    return GradgenError(
        f"this order is for another graph: {error}",
        hint="the source or --wrt has changed since; let gradgen search again",
        path=given if isinstance(given, str) else None,
    )


def _readable(given: str | Order) -> tuple[Order, ...]:
    """An order, and those of loops that are stored with it."""
    path = given if isinstance(given, str) else None
    try:
        orders = (given,) if isinstance(given, Order) else _stored_orders(given)
        for order in orders:
            order.check()
    except FaceOrderError:
        raise no_faces(path) from None
    except ValueError as error:
        raise GradgenError(f"this is no stored order: {error}", path=path) from None
    return orders


def _given_order(given: str | Order, graph: LinearGraph) -> Order:
    """An order that fits the graph, itself or by its path."""
    order, *_ = _readable(given)
    try:
        accumulate(graph, order)
    except OrderMismatchError as error:
        raise of_another_graph(given, error) from None
    return replace(order, fingerprint=graph.fingerprint)


def _stored_orders(path: str) -> tuple[Order, ...]:
    return Order.with_loops_from_json(read_text(path, "the order"))
