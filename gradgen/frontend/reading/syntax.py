"""A parsed source file: its tree, and the places of its nodes as CPython reports them."""

from __future__ import annotations

import sys
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from gradgen.errors import GradgenError
from gradgen.ir.recursion import deeper_recursion
from gradgen.ir.source import Position, normalised

Statement = cst.BaseSmallStatement | cst.BaseCompoundStatement


@dataclass(frozen=True, eq=False)
class Syntax:
    """The syntax tree of one file; `text` has newlines only and no byte order mark."""

    path: str
    text: str
    module: cst.Module
    ranges: Mapping[cst.CSTNode, CodeRange]

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines, the first at index 0."""
        return self.text.split("\n")

    @cached_property
    def imports(self) -> Mapping[str, str]:
        """What each name imported at module level stands for: `jnp` for `jax.numpy`."""
        return {
            name: meaning
            for statement in scope(self.module.body)
            for name, meaning in _imported(statement)
        }

    @cached_property
    def functions(self) -> Mapping[str, cst.FunctionDef]:
        """The functions defined at module level; of two with one name the later, as in Python."""
        return {
            statement.name.value: statement
            for statement in scope(self.module.body)
            if isinstance(statement, cst.FunctionDef)
        }

    @cached_property
    def classes(self) -> Mapping[str, cst.ClassDef]:
        """The classes defined at module level."""
        return {
            statement.name.value: statement
            for statement in scope(self.module.body)
            if isinstance(statement, cst.ClassDef)
        }

    @cached_property
    def every_function(self) -> tuple[cst.FunctionDef, ...]:
        """All functions of the file: those at module level, methods, and functions in these."""
        return tuple(node for node in walk(self.module) if isinstance(node, cst.FunctionDef))

    def position(self, node: cst.CSTNode) -> Position:
        """The span of a node without its own parentheses; columns count UTF-8 bytes, as in ast."""
        start, end = self.ranges[node].start, self.ranges[node].end
        return Position(
            start.line,
            self._byte_column(start.line, start.column),
            end.line,
            self._byte_column(end.line, end.column),
        )

    def _byte_column(self, line: int, column: int) -> int:
        text = self.lines[line - 1]
        return column if text.isascii() else len(text[:column].encode())

    def code(self, node: cst.CSTNode) -> str:
        """The text of a node as written, without the lines above it, dedented."""
        if isinstance(node, cst.ClassDef | cst.FunctionDef | cst.SimpleStatementLine):
            node = node.with_changes(leading_lines=())
        return self.module.code_for_node(node).strip()

    def dotted(self, node: cst.CSTNode) -> str | None:
        """`jax.numpy.exp` for `jnp.exp`, by the file's imports; None if not a dotted name."""
        match node:
            case cst.Name(value=name):
                return self.imports.get(name, name)
            case cst.Attribute(value=base, attr=cst.Name(value=name)):
                prefix = self.dotted(base)
                return None if prefix is None else f"{prefix}.{name}"
        return None

    def error(self, message: str, node: cst.CSTNode, hint: str | None = None) -> GradgenError:
        """An error at the start of a node."""
        place = self.position(node)
        return GradgenError(
            message, hint=hint, path=self.path, line=place.line, column=place.column
        )


def parse(path: str, text: str) -> Syntax:
    """Parse a file, without executing any of it.

    Raises GradgenError, with the place, if the text is not Python or nests too deeply.
    """
    text = normalised(text)
    _compile(path, text)
    try:
        # several Python frames a level of nesting, which Python's own compiler has bounded
        with deeper_recursion():
            module = cst.parse_module(text)
            # A tree fresh from the parser shares no nodes, so the wrapper need not copy it.
            wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
            ranges = wrapper.resolve(PositionProvider)
            if not text.isascii():
                _normalise_names(module)
    except cst.ParserSyntaxError as error:
        raise GradgenError(
            "libcst cannot parse this file, though Python can",
            hint="rewrite the newest syntax in it, or upgrade libcst",
            path=path,
            line=error.raw_line,
            column=error.raw_column,
        ) from error
    except (RecursionError, KeyError) as error:
        # On its way out through libcst's `finally` clauses the one can turn into the other.
        raise _too_deep(path) from error
    return Syntax(path, text, module, ranges)


