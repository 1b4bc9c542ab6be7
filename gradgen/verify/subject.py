"""What is verified: the source's function, a generated text, and the module it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import jax
import jax.numpy as jnp

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import is_float
from gradgen.ir.module import Module, SecondOrder
from gradgen.ir.source import Source
from gradgen.ir.trace import Trace

Array = Any
"""A jax or numpy array, or a tracer."""
Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


class Traced(Protocol):
    """What knows a source and its trace: a module that was made of it, or what there is before."""

    @property
    def source(self) -> Source:
        """The source."""

    @property
    def trace(self) -> Trace | ArrayTrace:
        """Its trace."""


class TracedNeuron(Traced, Protocol):
    """The same of a neuron."""

    @property
    def trace(self) -> Trace:
        """Its trace."""


AnyTraced = TypeVar("AnyTraced", bound=Traced, covariant=True)
AnyModule = TypeVar("AnyModule", bound=Module | SecondOrder | ArrayModule)


@dataclass(frozen=True)
class Called(Generic[AnyTraced]):
    """The source's function, and how it is called."""

    module: AnyTraced
    function: Callable[..., Any]
    """The source's function."""
    bind: Callable[[Sequence[Any]], Call]
    """The arguments of a call, from flat leaves in the order of the trace's inputs."""
    without_objects: Callable[[Any], Any] = lambda tree: tree
    """A pytree with tuples in place of objects, which JAX may not know."""
    vmapped: bool = False
    """Whether the source runs on scalars alone and has to be mapped with `jax.vmap`."""

    @cached_property
    def wrt(self) -> tuple[int, ...]:
        """The positions of the differentiated inputs among the leaves."""
        return tuple(k for k, i in enumerate(self.module.trace.inputs) if i.wrt)

    @cached_property
    def floats(self) -> tuple[int, ...]:
        """The positions of the float outputs among the result's leaves."""
        return tuple(k for k, o in enumerate(self.module.trace.outputs) if is_float(o.dtype))

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The inputs by path."""
        return tuple(i.path for i in self.module.trace.inputs)

    def source(self, leaves: Sequence[Array]) -> Any:
        """The source's result, on leaves of any shapes that broadcast."""
        if not self.vmapped or all(jnp.ndim(leaf) == 0 for leaf in leaves):
            return self.direct(leaves)
        shape = jnp.broadcast_shapes(*(jnp.shape(leaf) for leaf in leaves))
        mapped = self.direct
        for _ in shape:
            mapped = jax.vmap(mapped)
        return mapped([jnp.broadcast_to(leaf, shape) for leaf in leaves])

    def direct(self, leaves: Sequence[Array]) -> Any:
        """The source's result, called as it is."""
        positional, keyword = self.bind(leaves)
        return self.function(*positional, **keyword)

    def with_differentiated(self, leaves: Sequence[Array], chosen: Sequence[Array]) -> list[Array]:
        """The leaves with other values for the differentiated ones."""
        changed = list(leaves)
        for position, value in zip(self.wrt, chosen, strict=True):
            changed[position] = value
        return changed


@dataclass(frozen=True)
class Verified(Called[AnyModule]):
    """A generated text with everything that is needed to hold it against its source."""

    text: str = field(kw_only=True)


Subject = Verified[Module | SecondOrder]
"""A text on neurons."""
ArraySubject = Verified[ArrayModule]
"""A text on arrays."""


def arrays(leaves: Sequence[Array]) -> list[Array]:
    """As JAX's arrays. `jnp.asarray` would compile a program for each new shape."""
    return [jax.device_put(leaf) for leaf in leaves]


def result_leaves(result: Any) -> list[Array]:
    """The leaves of a result as arrays."""
    return [jnp.asarray(leaf) for leaf in jax.tree.leaves(result)]


def abstract(shape: tuple[int, ...], dtype: Any) -> Any:
    """A stand-in for an array."""
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]
