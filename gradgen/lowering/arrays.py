"""Lowers a trace on arrays, and a plan on its graph, to a straight-line program.

A value is an array together with the labels of its axes. Products are multiplications where one
array can be stretched along the other, contractions where a matrix product was, and sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradgen.ir.array_plan import TIP, Apply, ArrayPlan, Multiply, Through, tip
from gradgen.ir.array_trace import Applied, ArrayTrace
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Attribute, Const, Instruction, Var, substitute
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
from gradgen.ir.patterns import Label, Pattern, Product
from gradgen.ir.program import ACCUMULATION, PARTIALS, PRIMAL, Program, Section
from gradgen.ir.results import Cotangent, EntryTerm, OutputValue, Result, Tangent
from gradgen.ir.shapes import Dim, Shape, shape_of
from gradgen.ir.truths import truths
from gradgen.lowering.array_layouts import (
    Layout,
    Stored,
    layout_of_product,
    named,
    natural,
    relabelled,
)
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
        return self._spread(self._fitted(value, layout).atom, shape, "float")

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
                atom = self._broadcast(atom, (), (), output.dtype)
            elif self._shape(atom) != shape or isinstance(atom, Const):
                atom = self._spread(atom, shape, output.dtype)
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
        values = [self._settled(self._value(p.atom), p.layout) for p in plan.partials]
        lines = {i.target: i.line for i in self._trace.primal}
        for step, vertex in zip(plan.steps, plan.eliminated, strict=True):
            self._builder.line = lines.get(vertex)
            if isinstance(step, Multiply):
                values.append(self._product(values[step.left], values[step.right], step.product))
            elif isinstance(step, Apply):
                given = self._full(values[step.value], patterns[step.value], step.shape)
                axes = tuple(range(len(step.pattern.dims)))
                values.append(self._settled(self._apply(step.applied, given), axes))
            elif isinstance(step, Through):
                met = {place: (values[k], patterns[k]) for place, k in step.given}
                axes = tuple(range(len(step.pattern.dims)))
                values.append(self._settled(self._through(step, met), axes))
            else:
                one, two = values[step.left], values[step.right]
                atoms, layout = self._aligned((one, two), natural(step.pattern))
                atom = self._builder.emit("add", *atoms)
                values.append(self._settled(atom, layout))
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
        given = {k: self._full(*vector, ends[k]) for k, vector in vectors.items()}
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

    def _product(self, left: Stored, right: Stored, product: Product) -> Stored:
        one = Stored(left.atom, relabelled(left.layout, product.left))
        two = Stored(right.atom, relabelled(right.layout, product.right))
        wanted = named(natural(product.pattern), product.kept)
        shared = {*one.layout} & {*two.layout} & product.summed
        if product.pattern.contracts and shared:
            found = self._contracted(one, two, product, wanted)
        else:
            atoms, layout = self._aligned((one, two), layout_of_product((one, two), wanted))
            atom = self._builder.emit("mul", *atoms)
            found = self._summed(self._settled(atom, layout), product.summed, wanted)
        for dim in product.repeated:
            found = Stored(self._builder.emit("mul", self._size(dim), found.atom), found.layout)
        return self._settled(found.atom, relabelled(found.layout, product.kept))

    def _contracted(self, one: Stored, two: Stored, product: Product, wanted: Layout) -> Stored:
        """A matrix product, or another contraction."""
        bare = [self._without_ones(value) for value in (one, two)]
        letters = {
            label: chr(ord("a") + k)
            for k, label in enumerate(dict.fromkeys((*bare[0].layout, *bare[1].layout)))
        }
        result = tuple(label for label in wanted if label is not None)
        # what is summed over on one side alone is summed by the contraction as well
        left, right, out = (
            "".join(letters[x] for x in p) for p in (*(b.layout for b in bare), result)
        )
        shape = tuple(product.dims[label] for label in result if label is not None)
        atom = self._array(
            "einsum", [b.atom for b in bare], shape, ("spec", f"{left},{right}->{out}")
        )
        return self._fitted(Stored(atom, result), wanted)

    def _summed(self, value: Stored, summed: frozenset[Label], wanted: Layout) -> Stored:
        """A sum over some labels, axes of size one kept where they are wanted."""
        axes = tuple(k for k, label in enumerate(value.layout) if label in summed)
        if not axes:
            return value
        keep = None in wanted
        layout = tuple(
            None if label in summed else label
            for label in value.layout
            if keep or label not in summed
        )
        shape = self._shape(value.atom)
        left = tuple(1 if k in axes else d for k, d in enumerate(shape) if keep or k not in axes)
        kept: list[tuple[str, Attribute]] = [("keepdims", True)] if keep else []
        atom = self._array("reduce_sum", [value.atom], left, ("axes", axes), *kept)
        return Stored(atom, layout)

    def _aligned(self, values: Sequence[Stored], wanted: Layout) -> tuple[list[Atom], Layout]:
        """The values so that they can be stretched along each other, and what comes of that."""
        fitted = [self._fitted(value, wanted) for value in values]
        rank = max((len(value.layout) for value in fitted), default=0)
        layout: list[Label | None] = [None] * rank
        for value in fitted:
            for k, label in enumerate(reversed(value.layout), start=1):
                layout[-k] = label if layout[-k] is None else layout[-k]
        return [value.atom for value in fitted], tuple(layout)

    def _fitted(self, value: Stored, wanted: Layout) -> Stored:
        """The value with its axes in the places of the layout that is wanted, from the last on."""
        placed = zip(reversed(value.layout), reversed(wanted), strict=False)
        if len(value.layout) <= len(wanted) and all(a in (None, b) for a, b in placed):
            return value
        bare = self._without_ones(value)
        order = [label for label in wanted if label in bare.layout]
        if order != list(bare.layout):
            permutation = tuple(bare.layout.index(label) for label in order)
            shape = self._shape(bare.atom)
            moved = tuple(shape[k] for k in permutation)
            atom = self._array("transpose", [bare.atom], moved, ("permutation", permutation))
            bare = Stored(atom, tuple(order))
        first = next((k for k, label in enumerate(wanted) if label in bare.layout), len(wanted))
        layout = tuple(label if label in bare.layout else None for label in wanted[first:])
        if layout == bare.layout:
            return bare
        sizes = dict(zip(bare.layout, self._shape(bare.atom), strict=True))
        shape = tuple(1 if label is None else sizes[label] for label in layout)
        dims = tuple(layout.index(label) for label in bare.layout)
        return Stored(self._broadcast(bare.atom, shape, dims), layout)

    def _without_ones(self, value: Stored) -> Stored:
        """The value without axes of size one."""
        layout = tuple(label for label in value.layout if label is not None)
        if layout == value.layout:
            return value
        shape = self._shape(value.atom)
        kept = tuple(d for d, label in zip(shape, value.layout, strict=True) if label is not None)
        return Stored(self._array("reshape", [value.atom], kept), layout)

    def _full(self, value: Stored, pattern: Pattern, shape: Shape) -> Atom:
        """A vector in the full shape of what it belongs to."""
        axes: Layout = tuple(
            None if dim == 1 else label
            for label, dim in zip((*pattern.rows, *pattern.columns), shape, strict=True)
        )
        return self._spread(self._fitted(value, axes).atom, shape, "float")

    def _sum(self, variable: Var, terms: Sequence[Stored]) -> Atom:
        """The derivative of an end, which all its terms are vectors of."""
        if not terms:
            return Const(0.0)
        (value,) = terms
        shape = self._trace.shapes_by_variable[variable]
        axes: Layout = tuple(None if dim == 1 else k for k, dim in enumerate(shape))
        return self._spread(self._fitted(value, axes).atom, shape, "float")

    def _apply(self, applied: Applied, given: Atom) -> Atom:
        values = dict(self._values)
        values[applied.argument] = given
        shapes = self._trace.shapes_by_variable | {applied.argument: self._shape(given)}
        for instruction in applied.code:
            moved = substitute(instruction, values)
            if OPERATIONS[moved.op].kind == "array":
                # algebra may have left a number where an array is due
                full = (
                    self._spread(new, shapes[old], "float") if isinstance(old, str) else new
                    for old, new in zip(instruction.operands, moved.operands, strict=True)
                )
                moved = replace(moved, operands=tuple(full))
            shapes[instruction.target] = shape_of(instruction, shapes)
            values[instruction.target] = self._builder.emit_instruction(replace(moved, target=""))
        result = applied.result
        return values.get(result, result) if isinstance(result, str) else result

    def _spread(self, atom: Atom, shape: Shape, dtype: str) -> Atom:
        own = self._shape(atom)
        if own == shape:
            return atom
        dims = tuple(range(len(shape) - len(own), len(shape)))
        return self._broadcast(atom, shape, dims, dtype)

    def _broadcast(
        self, atom: Atom, shape: Shape, dims: tuple[int, ...], dtype: str = "float"
    ) -> Atom:
        attributes = ("dims", dims), ("own", self._shape(atom))
        return self._array("broadcast", [atom], shape, *attributes, dtype=dtype)

    def _array(
        self,
        op: str,
        operands: Sequence[Atom],
        shape: Shape,
        *attributes: tuple[str, Attribute],
        dtype: str = "float",
    ) -> Atom:
        return self._builder.emit_instruction(
            Instruction("", op, tuple(operands), (*attributes, ("shape", shape)), dtype)
        )

    def _size(self, dim: Dim) -> Atom:
        if isinstance(dim, int):
            return Const(float(dim))
        return self._array("size", [], (), ("dim", dim), dtype="weak")

    def _settled(self, atom: Atom, layout: Layout) -> Stored:
        """A value with its layout as far as it has axes: algebra may leave less than was due."""
        shape = self._shape(atom)
        layout = layout[len(layout) - len(shape) :]
        return Stored(
            atom, tuple(None if d == 1 else a for a, d in zip(layout, shape, strict=True))
        )

    def _value(self, atom: Atom) -> Atom:
        return self._values.get(atom, atom) if isinstance(atom, str) else atom

    def _shape(self, atom: Atom) -> Shape:
        if isinstance(atom, Const):
            return ()
        if atom not in self._shapes:
            definition = self._builder.definition(atom)
            assert definition is not None
            for operand in definition.variables:
                self._shape(operand)
            self._shapes[atom] = shape_of(definition, self._shapes)
        return self._shapes[atom]


def _names(steps: ArrayTrace) -> tuple[tuple[Var, str], ...]:
    """What the source calls what a step of a loop is given, and what it computes."""
    named = steps.input_names
    labels = {label.variable: label.name for label in steps.labels if label.name}
    renewed = {v: f"{n}_new" if n in named.values() else n for v, n in labels.items()}
    return tuple((renewed | named).items())
