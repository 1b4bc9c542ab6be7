"""Renders a module as text: the printer writes expressions, the templates arrange them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import jinja2

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.emitted import EMITTED, EmittedFunction
from gradgen.ir.module import Module
from gradgen.targets.jax.arrays import array_context
from gradgen.targets.jax.context import module_context
from gradgen.targets.jax.imports import sort_imports
from gradgen.targets.jax.linking import called_helpers, own_imports
from gradgen.targets.jax.ownership import settle, users_import
from gradgen.targets.jax.seal import seal
from gradgen.targets.jax.straight import Context

_PACKAGED = Path(__file__).resolve().parents[2] / "templates"
_IN_CHECKOUT = _PACKAGED.parent.parent / "templates"


def render(module: Module) -> str:
    """The text of the generated module."""
    return _rendered(module_context(module), module.functions, ["functions"])


def render_arrays(module: ArrayModule) -> str:
    """The text of a generated module on arrays."""
    context, folders = array_context(module), ["arrays", "functions"]
    return _rendered(context, module.functions, folders, "arrays/plumbing")


def _rendered(
    context: Context,
    functions: Iterable[EmittedFunction],
    folders: Sequence[str],
    *plumbing: str,
) -> str:
    """The text with these functions, each by the template in the first folder that has one."""
    environment = _environment()

    def rendered(context: Context, *templates: str) -> str:
        names = [f"{template}.py.jinja" for template in templates]
        return environment.select_template(names).render(context)

    names = {function.name for function in functions}
    asked = [
        rendered(context, *(f"{folder}/{name}" for folder in folders))
        for name in EMITTED
        if name in names
    ]
    asked += [rendered(program, "program") for program in context["programs"]]
    # what takes arguments apart and puts results together is there whoever calls it
    always = "_flatten" if context["plain"] else "_flatten, _result"
    definitions = [*asked, *called_helpers([*asked, always], _helpers(context, *plumbing))]
    imports = own_imports(definitions) | set(map(users_import, context["imported"]))
    arranged = {"definitions": definitions, "imports": sort_imports(imports)}
    text = rendered(context | arranged, "module")
    return seal(settle(text.rstrip("\n") + "\n"))


def _helpers(context: Context, *templates: str) -> list[str]:
    """All that functions and programs may call, each as a block; of equal ones the last counts."""
    blocks: dict[str, str] = {}
    for name in ("plumbing", *templates):
        template = _environment().get_template(f"{name}.py.jinja")
        shared = template.new_context(context)
        blocks |= {key: "".join(block(shared)) for key, block in template.blocks.items()}
    return list(blocks.values())


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
