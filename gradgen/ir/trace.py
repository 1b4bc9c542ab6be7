"""The traced step function: its primal code, and the elemental partials of every operation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gradgen.ir.code import Atom, DType, Instruction, Var, check_code, is_float, shown_atom
from gradgen.ir.pytree import Structure

Whole = Literal["none", "numbers", "arrays"]
"""Which integers the step does the same with as with floats: none; those of Python, which are
exact; arrays and truth values too, since JAX promotes them to floats wherever they are used."""


Precisions = Literal["any", "one", "full", "float32", "float32 by default"]
"""Of which precisions the floats may be, so that the code computes in the dtypes of the source: of
any, several at once too; of any one; of JAX's default alone; of float32 alone, with 64-bit types or
without them; of float32 alone, and without them."""


@dataclass(frozen=True)
class Input:
    """One leaf of one argument."""

    variable: Var
    path: str
    """Dotted: `v`, `state.v`, `params.tau`, `state.0`."""
    name: str
    """What the source calls it: the name it is unpacked to, or the last part of its path."""
    dtype: DType
    wrt: bool
    """Whether derivatives are taken with respect to it."""
    whole: Whole = "none"
    """Which integers and truth values may stand for a float."""
    strong: bool = False
    """Whether it may not be weakly typed, as Python's numbers are, beside floats of low precision.
    """


@dataclass(frozen=True)
class Output:
    """One leaf of the result."""

    path: str
    """Dotted, from the result's root: `0.v`, `1`; `out` where the result is a single leaf."""
    atom: Atom
    dtype: DType
    spans_neurons: bool = True
    """False where the source returns a scalar even for an array of neurons."""
    shaped_by: frozenset[Var] = frozenset()
    """The inputs whose axes it has, as far as the source takes an array for one of them alone."""


@dataclass(frozen=True)
class Elemental:
    """One differentiable operation, v_i = phi(v_j, ...): a vertex of the computational graph.

    `partials` holds (v_j, c_ij) for each operand slot; a variable that fills two slots appears
    twice, and its partials add. Operands without a derivative are left out.
    """

    target: Var
    operation: str
    partials: tuple[tuple[Var, Atom], ...]


@dataclass(frozen=True)
class Bound:
    """A value that is bound when the code is generated, so that no other one may be passed."""

    path: str
    """Dotted."""
    kind: Literal["value", "function", "object", "type"]
    shown: str
    """A literal for a value; the name of a function; what Python shows of an object, or the name of
    its type where that tells nothing."""


@dataclass(frozen=True)
class Argument:
    """One parameter of the generated functions."""

    name: str
    keyword_only: bool
    default: str | None
    """The default value as source text for the generated file."""
    structure: Structure
    bound: tuple[Bound, ...] = ()
    """What of it is bound when the code is generated."""
    numbers: tuple[tuple[str, float], ...] = ()
    """Those of the instance that a method was read with, by path."""

    @property
    def is_parameter(self) -> bool:
        """Whether its values hardly vary: it has a default value, or those of an instance."""
        return self.default is not None or bool(self.numbers)


@dataclass(frozen=True)
class Label:
    """What the source calls a variable, and where it is computed."""

    variable: Var
    name: str | None
    line: int | None


Recurrence = tuple[tuple[str, str], ...]
"""The state: the path of an input, and that of the output which is its next value."""


