"""The directives of a source file, `# gradgen: KIND TEXT`: finding and reading them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

import libcst as cst

from gradgen.errors import GradgenError
from gradgen.frontend.reading import example
from gradgen.frontend.reading.syntax import Syntax
from gradgen.frontend.reading.target import SourceFunction, names_of
from gradgen.frontend.reading.usage import has_own_rule
from gradgen.ir.pytree import Structure
from gradgen.ir.source import Directive, Position, Source

DirectiveKind = Literal["wrt", "static", "range", "example", "next", "shape", "size", "dtype"]

FORMS: Mapping[DirectiveKind, str] = {
    "wrt": "# gradgen: wrt v, params.tau",
    "static": "# gradgen: static dt=0.1",
    "range": "# gradgen: range v=-90:40",
    "example": example.FORM,
    "next": "# gradgen: next v=0, w=1",
    "shape": "# gradgen: shape x=(batch, n_in) w=(n_in, n) labels=(batch,):int32",
    "size": "# gradgen: size n=256 batch=32",
    "dtype": "# gradgen: dtype float32",
}
_COMMENT = re.compile(r"#+\s*gradgen\s*:\s*(\w*)\s*(.*)", re.DOTALL)
_PATH = re.compile(r"[^\W\d]\w*(\.\w+)*")
_SUBJECT = re.compile(r"([^\W\d][\w.]*)\s*=(?!=)")
_DTYPES = ("float", "bool", "int", "int32", "int64", "uint8", "uint32", "key")
"""What may be stated of what an array holds."""
_COMMAND_LINE = Position(0, 0, 0, 0)
"""The position of a directive that is not in the source."""


def parse_wrt(text: str) -> tuple[str, ...]:
    """The dotted paths in `v, params.tau`. Raises GradgenError for anything else."""
    paths = tuple(text.replace(",", " ").split())
    for path in paths:
        if not _PATH.fullmatch(path):
            raise _malformed("wrt", f"{path!r} is not the name of an argument")
    if not paths:
        raise _malformed("wrt", "it names no argument")
    if len(set(paths)) < len(paths):
        raise _malformed("wrt", "it names an argument twice")
    return paths


def parse_static(text: str) -> tuple[tuple[str, str], ...]:
    """Names and the texts of their values in `dt=0.1, taus=(10.0, 20.0)`.

    Raises GradgenError if a value is not a Python expression.
    """
    items = _items("static", text)
    for name, value in items:
        try:
            cst.parse_expression(value)
        except cst.ParserSyntaxError as error:
            message = f"the value of {name!r}, {value!r}, is not a Python expression"
            raise _malformed("static", message) from error
    return items


def parse_range(text: str) -> tuple[tuple[str, float, float], ...]:
    """Names and bounds in `v=-90:40, w=1e-3:0.5`.

    Raises GradgenError unless each is two finite numbers, the smaller first.
    """
    return tuple((name, *_bounds(name, value)) for name, value in _items("range", text))


def parse_next(text: str) -> tuple[tuple[str, str], ...]:
    """Paths of inputs, and of the outputs that are their next values, in `v=0.v, w=1`.

    Raises GradgenError unless each is a path.
    """
    items = _items("next", text)
    for name, path in items:
        if not re.fullmatch(r"\w+(\.\w+)*", path):
            raise _malformed("next", f"{path!r}, for {name!r}, is not the path of an output")
    return items


def parse_shape(text: str) -> tuple[tuple[str, tuple[str, ...], str | None], ...]:
    """Paths, axes and dtypes (None where it is not said) in `x=(batch, n) labels=(batch,):int32`.

    Raises GradgenError unless each is a list of axes in brackets.
    """
    return tuple((name, *_axes(name, value)) for name, value in _items("shape", text))


def _axes(name: str, text: str) -> tuple[tuple[str, ...], str | None]:
    found = re.fullmatch(r"\(([^()]*)\)(?:\s*:\s*(\w+))?", text)
    if found is None:
        raise _malformed("shape", f"the shape of {name!r}, {text!r}, is no list of axes")
    axes = tuple(axis.strip() for axis in found[1].split(","))
    axes = axes[:-1] if axes[-1] == "" else axes
    if "" in axes:
        raise _malformed("shape", f"the shape of {name!r} has an axis without a name")
    if found[2] is not None and found[2] not in _DTYPES:
        raise _malformed("shape", f"the dtype {found[2]!r} is not one of {', '.join(_DTYPES)}")
    return axes, found[2]


def parse_size(text: str) -> tuple[tuple[str, int], ...]:
    """Axes and their sizes in `n=256 batch=32`. Raises GradgenError unless each is a number."""
    items = _items("size", text)
    for name, value in items:
        if not value.isdecimal() or int(value) == 0:
            raise _malformed("size", f"the size of {name!r}, {value!r}, is not a positive number")
    return tuple((name, int(value)) for name, value in items)


def parse_dtype(text: str) -> str:
    """The dtype that a text is to be for. Raises GradgenError for any but float32."""
    if text.strip() != "float32":
        raise _malformed("dtype", f"{text!r} is not float32, the one that can be asked for")
    return text.strip()


def is_in_float32(source: Source) -> bool:
    """Whether the text is to be for float32 alone."""
    return any(d.kind == "dtype" for d in source.directives)


def parse_example(
    text: str, records: Mapping[str, Structure] | None = None
) -> tuple[tuple[str, Structure], ...]:
    """Names and structures in `state=(v, i) params={tau, beta}`.

    `records` are the structures of the classes that may be named. Raises GradgenError if a
    structure is malformed.
    """
    return tuple(
        (name, example.parse_structure(value, records)) for name, value in _items("example", text)
    )


def read_directives(
    syntax: Syntax, target: SourceFunction, extra: Iterable[tuple[str, str]] = ()
) -> tuple[Directive, ...]:
    """The directives that apply to a function, one for each kind and subject, checked.

    Those on or in the function override those that stand elsewhere at module level, and `extra`,
    the command line's as (kind, text), override both. Raises GradgenError, with the place, for an
    unknown kind, a malformed text, a subject that is no argument, or one given twice.
    """
    function = target.function
    found = [_Found(d, _owner(syntax, d.position.line, function)) for d in _in_comments(syntax)]
    own = [f.directive for f in found if f.owner is function]
    shared = [f.directive for f in found if f.owner is None]
    given = [_directive(kind, text, _COMMAND_LINE) for kind, text in extra]
    arguments = {parameter.name.value for parameter in target.declared}
    others = {n for each in syntax.every_function for n in names_of(each)} - arguments
    for each in found:
        if each.owner is not None and each.owner is not function:
            _require_own(syntax, each.directive, each.owner, function)
    layers = (
        _by_subject(syntax, shared, arguments, others),
        _by_subject(syntax, own, arguments),
        _by_subject(syntax, given, arguments),
    )
    return tuple({key: d for layer in layers for key, d in layer.items()}.values())


@dataclass(frozen=True, eq=False)
class _Found:
    directive: Directive
    owner: cst.FunctionDef | None


def _in_comments(syntax: Syntax) -> Iterator[Directive]:
    if not _COMMENT.search(syntax.text):
        return
    comments = {
        syntax.position(node): node.value for node in syntax.ranges if isinstance(node, cst.Comment)
    }
    for place, comment in sorted(comments.items()):
        if match := _COMMENT.fullmatch(comment):
            try:
                yield _directive(match[1], match[2].strip(), place)
            except GradgenError as error:
                raise error.located(syntax.path, place.line, place.column) from None


def _directive(kind: str, text: str, place: Position) -> Directive:
    for known in get_args(DirectiveKind):
        if kind == known:
            return Directive(known, text, place)
    close = get_close_matches(kind, get_args(DirectiveKind), n=1)
    raise GradgenError(
        f"unknown gradgen directive {kind!r}",
        hint=f"did you mean {FORMS[close[0]]!r}?" if close else f"known: {', '.join(FORMS)}",
    )


def _owner(syntax: Syntax, line: int, target: cst.FunctionDef) -> cst.FunctionDef | None:
    """The function or method that a line is in, or is a comment immediately above.

    What stands in a function that makes the target is the target's.
    A comment above another function with a rule of its own is the whole file's: that is where the
    first lines of a file come to stand, and nobody derives what has a derivative.
    """
    around = [f for f in syntax.every_function if line in _extent(syntax, f)]
    if not around:
        return None
    if target in around or syntax.position(target).line in _extent(syntax, around[0]):
        return target
    owner = around[0]
    if not has_own_rule(owner):
        return owner
    return None if line < _first_line(syntax, owner) else owner


def _first_line(syntax: Syntax, function: cst.FunctionDef) -> int:
    return syntax.position((*function.decorators, function)[0]).line


def _extent(syntax: Syntax, function: cst.FunctionDef) -> range:
    """The lines of a function, with decorators, comments right above, and comments at its end."""
    first = _first_line(syntax, function)
    while first > 1 and syntax.lines[first - 2].lstrip().startswith("#"):
        first -= 1
    last = syntax.position(function).end_line
    footer = function.body.footer if isinstance(function.body, cst.IndentedBlock) else ()
    return range(first, max([last, *(syntax.position(line).line for line in footer)]) + 1)


def _require_own(
    syntax: Syntax, directive: Directive, owner: cst.FunctionDef, target: cst.FunctionDef
) -> None:
    """Refuse a directive of another function with names that only the target may mean."""
    place = directive.position
    try:
        paths = _named(directive)
    except GradgenError as error:
        raise error.located(syntax.path, place.line, place.column) from None
    for name in (path.partition(".")[0] for path in paths):
        if name not in names_of(owner):
            raise GradgenError(
                f"the directive names {name!r}, which is not an argument of "
                f"'{owner.name.value}', to which it belongs",
                hint=f"write it right above '{target.name.value}', if it is meant for that",
                path=syntax.path,
                line=place.line,
                column=place.column,
            )


def _named(directive: Directive) -> tuple[str, ...]:
    """The paths of arguments that a directive names."""
    if directive.kind == "wrt":
        return parse_wrt(directive.text)
    if directive.kind in ("size", "dtype"):
        return ()
    return tuple(name for name, _ in _items(directive.kind, directive.text))


def _by_subject(
    syntax: Syntax,
    directives: Iterable[Directive],
    arguments: set[str],
    others: Iterable[str] = (),
) -> dict[tuple[DirectiveKind, str], Directive]:
    """Directives split into one for each subject; `wrt` is one as a whole, and so is `dtype`."""
    found: dict[tuple[DirectiveKind, str], Directive] = {}
    for directive in directives:
        try:
            for subject, text in _split(directive, arguments, tuple(others)):
                if (directive.kind, subject) in found:
                    about = f" for {subject!r}" if subject else ""
                    message = f"a second {directive.kind} directive{about}"
                    raise GradgenError(message, hint="keep one of the two")
                found[directive.kind, subject] = replace(directive, text=text)
        except GradgenError as error:
            if directive.position == _COMMAND_LINE:
                error.about = directive.kind
                raise
            place = directive.position
            raise error.located(syntax.path, place.line, place.column) from None
    return found


def _split(
    directive: Directive, arguments: set[str], others: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The subjects of a directive and a directive text for each, without those of `others`."""
    if directive.kind == "wrt":
        paths = [p for p in parse_wrt(directive.text) if _applies(p, arguments, others)]
        if paths:
            yield "", ", ".join(paths)
        return
    if directive.kind == "dtype":
        yield "", parse_dtype(directive.text)
        return
    if directive.kind == "static":
        parse_static(directive.text)
    elif directive.kind == "range":
        parse_range(directive.text)
    elif directive.kind == "next":
        parse_next(directive.text)
    elif directive.kind == "shape":
        parse_shape(directive.text)
    elif directive.kind == "size":
        # sizes belong to axes, which all arguments share
        yield from ((name, f"{name}={size}") for name, size in parse_size(directive.text))
        return
    for name, value in _items(directive.kind, directive.text):
        if _applies(name, arguments, others):
            yield name, f"{name}={value}"


