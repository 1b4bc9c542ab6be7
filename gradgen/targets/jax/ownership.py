"""Whose a name in a generated text is: those of the user stay, the module's own give way.

While a text is put together, a name of the user's that the module might use for itself is written
with letters from another alphabet, which Python takes for the same name. So templates and printers
write the module's own names plainly, and what collides shows once the text is there.
"""

from __future__ import annotations

import io
import re
import string
import tokenize
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from gradgen.ir.own_names import BUILTINS, OWN_IMPORTS, is_own_kind, own_name_beside

_MARKED = {
    **{ord(c): chr(0x1D670 + k) for k, c in enumerate(string.ascii_uppercase)},
    **{ord(c): chr(0x1D68A + k) for k, c in enumerate(string.ascii_lowercase)},
}
"""Letters and those of the monospaced alphabet."""
_PLAIN = {ord(marked): chr(letter) for letter, marked in _MARKED.items()}
_HAS_MARK = re.compile("[\U0001d670-\U0001d6a3]")


def users(name: str) -> str:
    """A name of the user's, as code has it until the text is settled."""
    return name.translate(_MARKED) if is_own_kind(name) else name


def users_import(statement: str) -> str:
    """An import of the user's; one that the module might have for itself is shared."""
    before, space, name = statement.rpartition(" ")
    shared = statement in OWN_IMPORTS.values() or "." in name
    return statement if shared else f"{before}{space}{users(name)}"


def users_code(text: str, imports: Collection[str]) -> str:
    """Code of the user's; builtins, and what is imported as the module itself would, are shared."""
    shared = {*BUILTINS, *(n for n, statement in OWN_IMPORTS.items() if statement in imports)}

    def rewritten(name: _Name) -> str:
        return name.text if name.text in shared and not name.is_bound else users(name.text)

    return _rewritten(text, rewritten)


def settle(text: str) -> str:
    """The text with the user's names as they are, and the module's own renamed where they collide.

    Of two names that differ in underscores at their end the longer one is the module's.
    """
    if _HAS_MARK.search(text) is None:
        return text
    names = list(_names(text))
    theirs = {name.text for name in names if _HAS_MARK.search(name.text)}
    taken = {_plain(name.text) for name in names}
    new = {
        name.text: own_name_beside(name.text, {_plain(t) for t in theirs}, taken)
        for name in names
        if name.is_reference and is_own_kind(name.text)
    }
    changed = {old: name for old, name in new.items() if old != name}
    text = _rewritten(text, lambda n: changed.get(n.text, n.text) if n.is_reference else n.text)
    text = _with_imports(text, changed)
    for name in sorted(theirs, key=len, reverse=True):  # one may be part of another
        text = text.replace(name, _plain(name))
    return text


def _plain(name: str) -> str:
    return name.translate(_PLAIN)


def _with_imports(text: str, changed: Mapping[str, str]) -> str:
    """The text with its imports, and some of builtins, under the new names."""
    lines = text.split("\n")
    first = next(k for k, line in enumerate(lines) if _is_import(line))
    last = next(k for k in range(first, len(lines)) if lines[k] and not _is_import(lines[k]))
    builtins = sorted(changed.keys() & BUILTINS)
    imports = [f"from builtins import {name} as {changed[name]}" for name in builtins]
    imports += [_import_as(line, changed) for line in lines[first:last]]
    return "\n".join([*lines[:first], *imports, *lines[last:]])


def _is_import(line: str) -> bool:
    return line.startswith(("import ", "from "))


def _import_as(line: str, changed: Mapping[str, str]) -> str:
    """An import statement that binds new names."""
    head, word, bound = line.rpartition("import ")
    parts = [part.rpartition(" as ") for part in bound.split(", ")]
    renamed = [
        f"{what or name} as {changed[name]}" if name in changed else f"{what}{sign}{name}"
        for what, sign, name in parts
    ]
    return f"{head}{word}{', '.join(renamed)}"


@dataclass(frozen=True)
class _Name:
    """A name in code."""

    text: str
    line: int
    start: int
    is_reference: bool
    """Whether it stands for something: not after a dot, nor for an argument in a call."""
    is_bound: bool
    """Whether a statement gives it a value or an annotation."""


def _names(text: str) -> Iterator[_Name]:
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in (tokenize.NL, tokenize.COMMENT)
    ]
    depth = 0
    for number, token in enumerate(tokens):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        if token.type != tokenize.NAME:
            continue
        before = tokens[number - 1].string.strip() if number else ""
        after = tokens[number + 1].string
        keyword = depth > 0 and after == "=" and before in ("(", ",")
        yield _Name(
            token.string,
            token.start[0] - 1,
            token.start[1],
            is_reference=before != "." and not keyword and not _is_import(token.line),
            is_bound=before == "" and after in (":", "="),
        )


def _rewritten(text: str, rewritten: Callable[[_Name], str]) -> str:
    lines = text.split("\n")
    for name in reversed(list(_names(text))):
        line = lines[name.line]
        end = name.start + len(name.text)
        lines[name.line] = line[: name.start] + rewritten(name) + line[end:]
    return "\n".join(lines)
