"""Runs the pipeline for tests: from a source to its generated text, imported."""

from __future__ import annotations

import fcntl
import itertools
import os
import pickle
import sys
import types
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gradgen.compile import ordering
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import judge_arrays
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import Front, open_front
from gradgen.compile.graphs import graph_of
from gradgen.compile.programs import candidates, replay
from gradgen.config import DEFAULT_FUNCTIONS, Settings
from gradgen.ir.graph import LinearGraph
from gradgen.ir.module import Module, Residuals
from gradgen.ir.recipe import Recipe
from gradgen.project.record import read_record
from gradgen.targets.jax.render import render, render_arrays
from gradgen.verify.verdict import Verdict

ROOT = Path(__file__).resolve().parent.parent
MODELS = tuple(
    ROOT / "models" / f"{name}.py"
    for name in (
        *("adex", "alif", "alif_multi", "coba_lif", "cuba_lif_state", "fitzhugh_nagumo", "glif"),
        *("hodgkin_huxley", "izhikevich", "lif", "lif_2023", "lif_reset", "morris_lecar", "srm0"),
    )
)
"""Models with every kind of argument and rule among them, for tests that generate each one.

All models are generated where they are compared with the committed files.
"""
STYLES = tuple(sorted((ROOT / "tests" / "styles").glob("*.py")))
REPRESENTATIVES = frozenset((
    # numbers alone, nested containers, integers, classes, rules of one's own; long equations are
    # verified in test_golden.py
    "lif", "alif_multi", "coba_lif", "cuba_lif_state", "lif_2023",
    # dataclasses, lists in lists, scalars alone, loops, branches, ties, roots, static arguments
    "jaxsnn_lif", "research_nested_lists", "research_matrix_vmapped", "research_scan",
    "research_while_newton", "research_refractory", "research_ties", "research_sqrt_branch",
    "snnax_adaptive_lif", "spyx_alif",
))  # fmt: skip
"""What the normal run takes of models and styles where a test is repeated for each.

Every style goes through verification, and every model is compared with its committed file, in any
run.
"""

SHARED = "GRADGEN_TESTS_SHARED"
"""The variable with the folder in which the processes of a run keep what each of them needs."""

T = TypeVar("T")
_number = itertools.count()


def chosen(config: pytest.Config, *paths: Path) -> list[Path]:
    """Of models and styles those that a run is to take, where one test takes them all."""
    return [p for p in paths if config.getoption("--full") or p.stem in REPRESENTATIVES]


def each(*files: Path | str, representatives: Collection[str] = REPRESENTATIVES) -> list[Any]:
    """Models and styles as a test's parameters; `--full` takes more than the representatives."""
    found = []
    for file in files:
        name = Path(file).stem
        marks = () if name in representatives else pytest.mark.full
        found.append(pytest.param(file, id=name, marks=marks))
    return found


def first(count: int, values: Iterable[T]) -> list[Any]:
    """A test's parameters, of which the normal run takes the first ones."""
    return [
        value if k < count else pytest.param(value, marks=pytest.mark.full)
        for k, value in enumerate(values)
    ]


@dataclass(frozen=True)
class Generated:
    """A source, the cheapest module for it, and its text as a running module."""

    front: Front
    graph: LinearGraph
    module: Module
    text: str
    running: types.ModuleType

    @property
    def source(self) -> Callable[..., Any]:
        return self.front.function

    def function(self, suffix: str = "") -> Callable[..., Any]:
        """A public function of the generated module: `function("vjp")` is `f_vjp`."""
        name = self.front.source.name
        found: Callable[..., Any] = getattr(self.running, f"{name}_{suffix}" if suffix else name)
        return found


@cache
def generate(
    path: Path | str,
    *directives: tuple[str, str],
    per_neuron: bool = False,
    function: str | None = None,
    order: str | None = None,
    emit: tuple[str, ...] = DEFAULT_FUNCTIONS,
    residuals: Residuals = "auto",
) -> Generated:
    """The cheapest module for a file; that of a model is made as its committed file says."""
    settings = Settings(
        str(path),
        function=function,
        directives=directives,
        per_neuron=per_neuron,
        order=order,
        emit=emit,
        residuals=residuals,
        # of styles, of which some have graphs that a search takes seconds for
        search="heuristics" if path in STYLES else "auto",
    )
    front = open_front(settings)
    recipe = None if order or directives else committed_recipe(Path(path))
    graph, module = made_once(
        repr(settings), lambda: cheapest(front) if recipe is None else replayed(front, recipe)
    )
    text = render(module)
    return Generated(front, graph, module, text, run_text(text))


def judged(front: ArrayFront, config: pytest.Config) -> Verdict:
    """How what is generated for a front compares with JAX: thoroughly, if a run leaves nothing out.

    The normal run does so in the files of tests that are about verifying, and for the models.
    """
    module = array_module(front)
    quick = not config.getoption("--full")
    return judge_arrays(front, module, render_arrays(module), quick=quick)


def cheapest(front: Front) -> tuple[LinearGraph, Module]:
    """The graph of a source, and of the modules for it the one that is tried first."""
    graph = graph_of(front)
    modules = candidates(front, graph, ordering.orders_for(front.settings, graph))
    return graph, modules[0]


def committed_recipe(path: Path) -> Recipe | None:
    """What was decided for a model, in the file that is tested to be current; else None."""
    committed = ROOT / "generated" / f"{path.stem}_grad.py"
    if path.parent != ROOT / "models" or not committed.exists():
        return None
    record = read_record(committed.read_text(encoding="utf-8"))
    assert record is not None
    assert isinstance(record.recipe, Recipe)
    return record.recipe


def replayed(front: Front, recipe: Recipe) -> tuple[LinearGraph, Module]:
    """The graph of a source, and the module that a recipe gives without a search."""
    graph = graph_of(front)
    return graph, replay(front, graph, recipe)


def made_once(key: str, make: Callable[[], T]) -> T:
    """What `make` returns in the first process of a run to ask; the others wait, and read it."""
    with Path(os.environ[SHARED], sha256(key.encode()).hexdigest()).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if kept := file.read():
            found: T = pickle.loads(kept)
            return found
        value = make()
        file.write(pickle.dumps(value))
        return value


def generate_text(folder: Path, lines: str | Sequence[str], **options: Any) -> Generated:
    """The cheapest module for a source given as text."""
    text = lines if isinstance(lines, str) else "\n".join(lines)
    path = folder / f"source{next(_number)}.py"
    path.write_text(text, encoding="utf-8")
    return generate(path, **options)


def run_text(text: str) -> types.ModuleType:
    """Execute a generated text as a module of its own."""
    name = f"generated{next(_number)}"
    module = types.ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile(text, f"<{name}>", "exec"), module.__dict__)
    return module
