"""Lowers a trace on arrays, and a plan on its graph, to a straight-line program.

A value is an array together with the labels of its axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradgen.ir.array_plan import TIP, Apply, ArrayPlan, Multiply, Through, tip
from gradgen.ir.array_trace import Applied, ArrayTrace
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const, Instruction, Var, substitute
from gradgen.ir.loops import (
    ITEM,
    LOOP,
    Loop,
    loop_instruction,
    loop_of,
    result_shape,
    without_copies,
)
from gradgen.ir.module import Residuals
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.patterns import Pattern
from gradgen.ir.program import ACCUMULATION, PARTIALS, PRIMAL, Program, Section
from gradgen.ir.results import Cotangent, EntryTerm, OutputValue, Result, Tangent
from gradgen.ir.shapes import Shape, shape_of
from gradgen.ir.truths import truths
from gradgen.lowering.array_layouts import (
    Layout,
    Stored,
    natural,
)
from gradgen.lowering.array_writer import ArrayWriter
from gradgen.lowering.feeding import fed_inside
from gradgen.lowering.merged_loops import merge_loops
from gradgen.lowering.passes import finish, in_one_piece
from gradgen.lowering.through import (
    Around,
    pulled_through,
    pushed_through,
    weighed_operands,
    weighed_results,
)


class ArrayCode:
    """Code under construction: the primal first, then partials, then the accumulation."""

    def __init__(self, trace: ArrayTrace, prefix: str = "t", residuals: Residuals = "auto") -> None:
        self._trace = trace
        self._residuals = residuals
        self._builder = Builder(prefix)
        self._loops: dict[Var, Var] = {}
        """Where each loop of the trace is."""
        self._storing: dict[Var, Loop] = {}
        """Loops that put out more than those of the source, by where they are."""
        self._passed: dict[tuple[Var, tuple[tuple[int, Atom], ...]], Sequence[Atom]] = {}
        self._values: dict[Var, Atom] = {}
        self._hints: dict[Var, str] = {}
        self._shapes: dict[Var, Shape] = {
            i.variable: s for i, s in zip(trace.inputs, trace.shapes, strict=True)
        }
        self._writer = ArrayWriter(self._builder, self._shapes)
        labels = {label.variable: label.name for label in trace.labels if label.name}
        for instruction in trace.primal:
            atom = self._primal(instruction)
            self._values[instruction.target] = atom
            if isinstance(atom, str) and instruction.target in labels:
                self._hints.setdefault(atom, labels[instruction.target])
        self._primal_end = self._partials_end = len(self._builder.instructions)
        self._primal_values = frozenset(i.target for i in self._builder.instructions)
        inputs = trace.input_names
        renewed = {v: f"{name}_new" for v, name in labels.items() if name in inputs.values()}
        self._called = labels | renewed | inputs
        self._more: list[Var] = []

    def primal(self) -> Program:
        """The function alone."""
        return self._program(self._outputs())

    def vjp(self, plan: ArrayPlan, cotangents: Mapping[Var, Var]) -> Program:
        """Cotangents of the differentiated inputs, from those of the outputs."""
        return self._program(self._pulled(plan, cotangents))

    def gradient(self, plan: ArrayPlan, cotangents: Mapping[Var, Var]) -> Program:
        """The result, a single number, and its derivatives by the differentiated inputs."""
        outputs = self._outputs()
        self._values |= dict.fromkeys(cotangents, Const(1.0))
        results = [*outputs, *self._pulled(plan, cotangents)]
        self._more.clear()
        return self._program(results)

    def _pulled(self, plan: ArrayPlan, cotangents: Mapping[Var, Var]) -> list[tuple[Result, Atom]]:
        self._is_pulled = True
        values = self._accumulated(plan, cotangents)
        found: dict[Var, Atom] = {}
        for _, variable, numbers in plan.results:
            found[variable] = self._sum(variable, [values[k] for k in numbers])
            self._hint(found[variable], "d", variable)
        for number, variable in plan.complete:
            self._hint(values[number].atom, "d", variable)
        return [
            (Cotangent(i.path), found.get(i.variable, Const(0.0)))
            for i in self._trace.inputs
            if i.wrt
        ]

    def jvp(self, plan: ArrayPlan, tangents: Mapping[Var, Var]) -> Program:
        """Outputs and their tangents, from the tangents of the differentiated inputs."""
        outputs = self._outputs()
        return self._program([*outputs, *self._pushed(plan, tangents)])

    def hvp(self, plan: ArrayPlan, tangents: Mapping[Var, Var]) -> Program:
        """Tangents of the outputs alone; what was traced is a gradient."""
        self._primal_end = len(self._builder.instructions)
        return merge_loops(self._program(self._pushed(plan, tangents)))

    def _pushed(self, plan: ArrayPlan, tangents: Mapping[Var, Var]) -> list[tuple[Result, Atom]]:
        self._is_pulled = False
        values = self._accumulated(plan, tangents)
        for number, variable in plan.complete:
            self._hint(values[number].atom, "t", variable)
        found = {
            v: self._sum(v.removeprefix(TIP), [values[k] for k in numbers])
            for v, _, numbers in plan.results
        }
        return [
            (Tangent(o.path), found.get(tip(str(o.atom)), Const(0.0)))
            for o in self._trace.float_outputs
        ]

    def step(self, plan: ArrayPlan, cotangents: Mapping[Var, Var]) -> Program:
        """Outputs, and the cotangents of the differentiated inputs from those of the outputs."""
        outputs = self._outputs()
        return self._program([*outputs, *self._pulled(plan, cotangents)])

    def jacobian(
        self, plan: ArrayPlan
    ) -> tuple[Program, tuple[tuple[tuple[str, str], tuple[Pattern, ...]], ...]]:
        """Outputs and the terms of the Jacobian's entries; for each entry, its terms' patterns."""
        results = self._outputs()
        values = self._accumulated(plan, {})
        patterns = plan.patterns
        paths = {i.variable: i.path for i in self._trace.inputs}
        entries = []
        for output in self._trace.float_outputs:
            for target, source, numbers in plan.results:
                if target != tip(str(output.atom)):
                    continue
                pair = output.path, paths[source]
                entries.append((pair, tuple(patterns[k] for k in numbers)))
                for k, number in enumerate(numbers):
                    atom = self._held(values[number], patterns[number])
                    results.append((EntryTerm(*pair, str(k)), atom))
        return self._program(results), tuple(entries)

    def _held(self, value: Stored, pattern: Pattern) -> Atom:
        """A value with all axes that it varies along, and no other."""
        layout: Layout = tuple(sorted(pattern.held))
        shape = tuple(pattern.dims[label] for label in sorted(pattern.held))
        return self._writer.spread(self._writer.fitted(value, layout).atom, shape, "float")

    def _primal(self, instruction: Instruction) -> Atom:
        moved = substitute(instruction, self._values)
        if moved.op in ("copy", "stop_gradient"):
            # they tell what is differentiated, and compute nothing
            return moved.operands[0]
        if moved.op == LOOP:
            loop = without_copies(loop_of(moved))
            steps = dict(self._trace.loops).get(instruction.target)
            loop = loop if steps is None else replace(loop, hints=_names(steps))
            moved = loop_instruction(loop, moved.operands)
        atom = self._builder.emit_exactly(moved)
        assert atom is not None
        if moved.op == LOOP:
            assert isinstance(atom, str)
            self._loops[instruction.target] = atom
        return atom

    def _outputs(self) -> list[tuple[Result, Atom]]:
        """The source's outputs, in their full shapes."""
        found: list[tuple[Result, Atom]] = []
        for output, shape in zip(self._trace.outputs, self._trace.output_shapes, strict=True):
            atom = self._value(output.atom)
            if not shape and output.dtype in ("int", "bool") and self._is_python(atom):
                # an array, since the code around asks it for its shape
                atom = self._writer.broadcast(atom, (), (), output.dtype)
            elif self._writer.shape(atom) != shape or isinstance(atom, Const):
                atom = self._writer.spread(atom, shape, output.dtype)
            found.append((OutputValue(output.path), atom))
        self._primal_end = self._partials_end = len(self._builder.instructions)
        return found

    def _is_python(self, atom: Atom) -> bool:
        """Whether it is a number of Python: a constant, or a size and what is made of sizes."""
        if isinstance(atom, Const):
            return True
        found = self._builder.definition(atom)
        if found is None or not found.variables:
            return found is not None and found.op == "size"
        return all(map(self._is_python, found.operands))

    def _program(self, results: Sequence[tuple[Result, Atom]]) -> Program:
        code = [self._with_all_it_stores(i) for i in self._builder.instructions]
        sections = (
            Section(PRIMAL, tuple(code[: self._primal_end])),
            Section(PARTIALS, tuple(code[self._primal_end : self._partials_end])),
            Section(ACCUMULATION, tuple(code[self._partials_end :])),
        )
        inputs = (*(i.variable for i in self._trace.inputs), *self._more)
        program = Program(inputs, sections, tuple(results), tuple(self._hints.items()))
        dtypes = {i.variable: i.dtype for i in self._trace.inputs}
        return finish(fed_inside(program, self._shapes, dtypes, dict(self._trace.sizes)))

    def _with_all_it_stores(self, instruction: Instruction) -> Instruction:
        stored = self._storing.get(instruction.target)
        if stored is None:
            return instruction
        return loop_instruction(stored, instruction.operands, instruction.target)

    def _accumulated(self, plan: ArrayPlan, vectors: Mapping[Var, Var]) -> list[Stored]:
        """Where each value of a plan is; `vectors` are cotangents or tangents: by each, whose."""
        for vector, variable in vectors.items():
            self._give(vector, self._trace.shapes_by_variable[variable])
        self._add_partials()
        return self._carried_out(plan)

    def _give(self, variable: Var, shape: Shape) -> None:
        """Take one more input."""
        self._shapes[variable] = shape
        self._more.append(variable)

    def _add_partials(self) -> None:
        self._values = self._builder.splice(self._trace.partials, self._values)
        self._partials_end = len(self._builder.instructions)

    def _carried_out(self, plan: ArrayPlan) -> list[Stored]:
        """Where each value of a plan is."""
        patterns = plan.patterns
        values = [self._writer.settled(self._value(p.atom), p.layout) for p in plan.partials]
        lines = {i.target: i.line for i in self._trace.primal}
        for step, vertex in zip(plan.steps, plan.eliminated, strict=True):
            self._builder.line = lines.get(vertex)
            if isinstance(step, Multiply):
                values.append(
                    self._writer.product(values[step.left], values[step.right], step.product)
                )
            elif isinstance(step, Apply):
                given = self._writer.full(values[step.value], patterns[step.value], step.shape)
                axes = tuple(range(len(step.pattern.dims)))
                values.append(self._writer.settled(self._apply(step.applied, given), axes))
            elif isinstance(step, Through):
                met = {place: (values[k], patterns[k]) for place, k in step.given}
                axes = tuple(range(len(step.pattern.dims)))
                values.append(self._writer.settled(self._through(step, met), axes))
            else:
                one, two = values[step.left], values[step.right]
                atoms, layout = self._writer.aligned((one, two), natural(step.pattern))
                atom = self._builder.emit("add", *atoms)
                values.append(self._writer.settled(atom, layout))
        return values

    def _through(self, step: Through, vectors: Mapping[int, tuple[Stored, Pattern]]) -> Atom:
        """A vector that has passed a loop: one of those that another loop gives."""
        place = self._loops[step.loop]
        definition = self._builder.definition(place)
        assert definition is not None
        loop = self._storing.get(place) or loop_of(definition)
        trace = dict(self._trace.loops)[step.loop]
        ends = [result_shape(loop, k, s) for k, s in enumerate(trace.output_shapes)]
        if not self._is_pulled:
            count = len(loop.constants) + len(loop.carry)
            ends = [
                (loop.length, *g.shape) if k >= count else g.shape for k, g in enumerate(loop.given)
            ]
        given = {k: self._writer.full(*vector, ends[k]) for k, vector in vectors.items()}
        key = place, tuple(given.items())
        if key not in self._passed:
            around = Around(
                definition.operands,
                place,
                given,
                self._write,
                self._is_given,
                lambda: truths(self._builder.instructions),
            )
            code, plan = ArrayCode(trace, f"{step.loop}_", self._residuals), step.steps.plan
            if self._is_pulled:
                program = in_one_piece(code.step(plan, weighed_results(step, trace)))
                stored, found = pulled_through(step, trace, program, loop, around, self._residuals)
                self._storing[place] = stored
            else:
                program = code.jvp(plan, weighed_operands(step, loop))
                found = pushed_through(step, trace, program, loop, around)
            self._passed[key] = found
        return self._passed[key][step.wanted]

    def _is_given(self, atom: Atom) -> bool:
        return self._builder.definition(atom) is None

    def _write(self, instruction: Instruction) -> Atom:
        if instruction.op in (LOOP, ITEM):
            atom = self._builder.emit_exactly(replace(instruction, target=""))
            assert atom is not None
            return atom
        return self._builder.emit_instruction(replace(instruction, target=""))

    def _hint(self, atom: Atom, prefix: str, variable: Var) -> None:
        """Name a value after what it is the derivative of, or by, unless it is something else."""
        name = self._called.get(variable)
        definition = self._builder.definition(atom)
        if name is not None and definition is not None and atom not in self._primal_values:
            self._hints.setdefault(definition.target, f"{prefix}_{name}")

    def _sum(self, variable: Var, terms: Sequence[Stored]) -> Atom:
        """The derivative of an end, which all its terms are vectors of."""
        if not terms:
            return Const(0.0)
        (value,) = terms
        shape = self._trace.shapes_by_variable[variable]
        axes: Layout = tuple(None if dim == 1 else k for k, dim in enumerate(shape))
        return self._writer.spread(self._writer.fitted(value, axes).atom, shape, "float")

    def _apply(self, applied: Applied, given: Atom) -> Atom:
        values = dict(self._values)
        values[applied.argument] = given
        shapes = self._trace.shapes_by_variable | {applied.argument: self._writer.shape(given)}
        for instruction in applied.code:
            moved = substitute(instruction, values)
            if OPERATIONS[moved.op].kind == "array":
                # algebra may have left a number where an array is due
                full = (
                    self._writer.spread(new, shapes[old], "float") if isinstance(old, str) else new
                    for old, new in zip(instruction.operands, moved.operands, strict=True)
                )
                moved = replace(moved, operands=tuple(full))
            shapes[instruction.target] = shape_of(instruction, shapes)
            values[instruction.target] = self._builder.emit_instruction(replace(moved, target=""))
        result = applied.result
        return values.get(result, result) if isinstance(result, str) else result

    def _value(self, atom: Atom) -> Atom:
        return self._values.get(atom, atom) if isinstance(atom, str) else atom


def _names(steps: ArrayTrace) -> tuple[tuple[Var, str], ...]:
    """What the source calls what a step of a loop is given, and what it computes."""
    named = steps.input_names
    labels = {label.variable: label.name for label in steps.labels if label.name}
    renewed = {v: f"{n}_new" if n in named.values() else n for v, n in labels.items()}
    return tuple((renewed | named).items())