def _applies(path: str, arguments: set[str], others: Sequence[str]) -> bool:
    name = path.partition(".")[0]
    if name in arguments or name in others:
        return name in arguments
    close = get_close_matches(name, arguments, n=1)
    known = ", ".join(sorted(arguments))
    raise GradgenError(
        f"the directive names {name!r}, which is not an argument",
        hint=f"did you mean {close[0]!r}? The arguments are {known}"
        if close
        else f"the arguments are {known}; a part of one is named by its path, as in state.0",
    )


def _items(kind: DirectiveKind, text: str) -> tuple[tuple[str, str], ...]:
    """The `name=value` items of a text, separated by commas or spaces outside of brackets."""
    text = text.strip()
    starts = [m for m in _SUBJECT.finditer(text) if _is_outside(text, m.start())]
    if not starts or starts[0].start() > 0:
        raise _malformed(kind, f"{text!r} does not start with name=" if text else "it is empty")
    ends = [match.start() for match in starts[1:]] + [len(text)]
    items = tuple(
        (match[1], text[match.end() : end].strip().removesuffix(",").rstrip())
        for match, end in zip(starts, ends, strict=True)
    )
    for name, value in items:
        if not _PATH.fullmatch(name) or not value:
            raise _malformed(
                kind, f"{name!r} has no value" if not value else f"{name!r} is no name"
            )
    if len({name for name, _ in items}) < len(items):
        raise _malformed(kind, "it gives an argument twice")
    return items


def _is_outside(text: str, index: int) -> bool:
    """Whether an index is outside of all brackets and quotes, at the start of a word."""
    before = re.sub(r"'[^']*'|\"[^\"]*\"", "", text[:index])
    if re.search(r"['\"\w.]$", before) or "'" in before or '"' in before:
        return False
    return all(before.count(a) == before.count(b) for a, b in ("()", "[]", "{}"))


def _bounds(name: str, text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        bounds = float(low), float(high)
    except ValueError:
        raise _malformed("range", f"{text!r} is not two numbers LOW:HIGH") from None
    if not all(map(math.isfinite, bounds)):
        raise _malformed("range", f"the bounds of {name!r} are not finite")
    if bounds[0] >= bounds[1]:
        raise _malformed("range", f"the lower bound of {name!r} is not below the upper one")
    return bounds


def _malformed(kind: DirectiveKind, message: str) -> GradgenError:
    return GradgenError(
        f"malformed {kind} directive: {message}", hint=f"write it like: {FORMS[kind]}"
    )
