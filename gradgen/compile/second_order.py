"""Derivatives of second order: for which sources there are some."""

from __future__ import annotations

from gradgen.errors import GradgenError
from gradgen.ir.source import Source


def require_number(source: Source, *, is_number: bool) -> None:
    """Raise GradgenError for a source whose result is not one scalar, which alone has a Hessian."""
    if not is_number:
        raise GradgenError(
            f"'{source.function}' does not return one scalar, and hvp is about the Hessian of one",
            hint="leave hvp out of --emit, or return a single number, such as a weighted sum",
            path=source.path,
            line=source.position.line,
            column=source.position.column,
        )