def _compile(path: str, text: str) -> None:
    """Let Python itself look for syntax errors: its messages are those that users know."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise GradgenError(
            f"not valid Python: {error.msg}",
            hint=f"this is what Python {sys.version_info[0]}.{sys.version_info[1]} says of the "
            "file; correct it first",
            path=path,
            line=error.lineno,
            column=max((error.offset or 1) - 1, 0),
        ) from error
    except ValueError as error:
        raise GradgenError(f"not valid Python: {error}", path=path, line=1) from error
    except (RecursionError, MemoryError) as error:
        raise _too_deep(path) from error


def _normalise_names(module: cst.Module) -> None:
    """Give all names the form that Python gives them when it reads a file."""
    for node in walk(module):
        if isinstance(node, cst.Name) and not node.value.isascii():
            # in place: positions are kept by node, and a new tree would have none
            object.__setattr__(node, "value", unicodedata.normalize("NFKC", node.value))


def _too_deep(path: str) -> GradgenError:
    return GradgenError(
        "an expression in this file nests too deeply to be parsed",
        hint="give names to its parts",
        path=path,
        line=1,
    )


_TRIVIA = frozenset(
    {"header", "footer", "leading_lines", "lines_after_decorators", "newline", "semicolon"}
    | {"comma", "dot", "colon", "equal", "lpar", "rpar", "lbracket", "rbracket", "lbrace", "rbrace"}
)


@cache
def _field_names(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in fields(kind)
        if field.name not in _TRIVIA and "whitespace" not in field.name
    )


def children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The direct children but white space and punctuation; much faster than libcst's visitors."""
    for name in _field_names(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, list | tuple):
            yield from value


def walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The node and all below it but white space and punctuation, parents first."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(tuple(children(node))))


def scope(body: Sequence[cst.CSTNode]) -> Iterator[Statement]:
    """The statements of one scope: those under `if`, `try` or `with`, none of an inner function."""
    for node in body:
        if isinstance(node, cst.SimpleStatementLine | cst.SimpleStatementSuite):
            yield from node.body
            continue
        if isinstance(node, cst.BaseCompoundStatement):
            yield node
        if not isinstance(node, cst.FunctionDef | cst.ClassDef | cst.BaseExpression):
            yield from scope(tuple(children(node)))


def last_name(node: cst.CSTNode) -> str | None:
    """`dataclass` for `dataclass`, `dataclasses.dataclass` and calls of either."""
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name
        case cst.Call(func=function):
            return last_name(function)
    return None


def elements(node: cst.CSTNode) -> tuple[cst.BaseExpression, ...] | None:
    """The parts of a tuple or list display, None for anything else or with a starred part."""
    if not isinstance(node, cst.Tuple | cst.List):
        return None
    if any(isinstance(element, cst.StarredElement) for element in node.elements):
        return None
    return tuple(element.value for element in node.elements)


def _imported(statement: cst.CSTNode) -> Iterator[tuple[str, str]]:
    match statement:
        case cst.Import(names=names):
            for alias in names:
                name = alias.evaluated_name
                # `import jax.numpy` binds `jax`.
                root = name.partition(".")[0]
                yield (alias.evaluated_alias, name) if alias.evaluated_alias else (root, root)
        case cst.ImportFrom(module=module, names=names) if not isinstance(names, cst.ImportStar):
            prefix = "." if module is None else get_full_name_for_node(module)
            for alias in names:
                name = alias.evaluated_name
                yield alias.evaluated_alias or name, f"{prefix}.{name}"
