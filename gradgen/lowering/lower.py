"""Lowers a trace, and a plan on its graph, to a straight-line program."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property

from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const, Instruction, Var, substitute
from gradgen.ir.graph import WEIGHTED
from gradgen.ir.plan import Plan
from gradgen.ir.program import ACCUMULATION, PARTIALS, PRIMAL, Program, Section
from gradgen.ir.results import Cotangent, Entry, EntrySoFar, OutputValue, Result, Tangent
from gradgen.ir.trace import Trace
from gradgen.lowering.passes import finish, widen_numbers

_NOTES = ("copy", "stop_gradient")
"""They tell what is differentiated, and compute nothing."""


class Lowering:
    """Lowers plans on the graph of one trace. What all the programs begin with is made once."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._step = _Code(trace)
        self._step.add_primal()

    @cached_property
    def _linear(self) -> _Code:
        code = self._step.copy()
        code.add_partials()
        return code

    def primal(self) -> Program:
        """The step function alone."""
        code = self._step.copy()
        return code.program(code.outputs())

    def jacobian(self, plan: Plan) -> Program:
        """Outputs and structurally nonzero Jacobian entries in one program."""
        code = self._linear.copy()
        values = code.accumulate(plan)
        results = code.outputs()
        for dependent, independent, value in plan.entries:
            ends = (plan.graph.vertices[v].path for v in (dependent, independent))
            results.append((Entry(*ends), values[value]))
        return code.program(results)

    def vjp(self, plan: Plan, cotangents: Sequence[Var]) -> Program:
        """Cotangents of the differentiated inputs, from those of the outputs.

        `plan` is for the graph extended by the weighted outputs.
        """
        code = self._linear.copy()
        values = code.accumulate(plan)
        found: dict[str, Atom] = {i.path: Const(0.0) for i in self._trace.inputs if i.wrt}
        for _, independent, value in plan.entries:
            found[plan.graph.vertices[independent].path] = values[value]
        return code.program([(Cotangent(path), atom) for path, atom in found.items()], cotangents)

    def jvp(self, plan: Plan, tangents: Sequence[Var]) -> Program:
        """Outputs and their tangents, from the tangents of the differentiated inputs.

        `plan` is for the graph extended by the weighted inputs.
        """
        code, pushed = self._pushed(plan)
        return code.program([*code.outputs(), *pushed], tangents)

    def hvp(self, plan: Plan, tangents: Sequence[Var]) -> Program:
        """Tangents of the outputs alone; the trace is that of a gradient.

        `plan` is for the graph extended by the weighted inputs.
        """
        code, pushed = self._pushed(plan)
        return code.program(pushed, tangents)

    def _pushed(self, plan: Plan) -> tuple[_Code, list[tuple[Result, Atom]]]:
        """Code for the tangents of the outputs, and where they are."""
        code = self._linear.copy()
        values = code.accumulate(plan)
        found: dict[str, Atom] = {o.path: Const(0.0) for o in self._trace.float_outputs}
        for dependent, _, value in plan.entries:
            found[plan.graph.vertices[dependent].path] = values[value]
        return code, [(Tangent(path), atom) for path, atom in found.items()]

    def traces(self, plan: Plan, more_inputs: Sequence[Var]) -> Program:
        """Outputs and their derivatives by everything up to this step, from traces and factors.

        `plan` is for the graph extended by the weighted states.
        """
        code = self._linear.copy()
        values = code.accumulate(plan)
        results = code.outputs()
        for dependent, independent, value in plan.entries:
            ends = (plan.graph.vertices[v].path for v in (dependent, independent))
            results.append((EntrySoFar(*ends), values[value]))
        return code.program(results, more_inputs)


class _Code:
    """Code under construction: the primal first, then partials, then the accumulation."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._builder = Builder("t")
        self._values: dict[Var, Atom] = {}
        self._hints: dict[Var, str] = {}
        self._primal_variables: set[Var] = set()
        self._primal_end = self._partials_end = 0

    def copy(self) -> _Code:
        """The same code, to go on in another way."""
        other = copy(self)
        other._builder = self._builder.copy()
        other._values, other._hints = dict(self._values), dict(self._hints)
        return other

    def add_primal(self) -> None:
        """Add the step function."""
        trace = self._trace
        labels = {label.variable: label.name for label in trace.labels if label.name}
        for instruction in trace.primal:
            atom = self._primal(instruction)
            self._values[instruction.target] = atom
            if isinstance(atom, str) and instruction.target in labels:
                self._hints.setdefault(atom, labels[instruction.target])
        self._primal_end = self._partials_end = len(self._builder.instructions)
        self._primal_variables = {i.target for i in self._builder.instructions}

    def add_partials(self) -> None:
        """Add the partials of all edges."""
        for instruction in self._trace.partials:
            moved = substitute(instruction, self._values)
            self._values[instruction.target] = (
                moved.operands[0] if moved.op in _NOTES else self._builder.emit_instruction(moved)
            )

    def outputs(self) -> list[tuple[Result, Atom]]:
        """The source's outputs, as results."""
        return [(OutputValue(o.path), self._value(o.atom)) for o in self._trace.outputs]

    def accumulate(self, plan: Plan) -> list[Atom]:
        """Add the steps of a plan to the partials; returns where each of its values is."""
        values: list[Atom] = []
        for edge in plan.graph.edges:
            total = self._value(edge.partials[0])
            for partial in edge.partials[1:]:
                total = self._builder.emit("add", total, self._value(partial))
            values.append(total)
            self._hint(total, plan, edge.source, edge.target)
        self._partials_end = len(self._builder.instructions)
        for step in plan.steps:
            values.append(self._builder.emit(step.op, values[step.left], values[step.right]))
        for dependent, independent, value in plan.entries:
            self._hint(values[value], plan, independent, dependent)
        return values

    def program(
        self, results: Sequence[tuple[Result, Atom]], more_inputs: Sequence[Var] = ()
    ) -> Program:
        """The code so far with these results, finished by the passes."""
        code = self._builder.instructions
        sections = (
            Section(PRIMAL, tuple(code[: self._primal_end])),
            Section(PARTIALS, tuple(code[self._primal_end : self._partials_end])),
            Section(ACCUMULATION, tuple(code[self._partials_end :])),
        )
        variables = (*(i.variable for i in self._trace.inputs), *more_inputs)
        whole = Program(variables, sections, tuple(results), tuple(self._hints.items()))
        return finish(widen_numbers(whole))

    def _primal(self, instruction: Instruction) -> Atom:
        moved = substitute(instruction, self._values)
        if moved.op in _NOTES:
            return moved.operands[0]
        atom = self._builder.emit_exactly(moved)
        assert atom is not None
        return atom

    def _value(self, atom: Atom) -> Atom:
        return self._values.get(atom, atom) if isinstance(atom, str) else atom

    def _hint(self, atom: Atom, plan: Plan, source: int, target: int) -> None:
        """Name a value after the derivative that it is, unless it is a value of the primal."""
        definition = self._builder.definition(atom)
        if definition is None or definition.target in self._primal_variables:
            return
        numerator, denominator = (plan.graph.vertices[v].alias for v in (target, source))
        if numerator.startswith("(") or denominator.startswith("("):
            return
        name = f"d{numerator}_d{denominator}"
        if numerator == WEIGHTED:
            name = f"ct_{denominator}"
        elif denominator == WEIGHTED:
            name = f"t_{numerator}"
        self._hints.setdefault(definition.target, name)
