"""What a source makes of further keys of a dict, of which the code reads some and spreads all.

The generated code takes those that are read. It is the source's function if no others matter, and
whether they do is tried: with keys that the code may know, and one that it cannot know, which hold
what nothing can be computed with.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.pytree import Structure, join, leaf
from gradgen.ir.source import Source

_UNKNOWN = "another key"


def require_no_others(
    source: Source, signature: Signature, trace: Callable[[Signature], Any]
) -> None:
    """Raise GradgenError where the source is traced to something else with further keys."""
    if not source.spread:
        return
    usual = trace(signature)
    literals = (n.value for n in ast.walk(ast.parse(source.text)) if isinstance(n, ast.Constant))
    keys = sorted({_UNKNOWN, *(text for text in literals if isinstance(text, str))})
    for spread in source.spread:
        try:
            same = trace(_with_keys(signature, spread.place, keys)) == usual
        except Exception:  # whatever its code raises: it did something with them
            same = False
        if not same:
            argument = spread.place[0]
            structure = next(a.structure for a in signature.arguments if a.name == argument)
            raise GradgenError(
                f"the structure of {'.'.join(spread.place)!r} cannot be told: it is spread with "
                "two stars here, and what else it holds is used",
                hint="say all that it holds with --example FILE:FUNCTION, or above the function, "
                f"as in # gradgen: example {argument}={structure.pretty()}",
                path=source.path,
                line=spread.position.line,
                column=spread.position.column,
            )


def _with_keys(signature: Signature, place: Sequence[str], keys: Iterable[str]) -> Signature:
    """The signature with these keys in a dict, as far as it does not have them."""
    name, *steps = place
    bound: dict[str, Any] = dict(signature.bound)

    def extended(structure: Structure, path: str, steps: Sequence[str]) -> Structure:
        children = dict(zip(structure.keys, structure.children, strict=True))
        if steps:
            step, *others = steps
            children[step] = extended(children[step], join(path, step), others)
        else:
            added: Mapping[str, Structure] = dict.fromkeys(set(keys) - {*children}, leaf("static"))
            bound.update((join(path, key), object()) for key in added)
            children |= added
        return replace(structure, keys=tuple(children), children=tuple(children.values()))

    arguments = tuple(
        replace(a, structure=extended(a.structure, name, steps)) if a.name == name else a
        for a in signature.arguments
    )
    return replace(signature, arguments=arguments, bound=bound)
