"""A trace in the words of the generated text: its equations, its partials, and where they stand."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Atom, Instruction, Var, is_float, live_code
from gradgen.ir.identity import stable_names
from gradgen.ir.program import PARTIALS, PRIMAL, Program, Section
from gradgen.ir.results import Kept
from gradgen.ir.trace import Trace
from gradgen.targets.jax.expressions import print_constant
from gradgen.targets.jax.names import name_inputs, name_variables, unique
from gradgen.targets.jax.printer import Printer

Aliases = Mapping[Var, Var]
"""For variables of a trace, the variables of a program that hold the same values."""


@dataclass(frozen=True)
class Wording:
    """How a program that was lowered from a trace is written."""

    trace: Trace | ArrayTrace
    program: Program
    aliases: Aliases
    names: Mapping[Var, str]
    """Of the program's variables, as the generated text has them."""

    def name(self, variable: Var) -> str:
        """What the text calls a variable of the trace."""
        return self.names.get(self.aliases.get(variable, variable), variable)

    @property
    def primal(self) -> tuple[Instruction, ...]:
        """The program's share of the step itself."""
        return _primal(self.program)

    def equations(self, variables: Iterable[Var]) -> dict[Var, str]:
        """A statement for each of these values of the program and each that has a name.

        What is read once, and is none of them, is written in place.
        """
        present = {i.target for i in self.primal}
        results = tuple((Kept(v), v) for v in dict.fromkeys(variables) if v in present)
        code = (Section(PRIMAL, self.primal),)
        alone = Program(self.program.inputs, code, results, self.program.hints)
        variable = {self.names[target]: target for target in present}
        lines = self._printer(alone, self.names).sections()[0][1]
        # a loop is several lines, of which none is a variable's
        split = ((line.partition(" = ")[0], line) for line in lines)
        return {variable[name]: line for name, line in split if name in variable}

    def partial(self, partials: Sequence[Atom], known: Collection[Var]) -> str:
        """The value of an edge, the sum of these partials, in terms of values that are known."""
        return " + ".join(self._partial(atom, known) for atom in partials)

    def _partial(self, atom: Atom, known: Collection[Var]) -> str:
        if not isinstance(atom, str):
            return print_constant(atom).text
        unknown = (i for i in self.trace.primal if self.aliases.get(i.target) not in known)
        code = live_code((*unknown, *self.trace.partials), [atom])
        if not code:
            return self.name(atom)
        names = {i.variable: self.name(i.variable) for i in self.trace.inputs}
        names |= {i.target: self.name(i.target) for i in self.trace.primal}
        taken = set(names.values())
        names |= {i.target: unique("p", taken) for i in code if i.target not in names}
        program = Program((), (Section(PARTIALS, code),), ((Kept(atom), atom),))
        printer = self._printer(program, names)
        *before, last = printer.sections()[0][1] or [f" = {printer.atom(atom)}"]
        value = last.partition(" = ")[2]
        return f"{value} where {', '.join(before)}" if before else value

    def _printer(self, program: Program, names: Mapping[Var, str]) -> Printer:
        floats = [i.variable for i in self.trace.inputs if is_float(i.dtype)]
        follows = () if isinstance(self.trace, ArrayTrace) else self.trace.follows
        return Printer(program, names, floats, dict(follows))


def word(
    trace: Trace | ArrayTrace, program: Program, names: Mapping[Var, str] | None = None
) -> Wording:
    """Put a trace in the words of a program that was lowered from it, or in given names."""
    if names is None:
        reserved = ("leaves", "types", trace.function)
        names = name_variables(program, name_inputs(trace.inputs, reserved))
    return Wording(trace, program, _aliases(trace, program), names)


def _aliases(trace: Trace | ArrayTrace, program: Program) -> Aliases:
    """Equal computations are one; a call with a rule of its own is what it computes."""
    inputs = {i.variable: i.path for i in trace.inputs}
    ours = stable_names(trace.primal, inputs, calls_count=False)
    holders: dict[str, Var] = {}
    for variable, name in stable_names(_primal(program), inputs).items():
        holders.setdefault(name, variable)
    present = {*inputs, *(i.target for i in _primal(program))}
    return {
        variable: variable if variable in present else holders[name]
        for variable, name in ours.items()
        if variable in present or name in holders
    }


def _primal(program: Program) -> tuple[Instruction, ...]:
    return tuple(i for s in program.sections if s.title == PRIMAL for i in s.instructions)


def holders(code: Sequence[Instruction], assigned: Iterable[Var]) -> dict[Var, Var]:
    """The statement that computes each variable: its own, or the one that it is written into."""
    own = set(assigned)
    found: dict[Var, Var] = {}
    reader: dict[Var, Var] = {}
    for instruction in code:
        for variable in instruction.variables:
            reader.setdefault(variable, instruction.target)
    for instruction in code:
        holder = instruction.target
        while holder not in own and holder in reader:
            holder = reader[holder]
        if holder in own:
            found[instruction.target] = holder
    return found


def statement_lines(text: str, function: str) -> dict[str, int]:
    """The line on which a function of a generated text assigns each of its names."""
    found = nested_lines(text, function)
    return {name: line for (*scope, name), line in found.items() if not scope}


def nested_lines(text: str, function: str) -> dict[tuple[str, ...], int]:
    """The same, names in functions for steps of loops behind the names of these.

    An empty name stands for where such a function begins. There are none where it is not emitted.
    """
    return {
        name: line
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == function
        for name, line in _assigned(node.body, ())
    }


def _assigned(
    body: Sequence[ast.stmt], scope: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], int]]:
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield (*scope, node.name, ""), node.lineno
            yield from _assigned(node.body, (*scope, node.name))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield (*scope, target.id), node.lineno
