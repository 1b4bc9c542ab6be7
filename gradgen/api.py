"""gradgen as a library, for notebooks and scripts: what the command does, for Python functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from gradgen.compile import ordering
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import VerifiedArrays, generate_arrays
from gradgen.compile.front import front_of
from gradgen.compile.generation import VerifiedText, generate_from
from gradgen.compile.graphs import graph_of
from gradgen.compile.opening import open_function
from gradgen.compile.outputs import require_free
from gradgen.compile.status import mute
from gradgen.config import (
    DEFAULT_FUNCTIONS,
    DTYPES,
    ELIMINATIONS,
    FUNCTIONS,
    RESIDUALS,
    Settings,
)
from gradgen.elimination.array_graphs import ArrayGraph, vjp_graph
from gradgen.elimination.cost import PLAN_OBJECTIVES
from gradgen.errors import GradgenError, no_faces
from gradgen.files import read_text, write_atomically
from gradgen.frontend.live.expressions import expression_of
from gradgen.frontend.live.function import LiveFunction, find_function
from gradgen.frontend.live.gather import NOTEBOOK, placed_in_cells
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.array_plan import ArrayObjective
from gradgen.ir.emitted import EMITTED, public_name
from gradgen.ir.graph import FACE, Elimination, LinearGraph, Order
from gradgen.ir.module import Residuals
from gradgen.ir.objective import Objective
from gradgen.ir.plan import PlanObjective
from gradgen.prices.objectives import objective_of
from gradgen.search.portfolio import SearchResult
from gradgen.targets.jax.arrays import array_counts_of
from gradgen.targets.jax.metadata import counts_of
from gradgen.targets.jax.seal import is_generated, same_code
from gradgen.verify.isolate import load, packages_of
from gradgen.verify.verdict import Verdict

Function = Callable[..., Any]
T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Differentiated:
    """A function with its generated module: the text, how it was made, and what it offers.

    The functions of the module are members by the names that they have in it, without the
    function's own: `f`, `value_and_jacobian` and so on. What was not generated raises
    AttributeError.
    """

    _outcome: VerifiedText | VerifiedArrays
    _running: ModuleType
    _path: str

    @property
    def source(self) -> str:
        """The text of the generated module."""
        return self._outcome.text

    @property
    def counts(self) -> dict[str, dict[str, Any]]:
        """The operations of every program by name, as the module's `GRADGEN` has them.

        `primal`, `value_and_jacobian`, `vjp` and `jvp` each have their `total`; those of the
        derivatives also have `accumulation` and, to compare with, `forward` or `reverse`. On arrays
        they are counted at the recorded sizes, and have a `formula`.
        """
        module = self._outcome.module
        return array_counts_of(module) if isinstance(module, ArrayModule) else counts_of(module)

    @property
    def order(self) -> Order:
        """The order of elimination, which `differentiate(..., order=...)` takes again; on arrays
        that of the vector-Jacobian product."""
        module = self._outcome.module
        if isinstance(module, ArrayModule):
            return module.pulled.plan.order
        return module.jacobian.chosen.order

    @property
    def graph(self) -> LinearGraph | ArrayGraph:
        """The graph whose vertices were eliminated; on arrays that of the vector-Jacobian
        product."""
        module = self._outcome.module
        return vjp_graph(module.trace) if isinstance(module, ArrayModule) else module.graph

    @property
    def report(self) -> Verdict:
        """What was compared with JAX, and the largest errors."""
        return self._outcome.report

    if TYPE_CHECKING:  # the members come below

        def __getattr__(self, member: str) -> Function: ...

    def write(self, path: str | os.PathLike[str], *, force: bool = False) -> bool:
        """Write the module to a file, whole or not at all; says whether the file was changed.

        It is not where nothing but gradgen's version would be another. Raises GradgenError if the
        file cannot be written, if it is the source of the step function or a module that this
        imports, or if gradgen did not write what is there; with `force`, that is replaced.
        """
        output = os.fspath(path)
        settings = Settings(self._path)
        require_free(output, settings, is_generated, force=force, forcing="force=True")
        if os.path.isfile(output):
            with suppress(GradgenError):  # what is no text, and is to be replaced all the same
                if same_code(read_text(output, "the generated file"), self.source):
                    return False
        return write_atomically(output, self.source)

    def _member(self, member: str) -> Function:
        name = self._outcome.module.source.name
        found = getattr(self._running, public_name(name, member), None)
        if found is None:
            module = self._outcome.module
            why = "it is not among those that emit= names"
            if isinstance(module, ArrayModule):
                if "jacobian" in member:
                    why = "of functions on arrays only emit= asks for it"
                elif member in ("forward", "jvp") and module.jvp is None:
                    why = "an operation has a rule for reverse mode alone"
            if member in module.emit and member == "value_and_grad":
                why = "the output of the function is not one scalar"
            raise AttributeError(f"'{member}' was not generated for '{name}': {why}")
        function: Function = found
        return function

    def __repr__(self) -> str:
        module = self._outcome.module
        wrt = ", ".join(i.path for i in module.trace.inputs if i.wrt)
        return (
            f"<gradgen: {module.source.function} with respect to {wrt}; {self._outcome.sentence()}>"
        )

    def _repr_html_(self) -> str:
        from gradgen.report.notebook import write_notebook

        return write_notebook(self._outcome.module, self.source)


def _as_property(member: str, about: str) -> property:
    def get(self: Differentiated) -> Function:
        return self._member(member)

    return property(get, doc=about)


for _function in EMITTED.values():
    for _name, _about in _function.public.items():
        setattr(Differentiated, _name, _as_property(_name, _about))


def differentiate(
    function: Function,
    *,
    wrt: str | Sequence[str] = (),
    static: Mapping[str, Any] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    shapes: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    dtype: str | None = None,
    example: Any = None,
    per_neuron: bool = False,
    objective: str = "muls",
    prices: str | None = None,
    elimination: Elimination = "vertex",
    budget: float = 2.0,
    seed: int = 0,
    order: str | Order | None = None,
    emit: str | Sequence[str] = DEFAULT_FUNCTIONS,
    residuals: Residuals = "auto",
) -> Differentiated:
    """Generate the exact derivative of a step function, and compare it with JAX.

    The text is that of the command: for a function of a file, `gradgen FILE:NAME` writes the same.
    A function of a notebook or a session is put together from the cells that define it and the
    helpers and classes that it uses. Directives in comments are read; arguments override them.

    Args:
        function: a function at the top level of a module, traced with a scalar for each leaf of
            its arguments; the generated code broadcasts over arrays of neurons of any shape. One
            that states shapes, here or in comments, is traced on arrays of these.
        wrt: what to differentiate with respect to, arguments or leaves of them such as
            `"params.tau"`. By default every argument without a default value.
        static: values that are baked into the generated code, by argument.
        ranges: `(low, high)` by input, within which it is verified.
        shapes: the axes of arrays by argument or leaf, as in `{"x": "(batch, n)"}`.
        sizes: for how large an axis operations are counted, by its name.
        dtype: `"float32"` for a text of that alone; by default it is for all dtypes, or for float32
            where the function fits no other.
        example: example arguments, where the structure of arguments cannot be read from the
            source: a tuple, a dict by name, or a function that returns either. Arrays among them
            tell shapes.
        per_neuron: whether the function is meant for one neuron and vmapped by its callers.
        objective: the count that is made small: `"muls"`, `"edges"`, `"adds"`, `"peak"`, `"ops"` or
            `"price"` (on arrays `"muls"`, `"peak"`, `"locality"` or `"ops"`); or
            `"error:bfloat16"` or `"error:float16"`, of what takes about the fewest
            operations that with the least rounding errors in that precision.
        prices: for `"price"`, what operations cost: the name of a preset, such as
            `"energy:float16"`, or the path of a file.
        elimination: what is eliminated one at a time: `"vertex"` or `"edge"`.
        budget: for how many seconds to search where no order is proved to be the best before.
        seed: of the search's random numbers.
        order: `"forward"`, `"reverse"`, `"markowitz"`, the path of a stored order, or an order,
            as `search` finds it; by default it is searched for.
        emit: which of the functions to generate; by default all that apply.
        residuals: what `f` keeps for its backward pass: `"auto"` the fewest bytes, `"inputs"` those
            of the step, `"entries"` those of the Jacobian, `"JAX"` all that the pass reads.

    Returns:
        The generated module; its functions are members.

    Raises:
        GradgenError: for a function that cannot be differentiated, with its place and a hint; for
            arguments that do not fit it; or, as InexactError, if the text does not match JAX.

    >>> import gradgen
    >>> def step(v, x, decay=0.9):
    ...     return decay * v + (1.0 - decay) * x * x
    >>> derivative = gradgen.differentiate(step, wrt=("v", "decay"))
    >>> derivative.counts["value_and_jacobian"]["total"]
    7
    >>> derivative.jacobian(1.0, 0.5)
    (Array(0.9, dtype=float32), Array(0.75, dtype=float32))
    """
    live = find_function(function)
    recorded, value = _example(example)
    settings = Settings(
        path=_path(live),
        function=live.name,
        directives=_directives(
            live, _names(wrt), static or {}, ranges or {}, shapes or {}, sizes or {}, dtype
        ),
        example=recorded,
        order=order,
        objective=objective_of(objective, prices),
        elimination=_one_of("elimination", elimination, ELIMINATIONS),
        budget=budget,
        seed=seed,
        emit=tuple(_one_of("emit", name, FUNCTIONS) for name in _names(emit)),
        residuals=_one_of("residuals", residuals, RESIDUALS),
        per_neuron=per_neuron,
    )
    opened = open_function(settings, live, value)
    with placed_in_cells(opened.source.parts):
        front = front_of(settings, opened)
        outcome = (
            generate_arrays(front, mute)
            if isinstance(front, ArrayFront)
            else generate_from(front, mute)
        )
    running = load(outcome.text, packages_of(opened.source.text))
    return Differentiated(outcome, running, settings.path)


def graph(
    function: Function,
    *,
    wrt: str | Sequence[str] = (),
    static: Mapping[str, Any] | None = None,
    shapes: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    dtype: str | None = None,
    example: Any = None,
    per_neuron: bool = False,
) -> LinearGraph | ArrayGraph:
    """The linearised graph of a step function: its vertices, and edges with elemental partials.

    The arguments are those of `differentiate`, and so are the errors. Nothing is generated. Of a
    function on arrays it is the graph of its vector-Jacobian product.

    >>> import gradgen
    >>> def step(v, x, decay=0.9):
    ...     return decay * v + (1.0 - decay) * x * x
    >>> graph = gradgen.graph(step)
    >>> len(graph.independents), len(graph.intermediates), len(graph.dependents)
    (2, 3, 1)
    """
    live = find_function(function)
    recorded, value = _example(example)
    settings = Settings(
        path=_path(live),
        function=live.name,
        directives=_directives(
            live, _names(wrt), static or {}, {}, shapes or {}, sizes or {}, dtype
        ),
        example=recorded,
        per_neuron=per_neuron,
    )
    opened = open_function(settings, live, value)
    with placed_in_cells(opened.source.parts):
        front = front_of(settings, opened)
        return vjp_graph(front.trace) if isinstance(front, ArrayFront) else graph_of(front)


_SEARCHED: tuple[PlanObjective | ArrayObjective, ...] = (*PLAN_OBJECTIVES, "locality")


def search(
    graph: LinearGraph | ArrayGraph,
    *,
    objective: PlanObjective | ArrayObjective = "muls",
    elimination: Elimination = "vertex",
    budget: float = 2.0,
    seed: int = 0,
) -> SearchResult:
    """Search for a cheap order of elimination.

    It ends before the budget, in seconds, is used up if the order is proved to be the best. The
    result has the `order`, its `cost`, the `baselines` of forward, reverse and Markowitz orders, a
    `lower_bound`, and whether it is `proved`.
    Raises GradgenError for an objective that the graph or the elimination has not: graphs of arrays
    have `"muls"`, `"peak"` and `"locality"`, and others no `"locality"`; edges are eliminated for
    few `"muls"` or `"edges"`, and operations (`"ops"`) are those of a program.

    >>> import gradgen
    >>> def step(v, x, decay=0.9):
    ...     return decay * v + (1.0 - decay) * x * x
    >>> found = gradgen.search(gradgen.graph(step))
    >>> found.cost, found.baselines, found.proved
    (1, (('forward', 1), ('reverse', 1), ('markowitz', 1)), True)
    """
    settings = Settings(
        path=NOTEBOOK,
        objective=Objective(_one_of("objective", objective, _SEARCHED)),
        elimination=_one_of("elimination", elimination, ELIMINATIONS),
        budget=budget,
        seed=seed,
    )
    return ordering.search(settings, graph)


def _path(live: LiveFunction) -> str:
    return live.path if live.in_file else NOTEBOOK


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names, of which one text may hold several between commas."""
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(part.strip() for part in parts)


