"""Remembers which files were found current, so that they need not be traced again.

A stamp is the digest of all that the answer depends on: gradgen's own code, the versions of JAX and
Python, the source, what it imports, the configuration, and the generated text. One file for each
output lies in the user's cache folder. Nothing in it is trusted beyond this digest, and whatever
cannot be read or written there is as if it were not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import platformdirs

from gradgen.files import resolved
from gradgen.project.facts import Facts, facts_of, reasons
from gradgen.project.record import read_record
from gradgen.project.target import Target

_PACKAGES = ("jax", "jaxlib", "libcst", "jinja2")


def stamp(facts: Facts, text: str) -> str:
    """The digest of all that the answer depends on."""
    content = [
        _code_digest(),
        _environment(),
        [facts.source, facts.digest, facts.imports, facts.options, facts.function],
        facts.prices,
        text,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def is_remembered(target: Target, text: str) -> bool:
    """Whether nothing has changed since the file with this text was found current.

    Raises OSError or ValueError if that cannot be told.
    """
    mark = stamp(facts_of(target), text)
    return _place(str(target.output)).read_text(encoding="ascii") == mark


def remember(target: Target, text: str) -> None:
    """Remember that a file with this text is current, if that is possible.

    It is not if the source or its imports were changed while the text was made or checked.
    """
    record = read_record(text)
    with contextlib.suppress(OSError, ValueError):
        facts = facts_of(target)
        if record is None or target.output is None or reasons(target, record, facts):
            return
        place, mark = _place(target.output), stamp(facts, text)
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=place.parent)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(mark)
        os.replace(name, place)


def _place(output: str) -> Path:
    """One for each output and environment, so that two of these do not take turns."""
    content = json.dumps([os.fspath(resolved(output)), _environment()])
    name = hashlib.sha256(content.encode()).hexdigest()[:32]
    return platformdirs.user_cache_path("gradgen", appauthor=False) / "current" / name


def _environment() -> list[str]:
    return [platform.python_version(), *(_version(package) for package in _PACKAGES)]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _code_digest() -> str:
    """Of gradgen's own modules and templates: a release, or a checkout that is being worked on."""
    package = Path(__file__).resolve().parents[1]
    folders = [package, package.parent / "templates"]
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.jinja")]):
            digest.update(str(path.relative_to(package.parent)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
