"""What a loop puts out for the loop that runs its steps backwards.

What a step carries in is what the step before carried out: one stack serves both, read one place
further. So of a neuron with a potential and a spike, the potential alone has to be stored. Which
values to store is found by a local search on bytes, from a minimum cut that knows one step only:
values that are carried in are to be had where what they were is, one step earlier, but not two.
A loop within a step is run again rather than that all of its steps be stored, unless it takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from gradgen.ir.code import Atom, Const, DType, Instruction, Var, substitute
from gradgen.ir.loops import COUNTED, ITEM, LOOP, TUPLE, Loop, StepValue, loop_of, nested
from gradgen.ir.program import Program
from gradgen.ir.results import Cotangent
from gradgen.ir.shapes import Shape, Sizes, elements, size
from gradgen.lowering.residuals import BYTES, HEAVY, PER_BYTE

_ROUNDS = 30
_MOST = 12
"""Of stored values, above which only single ones are moved."""
BEFORE = "_before"
"""After the name of a variable: its value in the step before."""


@dataclass(frozen=True)
class StepCode:
    """A step of a loop, and what is needed of it later."""

    loop: Loop
    code: tuple[Instruction, ...]
    """What the step computes, before anything of the way back."""
    carried: tuple[Atom, ...]
    """The carry after a step, in this code."""
    needed: tuple[Var, ...]
    """What the way back reads."""
    free: frozenset[Var]
    """What a step is given, or puts out anyway, and costs nothing to have."""
    sizes: Sizes


@dataclass(frozen=True)
class Again:
    """What is read of the step before, and what is computed again on the way back."""

    code: tuple[Instruction, ...]
    """Once what is stored, and what was stored one step before, is there."""
    before: tuple[Var, ...]
    """What is read of the step before."""
    first: tuple[Var, ...]
    """The carry that a step was given, which in the first step is what the loop began with."""


def late_code(program: Program, weights: Collection[Var]) -> list[Instruction]:
    """What depends on cotangents."""
    known, found = set(weights), []
    for instruction in program.instructions:
        if not known.isdisjoint(instruction.variables):
            known.add(instruction.target)
            found.append(instruction)
    return found


def steps_of(
    loop: Loop, program: Program, weights: Collection[Var], outputs: Sequence[Atom], sizes: Sizes
) -> StepCode:
    """A step, and what its way back reads of it.

    `program` is one step with cotangents of its results, whose variables are `weights`; `outputs`
    are the results.
    """
    late = late_code(program, weights)
    behind = {i.target for i in late} | set(weights)
    pulled = [a for r, a in program.results if isinstance(r, Cotangent)]
    read = dict.fromkeys(v for i in late for v in i.variables)
    read |= dict.fromkeys(a for a in pulled if isinstance(a, str))
    carried = len(loop.carry)
    free = {g.variable for g in loop.sequences}
    free |= {a for a in outputs[carried:] if isinstance(a, str)}
    return StepCode(
        loop,
        tuple(i for i in program.instructions if i.target not in behind),
        tuple(outputs[:carried]),
        tuple(v for v in read if v not in behind),
        frozenset(free),
        sizes,
    )


def stored(steps: StepCode, start: Collection[Var]) -> frozenset[Var]:
    """What to store: the fewest bytes, then the fewest operations, that a local search finds.

    It begins with `start`, which has to suffice, and with what is carried in; values are dropped,
    up to two at once, with or without another in their place.
    """
    search = _Search(steps)
    carried = {g.variable for g in steps.loop.carry} | {v for v in start if search.is_heavy(v)}
    starts = [frozenset(some) - steps.free for some in (start, carried)]
    found = [search.improved(some) for some in starts if search.cost(some) is not None]
    return min(found, key=lambda some: search.cost(some) or 0)


def computed_again(steps: StepCode, kept: Collection[Var], later: Var) -> Again:
    """The code that gives what the way back needs, from what is stored.

    `later` is a truth value: whether this is not the loop's first step.
    """
    return _Writing(steps, frozenset(kept), later).run()


class _Search:
    def __init__(self, steps: StepCode) -> None:
        self._steps = steps
        self._made = {i.target: i for i in steps.code}
        loop = steps.loop
        self._constants = {g.variable for g in loop.constants}
        self._after = {g.variable: a for g, a in zip(loop.carry, steps.carried, strict=True)}
        shapes = loop.shapes | replace(loop, code=steps.code, carried=(), stacked=()).shapes
        dtypes = {g.variable: g.dtype for g in loop.given}
        dtypes |= {i.target: i.dtype for i in steps.code}
        self._number = {v: elements(shape, steps.sizes) for v, shape in shapes.items()}
        self._bytes = {v: BYTES.get(d, 4) * self._number[v] for v, d in dtypes.items()}
        self._work = self._number | {
            i.target: _work(loop_of(i), steps.sizes) for i in steps.code if i.op == LOOP
        }
        """How many elements it takes to compute a value."""
        made = [v for v in self._made if dtypes[v] != TUPLE]
        self._candidates = [*self._after, *made]

    def improved(self, best: frozenset[Var]) -> frozenset[Var]:
        """What a local search finds from a set that suffices."""
        cost = self.cost(best)
        assert cost is not None
        for _ in range(_ROUNDS):
            for tried in self.neighbours(best):
                found = self.cost(tried)
                if found is not None and found < cost:
                    best, cost = tried, found
                    break
            else:
                return best
        return best

    def is_heavy(self, v: Var) -> bool:
        """Whether it takes far longer to compute than to keep; a loop, where it has such inside."""
        made = self._made.get(v)
        if made is None:
            return False
        if made.op == ITEM:
            return self.is_heavy(made.variables[0])
        return any(i.op in HEAVY and i.op != LOOP for i in nested([made]))

    def neighbours(self, kept: frozenset[Var]) -> Iterator[frozenset[Var]]:
        """Sets that differ in few values, smaller ones first."""
        order = sorted(kept)
        counts = (1, 2) if len(order) <= _MOST else (1,)
        for count in counts:
            dropped = [kept - set(some) for some in combinations(order, count)]
            yield from dropped
            yield from (left | {v} for left in dropped for v in self._candidates if v not in kept)

    def cost(self, kept: frozenset[Var]) -> int | None:
        """Bytes and operations; None where something needed cannot be had."""
        known: dict[tuple[Var, int], bool] = {}
        if not all(self._is_there(v, 0, kept, known) for v in self._steps.needed):
            return None
        again = sum(
            self._work[v]
            for (v, _), there in known.items()
            if there and v in self._made and v not in kept and v not in self._steps.free
        )
        return PER_BYTE * sum(self._bytes[v] for v in kept) + again

    def _is_there(
        self, v: Var, depth: int, kept: Collection[Var], known: dict[tuple[Var, int], bool]
    ) -> bool:
        if v in self._constants or v in kept or (v in self._steps.free and not depth):
            return True
        if v in self._steps.free and v in self._made:
            return True
        if (v, depth) in known:
            return known[v, depth]
        known[v, depth] = False
        if v in self._after:
            after = self._after[v]
            there = not depth and (
                isinstance(after, Const) or self._is_there(after, 1, kept, known)
            )
        else:
            made = self._made.get(v)
            there = (
                made is not None
                and not self.is_heavy(v)
                and all(self._is_there(w, depth, kept, known) for w in made.variables)
            )
        known[v, depth] = there
        return there


def _work(loop: Loop, sizes: Sizes) -> int:
    """The elements that all steps of a loop compute."""
    inner = [loop_of(i) for i in loop.code if i.op == LOOP]
    shapes = loop.shapes
    own = sum(elements(shapes[i.target], sizes) for i in loop.code)
    return size(loop.length, sizes) * (own + sum(_work(i, sizes) for i in inner))


@dataclass
class _Writing:
    steps: StepCode
    kept: frozenset[Var]
    later: Var
    code: list[Instruction] = field(default_factory=list)
    before: dict[Var, None] = field(default_factory=dict)
    first: dict[Var, None] = field(default_factory=dict)
    written: set[Var] = field(default_factory=set)

    def run(self) -> Again:
        self._made = {i.target: i for i in self.steps.code}
        self._constants = {g.variable for g in self.steps.loop.constants}
        pairs = zip(self.steps.loop.carry, self.steps.carried, strict=True)
        self._after = {g.variable: (g, a) for g, a in pairs}
        for v in self.steps.needed:
            self._at(v, 0)
        return Again(tuple(self.code), tuple(self.before), tuple(self.first))

    def _at(self, atom: Atom, depth: int) -> Atom:
        """A value in this step, or in the one before."""
        if isinstance(atom, Const) or atom in self._constants:
            return atom
        stored = atom in self.kept or (atom in self.steps.free and atom in self._made)
        if depth and stored:
            self.before[atom] = None
            return f"{atom}{BEFORE}"
        if stored or atom in self.steps.free:
            return atom
        target = f"{atom}{BEFORE}" if depth else atom
        if target in self.written:
            return target
        self.written.add(target)
        if atom in self._after:
            given, after = self._after[atom]
            self.first[atom] = None
            value = self._at(after, 1)
            operands = (self.later, value, f"{atom}_start")
            self.code.append(Instruction(target, "select", operands, (), given.dtype))
            return target
        made = self._made[atom]
        values = {v: self._at(v, depth) for v in made.variables}
        self.code.append(replace(substitute(made, values), target=target))
        return target


@dataclass(frozen=True)
class Neighbours:
    """How a step of the way back reads of the step before it on the way there."""

    name: Var
    loop: Loop
    again: Again
    shapes: Mapping[Var, Shape]
    dtypes: Mapping[Var, DType]

    @property
    def constants(self) -> list[StepValue]:
        """Whole stacks, and what the loop began with."""
        carry = {g.variable: g for g in self.loop.carry}
        whole = [
            StepValue(f"{v}_all", (self.loop.length, *self.shapes[v]), self.dtypes[v])
            for v in self.again.before
        ]
        return whole + [replace(carry[v], variable=f"{v}_start") for v in self.again.first]

    @property
    def sequences(self) -> list[StepValue]:
        """The number of the step, where it is read."""
        return [StepValue(f"{self.name}_t", (), "int")] if self._reads else []

    def times(self, write: Callable[[Instruction], Atom]) -> list[Atom]:
        """The numbers of all steps."""
        if not self._reads:
            return []
        shape = (self.loop.length,)
        attributes = (("dimension", 0), ("shape", shape), COUNTED)
        return [write(Instruction("", "iota", (), attributes, "int"))]

    @property
    def _reads(self) -> bool:
        return bool(self.again.first)

    @property
    def code(self) -> list[Instruction]:
        """Whether there is a step before, and what is read of it."""
        if not self._reads:
            return []
        time, later, place = (f"{self.name}_{what}" for what in ("t", "later", "neighbour"))
        one, length = Const(1, "int"), self.loop.length
        found = []
        if self.loop.reverse:
            last = f"{self.name}_last"
            dim = length - 1 if isinstance(length, int) else f"{length} - 1"
            attributes = (("dim", dim), ("shape", ()), COUNTED)
            found.append(Instruction(last, "size", (), attributes, "weak"))
            found.append(Instruction(later, "lt", (time, last), (), "bool"))
            found.append(Instruction(place, "add", (time, one), (), "int"))
        else:
            found.append(Instruction(later, "gt", (time, Const(0, "int")), (), "bool"))
            found.append(Instruction(place, "sub", (time, one), (), "int"))
        for v in self.again.before:
            operands, shape = (f"{v}_all", place), self.shapes[v]
            moved = Instruction(
                f"{v}{BEFORE}", "at_step", operands, (("shape", shape),), self.dtypes[v]
            )
            found.append(moved)
        return found
