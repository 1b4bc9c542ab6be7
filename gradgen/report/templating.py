"""Fills the templates of reports."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jinja2

from gradgen.targets.jax.render import template_folder


def fill(template: str, **context: Any) -> str:
    """A template of the reports with everything that it names put in.

    What goes into HTML and SVG is escaped.
    """
    text = _environment().get_template(template).render(context)
    return text.rstrip("\n") + "\n"


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_folder() / "report"),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(("html.jinja", "svg.jinja"), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["number"] = _number
    return environment


def _number(count: float | None) -> str:
    """A count, with commas where it is long; a dash for one that there is not."""
    if count is None:
        return "–"  # noqa: RUF001
    return f"{count:,}" if isinstance(count, int) else f"{count:,.10g}"


def _cell(text: str) -> str:
    """A text as it can stand in a cell of a Markdown table."""
    return text.replace("|", "\\|")
