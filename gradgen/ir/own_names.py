"""What a generated module calls its own things, beside the user's names.

The user's names are the interface and stay. Where one of them is a name of the module's own, that
one gets underscores behind it.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection

OWN_IMPORTS = {
    "jax": "import jax",
    "jnp": "import jax.numpy as jnp",
    "lax": "from jax import lax",
    "np": "import numpy as np",
    "partial": "from functools import partial",
    "copy": "import copy",
    "isqrt": "from math import isqrt",
    "NamedTuple": "from typing import NamedTuple",
}
"""What a generated module may import for itself, by the name that it binds."""

METADATA = "GRADGEN"
"""The dictionary in which a generated module says what it was made from."""

BUILTINS = frozenset(dir(builtins))


def is_own_kind(name: str) -> bool:
    """Whether a generated module might use the name for itself.

    All that it defines at its top level for itself, but `METADATA`, starts with an underscore.
    """
    if name.startswith("_") or name.rstrip("_") == METADATA:
        return True
    return name in BUILTINS or name in OWN_IMPORTS


def own_name(name: str, names: Collection[str]) -> str:
    """What a module with these names calls what is usually called `name`."""
    return max((n for n in names if _is_variant(n, name)), key=len, default=name)


def own_name_beside(name: str, users: Collection[str], names: Collection[str]) -> str:
    """What to call it, beside names of the user's and all that are in use."""
    return f"{own_name(name, names)}_" if any(_is_variant(n, name) for n in users) else name


def _is_variant(found: str, name: str) -> bool:
    return found.startswith(name) and found[len(name) :].strip("_") == ""
