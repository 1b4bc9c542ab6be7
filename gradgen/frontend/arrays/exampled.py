"""Names for the axes of example arrays: joined, or fixed, only where tracing requires it.

Each axis begins with a name of its own. Where tracing fails, the message tells which axes have met:
of those, axes of equal size become one, or take the size that the example has. What turns out not
to be needed is taken back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, count, islice
from typing import Any

from gradgen.frontend.arrays.bounds import reaches_beyond
from gradgen.frontend.arrays.stated import Stated
from gradgen.frontend.arrays.trace import failure_of
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.shapes import Dim, axes_in, multiple, own_axes, shape_as_stated
from gradgen.ir.source import Source

_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_NUMBERED = re.compile(r"\baxis_(\d+)_\b")


def with_names(
    source: Source, function: Callable[..., Any], signature: Signature, stated: Stated
) -> Stated:
    """The shapes with names for the axes of an example, as few of them equal as tracing allows.

    Raises GradgenError if the function cannot be traced on arrays of the example's shapes.
    """
    places = [(k, n) for k in sorted(stated.exampled) for n in range(len(stated.shapes[k]))]
    names = axes_in(stated.shapes)
    sizes = [stated.shapes[k][n] for k, n in places]
    known = [_size(signature, stated, name) for name in names]
    question = _Question((*sizes, *known), tuple(names))

    def naming(dims: Sequence[Dim]) -> Stated:
        found = [list(shape) for shape in stated.shapes]
        for (k, n), dim in zip(places, dims, strict=False):
            found[k][n] = dim
        return replace(stated, shapes=tuple(map(tuple, found)))

    @cache
    def stays_within() -> bool:
        """Whether no index is beyond an axis where all are one that may be."""
        return not reaches_beyond(function, signature, naming(question.dims(question.all_joined)))

    def message(answer: _Answer) -> str | None:
        named = naming(question.dims(answer))
        error = failure_of(source, function, signature, named)
        if error is not None:
            return f"{error.message} {error.__cause__}"
        beyond = reaches_beyond(function, signature, named) and stays_within()
        return "an index is beyond an axis" if beyond else None

    found = naming(question.dims(_least(question, message)))
    error = failure_of(source, function, signature, found)
    if error is not None:
        raise error
    return _called(found, names)


def directive_of(signature: Signature, stated: Stated) -> str | None:
    """The directive that says what an example does; None for one that holds no arrays."""
    shown = []
    for k in sorted(stated.exampled):
        shape, dtype = stated.shapes[k], stated.dtypes[k]
        if shape or dtype != "float":
            end = "" if dtype == "float" else f":{dtype}"
            shown.append(f"{signature.leaves[k].path}={shape_as_stated(shape)}{end}")
    return f"# gradgen: shape {' '.join(shown)}" if shown else None


@dataclass(frozen=True)
class _Answer:
    """Which axes are one, and which are as large as in the example."""

    joined: tuple[tuple[int, int], ...] = ()
    fixed: frozenset[int] = frozenset()

    def simpler(self) -> Iterator[_Answer]:
        """The same without one of the things that it says, the latest first."""
        for k in reversed(range(len(self.joined))):
            yield replace(self, joined=self.joined[:k] + self.joined[k + 1 :])
        for axis in sorted(self.fixed):
            yield replace(self, fixed=self.fixed - {axis})


@dataclass(frozen=True)
class _Question:
    """The axes of an example by number, and after them those that have a name already."""

    sizes: tuple[Dim | None, ...]
    """None where the example does not tell."""
    names: tuple[str, ...]

    @property
    def unnamed(self) -> range:
        """The axes that are asked for."""
        return range(len(self.sizes) - len(self.names))

    def groups(self, answer: _Answer) -> list[int]:
        """For each axis, the last of those that are one with it: the one with a name."""
        last = list(range(len(self.sizes)))
        for a, b in answer.joined:
            one, other = sorted((last[a], last[b]))
            last = [other if k == one else k for k in last]
        return last

    def dims(self, answer: _Answer) -> list[Dim]:
        """The size of each axis."""
        groups = self.groups(answer)
        fixed = {groups[k]: self.sizes[k] for k in answer.fixed}
        names = dict(zip(range(len(self.unnamed), len(groups)), self.names, strict=True))
        return [names.get(group) or fixed.get(group) or f"axis_{group}_" for group in groups]

    def wider(self, answer: _Answer, message: str) -> Iterator[_Answer]:
        """What may come next after a failure, the least first."""
        axes = {str(dim): k for k, dim in enumerate(self.dims(answer))}
        shapes = [re.findall(r"[^\s,][^,]*", s) for s in _BRACKETS.findall(message)]
        for one, other in combinations(shapes, 2):
            yield self._aligned(answer, axes, one, other)
        met = {axes[part] for shape in shapes for part in shape if part in axes}
        met |= {int(k) for k in _NUMBERED.findall(message)}
        for pair in combinations(sorted(met), 2):
            yield self._joining(answer, [pair])
        yield self._joining(answer, combinations(sorted(met), 2))
        unnamed = sorted(met.intersection(self.unnamed), key=lambda k: self.sizes[k] != 1)
        for k in unnamed:
            yield replace(answer, fixed=answer.fixed | {k})
        yield replace(answer, fixed=answer.fixed.union(unnamed))
        groups = self.groups(answer)
        fixed = {groups[k] for k in answer.fixed}
        open_ended = [k for k, group in enumerate(groups) if group not in fixed]
        yield self._joining(answer, combinations(open_ended, 2))
        yield self._joining(answer, combinations(range(len(self.sizes)), 2))

    @property
    def all_joined(self) -> _Answer:
        """All axes that may be one are."""
        return self._joining(_Answer(), combinations(range(len(self.sizes)), 2))

    def _aligned(
        self, answer: _Answer, axes: Mapping[str, int], one: Sequence[str], other: Sequence[str]
    ) -> _Answer:
        """Two shapes made one from their last axis on, where those of size one may differ."""
        for a, b in zip(reversed(one), reversed(other), strict=False):
            joined = answer
            if a in axes and b in axes:
                joined = self._joining(answer, [(axes[a], axes[b])])
            if joined == answer and a != b:
                fixed = {
                    axes[x] for x, y in ((a, b), (b, a))
                    if x in axes and str(self.sizes[axes[x]]) in ("1", y)
                }  # fmt: skip
                joined = replace(answer, fixed=answer.fixed | fixed.intersection(self.unnamed))
            answer = joined
        return answer

    def _joining(self, answer: _Answer, pairs: Iterable[tuple[int, int]]) -> _Answer:
        """With pairs of axes joined, where they are of one size and do not both have a name."""
        for a, b in pairs:
            groups = self.groups(answer)
            one, other = groups[a], groups[b]
            together = {s for s, g in zip(self.sizes, groups, strict=True) if g in (one, other)}
            fit = len(together - {None}) <= 1 and min(one, other) in self.unnamed
            if one != other and fit:
                answer = replace(answer, joined=(*answer.joined, (a, b)))
        return answer


def _least(question: _Question, fails: Callable[[_Answer], str | None]) -> _Answer:
    """The least that the function can be traced with."""
    answer = _Answer()
    message = fails(answer)
    while message is not None:
        for wider in question.wider(answer, message):
            if wider != answer:
                # that it fails otherwise means that it came further
                found = fails(wider)
                if found is None or found != _retold(question, message, answer, wider):
                    answer, message = wider, found
                    break
        else:
            answer, message = _Answer(fixed=frozenset(question.unnamed)), None
    undone = True
    while undone:
        undone = False
        for simpler in answer.simpler():
            if fails(simpler) is None:
                answer, undone = simpler, True
                break
    return answer


def _retold(question: _Question, message: str, before: _Answer, after: _Answer) -> str:
    """A message with the axes called as they are in another answer."""
    called = dict(zip(map(str, question.dims(before)), question.dims(after), strict=True))
    return re.sub(r"\w+", lambda word: str(called.get(word[0], word[0])), message)


def _called(stated: Stated, taken: Collection[str]) -> Stated:
    """With names for people: `n`, or `n1` and so on."""
    found: dict[Dim, None] = dict.fromkeys(
        dim for k in sorted(stated.exampled) for dim in stated.shapes[k]
        if isinstance(dim, str) and dim not in taken
    )  # fmt: skip
    free = (f"n{k}" for k in count(1) if f"n{k}" not in taken)
    names = ["n"] if len(found) == 1 and "n" not in taken else list(islice(free, len(found)))
    called: dict[Dim, str] = dict(zip(found, names, strict=True))
    return replace(
        stated,
        shapes=tuple(tuple(called.get(dim, dim) for dim in shape) for shape in stated.shapes),
    )


def _size(signature: Signature, stated: Stated, name: str) -> int | None:
    """The size of an axis that has a name, in the example."""
    for leaf, shape in zip(signature.leaves, stated.shapes, strict=True):
        numbers = reversed(leaf.given.shape if leaf.given else ())
        for dim, number in zip(reversed(own_axes(shape)), numbers, strict=False):
            found = multiple(dim)
            if found is not None and found[1] == name:
                return number // found[0]
    return None
