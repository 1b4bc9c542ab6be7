"""Executes a source file to get its function: a source file is code that runs."""

from __future__ import annotations

import ast
import functools
import inspect
import io
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.reading.local_imports import roots_of
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.blame import users_code
from gradgen.frontend.tracing.owner import Method
from gradgen.ir.source import Parameter, Source


def load_module(source: Source) -> dict[str, Any]:
    """Execute the module, with its folder importable, and return what it defines.

    The names are not looked up as the module's attributes, of which its own code may decide.
    Raises GradgenError if that fails.
    """
    name = Path(source.path).stem
    if not name.isidentifier() or name in sys.modules:
        name = f"gradgen_source_{abs(hash(source.path))}"
    module = types.ModuleType(name)
    module.__file__ = source.path
    folder, *above = roots_of(Path(source.path))
    if above:
        # relative imports are from the package that the file is in
        module.__package__ = ".".join(folder.relative_to(above[0]).parts)
    # dataclasses and NamedTuple look their module up while the class is made
    sys.modules[name] = module
    namespace = module.__dict__
    with (
        importable_beside(source.path),
        users_code(
            source.path,
            source.line_of,
            "the source file cannot be imported",
            "a source file is executed to get its function; it must run by itself",
        ),
    ):
        exec(compile(source.text, source.path, "exec"), namespace)
    for key, value in namespace.items():
        if type(value) is np.ndarray and value.ndim == 0:
            # JAX keeps such an array in the precision that it met it in first, but no scalar
            namespace[key] = value[()]
    return namespace


def load_function(source: Source) -> tuple[dict[str, Any], Callable[..., Any]]:
    """What the module defines, and the target function among it."""
    namespace = load_module(source)
    function = _member(namespace, source.function)
    if not callable(function):
        raise error_in(
            source,
            f"'{source.function}' is not a function once the file has run",
            hint=f"give what takes the place of '{source.function}' another name",
        )
    function = as_one(source, function)
    if _arrays_in(namespace):
        function = _by_precision(function, _in_double(source, namespace))
    if source.instance is not None:
        function = Method(source, _not_compiled(function))
    return namespace, function


def _not_compiled(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method without `jax.jit`, for which its instance may be static: it cannot be traced."""
    while isinstance(method, type(jax.jit(_member))) and hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    return method


def as_one(source: Source, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; where the target is what it returns, both as one, with the arguments of both.

    As they are in the source, default values that are not its own are literals.
    """
    if not source.returned:
        return function
    kinds = {
        "positional": inspect.Parameter.POSITIONAL_OR_KEYWORD,
        "keyword": inspect.Parameter.KEYWORD_ONLY,
    }
    own = inspect.signature(function).parameters

    def default_of(parameter: Parameter) -> Any:
        if parameter.default is None:
            return inspect.Parameter.empty
        found = own.get(parameter.name)
        return ast.literal_eval(parameter.default) if found is None else found.default

    signature = inspect.Signature(
        [inspect.Parameter(p.name, kinds[p.kind], default=default_of(p)) for p in source.parameters]
    )

    def both(*positional: Any, **named: Any) -> Any:
        given = signature.bind(*positional, **named).arguments
        return _called(_called(function, given), given)

    both.__signature__ = signature  # type: ignore[attr-defined]
    return both


def _called(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """A call with those of its arguments that are given, by name."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name in given]
    keyword = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return function(
        *(given[p.name] for p in parameters if p.name not in keyword),
        **{name: given[name] for name in keyword},
    )


def _member(namespace: dict[str, Any], name: str) -> Any:
    """What a dotted name stands for; None if there is nothing."""
    first, *rest = name.split(".")
    return functools.reduce(
        lambda value, part: getattr(value, part, None), rest, namespace.get(first)
    )


def _arrays_in(namespace: dict[str, Any]) -> list[Any]:
    """The arrays made with the module that depend on whether there are 64-bit types.

    Those of JAX do by themselves; those of NumPy it keeps in the precision it met them in first.
    """
    return [
        leaf
        for value in namespace.values()
        if isinstance(value, jax.Array | np.ndarray | tuple | list | dict)
        for leaf in jax.tree.leaves(value)
        if isinstance(leaf, jax.Array | np.ndarray) and leaf.dtype in ("float32", "float64")
    ]


def _in_double(source: Source, namespace: dict[str, Any]) -> Any:
    """The function as the module defines it where there are 64-bit types, with the same classes.

    None, where it does not run then, or where its arrays are others: drawn at random, say.
    """
    try:
        with jax_compat.x64(True), redirect_stdout(io.StringIO()):
            wide = load_module(source)
            ours, theirs = (
                [np.asarray(array, "float32") for array in _arrays_in(defined)]
                for defined in (namespace, wide)
            )
    except GradgenError:
        return None
    if len(ours) != len(theirs) or not all(map(np.array_equal, ours, theirs)):
        return None
    function = as_one(source, _member(wide, source.function))
    wide.update({key: value for key, value in namespace.items() if isinstance(value, type)})
    return function


def _by_precision(
    single: Callable[..., Any], double: Callable[..., Any] | None
) -> Callable[..., Any]:
    """The function as it is in the precision that it is called in."""
    if double is None:
        return single

    @functools.wraps(single)
    def chosen(*arguments: Any, **more: Any) -> Any:
        function = double if jnp.result_type(float) == "float64" else single
        return function(*arguments, **more)

    return chosen


@contextmanager
def importable_beside(path: str) -> Iterator[None]:
    """A context in which modules beside a file can be imported, and leave no caches behind.

    Those of a file in a package are imported as parts of it, and by themselves only under names
    that nothing else has: a package may call its modules like the libraries that it uses.
    """
    folder, *above = map(str, roots_of(Path(path)))
    before, after = (above, [folder]) if above else ([folder], [])
    sys.path[:] = [*before, *sys.path, *after]
    dont_write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = dont_write
        for entry in before:
            if entry in sys.path:
                sys.path.remove(entry)
        for entry in after:
            if entry in sys.path:
                del sys.path[len(sys.path) - 1 - sys.path[::-1].index(entry)]


def load_example(text: str, source: Source, namespace: dict[str, Any]) -> Any:
    """Call the example function `FILE:FUNCTION`; raises GradgenError if that fails.

    One of the source's own file is that which has been executed.
    """
    path, _, name = text.rpartition(":")
    if not path or not name:
        raise GradgenError(f"'{text}' is not of the form FILE:FUNCTION")
    try:
        code = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise GradgenError(f"cannot read the example file: {error.strerror}", path=path) from None
    except UnicodeDecodeError as error:
        message = f"the example file is not UTF-8 text (byte {error.start})"
        raise GradgenError(message, hint="save it as UTF-8", path=path) from None
    same = os.path.realpath(path) == os.path.realpath(source.path)
    if not same:
        namespace = {"__name__": Path(path).stem, "__file__": path}

    def line_of(file: str, line: int) -> int | None:
        return line if file == path else None

    with importable_beside(path), users_code(path, line_of, "the example fails"):
        if not same:
            exec(compile(code, path, "exec"), namespace)
        if not callable(namespace.get(name)):
            raise GradgenError(f"there is no function '{name}'", path=path)
        return namespace[name]()
