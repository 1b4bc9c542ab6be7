"""Source-to-source gradient code for spiking neuron models in JAX."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradgen.version import __version__

if TYPE_CHECKING:
    from gradgen.api import Differentiated, differentiate, graph, search
    from gradgen.errors import GradgenError

__all__ = ["Differentiated", "GradgenError", "__version__", "differentiate", "graph", "search"]

_HOMES = dict.fromkeys(("Differentiated", "differentiate", "graph", "search"), "gradgen.api")
_HOMES["GradgenError"] = "gradgen.errors"

# Importing a package makes it an attribute of the one above. This one is imported now, so that it
# will not take the place of the function of the same name later.
import_module("gradgen.search")
del globals()["search"]


def __getattr__(name: str) -> Any:
    # JAX takes a second to import; the command starts without it
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gradgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
