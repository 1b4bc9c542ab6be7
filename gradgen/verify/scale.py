"""How large rounding errors of a derivative can be: the scale of each Jacobian entry.

An entry is a sum over paths of products of elemental partials. Its scale is the same sum of the
absolute values, so that what cancels within the entry still counts. A partial is code itself; its
scale is found likewise, with sums of absolute values for differences. That holds for differences
that the primal computes too, although their bits are the same everywhere: JAX's rule for tanh, say,
is (g + g y)(1 - y), which rounds g y before it cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradgen.ir.code import Atom, Const, Instruction, Var, is_float, live_code
from gradgen.ir.graph import LinearGraph
from gradgen.ir.module import Module, SecondOrder
from gradgen.verify.evaluate import Evaluator
from gradgen.verify.floats import Array, epsilon, tiny, widest

_PERTURBATION = 1e-7
_LONG_PATH = 32


class Scales:
    """The scales of a module's Jacobian entries, at points in one dtype."""

    def __init__(self, module: Module | SecondOrder, working: str) -> None:
        """Prepare the code of the partials on the graph's edges."""
        trace = module.trace
        self._graph = module.graph
        self._inputs = [i.variable for i in trace.inputs]
        self._float_inputs = [is_float(i.dtype) for i in trace.inputs]
        roots = [atom for edge in module.graph.edges for atom in edge.partials]
        self._code = live_code((*trace.primal, *trace.partials), roots)
        self._primal = {i.target: i for i in trace.primal}
        self._operations = {e.target: e.operation for e in trace.elementals}
        self._discrete = [i.target for i in self._code if not is_float(i.dtype)]
        self._discrete_code = live_code(self._code, self._discrete)
        self._float_outputs = trace.float_outputs
        self._outputs = {o.path: k for k, o in enumerate(trace.float_outputs)}
        self._wrt = {i.path: k for k, i in enumerate(i for i in trace.inputs if i.wrt)}
        self._exactly = Evaluator(working, exact=True)
        self._roughly = Evaluator("float64", exact=False)
        self._floor = tiny(working) / epsilon(working)
        self.length = longest_path(module.graph)

    @property
    def growth(self) -> float:
        """By how much errors on very long paths may exceed those on short ones.

        The errors of successive roundings add up like a random walk.
        """
        return max(1.0, float(np.sqrt(self.length / _LONG_PATH)))

    def entries(self, leaves: Sequence[Any]) -> Array:
        """(float outputs, differentiated inputs, points)."""
        count = len(leaves[0])
        exact = dict(zip(self._inputs, leaves, strict=True))
        conditions = self._exactly.run(self._discrete_code, exact) if self._discrete else {}
        known = {v: np.asarray(conditions[v]) for v in self._discrete}
        wide = [
            widest(leaf) if real else np.asarray(leaf)
            for leaf, real in zip(leaves, self._float_inputs, strict=True)
        ]
        with np.errstate(all="ignore"):
            partials = self._partials(dict(zip(self._inputs, wide, strict=True)), known)
            return self._accumulate(partials, count)

    def outputs(self, leaves: Sequence[Any]) -> dict[str, Array]:
        """By output path, the scale of the source's values, for those computed by operations."""
        wide = [
            widest(leaf) if real else np.asarray(leaf)
            for leaf, real in zip(leaves, self._float_inputs, strict=True)
        ]
        code = tuple(self._primal.values())
        with np.errstate(all="ignore"):
            values = self._roughly.run(code, dict(zip(self._inputs, wide, strict=True)))
            scales: dict[Atom, Any] = {}
            for instruction in code:
                if is_float(instruction.dtype):
                    scales[instruction.target] = self._scale(instruction, values, scales, {})
        return {o.path: scales[o.atom] for o in self._float_outputs if o.atom in scales}

    def _accumulate(self, partials: Mapping[Atom, Array], count: int) -> Array:
        """Sums over paths, forwards through the graph."""
        graph = self._graph
        paths = [vertex.path for vertex in graph.vertices]
        reached: dict[int, Array] = {}
        for v in graph.independents:
            reached[v] = np.zeros((len(self._wrt), count))
            reached[v][self._wrt[paths[v]]] = 1.0
        for edge in sorted(graph.edges, key=lambda e: e.source):
            scale: Any = 0.0
            operation = self._operations.get(graph.vertices[edge.target].variable)
            for atom in edge.partials:
                scale = scale + partials[atom]
            if operation == "expm1":
                scale = np.maximum(scale, 1.0)  # JAX's rule is expm1(x) + 1
            # what underflows in the working dtype is lost, whatever it would be multiplied with
            scale = np.where(scale == 0, 0.0, scale + self._floor)
            source = reached.get(edge.source)
            if source is None:
                continue
            product = np.where((scale == 0) | (source == 0), 0.0, scale * source)
            reached[edge.target] = reached.get(edge.target, 0.0) + product
        scales = np.zeros((len(self._outputs), len(self._wrt), count))
        for v in graph.dependents:
            if v in reached:
                scales[self._outputs[paths[v]]] = reached[v]
        return scales

    def _partials(self, inputs: dict[Var, Any], known: Mapping[Var, Any]) -> dict[Atom, Array]:
        """The scale of every variable and constant that the edges carry."""
        values = self._roughly.run(self._code, inputs, known)
        scales: dict[Atom, Any] = {}
        for instruction in self._code:
            target = instruction.target
            if is_float(instruction.dtype):
                if target not in self._primal or instruction.op in ("add", "sub"):
                    scales[target] = self._scale(instruction, values, scales, self._primal)
                else:
                    scales[target] = np.abs(values[target])
        for edge in self._graph.edges:
            product = self._operations.get(self._graph.vertices[edge.target].variable) == "mul"
            for atom in edge.partials:
                if isinstance(atom, Const):
                    scales[atom] = np.abs(np.float64(atom.value))
                elif atom not in scales or (product and atom in self._primal):
                    scales[atom] = np.abs(np.float64(values[atom]))
        return scales

    def _scale(
        self,
        instruction: Instruction,
        values: Mapping[Var, Any],
        scales: Mapping[Atom, Any],
        exact: Mapping[Var, Any],
    ) -> Any:
        """The scale of one operation's result, from those of its operands.

        The operands of variables that are `exact` have no rounding errors.
        """

        in_primal = instruction.target in exact

        def scale_of(atom: Atom) -> Any:
            if isinstance(atom, Const):
                return np.abs(np.float64(atom.value))
            found = None if in_primal else scales.get(atom)
            return np.abs(np.float64(values[atom])) if found is None else found

        operands = instruction.operands
        value = np.abs(values[instruction.target])
        match instruction.op:
            case "add" | "sub":
                return scale_of(operands[0]) + scale_of(operands[1])
            case "mul":
                return scale_of(operands[0]) * scale_of(operands[1])
            case "div":
                divisor = np.abs(np.float64(self._roughly.atom(operands[1], values)))
                amplified = np.fmax(scale_of(operands[1]) / divisor, 1.0)
                return scale_of(operands[0]) / divisor * amplified
            case "select":
                condition = self._roughly.atom(operands[0], values)
                return np.where(condition, scale_of(operands[1]), scale_of(operands[2]))
            case "max" | "min" | "clamp":
                return np.maximum.reduce(np.broadcast_arrays(*map(scale_of, operands)))
            case "neg" | "abs" | "copy" | "reduce_precision" | "stop_gradient":
                return scale_of(operands[0])
            case "square" | "integer_pow":
                power = 2 if instruction.op == "square" else instruction.attribute("y")
                size = np.abs(np.float64(self._roughly.atom(operands[0], values)))
                ratio = np.where(size == 0, 1.0, scale_of(operands[0]) / size)
                return value * np.fmax(ratio, 1.0) ** abs(int(power))
        return value + self._sensitivity(instruction, values, scales, exact)

    def _sensitivity(
        self,
        instruction: Instruction,
        values: Mapping[Var, Any],
        scales: Mapping[Atom, Any],
        exact: Mapping[Var, Any],
    ) -> Any:
        """What the operands' errors do to a function's value, by differences."""
        arguments = [self._roughly.atom(a, values) for a in instruction.operands]
        total: Any = 0.0
        for slot, atom in enumerate(instruction.operands):
            if not isinstance(atom, str) or atom in exact or atom not in scales:
                continue
            move = _PERTURBATION * scales[atom]
            ends = []
            for moved in (arguments[slot] + move, arguments[slot] - move):
                changed = [*arguments[:slot], moved, *arguments[slot + 1 :]]
                ends.append(np.float64(self._roughly.apply(instruction, changed)))
            change = np.abs(ends[0] - ends[1]) / (2 * _PERTURBATION)
            total = total + np.where(np.isfinite(change), change, 0.0)
        return total


def longest_path(graph: LinearGraph) -> int:
    """The number of edges on the longest path."""
    length = dict.fromkeys(range(len(graph.vertices)), 0)
    for edge in sorted(graph.edges, key=lambda e: e.source):
        length[edge.target] = max(length[edge.target], length[edge.source] + 1)
    return max(length.values(), default=0)
