"""Files: read as text, written whole or not at all, never over what gradgen did not write.

And TOML files with the place of everything in them, which `tomllib` does not tell.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import stat
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from gradgen.errors import GradgenError

if sys.platform != "win32":
    import fcntl

SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
"""What the names of folders may end in, and those of files do not."""
_PART = r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'"""
_HEADER = re.compile(rf"^\s*\[\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*\]")
_KEY = re.compile(rf"^\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*=")


def read_text(path: str, what: str) -> str:
    """The text of a file; raises GradgenError, which says `what` it is, if there is none."""
    try:
        if _is_device(os.stat(path).st_mode):
            raise GradgenError(f"cannot read {what}: this is a device, and no file", path=path)
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise GradgenError(f"cannot read {what}: {_reason(error)}", path=path) from None
    return decode(content, path, what)


def read_standard_input() -> bytes:
    """All of standard input; raises GradgenError if it is closed."""
    if sys.stdin is None:
        raise GradgenError("cannot read the source: standard input is closed", path="<stdin>")
    return sys.stdin.buffer.read()


def decode(content: bytes, path: str, what: str) -> str:
    """Bytes as text; raises GradgenError, which says `what` they are, if they are no UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{what} is not UTF-8 text (byte {error.start})"
        raise GradgenError(message, hint="save it as UTF-8", path=path) from None


def resolved(path: str | Path) -> Path:
    """A path without links, as far as there is one: links that lead in a circle stay."""
    return Path(os.path.realpath(path))


def write_atomically(path: str, text: str | bytes) -> bool:
    """Put text, or bytes, in a file; returns whether the file changed.

    The text is written beside the target and moved into place: a reader sees the old file or the
    new one. A symbolic link is followed, permissions are kept, an equal file is not touched.
    Raises GradgenError if the file cannot be written; the old one is then intact.
    """
    there = _regular(path)
    target = resolved(path)
    content = text.encode("utf-8") if isinstance(text, str) else text
    remove_left_over(path)
    try:
        if there is not None and target.read_bytes() == content:
            return False
        mode = 0o666 & ~_umask() if there is None else there.st_mode & 0o777
        descriptor, name = _temporary(target)
    except OSError as error:
        raise _cannot_write(path, error) from None
    locked = os.dup(descriptor)
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
    finally:
        os.close(locked)
    return True


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A context that one run at a time is in: what it reads there is not changed before it writes.

    Where folders cannot be locked, nobody waits.
    """
    with contextlib.ExitStack() as held:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def require_output(
    output: str, is_ours: Callable[[str], bool], *, force: bool, forcing: str = "--force"
) -> None:
    """Raise GradgenError where writing a text would lose something, or is not possible.

    What is there may be replaced if it is ours, as its text tells, if it is empty, or by `force`,
    which `forcing` asks for; but never something else than a file.
    """
    require_folder(output)
    there = _regular(output)
    if there is None or there.st_size == 0 or force:
        return
    with contextlib.suppress(GradgenError):  # what cannot be read was not written here
        if is_ours(read_text(output, "the file")):
            return
    raise GradgenError(
        "gradgen did not write this file, so that it will not be overwritten",
        hint=f"choose another output, or replace the file with {forcing}",
        path=output,
    )


def require_other_file(output: str, other: str | Path, what: str) -> None:
    """Raise GradgenError if a text would take the place of another file, which is `what`."""
    same = resolved(output) == resolved(other)
    with contextlib.suppress(OSError, ValueError):
        same = same or os.path.samefile(output, other)
    if same:
        raise GradgenError(
            f"the output would overwrite {what}", hint="choose another output", path=output
        )


def require_folder(output: str) -> None:
    """Raise GradgenError if there is no folder for a file, or if it is one itself."""
    require_named(output)
    folder = Path(output).parent
    if not os.path.isdir(folder):
        raise GradgenError(
            f"there is no folder '{folder}' to write the file into",
            hint=f"make it: mkdir -p {shlex.quote(str(folder))}",
            path=output,
        )
    if os.path.isdir(output):
        raise _is_a_folder(output)


