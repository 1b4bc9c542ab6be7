"""What a target calls the functions of the operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradgen.ir.operations import Operation


@dataclass(frozen=True)
class Dialect:
    """A library that has NumPy's functions by NumPy's names, and others."""

    numpy: str
    """The name under which it has NumPy's functions."""
    others: str
    """The name under which it has all others, by the operation's own name."""
    exceptions: Mapping[str, str]
    """Functions that it has elsewhere, by operation."""

    def function(self, operation: Operation) -> str:
        """The function of an operation, as it is called."""
        elsewhere = self.exceptions.get(operation.name)
        if elsewhere is not None:
            return elsewhere
        if operation.numpy:
            return f"{self.numpy}.{operation.numpy}"
        return f"{self.others}.{operation.lax or operation.name}"


JAX = Dialect("jnp", "lax", {"logistic": "jax.nn.sigmoid"})
