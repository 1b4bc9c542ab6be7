"""What may be written, and where: never over a source and what it needs, nor a foreign file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence

from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.files import require_other_file, require_output, resolved
from gradgen.frontend.reading.local_imports import needed_by
from gradgen.ir.emitted import DEFAULT_FUNCTIONS, EmittedFunction
from gradgen.ir.graph import Order
from gradgen.ir.source import Source


def require_free(
    output: str,
    settings: Settings,
    is_ours: Callable[[str], bool],
    *,
    force: bool,
    forcing: str = "--force",
) -> None:
    """Raise GradgenError where what is made of a source may not be written.

    A file that is ours, as its text tells, may be replaced, and with `force` any other; but never
    the source, or a file that it needs. `forcing` is how to ask for `force`.
    """
    require_apart(output, settings)
    require_output(output, is_ours, force=force, forcing=forcing)


def require_apart(output: str, settings: Settings) -> None:
    """Raise GradgenError for an output that is the source, or a file that it needs."""
    source = resolved(settings.path)
    for needed in needed_by(settings.path, settings.example):
        what = "the source" if needed == source else f"'{needed.name}', which the source needs"
        require_other_file(output, needed, what)


def require_not_executed(output: str, modules: Iterable[str]) -> None:
    """Raise GradgenError for an output that is the file of a module, among those by their names.

    A source may import in ways that cannot be read in its text.
    """
    for name in modules:
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str):
            require_other_file(output, file, f"'{os.path.basename(file)}', which the source needs")


def is_order(text: str) -> bool:
    """Whether a text is a stored order."""
    try:
        Order.from_json(text)
    except (ValueError, RecursionError):
        return False
    return True


def require_functions(
    source: Source, asked: Sequence[str], there: Sequence[EmittedFunction]
) -> None:
    """Raise GradgenError where a module would lack a function that is asked for by name."""
    names = {function.name for function in there}
    missing = [] if tuple(asked) == DEFAULT_FUNCTIONS else [n for n in asked if n not in names]
    if missing:
        others = ",".join(name for name in asked if name in names) or "f,vjp"
        raise GradgenError(
            f"'{source.function}' has no {', '.join(missing)}",
            hint="value_and_grad is there if the result is one scalar, forward and jvp where all "
            f"rules have tangents: ask for --emit {others}, or leave --emit out",
            path=source.path,
            line=source.position.line,
            column=source.position.column,
            about="emit",
        )
