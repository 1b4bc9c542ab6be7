"""Renders a module as text: the printer writes expressions, the templates arrange them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import jinja2

from gradgen.ir.module import Module
from gradgen.targets.jax.context import module_context
from gradgen.targets.jax.ownership import settle
from gradgen.targets.jax.seal import seal

_PACKAGED = Path(__file__).resolve().parents[2] / "templates"
_IN_CHECKOUT = _PACKAGED.parent.parent / "templates"


def render(module: Module) -> str:
    """The text of the generated module."""
    context = module_context(module)
    text = _environment().get_template("module.py.jinja").render(context)
    return seal(settle(text.rstrip("\n") + "\n"))


def template_folder() -> Path:
    """Where the templates lie: beside the package's modules, or in the checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _IN_CHECKOUT


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_folder()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
