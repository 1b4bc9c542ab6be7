"""The structure of one argument, from its annotation and its uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradgen.errors import GradgenError
from gradgen.frontend.reading.annotations import OPEN, Annotations, Shape
from gradgen.frontend.reading.containers import Definition
from gradgen.frontend.reading.evidence import ARRAY_ATTRIBUTES, Evidence
from gradgen.ir.pytree import Structure, leaf, mapping, record, sequence
from gradgen.ir.source import Position


@dataclass(frozen=True, eq=False)
class Decision:
    """Decides the structure of one argument from all that is known of it."""

    path: str
    parameter: Position
    """Where to point if the argument is not used at all."""
    annotations: Annotations
    evidence: Evidence
    shape: Shape

    def structure(self) -> Structure | None:
        """The structure, None for an argument of which nothing is known but that it is a number."""
        return self._decide(self.evidence, self.shape)

    def _decide(self, evidence: Evidence, shape: Shape) -> Structure | None:
        if shape.leaf_kind == "float" and evidence.is_only_taken_apart:
            return self._sequence(evidence, "parts", OPEN)
        if shape.leaf_kind is not None:
            return leaf(shape.leaf_kind)
        match shape.kind:
            case "namedtuple" | "dataclass":
                return self._record(evidence, shape.kind, shape)
            case "tuple" | "list":
                return self._sequence(evidence, shape.kind, shape)
            case "dict":
                return self._mapping(evidence, shape)
        return self._by_use(evidence)

    def _by_use(self, evidence: Evidence) -> Structure | None:
        definition = self._definition(evidence)
        as_tuple = evidence.is_sequence and (definition is None or definition.kind == "dataclass")
        # Attributes that make no record are those of arrays.
        is_number = bool(evidence.of_kind("number") or (evidence.fields and definition is None))
        forms = [
            form
            for form, used in (
                ("a number", is_number),
                ("a record", definition is not None),
                ("a dict", bool(evidence.keys or evidence.of_kind("spread"))),
                ("a tuple", as_tuple),
            )
            if used
        ]
        if len(forms) > 1:
            raise self._ambiguous(evidence, " and ".join(forms))
        match forms:
            case ["a record"] if definition is not None:
                return self._decide(evidence, self.annotations.of(definition))
            case ["a dict"]:
                return self._mapping(evidence, Shape("dict"))
            case ["a tuple"]:
                return self._sequence(evidence, "tuple", OPEN)
            case []:
                self._require_closed(evidence)
                return leaf("static") if evidence.of_kind("static") else None
        return None

    def _definition(self, evidence: Evidence) -> Definition | None:
        """The class of the file that has all the attributes used, None for an array's."""
        names = set(evidence.fields)
        candidates = [
            definition
            for definition in self.annotations.definitions.values()
            if names and definition.kind != "dict" and definition.has(names)
        ]
        if names <= ARRAY_ATTRIBUTES:
            one = len(candidates) == 1 and not evidence.of_kind("number")
            return candidates[0] if one else None
        if len(candidates) == 1:
            return candidates[0]
        place = evidence.place.pretty()
        listed = ", ".join(sorted(names - ARRAY_ATTRIBUTES))
        if candidates:
            classes = " and ".join(definition.name for definition in candidates)
            raise self._error(
                f"{place!r} could be any of {classes}, which all have {listed}",
                self._first(evidence),
                f"annotate the argument, or {self._directive(candidates[0].name)}",
            )
        raise self._error(
            f"{place!r} has attributes ({listed}) that no NamedTuple or dataclass of this file has",
            self._first(evidence),
            "define its class in this file, or give example arguments: --example FILE:FUNCTION",
        )

    def _record(
        self, evidence: Evidence, kind: Literal["namedtuple", "dataclass"], shape: Shape
    ) -> Structure:
        names = shape.keys or ()
        items = evidence.items
        for use in evidence.of_kind("unpacked"):
            if use.count != len(names):
                raise self._error(
                    f"{evidence.place.pretty()!r} is unpacked into {use.count} names, and "
                    f"{shape.type_name} has {len(names)} fields",
                    use.position,
                    f"the fields are {', '.join(names)}",
                )
        children = []
        for index, (name, child) in enumerate(zip(names, shape.children, strict=True)):
            known = Evidence(evidence.place.part("field", name)).merged(
                evidence.fields.get(name), items.get(index), items.get(index - len(names))
            )
            children.append((name, self._decide(known, child) or leaf()))
        return record(kind, shape.type_name or "", tuple(children))

    def _sequence(
        self, evidence: Evidence, kind: Literal["tuple", "list", "parts"], shape: Shape
    ) -> Structure:
        length = self._length(evidence) if shape.keys is None else len(shape.keys)
        items = evidence.items
        children = []
        for index in range(length):
            known = Evidence(evidence.place.part("item", index)).merged(
                items.get(index), items.get(index - length)
            )
            child = shape.children[index] if shape.keys is not None else shape.element or OPEN
            children.append(self._decide(known, child) or leaf())
        return sequence(kind, tuple(children))

    def _length(self, evidence: Evidence) -> int:
        """The number of components: as many as it is unpacked into, or as its indices need."""
        items, counts = evidence.items, evidence.counts
        place = evidence.place.pretty()
        if len(counts) > 1:
            raise self._error(
                f"{place!r} is unpacked into {counts[0]} names, and here into {counts[1]}",
                evidence.of_kind("unpacked")[-1].position,
                "unpack it the same way everywhere",
            )
        needed = max((i + 1 if i >= 0 else -i for i in items), default=0)
        if counts:
            if needed > counts[0]:
                outside = next(e for i, e in items.items() if needed == (i + 1 if i >= 0 else -i))
                raise self._error(
                    f"{outside.place.pretty()!r} does not exist: {place!r} is unpacked into "
                    f"{counts[0]} names",
                    self._first(outside),
                    "count the components again",
                )
            return counts[0]
        self._require_closed(evidence)
        from_end = [part for index, part in items.items() if index < 0]
        if from_end or not items:
            raise self._error(
                f"how many components {place!r} has cannot be told",
                self._first(from_end[0] if from_end else evidence),
                self._directive(),
            )
        return needed

    def _mapping(self, evidence: Evidence, shape: Shape) -> Structure:
        keys = evidence.keys
        if shape.keys is not None:
            shapes = dict(zip(shape.keys, shape.children, strict=True))
        else:
            self._require_closed(evidence)
            if not keys:
                raise self._error(
                    f"which keys {evidence.place.pretty()!r} has cannot be told",
                    self._first(evidence),
                    self._directive(),
                )
            shapes = dict.fromkeys(keys, shape.element or OPEN)
        nothing = {key: Evidence(evidence.place.part("key", key)) for key in shapes}
        return mapping(
            tuple(
                (key, self._decide(keys.get(key, nothing[key]), child) or leaf())
                for key, child in shapes.items()
            )
        )

    def _require_closed(self, evidence: Evidence) -> None:
        """Refuse a container that is also used in ways that leave open what else it holds."""
        for use in evidence.of_kind("open"):
            raise self._error(
                f"the structure of {use.place.pretty()!r} cannot be told: it is {use.how} here",
                use.position,
                self._directive(),
            )

    def _ambiguous(self, evidence: Evidence, forms: str) -> GradgenError:
        name = self.evidence.place.argument
        hint = self._directive()
        if evidence is self.evidence:
            hint += f"; if it is an array, annotate it, {name}: jax.Array"
        return self._error(
            f"{evidence.place.pretty()!r} is used as {forms}", self._first(evidence), hint
        )

    def _first(self, evidence: Evidence) -> Position:
        """Where something is first used."""
        return min(evidence.positions(), default=self.parameter)

    def _error(self, message: str, place: Position, hint: str) -> GradgenError:
        return GradgenError(
            message, hint=hint, path=self.path, line=place.line, column=place.column
        )

    def _directive(self, structure: str | None = None) -> str:
        """A directive that would settle the matter, as far as it can be guessed."""
        guess = structure or _sketch(self.evidence, self.shape)
        name = self.evidence.place.argument
        return (
            "say what it holds with --example FILE:FUNCTION, or above the function, as in "
            f"# gradgen: example {name}={guess}"
        )


def _sketch(evidence: Evidence, shape: Shape) -> str:
    """A guess in the notation of the example directive; letters stand for what is not known."""
    if shape.leaf_kind is not None or shape.type_name is not None:
        return shape.type_name or str(shape.leaf_kind)
    if evidence.keys or shape.kind == "dict":
        parts = {key: _sketch(part, OPEN) for key, part in evidence.keys.items()}
        shown = [key if part == "float" else f"{key}: {part}" for key, part in parts.items()]
        return "{" + ", ".join(shown or ["a", "b"]) + "}"
    if not (evidence.is_sequence or shape.kind or evidence.of_kind("open")):
        return "float"
    items = evidence.items
    length = max([2, *evidence.counts, *(index + 1 for index in items)])
    inner = [_sketch(items[i], OPEN) if i in items else "float" for i in range(length)]
    shown = [_letter(i) if part == "float" else part for i, part in enumerate(inner)]
    return f"[{', '.join(shown)}]" if shape.kind == "list" else f"({', '.join(shown)})"


def _letter(index: int) -> str:
    return chr(ord("a") + index % 26)
