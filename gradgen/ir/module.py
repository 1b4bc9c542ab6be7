"""Everything a generated module is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from gradgen.ir.emitted import DEFAULT_FUNCTIONS, EMITTED, HVP, EmittedFunction
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.objective import FEW_MULTIPLICATIONS, Measured, Objective
from gradgen.ir.plan import Plan
from gradgen.ir.program import Operations, Program, count_operations
from gradgen.ir.recipe import Recipe
from gradgen.ir.results import OutputValue
from gradgen.ir.source import Source
from gradgen.ir.trace import Trace

Options = tuple[tuple[str, str | bool | tuple[str, ...]], ...]
"""Options of the command line by name, without their dashes."""


@dataclass(frozen=True)
class Accumulated:
    """A graph accumulated in one order, lowered to a program."""

    order: Order
    plan: Plan
    program: Program

    @property
    def operations(self) -> Operations:
        """Of the program, the primal's share included."""
        return count_operations(self.program.instructions)


@dataclass(frozen=True)
class Derivative:
    """What was chosen for one derivative program, beside plain forward and reverse mode."""

    chosen: Accumulated
    forward: Accumulated
    reverse: Accumulated


@dataclass(frozen=True)
class EligibilityTraces:
    """The program that carries eligibility traces forward in time."""

    derivative: Derivative
    eligible: tuple[tuple[tuple[str, str], str], ...]
    """For each pair (state's input path, parameter's or input's path) the variable of the trace."""
    factors: tuple[tuple[str, str], ...]
    """For the path of each input that is no state, the variable of what it is multiplied by."""


@dataclass(frozen=True)
class SecondOrder:
    """The gradient of a source as a step function of its own, with the program of its tangents.

    It is what a Hessian-vector product is verified as.
    """

    source: Source
    trace: Trace
    """Of the gradient: an output for each differentiated input."""
    graph: LinearGraph
    jvp: Derivative
    tangents: tuple[tuple[str, str], ...]
    """For each input on which the gradient depends, the variable of its tangent."""

    emit: ClassVar[tuple[str, ...]] = (HVP,)
    functions: ClassVar[tuple[EmittedFunction, ...]] = (EMITTED[HVP],)
    traces: ClassVar[None] = None

    @property
    def longest(self) -> Program:
        """Its longest program."""
        return self.jvp.chosen.program

    @property
    def programs(self) -> dict[str, Program]:
        """Its program by name."""
        return {HVP: self.jvp.chosen.program}


Residuals = Literal["auto", "inputs", "entries", "JAX"]
"""What the drop-in function keeps for its backward pass: the fewest bytes, what the step read, the
entries of the Jacobian, or everything that the backward pass reads, which is what JAX keeps."""


@dataclass(frozen=True)
class Passes:
    """The forward and the backward pass of the drop-in function."""

    kept: tuple[str, ...]
    """Variables of `whole` that go from one to the other."""
    sizes: tuple[int, ...]
    """What each of them takes for each neuron and step, in float32, in a scan over time, in bytes:
    none what is the same in every step."""
    input_bytes: int
    """What keeping the step's inputs would take."""
    forward: Program
    """From the step's inputs to what is kept; its results are `Kept`, after the outputs where it
    gives these too."""
    backward: Program
    """From what is kept, and the cotangents of the outputs, to those of the inputs."""
    whole: Program
    """Both in one, without anything computed twice."""

    @property
    def gives_outputs(self) -> bool:
        """Whether the forward pass is the function itself as well."""
        return any(isinstance(result, OutputValue) for result, _ in self.forward.results)

    @property
    def bytes(self) -> int:
        """What all of them take."""
        return sum(self.sizes)

    @property
    def operations(self) -> Operations:
        """Of the backward pass, with what it computes again."""
        return count_operations(self.backward.instructions)


@dataclass(frozen=True)
class Module:
    """A source with the programs that were made of it."""

    source: Source
    trace: Trace
    graph: LinearGraph
    primal: Program
    jacobian: Derivative
    vjp: Derivative
    jvp: Derivative
    cotangents: tuple[tuple[str, str], ...]
    """For each dependent's output path, the variable of its cotangent."""
    tangents: tuple[tuple[str, str], ...]
    """For each differentiated input's path, the variable of its tangent."""
    recipe: Recipe
    """What was decided for it; replayed, it gives this module again."""
    objective: Objective = FEW_MULTIPLICATIONS
    """What was to be small."""
    measured: Measured | None = None
    """What value and Jacobian come to by that, if it is a price or an error."""
    traces: EligibilityTraces | None = None
    """Where they are asked for."""
    passes: Passes | None = None
    """Of the drop-in function, where that is asked for."""
    second: SecondOrder | None = None
    """Where it is asked for."""
    emit: tuple[str, ...] = DEFAULT_FUNCTIONS
    generator: str = ""
    """Name and version of the generator, for the header."""
    source_name: str = ""
    """The source's path as it is shown, never absolute."""
    options: Options = ()
    """What was asked for beside the source, by the names of the command line's options."""
    imports: tuple[tuple[str, str], ...] = ()
    """The local modules that the source needs, and their digests."""

    @property
    def rewritten(self) -> bool:
        """Whether algebra was applied to the derivatives: they may overflow where JAX does not."""
        return self.recipe.rewriting is not None

    @property
    def functions(self) -> tuple[EmittedFunction, ...]:
        """The functions asked for, as far as they apply to this step."""
        single = self.trace.result.is_leaf
        asked = (EMITTED[name] for name in self.emit)
        return tuple(function for function in asked if single or not function.of_one_scalar)

    @property
    def first_order(self) -> Module:
        """The module without the function of second order; itself if it has none."""
        if self.second is None:
            return self
        return replace(self, emit=tuple(name for name in self.emit if name != HVP), second=None)

    @property
    def longest(self) -> Program:
        """Its longest program."""
        return self.jacobian.chosen.program

    @property
    def derivatives(self) -> dict[str, Derivative]:
        """The derivatives that there are, by the names of their programs."""
        found = {"value_and_jacobian": self.jacobian, "vjp": self.vjp, "jvp": self.jvp}
        if self.traces is not None:
            found["traces"] = self.traces.derivative
        if self.second is not None:
            found[HVP] = self.second.jvp
        return found

    @property
    def programs(self) -> dict[str, Program]:
        """The programs that there are, by name, in the order of their counts."""
        found = {
            "primal": self.primal,
            "value_and_jacobian": self.jacobian.chosen.program,
            "vjp": self.vjp.chosen.program,
            "jvp": self.jvp.chosen.program,
        }
        if self.passes is not None:
            found |= {"residuals": self.passes.forward, "backward": self.passes.backward}
        if self.traces is not None:
            found["traces"] = self.traces.derivative.chosen.program
        return found if self.second is None else found | self.second.programs
