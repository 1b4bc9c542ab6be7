"""Executes a source file to get its function: a source file is code that runs."""

from __future__ import annotations

import sys
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradgen.errors import GradgenError
from gradgen.ir.source import Source


def load_module(source: Source) -> types.ModuleType:
    """Execute the module, with its folder importable; raises GradgenError if that fails."""
    name = Path(source.path).stem
    if not name.isidentifier() or name in sys.modules:
        name = f"gradgen_source_{abs(hash(source.path))}"
    module = types.ModuleType(name)
    module.__file__ = source.path
    # dataclasses and NamedTuple look their module up while the class is made
    sys.modules[name] = module
    with importable(Path(source.path).parent):
        try:
            exec(compile(source.text, source.path, "exec"), module.__dict__)
        except GradgenError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise located(
                source,
                error,
                f"the source file cannot be imported: {type(error).__name__}: {_one_line(error)}",
                "a source file is executed to get its function; it must run by itself",
            ) from error
    return module


def load_function(source: Source) -> tuple[types.ModuleType, Callable[..., Any]]:
    """The module and the target function in it."""
    module = load_module(source)
    function = getattr(module, source.function, None)
    if not callable(function):
        raise GradgenError(
            f"'{source.function}' is not a function once the file has run",
            path=source.path,
            line=source.position.line,
            column=source.position.column,
        )
    return module, function


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """A context in which modules beside the source can be imported, and leave no caches behind."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    dont_write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = dont_write
        if entry in sys.path:
            sys.path.remove(entry)


def located(source: Source, error: BaseException, message: str, hint: str | None) -> GradgenError:
    """An error at the last line of the source in an exception's traceback."""
    return _located(source.path, source.line_of, error, message, hint)


def _located(
    path: str,
    line_of: Callable[[str, int], int | None],
    error: BaseException,
    message: str,
    hint: str | None = None,
) -> GradgenError:
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = ((line_of(f.filename, f.lineno or 0), f.colno or 0) for f in frames)
    line, column = next((place for place in places if place[0] is not None), (None, 0))
    return GradgenError(message, hint=hint, path=path, line=line, column=column)


def _one_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").split("\n", 1)[0]


def load_example(text: str) -> Any:
    """Call the example function `FILE:FUNCTION`; raises GradgenError if that fails."""
    path, _, name = text.rpartition(":")
    if not path or not name:
        raise GradgenError(f"'{text}' is not of the form FILE:FUNCTION")
    try:
        code = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise GradgenError(f"cannot read the example file: {error.strerror}", path=path) from None
    except UnicodeDecodeError as error:
        message = f"the example file is not UTF-8 text (byte {error.start})"
        raise GradgenError(message, path=path) from None
    namespace: dict[str, Any] = {"__name__": Path(path).stem, "__file__": path}
    with importable(Path(path).parent):
        try:
            exec(compile(code, path, "exec"), namespace)
            return namespace[name]()
        except KeyError:
            raise GradgenError(f"there is no function '{name}'", path=path) from None
        except Exception as error:
            message = f"the example fails: {type(error).__name__}: {_one_line(error)}"
            there = lambda file, line: line if file == path else None  # noqa: E731
            raise _located(path, there, error, message) from error
