"""A step function and its source: executed from a file, or as it is in a running program."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from gradgen.config import Settings
from gradgen.files import decode, read_standard_input, read_text
from gradgen.frontend.live.function import LiveFunction, require_current
from gradgen.frontend.live.gather import gather, placed_in_cells
from gradgen.frontend.reading.source import read_source
from gradgen.frontend.tracing.arguments import examples_of
from gradgen.frontend.tracing.load import as_one, load_example, load_function
from gradgen.frontend.tracing.owner import Owner, constants_of, find_owner
from gradgen.ir.source import Source, SourcePart


@dataclass(frozen=True)
class Opened:
    """A step function that can be called, with its source."""

    source: Source
    function: Callable[..., Any]
    namespace: dict[str, Any]
    """The names that the function sees."""
    example: Any = None
    """Example arguments: a tuple, or a dict by name."""
    owner: Owner | None = None
    """The instance of a method."""


def read(settings: Settings, discover: Collection[str] | None = None) -> Source:
    """Read the source file, and from it the structure of arguments: of all that no example gives.

    With `discover`, of these. Raises GradgenError if there is no such file.
    """
    path, text = settings.path, ""
    if path == "-":
        path = "<stdin>"
        text = decode(read_standard_input(), path, "the source")
    else:
        text = read_text(path, "the source file")
    if discover is None and settings.example is not None:
        discover = ()
    return read_source(path, text, settings.function, settings.directives, discover=discover)


def execute(settings: Settings) -> Opened:
    """Read a source file and execute it.

    How arguments are used is read last: an example tells it of some, and of others the instance of
    a method, which may hold the names of keys.
    """
    source = read(settings, discover=())
    namespace, function = load_function(source)
    examples: dict[str, Any] = {}
    if settings.example is not None:
        examples = examples_of(source, load_example(settings.example, source, namespace))
    owner, constants = None, {}
    if source.instance is not None:
        given = examples.get(source.instance)
        owner = find_owner(source, namespace) if given is None else Owner(given)
        constants = constants_of(source, owner)
    others = [p.name for p in source.parameters if p.name not in (*examples, source.instance)]
    known = read_source(
        source.path,
        source.text,
        settings.function,
        settings.directives,
        discover=others,
        constants=constants,
    )
    source = replace(source, structures=known.structures)
    return Opened(source, function, namespace, examples or None, owner)


def open_function(settings: Settings, live: LiveFunction, example: Any = None) -> Opened:
    """Read the source of a function that is there already; nothing is executed.

    Raises GradgenError if its file is not any more what it was imported from, or if the session
    does not tell its text.
    """
    if live.in_file:
        text = read_text(live.path, "the source file")
        require_current(live, text)
        parts: tuple[SourcePart, ...] = ()
    else:
        text, parts = gather(live)
    discover = None if example is None else ()
    with placed_in_cells(parts):
        source = read_source(settings.path, text, live.name, settings.directives, discover=discover)
    function = as_one(source, live.function)
    return Opened(replace(source, parts=parts), function, live.namespace, example)
