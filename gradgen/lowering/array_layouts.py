"""Which axis of an array stands for which label of a pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradgen.ir.code import Atom
from gradgen.ir.patterns import Label, Pattern

Layout = tuple[Label | None, ...]
"""The label of each axis of an array; None for an axis of size one."""


@dataclass(frozen=True)
class Stored:
    """A value and what its axes are."""

    atom: Atom
    layout: Layout


def natural(pattern: Pattern) -> Layout:
    """How an array with this pattern is best laid out: a vector as what it belongs to."""
    labels = tuple(dict.fromkeys((*pattern.rows, *pattern.columns)))
    if not pattern.of_vector:
        return tuple(label for label in labels if label in pattern.held)
    layout: Layout = tuple(label if label in pattern.held else None for label in labels)
    while layout and layout[0] is None:
        layout = layout[1:]
    return layout


def layout_of_product(values: Sequence[Stored], wanted: Layout) -> Layout:
    """In which order to multiply: as the operand with the most axes has them, if that has all."""
    every = {label for value in values for label in value.layout if label is not None}
    largest = max(values, key=lambda value: len([a for a in value.layout if a is not None]))
    if every <= set(largest.layout):
        return largest.layout
    return (*(label for label in sorted(every) if label not in wanted), *wanted)


def relabelled(layout: Layout, names: Mapping[Label, Label]) -> Layout:
    """A layout with other names for its labels."""
    return tuple(None if label is None else names.get(label) for label in layout)


def named(layout: Layout, kept: Mapping[Label, Label]) -> Layout:
    """A layout in a product's own labels as one in those that are unified."""
    unified = {label: name for name, label in kept.items()}
    return tuple(None if label is None else unified[label] for label in layout)