def _directives(
    live: LiveFunction,
    wrt: Sequence[str],
    static: Mapping[str, Any],
    ranges: Mapping[str, tuple[float, float]],
    shapes: Mapping[str, str],
    sizes: Mapping[str, int],
    dtype: str | None,
) -> tuple[tuple[str, str], ...]:
    """What the options of the command would say."""
    found = [("wrt", ", ".join(wrt))] if wrt else []
    for name, value in static.items():
        found.append(("static", f"{name}={expression_of(name, value, live.namespace)}"))
    for name, (low, high) in ranges.items():
        found.append(("range", f"{name}={low}:{high}"))
    found += [("shape", f"{name}={axes}") for name, axes in shapes.items()]
    found += [("size", f"{name}={number}") for name, number in sizes.items()]
    if dtype is not None:
        found.append(("dtype", _one_of("dtype", dtype, DTYPES)))
    return tuple(found)


def _example(example: Any) -> tuple[str | None, Any]:
    """How the command would name an example function, and the arguments that it returns."""
    if not callable(example):
        return None, example
    path = getattr(getattr(example, "__code__", None), "co_filename", "")
    return (f"{path}:{example.__name__}" if os.path.isfile(path) else None), example()


def _one_of(what: str, value: T, known: Sequence[T]) -> T:
    if (what, value) == ("elimination", FACE):
        raise no_faces()
    if value not in known:
        names = ", ".join(map(str, known))
        raise GradgenError(f"{what}: {value!r} is none of {names}")
    return value
