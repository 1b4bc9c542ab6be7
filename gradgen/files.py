"""Files: read as text, written whole or not at all, and not when nothing changed."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from pathlib import Path

from gradgen.errors import GradgenError


def read_text(path: str, what: str) -> str:
    """The text of a file; raises GradgenError, which says `what` it is, if there is none."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise GradgenError(f"cannot read {what}: {error.strerror}", path=path) from None
    except UnicodeDecodeError as error:
        message = f"{what} is not UTF-8 text (byte {error.start})"
        raise GradgenError(message, hint="save it as UTF-8", path=path) from None


def write_atomically(path: str, text: str | bytes) -> bool:
    """Put text, or bytes, in a file; returns whether the file changed.

    The text is written beside the target and moved into place: a reader sees the old file or the
    new one. A symbolic link is followed, permissions are kept, an equal file is not touched.
    Raises GradgenError if the file cannot be written; the old one is then intact.
    """
    target = Path(path).resolve()
    content = text.encode("utf-8") if isinstance(text, str) else text
    try:
        if target.is_file() and target.read_bytes() == content:
            return False
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from None
        raise
    return True


def require_other_file(output: str, source: str) -> None:
    """Raise GradgenError if a generated file would take the place of its source."""
    if Path(output).resolve() == Path(source).resolve():
        raise GradgenError("the output would overwrite the source", path=source)


def require_folder(output: str) -> None:
    """Raise GradgenError if there is no folder for a file, or if it is one itself."""
    folder = Path(output).parent
    if not folder.is_dir():
        raise GradgenError(
            f"there is no folder '{folder}' to write the file into",
            hint=f"make it: mkdir -p {shlex.quote(str(folder))}",
            path=output,
        )
    if Path(output).is_dir():
        raise GradgenError(
            "the output is a folder", hint="name the file to write in it", path=output
        )


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it; raises GradgenError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GradgenError(f"cannot make the folder: {error.strerror}", path=str(folder)) from None


def keep_evidence(text: str, report: str) -> str:
    """Keep a text that failed its verification, with the report, in a new temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="gradgen-inexact-"))
    (folder / "generated.py").write_text(text, encoding="utf-8")
    (folder / "report.txt").write_text(report + "\n", encoding="utf-8")
    return str(folder)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _cannot_write(path: str, error: OSError) -> GradgenError:
    return GradgenError(f"cannot write the file: {error.strerror}", path=path)
