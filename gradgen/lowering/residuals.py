"""What a step keeps for its backward pass: a minimum cut between bytes and operations.

The backward program reads values that do not depend on cotangents. Each of them is either kept by
the forward pass, or computed again from others that are. Which ones is a minimum cut in the graph
of their computation: a value that is kept is paid for by its bytes, one that is computed again by
its operations, or by their prices where there are some (Ahuja, Magnanti and Orlin 1993, *Network
Flows*, section 19.2, project selection; used for differentiated programs by PyTorch's ahead-of-time
compiler).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradgen.ir.code import Instruction, Var, live_code
from gradgen.ir.loops import TUPLE
from gradgen.ir.module import Passes, Residuals
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.prices import COUNTED, Prices
from gradgen.ir.program import Program, Section, count_operations
from gradgen.ir.results import Kept, OutputValue
from gradgen.ir.trace import Trace

_WEIGHTS = {"transcendental": 10, "div": 3, "free": 0}
"""About what an operation takes beside an addition where no prices are given; one, where nothing
else is said."""
_HANDLING = 4
"""Writing an array and reading it again, in additions."""
HEAVY = frozenset({"einsum", "conv", "sort", "random", "loop"})
"""What is never computed again."""
PER_BYTE = 100
"""Operations on arrays that are done again rather than a byte be kept."""
_MOST_FLOW = 2**30
BYTES = {"bool": 1, "float16": 2, "bfloat16": 2, "float64": 8}
"""Of a value by its dtype; four, where nothing else is said: the working precision is float32."""


@dataclass(frozen=True)
class Leaves:
    """The inputs of a step by what keeping them costs."""

    dtypes: Mapping[Var, str]
    charged: Collection[Var]
    """State: only the current step has it."""
    driving: Collection[Var]
    """Inputs of the sequence, which a scan over time has anyway. All others are the same in every
    step, and so is what is computed from them alone."""
    elements: Mapping[Var, int] = field(default_factory=dict)
    """Of each array, inputs and others: one where nothing is said."""


def split(
    programs: Sequence[Program], trace: Trace, residuals: Residuals, prices: Prices = COUNTED
) -> Passes:
    """A forward and a backward pass.

    `programs` are vector-Jacobian products of one step, which take its inputs and then the same
    cotangents: the one to run, and one that accumulates the Jacobian first. With `auto`, whichever
    keeps less is taken, then whichever computes for less.
    """
    leaves = _leaves(trace)
    chosen = {"auto": programs, "entries": programs[-1:]}.get(residuals, programs[:1])
    found = [passes_of(program, leaves, residuals, prices) for program in chosen]
    return min(found, key=lambda p: (p.bytes, prices.of(p.backward.instructions)))


def _leaves(trace: Trace) -> Leaves:
    """What a scan carries is charged for, what drives it is there anyway."""
    arguments = {i.variable: i.path.split(".")[0] for i in trace.inputs}
    state = set(trace.carried)
    required = {a.name for a in trace.arguments if a.default is None}
    return Leaves(
        {i.variable: i.dtype for i in trace.inputs},
        [v for v, name in arguments.items() if name in state],
        [v for v, name in arguments.items() if name in required - state],
    )


def passes_of(
    program: Program, leaves: Leaves, residuals: Residuals, prices: Prices = COUNTED
) -> Passes:
    """The two passes of one program, by what keeping its inputs costs.

    Outputs among the program's results are results of the forward pass.
    """
    code = program.instructions
    outputs = tuple((r, a) for r, a in program.results if isinstance(r, OutputValue))
    program = replace(program, results=tuple(r for r in program.results if r not in outputs))
    cotangents = [v for v in program.inputs if v not in leaves.dtypes]
    late = _depending(code, cotangents)
    early = [i for i in code if i.target not in late]
    results = [atom for _, atom in program.results if isinstance(atom, str)]
    read = {v for i in code if i.target in late for v in i.variables} | set(results)
    needed = read - late - set(cotangents)
    cost = _Costs(early, leaves, prices)
    if residuals == "inputs":
        again = {i.target for i in live_code(early, needed)}
    elif residuals == "auto":
        again = _computed_again(early, leaves, needed, cost)
    else:
        cheap = {v for v in needed if cost.bytes(v) > 0 and cost.is_free(v)}
        made = {i.target for i in early if cost.is_made(i.target)}
        again = cheap | {i.target for i in live_code(early, needed) if i.target in made}
    again_code = [i for i in early if i.target in again]
    kept_set = needed | {v for i in again_code for v in i.variables}
    kept = [v for v in (*program.inputs, *(i.target for i in early)) if v in kept_set - again]
    live = {i.target for i in live_code(early, [*kept, *(a for _, a in outputs)])}
    return Passes(
        kept=tuple(kept),
        sizes=tuple(cost.bytes(v) for v in kept),
        input_bytes=sum(cost.bytes(v) for v in leaves.charged),
        forward=replace(
            _restricted(program, live),
            inputs=tuple(v for v in program.inputs if v in leaves.dtypes),
            results=(*outputs, *((Kept(v), v) for v in kept)),
        ),
        backward=replace(_restricted(program, late | again), inputs=(*kept, *cotangents)),
        whole=program,
    )


def _depending(code: Iterable[Instruction], start: Iterable[Var]) -> set[Var]:
    """The variables that are computed from some of these."""
    known = set(start)
    for instruction in code:
        if not known.isdisjoint(instruction.variables):
            known.add(instruction.target)
    return known - set(start)


def _restricted(program: Program, targets: Collection[Var]) -> Program:
    sections = tuple(
        Section(s.title, tuple(i for i in s.instructions if i.target in targets))
        for s in program.sections
    )
    return replace(program, sections=tuple(s for s in sections if s.instructions))


class _Costs:
    """What keeping a value costs, and computing it."""

    def __init__(self, code: Sequence[Instruction], leaves: Leaves, prices: Prices) -> None:
        self._prices = prices
        self._definitions = {i.target: i for i in code}
        self._elements = leaves.elements
        self._dtypes = {**leaves.dtypes, **{i.target: i.dtype for i in code}}
        changing = {*leaves.charged, *leaves.driving}
        self._driving = leaves.driving
        self._varying = _depending(code, changing) | set(leaves.charged)
        for instruction in code:
            if instruction.op == "finfo":  # of a dtype, which does not change
                self._varying.discard(instruction.target)

    def bytes(self, variable: Var) -> int:
        """Of a value, for each neuron and step; of an array, for each step."""
        if variable not in self._varying:
            return 0
        return BYTES.get(self._dtypes[variable], 4) * self._elements.get(variable, 1)

    def handling(self, variable: Var) -> int:
        """To write a value down and read it again, in operations."""
        if variable not in self._varying and variable not in self._driving:
            return 0
        return _HANDLING * self._prices.amount("add") * self._elements.get(variable, 1)

    def operations(self, variable: Var) -> int:
        """To compute a value from its operands."""
        instruction = self._definitions[variable]
        kind = OPERATIONS[instruction.op].kind
        elements = 0 if self.is_made(variable) else self._elements.get(variable, 1)
        if self._prices != COUNTED:
            return self._prices.of([instruction]) * elements
        if kind == "pow":
            return count_operations([instruction]).total * elements
        return _WEIGHTS.get(kind, 1) * elements

    def is_made(self, variable: Var) -> bool:
        """Whether it is an array that is made of nothing but sizes and numbers, or a number of
        Python that is computed from these."""
        found = self._definitions.get(variable)
        if found is None:
            return False
        if not found.variables:
            return OPERATIONS[found.op].kind == "array"
        of_numbers = found.dtype == "weak" and OPERATIONS[found.op].infix != ""
        return of_numbers and all(map(self.is_made, found.variables))

    def is_many(self, variable: Var) -> bool:
        """Whether it is a loop, of which results are kept one by one."""
        return self._dtypes[variable] == TUPLE

    def is_heavy(self, variable: Var) -> bool:
        """Whether it takes far longer to compute than to keep."""
        return self._definitions[variable].op in HEAVY

    def is_free(self, variable: Var) -> bool:
        """Whether computing it takes no operation and nothing that keeping it does not: a
        conversion of a truth value."""
        found = self._definitions.get(variable)
        if found is None or found.op != "convert":
            return False
        return self.bytes(found.variables[0]) < self.bytes(variable) if found.variables else False


def _computed_again(
    code: Sequence[Instruction], leaves: Leaves, needed: Collection[Var], cost: _Costs
) -> set[Var]:
    """The values to compute again where the fewest bytes are kept, then with fewest operations.

    Each value has two nodes: it is computed again if its first is on the sink's side, and kept if
    only its second is.
    """
    # scipy comes with JAX, and is needed here alone
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    inputs = list(leaves.dtypes)
    number = {v: k for k, v in enumerate([*inputs, *(i.target for i in code)])}
    source, sink = 2 * len(number), 2 * len(number) + 1
    work = sum(cost.operations(i.target) for i in code) + sum(map(cost.handling, number))
    unit = PER_BYTE if leaves.elements else 1 + work
    # what may be kept instead of all others: large arrays come of small ones
    never = unit * (2 + sum(cost.bytes(v) for v in (number if leaves.elements else inputs)))
    if leaves.elements:
        never += work
    edges: dict[tuple[int, int], int] = {}
    for v, k in number.items():
        keeping = unit * cost.bytes(v) + cost.handling(v)
        edges[2 * k, 2 * k + 1] = never if cost.is_made(v) or cost.is_many(v) else keeping
        edges[2 * k + 1, 2 * k] = never
        cheap = k >= len(inputs) and not cost.is_heavy(v)
        edges[source, 2 * k] = cost.operations(v) if cheap else never
    for instruction in code:
        for v in instruction.variables:
            edges[2 * number[v] + 1, 2 * number[instruction.target]] = never
    for v in needed:
        edges[2 * number[v] + 1, sink] = never
    # flows are counted in 32 bits: of large arrays, in larger units
    grain = -(-never // _MOST_FLOW)
    edges = {ends: -(-min(amount, never) // grain) for ends, amount in edges.items()}
    ends = np.array(list(edges), np.int32)
    capacity = csr_array(
        (np.array(list(edges.values()), np.int32), (ends[:, 0], ends[:, 1])),
        shape=(sink + 1, sink + 1),
    )
    left = capacity - maximum_flow(capacity, source, sink).flow
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    reached = set(breadth_first_order(left, source, return_predecessors=False).tolist())
    again = {i.target for i in code if 2 * number[i.target] not in reached}
    return {i.target for i in live_code([i for i in code if i.target in again], needed)} & again
