"""The traced function on arrays: its primal code, and the partials of its operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from gradgen.ir.code import Atom, Instruction, Var, check_code, is_float, shown_atom
from gradgen.ir.loops import pretty
from gradgen.ir.patterns import Pattern, described
from gradgen.ir.pytree import Structure
from gradgen.ir.shapes import Shape, shapes_of, written
from gradgen.ir.source import Position
from gradgen.ir.trace import (
    Argument,
    Input,
    Label,
    Output,
    Recurrence,
    differentiated,
    without_tangent,
)


@dataclass(frozen=True)
class Partial:
    """A partial that is stored: its value, which varies along some axes, and where it stands."""

    source: Var
    pattern: Pattern
    atom: Atom
    layout: tuple[int | None, ...]
    """The label of each axis of the value; None for an axis of size one."""


@dataclass(frozen=True)
class Applied:
    """A linear map in one direction, as code on its argument."""

    argument: Var
    code: tuple[Instruction, ...]
    result: Atom


@dataclass(frozen=True)
class Operator:
    """A partial that is applied and never stored."""

    source: Var
    transposed: Applied
    """From the target's cotangent to the source's."""
    pushed: Applied | None
    """From the source's tangent to the target's; None where JAX has a backward rule alone."""
    mixed: Shape = ()
    """The axes of the source along which elements are mixed, as far as that is known."""


@dataclass(frozen=True)
class Passed:
    """What a loop does with what it is given, or the choice of one of its results: the derivatives
    by all of the first by all of the second are taken at once, by another loop."""

    source: Var
    index: int
    """Which operand of the loop it is, or which result."""


Part = Partial | Operator | Passed


@dataclass(frozen=True)
class ArrayElemental:
    """One differentiable operation on arrays: a vertex of the computational graph."""

    target: Var
    operation: str
    parts: tuple[Part, ...]
    place: Position | None = None
    """Where the source says it."""


def read_by(partials: Sequence[Instruction], elementals: Sequence[ArrayElemental]) -> list[Atom]:
    """What the partials read of the code before them, and where their values are."""
    found: list[Atom] = [v for i in partials for v in i.variables]
    for elemental in elementals:
        found.append(elemental.target)
        for part in elemental.parts:
            if isinstance(part, Operator):
                for applied in filter(None, (part.transposed, part.pushed)):
                    found += [v for i in applied.code for v in i.variables]
                    found.append(applied.result)
            elif isinstance(part, Partial):
                found.append(part.atom)
    return found


@dataclass(frozen=True)
class ArrayTrace:
    """A function as straight-line code on arrays, with the partials of its operations."""

    function: str
    arguments: tuple[Argument, ...]
    inputs: tuple[Input, ...]
    shapes: tuple[Shape, ...]
    """Of the inputs."""
    result: Structure
    outputs: tuple[Output, ...]
    output_shapes: tuple[Shape, ...]
    primal: tuple[Instruction, ...]
    partials: tuple[Instruction, ...]
    elementals: tuple[ArrayElemental, ...]
    labels: tuple[Label, ...]
    sizes: tuple[tuple[str, int], ...]
    """What axes count for, as far as it is said."""
    default_floats: bool
    """Whether floats are to be of JAX's default dtype: the source computes in that whatever it is
    given."""
    low_precision: bool
    """Whether the source computes in the precision of its floats also where that is a low one."""
    single: bool
    """Whether it is of float32 alone, and where there are no 64-bit types."""
    own_rules: bool
    """Whether some derivatives are not those of the code, as in `Trace`."""
    recurrence: Recurrence = ()
    loops: tuple[tuple[Var, ArrayTrace], ...] = ()
    """What one step of each loop computes, and the partials of its operations: by what it is given,
    in the order of the loop's operands, of its results in theirs."""

    @property
    def float_outputs(self) -> tuple[Output, ...]:
        """The outputs that can carry derivatives."""
        return tuple(output for output in self.outputs if is_float(output.dtype))

    @property
    def default_integers(self) -> bool:
        """Whether integers of any width are to be of JAX's default one: of another, some results
        would not have the source's dtype."""
        follows = {i.variable for i in self.inputs if i.dtype == "int"}
        if not follows:
            return False
        truths = {i.variable for i in self.inputs if i.dtype == "bool"}
        for i in self.primal:
            if i.dtype == "bool":
                truths.add(i.target)
            deciding = set(i.variables) - truths
            if i.dtype == "int" and i.op != "convert" and deciding and deciding <= follows:
                follows.add(i.target)
        return any(o.dtype == "int" and o.atom not in follows for o in self.outputs)

    @cached_property
    def shapes_by_variable(self) -> dict[Var, Shape]:
        """Of all variables of the primal and the partials."""
        given = {i.variable: s for i, s in zip(self.inputs, self.shapes, strict=True)}
        return shapes_of((*self.primal, *self.partials), given)

    @property
    def with_steps(self) -> Iterator[ArrayTrace]:
        """It, and the steps of its loops."""
        yield self
        for _, step in self.loops:
            yield from step.with_steps

    @property
    def input_names(self) -> dict[Var, str]:
        """What the source calls the inputs, those that it does."""
        return {i.variable: i.name for i in self.inputs if not i.name.isdigit()}

    @property
    def differentiated_state(self) -> Recurrence:
        """The floats of the state that are differentiated."""
        return differentiated(self.recurrence, self.inputs, self.float_outputs)

    @property
    def still(self) -> tuple[str, ...]:
        """The outputs that are to have no tangent: see `without_tangent`.

        They have the shape of what is held constant.
        """
        edges = ((e.target, [part.source for part in e.parts]) for e in self.elementals)
        found = without_tangent(self.arguments, self.inputs, self.float_outputs, edges)
        given = zip(self.inputs, self.shapes, strict=True)
        held = {shape for i, shape in given if not i.wrt and is_float(i.dtype)}
        outputs = zip(self.outputs, self.output_shapes, strict=True)
        shapes = {output.path: shape for output, shape in outputs}
        return tuple(path for path in found if shapes[path] in held)

    def stays(self, leaf: Input) -> bool:
        """Whether an input is held constant in one argument with what is learned: it is taken to be
        the same in every step, as that is."""
        states = {path for path, _ in self.recurrence}
        learned = {i.path.split(".")[0] for i in self.inputs if i.wrt and i.path not in states}
        return not leaf.wrt and leaf.path not in states and leaf.path.split(".")[0] in learned

    @property
    def is_loss(self) -> bool:
        """Whether the result is a single number, or a pair of one and of anything else."""
        alone = self.result.is_leaf
        pair = self.result.kind == "tuple" and len(self.result.children) == 2
        first = self.outputs[0]
        return (
            (alone or (pair and self.result.children[0].is_leaf))
            and self.output_shapes[0] == ()
            and is_float(first.dtype)
        )

    def pretty(self) -> str:
        """The primal with its names and lines, then the partials; what a step of each loop is."""
        names = {label.variable: label.name for label in self.labels if label.name}
        given = zip(self.inputs, self.shapes, strict=True)
        shown = (f"{i.variable}={i.path}:{i.dtype}{written(shape)}" for i, shape in given)
        lines = [f"inputs: {', '.join(shown)}"]
        for instruction in self.primal:
            first, *more = pretty([instruction])
            line = "" if instruction.line is None else f"line {instruction.line}"
            remark = ", ".join(filter(None, (names.get(instruction.target), line)))
            lines += [f"{first}  # {remark}" if remark else first, *more]
        lines.append(
            "outputs: " + ", ".join(f"{o.path}={shown_atom(o.atom)}" for o in self.outputs)
        )
        lines += ["partials:", *(f"  {line}" for line in pretty(self.partials))]
        for elemental in self.elementals:
            for part in elemental.parts:
                lines.append(f"  d {elemental.target} / d {part.source} = {_part(part)}")
        for loop, step in self.loops:
            lines += [f"a step of {loop}:", *(f"  {line}" for line in step.pretty().split("\n"))]
        return "\n".join(lines)

    def check(self) -> None:
        """Raise ValueError unless the code is in single assignment form and complete."""
        known = check_code((*self.primal, *self.partials), (i.variable for i in self.inputs))
        for elemental in self.elementals:
            for part in elemental.parts:
                if isinstance(part, Operator):
                    for applied in filter(None, (part.transposed, part.pushed)):
                        check_code(applied.code, (*known, applied.argument))
                elif (
                    isinstance(part, Partial)
                    and isinstance(part.atom, str)
                    and part.atom not in known
                ):
                    raise ValueError(f"partial of {elemental.target}: {part.atom} is not defined")
        for _, step in self.loops:
            step.check()


def _part(part: Part) -> str:
    if isinstance(part, Partial):
        return f"{shown_atom(part.atom)} ({described(part.pattern)})"
    if isinstance(part, Passed):
        return f"through the loop, number {part.index}"
    return "; ".join(["a linear map:", *pretty(part.transposed.code)])