@dataclass(frozen=True)
class Trace:
    """A step function as straight-line code on scalars, with the elemental partials of it."""

    function: str
    arguments: tuple[Argument, ...]
    inputs: tuple[Input, ...]
    result: Structure
    outputs: tuple[Output, ...]
    primal: tuple[Instruction, ...]
    """The user's operations, in the user's order."""
    partials: tuple[Instruction, ...]
    """Code for the partials, on top of the primal's variables."""
    elementals: tuple[Elemental, ...]
    """In the order of the primal."""
    labels: tuple[Label, ...]
    own_rules: bool = False
    """Whether some derivatives are not those of the code: the source has derivative rules of its
    own, or `stop_gradient`. Code for the derivatives can then not be differentiated again."""
    rounded: frozenset[DType] = frozenset()
    """The fixed dtypes to which derivative rules of the source convert derivatives: JAX rounds them
    there."""
    recurrence: Recurrence = ()
    """Its state, as far as it is known."""
    follows: tuple[tuple[Var, Var], ...] = ()
    """Conversions and machine constants that follow the dtype of a leaf which their operands do
    not tell, each with that leaf; an output that is a number goes by its path."""
    precisions: Precisions = "any"
    """Of its floats."""
    lone_integers: bool = False
    """Whether JAX promotes integers by themselves, as in `1 / n`: in arrays, these have dtypes of
    their own, and agree with the weakly typed ones of Python in JAX's default dtypes alone."""
    integer_limit: int = 2**31 - 1
    """The largest integer of Python that may be passed for an integer: no arithmetic with it
    overflows, which Python's own does not."""
    integer_results: tuple[frozenset[Var], ...] = ()
    """Inputs of which one at least has to be no integer of Python: of integers alone the source
    computes an integer result, this code a float."""

    def check(self) -> None:
        """Raise ValueError unless the code is in single assignment form and complete."""
        known = check_code((*self.primal, *self.partials), (i.variable for i in self.inputs))
        for elemental in self.elementals:
            for operand, partial in elemental.partials:
                for atom in (operand, partial):
                    if isinstance(atom, str) and atom not in known:
                        raise ValueError(f"partial of {elemental.target}: {atom} is not defined")
        for output in self.outputs:
            if isinstance(output.atom, str) and output.atom not in known:
                raise ValueError(f"output {output.path}: {output.atom} is not defined")

    def pretty(self) -> str:
        """The primal line by line with names and source lines, then the partials."""
        labels = {label.variable: label for label in self.labels}

        def remark(variable: Var) -> str:
            label = labels.get(variable)
            if label is None:
                return ""
            shown = [label.name or "", "" if label.line is None else f"line {label.line}"]
            return "  # " + ", ".join(s for s in shown if s) if any(shown) else ""

        lines = ["inputs: " + ", ".join(f"{i.variable}={i.path}:{i.dtype}" for i in self.inputs)]
        lines += [i.pretty() + remark(i.target) for i in self.primal]
        lines.append("outputs: " + ", ".join(f"{o.path}={o.atom}" for o in self.outputs))
        lines.append("partials:")
        lines += ["  " + i.pretty() for i in self.partials]
        for elemental in self.elementals:
            for operand, partial in elemental.partials:
                shown = shown_atom(partial)
                lines.append(f"  d {elemental.target} / d {operand} = {shown}")
        return "\n".join(lines)

    @property
    def single(self) -> bool:
        """Whether it is of float32 alone: its conversions and numbers are."""
        return self.precisions.startswith("float32")

    @property
    def carried(self) -> tuple[str, ...]:
        """The arguments that a scan over time carries: those with state, or, where no state is
        known, all without a default."""
        state = {path.split(".")[0] for path, _ in self.recurrence}
        return tuple(
            a.name for a in self.arguments if (a.name in state if state else a.default is None)
        )

    @property
    def differentiated_state(self) -> Recurrence:
        """The floats of the state that are differentiated."""
        return differentiated(self.recurrence, self.inputs, self.float_outputs)

    @property
    def still(self) -> tuple[str, ...]:
        """The outputs that are to have no tangent: see `without_tangent`."""
        edges = ((e.target, [v for v, _ in e.partials]) for e in self.elementals)
        return without_tangent(self.arguments, self.inputs, self.float_outputs, edges)

    @property
    def float_outputs(self) -> tuple[Output, ...]:
        """The outputs that can carry derivatives."""
        return tuple(output for output in self.outputs if is_float(output.dtype))


def without_tangent(
    arguments: Iterable[Argument],
    inputs: Iterable[Input],
    float_outputs: Iterable[Output],
    edges: Iterable[tuple[Var, Iterable[Var]]],
) -> tuple[str, ...]:
    """The outputs that hang on nothing which is differentiated, where one is to be passed again.

    That may be where a float without a default value is held constant: a running mean, say. `edges`
    are vertices, each with those that it has a derivative by.
    """
    given = tuple(inputs)
    required = {argument.name for argument in arguments if argument.default is None}
    if all(i.wrt or not is_float(i.dtype) or i.path.split(".")[0] not in required for i in given):
        return ()
    reached = {i.variable for i in given if i.wrt}
    for target, sources in edges:
        if not reached.isdisjoint(sources):
            reached.add(target)
    return tuple(output.path for output in float_outputs if output.atom not in reached)


def differentiated(
    recurrence: Recurrence, inputs: Iterable[Input], float_outputs: Iterable[Output]
) -> Recurrence:
    """The floats of a state that are differentiated."""
    given = {i.path for i in inputs if i.wrt and is_float(i.dtype)}
    found = {o.path for o in float_outputs}
    return tuple((i, o) for i, o in recurrence if i in given and o in found)