def require_named(output: str) -> None:
    """Raise GradgenError for an output that names no file: nothing, or what only folders end in."""
    if not output:
        raise GradgenError("the output has no name", hint="name the file to write: -o OUT")
    if output.endswith(SEPARATORS):
        raise _is_a_folder(output)


def _is_a_folder(output: str) -> GradgenError:
    return GradgenError("the output is a folder", hint="name the file to write in it", path=output)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it; raises GradgenError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise GradgenError(f"cannot make the folder: {_reason(error)}", path=str(folder)) from None


def keep_evidence(text: str, report: str) -> str:
    """Keep a text that failed its verification, with the report, in a new temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="gradgen-inexact-"))
    (folder / "generated.py").write_text(text, encoding="utf-8")
    (folder / "report.txt").write_text(report + "\n", encoding="utf-8")
    return str(folder)


def remove_left_over(path: str) -> None:
    """Remove what a run that was killed while it wrote this file has left beside it.

    A run that is alive has its own locked; where files cannot be locked, nothing is removed.
    """
    target = resolved(path)
    if sys.platform == "win32" or not os.path.isdir(target.parent):
        return
    for left in target.parent.glob(f"{_prefix(target)}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(left)
            finally:
                os.close(descriptor)


def _temporary(target: Path) -> tuple[int, str]:
    """A new file beside the target, locked for as long as it is open."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_prefix(target), dir=target.parent)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.exists(name):
            return descriptor, name
        os.close(descriptor)  # another run took it for a left-over one before it was locked


def _prefix(target: Path) -> str:
    """What names of temporary files begin with; a name itself may be as long as names can be."""
    return f".gradgen-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


def _is_device(mode: int) -> bool:
    """Whether reading it may never end; standard input under its name is a terminal or a pipe."""
    return stat.S_ISBLK(mode) or stat.S_ISCHR(mode)


def _regular(path: str) -> os.stat_result | None:
    """What is known of a file, None if there is none; raises GradgenError for anything else."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from None
    if stat.S_ISREG(found.st_mode):
        return found
    raise GradgenError(
        "cannot write the file: this is a folder"
        if stat.S_ISDIR(found.st_mode)
        else "cannot write the file: this is a device or a pipe, and no file",
        hint="name a file; without -o the text goes to standard output",
        path=path,
    )


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _cannot_write(path: str, error: OSError | ValueError) -> GradgenError:
    return GradgenError(f"cannot write the file: {_reason(error)}", path=path)


def document_of(text: str, path: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """What a TOML file says; raises GradgenError, with the place, if it is none."""
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except RecursionError:
        raise GradgenError("not valid TOML: nested too deeply", path=path) from None
    except ValueError as error:  # of a number that is too long as well
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        raise GradgenError(
            f"not valid TOML: {re.sub(r' *[(]at .*[)]$', '', str(error))}",
            path=path,
            line=int(place[1]) if place else text.count("\n") + 1,
            column=int(place[2]) - 1 if place else 0,
        ) from None


def line_of(text: str, table: tuple[str, ...], key: str) -> int:
    """The line, from 1, of a key in a table; of the table if there is no key, 1 if there is none.

    Tables in headers and dotted keys are followed, inline tables up to the line they start on.
    """
    best, depth = 1, 0
    wanted = (*table, key) if key else table
    for number, path in _paths(text):
        common = min(len(path), len(wanted))
        if path[:common] == wanted[:common] and common > depth and len(path) <= len(wanted):
            best, depth = number, common
    return best


@lru_cache(maxsize=1)  # each key of a file is looked for, in one file after the other
def _paths(text: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The lines with a header or an assignment, and the tables and keys that these name."""
    here: tuple[str, ...] = ()
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if (header := _HEADER.match(line)) is not None:
            here = _parts(header[1])
            found.append((number, here))
        elif (assignment := _KEY.match(line)) is not None:
            found.append((number, (*here, *_parts(assignment[1]))))
    return tuple(found)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
