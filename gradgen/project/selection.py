"""What a command line is about: a source file, or targets of a configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gradgen.errors import GradgenError
from gradgen.files import resolved
from gradgen.ir.source import is_dotted
from gradgen.project.configuration import FILE, Configuration, find, read
from gradgen.project.target import Target, shown


def is_source(word: str) -> bool:
    """Whether an argument is meant as a source file, and not as the name of a target."""
    path, colon, name = word.rpartition(":")
    if word == "-" or os.path.isfile(word) or (colon and is_dotted(name) and path):
        return True
    return word.endswith((".py", ".json")) or "/" in word or os.sep in word


def configuration() -> Configuration:
    """The configuration of the working folder; raises GradgenError if there is none."""
    path = find(Path.cwd())
    if path is None:
        raise GradgenError(
            f"there is no {FILE} with a table [tool.gradgen], here or above",
            hint="`gradgen init SOURCE` writes one; `gradgen SOURCE -o OUT` needs none",
        )
    found = read(path)
    if not found.targets:
        raise GradgenError(
            "there are no targets",
            hint="`gradgen init SOURCE` adds one",
            path=shown(found.path),
        )
    return found


def chosen(found: Configuration, words: Sequence[str]) -> tuple[Target, ...]:
    """The targets by name, or by the path of source or output; all of them for no words."""
    if not words:
        return found.targets
    wanted: dict[str | None, Target] = {}
    for word in words:
        matching = [t for t in found.targets if t.name == word] or [
            t for t in found.targets if _same(word, t.settings.path) or _same(word, t.output)
        ]
        if not matching:
            what = "no target has this source or output" if is_source(word) else "no such target"
            raise GradgenError(
                f"{what}: '{word}'",
                hint=f"there are: {', '.join(str(t.name) for t in found.targets)}",
            )
        wanted.update((target.name, target) for target in matching)
    return tuple(target for target in found.targets if target.name in wanted)


def _same(word: str, path: str | None) -> bool:
    return path is not None and resolved(word) == resolved(path)
