"""Imports a generated text in isolation, as a file on its own would be."""

from __future__ import annotations

import ast
import itertools
import operator
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import jax

from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.own_names import own_name

_numbers = itertools.count()


class IsolationError(Exception):
    """The text cannot be imported on its own."""


def imported_packages(tree: ast.Module) -> Iterator[str]:
    """The top-level name of everything that a module imports, wherever the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "").partition(".")[0]


def load(text: str, also: Iterable[str] = ()) -> ModuleType:
    """The text as a module of its own; raises IsolationError if it cannot stand alone.

    It may import jax, numpy, the standard library and `also`, which the user's containers need;
    never gradgen.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise IsolationError(f"the text is not Python: {error}") from error
    allowed = {"jax", "numpy", *also, *sys.stdlib_module_names} - {"gradgen"}
    for package in imported_packages(tree):
        if package not in allowed:
            raise IsolationError(f"the text imports {package}")
    name = f"_gradgen_isolated_{next(_numbers)}"
    module = ModuleType(name)
    module.__file__ = f"<{name}>"
    # dataclasses and NamedTuple look up the module that a class is defined in
    sys.modules[name] = module
    try:
        exec(compile(text, module.__file__, "exec"), vars(module))
    except Exception as error:
        raise IsolationError(
            f"importing the text raises {type(error).__name__}: {error}"
        ) from error
    finally:
        del sys.modules[name]
    return module


def packages_of(source_text: str) -> set[str]:
    """What a source file imports: the containers that are carried over may need it."""
    return set(imported_packages(ast.parse(source_text))) - {"gradgen"}


def share_programs(module: ModuleType) -> ModuleType:
    """Have the straight-line programs of a loaded text run once for all functions that call them.

    Under `jax.jit` this changes nothing but the time that tracing and compiling take.
    """
    for program in PROGRAMS.values():
        name = own_name(program.function, vars(module))
        if program.title and hasattr(module, name):
            setattr(module, name, _remembered(jax.jit(getattr(module, name))))
    return module


def _remembered(program: Callable[..., Any]) -> Callable[..., Any]:
    """The program, not run again on the very same arrays while they are traced."""
    local = threading.local()

    def run(*leaves: Any) -> Any:
        last = getattr(local, "last", None)
        if last is not None and all(map(operator.is_, last[0], leaves)):
            return last[1]
        result = program(*leaves)
        local.last = leaves, result
        return result

    return run
