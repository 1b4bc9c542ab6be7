"""The uses of an argument, arranged as the tree of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gradgen.frontend.reading.uses import Access, Place, Use, UseKind
from gradgen.ir.source import Position

_OF_ARRAYS = """
T mT all any argmax argmin astype at block_until_ready clip conj conjugate cumprod cumsum device
devices diagonal dot dtype flat flatten imag item itemsize max mean min nbytes ndim prod ptp ravel
real repeat reshape round sharding shape size sort squeeze std sum swapaxes take tolist trace
transpose var view weak_type
"""
ARRAY_ATTRIBUTES = frozenset(_OF_ARRAYS.split())
"""An attribute among these does not make a value a record: numbers and arrays have them too."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """The uses of what is at a place, and the evidence for each of its parts."""

    place: Place
    uses: tuple[Use, ...] = ()
    parts: Mapping[Access, Evidence] = field(default_factory=dict)

    @property
    def items(self) -> Mapping[int, Evidence]:
        """The parts reached by position; from the end, by negative positions."""
        return {s.name: e for s, e in self.parts.items() if isinstance(s.name, int)}

    @property
    def keys(self) -> Mapping[str, Evidence]:
        """The parts reached by key."""
        return {str(s.name): e for s, e in self.parts.items() if s.kind == "key"}

    @property
    def fields(self) -> Mapping[str, Evidence]:
        """The parts reached by attribute."""
        return {str(s.name): e for s, e in self.parts.items() if s.kind == "field"}

    def of_kind(self, kind: UseKind) -> tuple[Use, ...]:
        """The uses of one kind, of the value as a whole."""
        return tuple(use for use in self.uses if use.kind == kind)

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of names into which the value is unpacked, in order of use."""
        return tuple(dict.fromkeys(use.count for use in self.of_kind("unpacked")))

    @property
    def is_sequence(self) -> bool:
        """Whether it is unpacked, or indexed by a position."""
        return bool(self.items or self.counts)

    @property
    def is_only_taken_apart(self) -> bool:
        """Whether it is unpacked, or read at positions, and nothing else is done with it."""
        kinds = {use.kind for use in self.uses} | {step.kind for step in self.parts}
        from_end = any(index < 0 for index in self.items)
        return self.is_sequence and not from_end and kinds <= {"unpacked", "read", "item"}

    def positions(self) -> Iterator[Position]:
        """The places of all uses, those of the parts included."""
        yield from (use.position for use in self.uses)
        for part in self.parts.values():
            yield from part.positions()

    def merged(self, *others: Evidence | None) -> Evidence:
        """All evidence for one value that is reached in several ways."""
        merged = self
        for other in others:
            if other is not None:
                parts = dict(merged.parts)
                for step, part in other.parts.items():
                    parts[step] = parts[step].merged(part) if step in parts else part
                merged = Evidence(merged.place, merged.uses + other.uses, parts)
        return merged


def evidence_of(uses: Iterable[Use], argument: str) -> Evidence:
    """The evidence for one argument."""
    return _gather(Place(argument), [use for use in uses if use.place.argument == argument])


def _gather(place: Place, uses: Sequence[Use]) -> Evidence:
    depth = len(place.steps)
    below: dict[Access, list[Use]] = {}
    for use in uses:
        if len(use.place.steps) > depth:
            below.setdefault(use.place.steps[depth], []).append(use)
    return Evidence(
        place,
        tuple(use for use in uses if len(use.place.steps) == depth),
        {step: _gather(place.part(step.kind, step.name), part) for step, part in below.items()},
    )
