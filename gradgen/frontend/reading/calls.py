"""What calls of Python's and JAX's own functions tell about their arguments."""

from __future__ import annotations

from typing import Literal

Effect = Literal[
    "number",  # each argument is a number or an array
    "open",  # an argument may be a container, of which this does not tell the structure
    "mapped",  # the same for all arguments but the first, a function
    "same",  # the result is the first argument
    "rebuilt",  # the result has the parts of the first argument, a container
    "transform",  # the result is the first argument, a function, changed in ways that do not matter
    "branch",  # the second and third arguments are functions of those that follow
    "replace",  # keywords are fields of the first argument
    "static",  # the first argument is a Python value
    "unknown",
]

_TRANSFORMS = frozenset(
    {"jit", "vmap", "pmap", "checkpoint", "remat", "custom_jvp", "custom_vjp", "custom_gradient"}
)
_BUILTINS: dict[str, Effect] = {
    **dict.fromkeys(("abs", "float", "int", "bool", "round", "pow", "min", "max"), "number"),
    **dict.fromkeys(("len", "sum", "zip", "enumerate", "iter", "next", "sorted"), "open"),
    **dict.fromkeys(("reversed", "any", "all", "set", "dict", "vars"), "open"),
    **dict.fromkeys(("map", "filter"), "mapped"),
    **dict.fromkeys(("tuple", "list"), "rebuilt"),
    **dict.fromkeys(("isinstance", "callable", "issubclass"), "static"),
}
_NUMERIC = ("jax.numpy", "numpy", "math", "jax.nn", "jax.lax", "jax.scipy", "scipy")
_JOINING = frozenset(
    {"stack", "concatenate", "concat", "hstack", "vstack", "dstack", "column_stack", "block"}
)
_CONTROL_FLOW = frozenset(
    {"switch", "scan", "map", "while_loop", "fori_loop", "associative_scan", "reduce"}
)


def effect_of(name: str | None, arguments: int) -> Effect:
    """What a call of the function with this full dotted name says, given so many arguments."""
    if name is None:
        return "unknown"
    if name in _BUILTINS:
        return "open" if name in ("min", "max") and arguments == 1 else _BUILTINS[name]
    module, _, function = name.rpartition(".")
    if module in ("jax.tree", "jax.tree_util") or function.startswith("tree_"):
        return "mapped" if "map" in function or "reduce" in function else "open"
    if function in _TRANSFORMS:
        return "transform"
    if function == "replace":
        return "replace"
    if function in ("stop_gradient", "asarray", "array", "block_until_ready", "device_put"):
        return "same"
    if function == "cond":
        return "branch"
    if function in _JOINING:
        return "open"
    numeric = any(module == root or module.startswith(f"{root}.") for root in _NUMERIC)
    return "number" if numeric and function not in _CONTROL_FLOW else "unknown"
