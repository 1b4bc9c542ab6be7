"""What gradgen sees of the machine and of the libraries that it uses."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from gradgen.version import __version__

LIBRARIES = ("jax", "jaxlib", "dm-haiku", "mctx", "optax", "numba", "numpy", "safetensors")


def facts() -> list[tuple[str, str]]:
    """Names and values: versions, and the devices that JAX finds."""
    found = [
        ("gradgen", __version__),
        ("python", platform.python_version()),
        ("platform", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"),
    ]
    for library in LIBRARIES:
        try:
            found.append((library, importlib.metadata.version(library)))
        except importlib.metadata.PackageNotFoundError:
            found.append((library, "not installed"))
    from gradgen.search.alphazero.distributed import devices

    return [*found, ("devices", devices())]
