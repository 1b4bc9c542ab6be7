"""The devices, and several processes that train together, on JAX's own distributed runtime."""

from __future__ import annotations

import jax

from gradgen.errors import GradgenError


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Join the other processes, before any device is used.

    Without arguments, JAX finds out from the environment of a cluster's scheduler. Raises
    GradgenError if the others cannot be reached.
    """
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (RuntimeError, ValueError) as error:
        raise GradgenError(
            f"cannot join the other processes: {str(error).splitlines()[0]}",
            hint="give --coordinator HOST:PORT, --processes and --process to each of them",
        ) from None


def require_devices(device: str) -> None:
    """Raise GradgenError if JAX finds no device of the kind that was asked for."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise GradgenError(
            f"JAX sees no {'device' if device == 'auto' else device}{_why(error)}",
            hint="--device auto takes what there is, and `gradgen doctor` says what that is",
        ) from None


def _why(error: Exception) -> str:
    """What JAX says; nothing where the plugin of a platform is missing, a failed assertion."""
    first = str(error).split("\n", 1)[0]
    return f": {first}" if first else ""


def count_devices() -> int:
    """How many devices there are in all processes."""
    return jax.device_count()


def is_first() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return jax.process_index() == 0


def devices() -> str:
    """How many devices JAX finds in all processes, and what they are."""
    try:
        found = jax.devices()
    except (RuntimeError, AssertionError) as error:
        return f"none{_why(error)}"
    kinds = sorted({f"{device.platform} ({device.device_kind})" for device in found})
    return f"{len(found)}: {', '.join(kinds)}"
