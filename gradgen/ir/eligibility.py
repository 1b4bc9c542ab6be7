"""What learning online hands from step to step: traces, with the axes along which they vary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gradgen.ir.amounts import Amount, amount
from gradgen.ir.array_plan import ArrayPlan
from gradgen.ir.code import DType, Var
from gradgen.ir.patterns import Pattern
from gradgen.ir.program import Program
from gradgen.ir.shapes import Shape

Locality = Literal["auto", "full", "neuron", "layer"]
"""What is kept of the terms through which a step couples neurons: everything; nothing; what stays
within a layer. `auto` is everything, where there is no such term."""


@dataclass(frozen=True)
class Term:
    """A term of the derivative of a state by a source, which one step hands to the next.

    Sources are parameters, or what is computed of parameters alone; or another state, whose traces
    tell those of this one.
    """

    state: Var
    """Of an input of the step."""
    source: Var
    number: int
    """Among the terms of the pair."""
    pattern: Pattern

    @property
    def old(self) -> Var:
        """The variable of what the step is given."""
        return f"{self.state}_by_{self.source}_{self.number}"

    @property
    def new(self) -> Var:
        """The variable of what it hands on."""
        return f"{self.old}_new"

    @property
    def shape(self) -> Shape:
        """The axes that it varies along."""
        return tuple(self.pattern.dims[label] for label in sorted(self.pattern.held))


@dataclass(frozen=True)
class Coupling:
    """A term through which a step couples neurons: of the derivative of one variable by another."""

    source: Var
    target: Var


@dataclass(frozen=True)
class Meeting:
    """Where errors meet the traces of sources that have parameters in common."""

    sources: tuple[Var, ...]
    parameters: tuple[Var, ...]
    states: tuple[Var, ...]
    """Carried ones: at their new values."""


@dataclass(frozen=True)
class Eligibility:
    """What has to be handed from step to step, so that errors find the gradient."""

    locality: Locality
    carried: Mapping[Var, Var]
    """The states that have traces, inputs of the step, with their next values."""
    derived: Mapping[Var, Var]
    """Those whose traces are told by these."""
    sources: tuple[Var, ...]
    traces: tuple[Term, ...]
    """Of carried states by sources."""
    factors: tuple[Term, ...]
    """Of derived states by carried ones."""
    meetings: tuple[Meeting, ...]
    couplings: tuple[Coupling, ...]
    """All terms through which neurons are coupled."""
    left_out: tuple[Coupling, ...]
    """Those that the traces leave out."""

    @property
    def amount(self) -> Amount:
        """The elements of what is handed on."""
        return sum((amount(term.shape) for term in (*self.traces, *self.factors)), Amount())


@dataclass(frozen=True)
class Plans:
    """How traces move on, and how errors meet them."""

    factors: ArrayPlan
    """Of derived states' new values by those of carried ones."""
    moving: ArrayPlan
    """Of carried states' new values by the sources."""
    meeting: tuple[ArrayPlan, ...]
    """Of the outputs, weighted with errors, by the sources."""
    gathering: ArrayPlan
    """Of the sources, weighted with the gradients by these, by the parameters."""
    gradients: tuple[tuple[Var, Var], ...]
    """The variables of those gradients, and whose they are."""

    @property
    def by_name(self) -> dict[str, ArrayPlan]:
        """All of them, by what they are of."""
        meeting = {f"errors, {k}": plan for k, plan in enumerate(self.meeting, start=1)}
        moving = {"factors of traces": self.factors, "traces": self.moving}
        return {**moving, **meeting, "gradients of traces": self.gathering}


@dataclass(frozen=True)
class Held:
    """An array that one step hands to the next, or to the errors."""

    name: str
    """By which it goes in the traces."""
    shape: Shape
    dtype: DType
    each: int
    """The bytes of an element, where floats are of 32 bits."""
    variable: Var
    """Of the program that computes it."""
    given: Var | None
    """Of the step that reads it; None where errors alone do."""


@dataclass(frozen=True)
class ArrayEligibility:
    """The programs of learning online."""

    eligibility: Eligibility
    held: tuple[Held, ...]
    """Those that the next step reads first."""
    start: Program
    """From the step's inputs to zeros in the shapes of all that is held."""
    step: Program
    """From inputs, and what the last step held, to outputs and what is held now."""
    pulled: Program
    """From what is held, and errors, to gradients."""
    whole: Program
    """Both in one."""
    errors: tuple[Var, ...]
    """The variables of the errors that meet anything."""
    met: tuple[str, ...]
    """The names of what errors meet, in the order of that program's inputs."""
    plans: Plans
    left_out: tuple[str, ...]
    """The terms that traces leave out, in words."""

    @property
    def bytes(self) -> Amount:
        """Of all that is held, where floats are of 32 bits."""
        return sum((one.each * amount(one.shape) for one in self.held), Amount())

    @property
    def read(self) -> tuple[Held, ...]:
        """What the next step reads."""
        return tuple(one for one in self.held if one.given is not None)
