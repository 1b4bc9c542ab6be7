"""What the environment asks of JAX, which reads it when it is imported."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import platformdirs

from gradgen.errors import GradgenError

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_EVERYTHING = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""However fast it was compiled, and however small it is."""
_MOST_BYTES = 200_000_000
"""When more is kept, the older half is forgotten."""


def require_jax() -> None:
    """Import JAX; raises GradgenError for a variable of the environment that it does not take."""
    try:
        import jax  # noqa: F401
    except ValueError as error:
        said = str(error).lower()
        names = [n for n in os.environ if n.startswith("JAX_") and n.lower() in said]
        if not names:
            raise
        raise GradgenError(
            f"JAX does not take what the environment says: {names[0]}={os.environ[names[0]]!r}",
            hint=f"leave it out: unset {names[0]}",
        ) from None


def keep_compiled_programs() -> None:
    """Have JAX keep what it compiles in the user's cache folder, for this process and later ones.

    Not if the environment says where, and not where nothing can be written.
    """
    if _FOLDER in os.environ:
        return
    folder = platformdirs.user_cache_path("gradgen", appauthor=False) / "compiled" / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        forget_oldest(folder, _MOST_BYTES)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        os.environ |= {_FOLDER: str(folder), **_EVERYTHING}


def forget_oldest(folder: Path, most: int) -> None:
    """Where files in a folder have more bytes than this, leave the newest, of half as many."""
    found = [(entry.stat(), entry.path) for entry in os.scandir(folder)]
    size = sum(known.st_size for known, _ in found)
    if size <= most:
        return
    for known, path in sorted(found, key=lambda one: one[0].st_mtime):
        if size > most // 2:
            Path(path).unlink(missing_ok=True)
            size -= known.st_size


def _processor() -> str:
    """What tells processors apart that do not run each other's code."""
    told = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        told += sorted({line for line in lines if line.startswith(("flags", "Features", "model"))})
    except OSError:
        pass  # another system than Linux
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
