"""The modules beside a source file that it imports, found without running anything."""

from __future__ import annotations

import ast
import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradgen.ir.source import is_file

_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""The folders that libraries are installed in."""


def roots_of(path: Path) -> tuple[Path, ...]:
    """The folders that a source's local modules are imported from.

    That is its own folder, and the one above its package where the source is part of one.
    """
    folder = _resolved(path).parent
    above = folder
    while os.path.isfile(above / "__init__.py"):
        above = above.parent
    return (folder,) if above == folder else (folder, above)


def local_imports(path: Path) -> tuple[Path, ...]:
    """Every local module that a file may import, directly or through another one.

    Imports count wherever they stand, in functions as well. A file that is not Python imports
    nothing. Beside an installed package are libraries, which are not local.
    """
    roots = roots_of(path)
    found: set[Path] = set()
    start = _resolved(path)
    installed = roots[-1].name in _INSTALLED
    within = roots[-1] / start.relative_to(roots[-1]).parts[0] if installed else Path(start.root)
    waiting = [start]
    while waiting:
        imported = {m for m in _imported(waiting.pop(), roots) if m.is_relative_to(within)}
        new = imported - found - {start}
        found |= new
        waiting += new
    return tuple(sorted(found))


def digests_of_imports(source: str, example: str | None) -> tuple[tuple[str, str], ...]:
    """The digests of what a source needs beside itself, by path from the source's folder.

    That is what it imports, the file of the example `FILE:FUNCTION`, and what that imports.
    """
    if not is_file(source):
        return ()
    path = _resolved(Path(source))
    return tuple(
        sorted(
            (Path(os.path.relpath(module, path.parent)).as_posix(), digest_of(module))
            for module in needed_by(source, example) - {path}
            if os.path.isfile(module)
        )
    )


def needed_by(source: str, example: str | None) -> set[Path]:
    """The files that a source is executed with, itself among them; none where it is no file."""
    if not is_file(source):
        return set()
    path = _resolved(Path(source))
    needed = {path, *local_imports(path)}
    if example is not None:
        other = _resolved(Path(example.rpartition(":")[0]))
        needed |= {other, *local_imports(other)}
    return needed


def digest_of(path: Path) -> str:
    """What `Source.digest` is of this file; of any encoding. Raises OSError if it is not there."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    return hashlib.sha256(content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).hexdigest()


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))  # links may lead in a circle, which `resolve` refuses


def _imported(path: Path, roots: Sequence[Path]) -> Iterator[Path]:
    if not os.path.isfile(path):
        return  # reading a device may never end
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(roots, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            names = node.module.split(".") if node.module else []
            bases = roots if node.level == 0 else [path.parents[node.level - 1]]
            for alias in node.names:
                yield from _files(bases, [*names, alias.name])


def _files(roots: Sequence[Path], names: Sequence[str]) -> Iterator[Path]:
    """The files that importing a dotted name runs, packages first; none that are not there.

    Its last part may be something else than a module.
    """
    for root in roots:
        found = [
            candidate
            for k, name in enumerate(names)
            for folder in [root.joinpath(*names[:k])]
            for candidate in (folder / name / "__init__.py", folder / f"{name}.py")
            if os.path.isfile(candidate)
        ]
        if found:
            yield from (_resolved(candidate) for candidate in found)
            return
