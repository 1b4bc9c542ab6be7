"""Which helpers a module holds, and what it imports: what its functions call, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gradgen.ir.own_names import OWN_IMPORTS

_DOCSTRING = re.compile('""".*?"""', re.S)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_DEFINED = re.compile(r"^(?:def |class )?(_\w+)(?=[(:]| =)", re.M)
_CALLED = re.compile(r"\b_\w+")
_ALWAYS_IMPORTED = ("jax", "jnp")


def called_helpers(texts: Iterable[str], helpers: Sequence[str]) -> list[str]:
    """The helpers, in their order, that texts call, and those that these call in turn."""
    place = {name: k for k, helper in enumerate(helpers) for name in _DEFINED.findall(helper)}
    found: set[int] = set()
    waiting = [name for text in texts for name in _called(text)]
    while waiting:
        k = place.get(waiting.pop())
        if k is not None and k not in found:
            found.add(k)
            waiting += _called(helpers[k])
    return [helpers[k] for k in sorted(found)]


def _called(text: str) -> list[str]:
    # in strings too, since those with braces may call something
    return _CALLED.findall(_DOCSTRING.sub("", text))


def own_imports(texts: Sequence[str]) -> set[str]:
    """The import statements of what texts use that the module brings along itself."""
    code = _STRING.sub("", "\n".join(_DOCSTRING.sub("", text) for text in texts))
    return {
        statement
        for name, statement in OWN_IMPORTS.items()
        if name in _ALWAYS_IMPORTED or re.search(rf"(?<![.\w]){name}\b", code)
    }
