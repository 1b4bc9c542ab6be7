"""Prints straight-line code as Python: one assignment a line, short operands written in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.code import WORKING, Atom, Const, Instruction, Var, is_float, uses
from gradgen.ir.loops import ITEM, LOOP, loop_of
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import ACCUMULATION, PRIMAL, Program, Section
from gradgen.ir.references import DEFAULT, dtype_references
from gradgen.ir.results import Kept
from gradgen.targets.dialect import JAX
from gradgen.targets.jax.array_text import spelled
from gradgen.targets.jax.expressions import (
    ATOM,
    BINDING,
    COMPARISON,
    OR,
    POWER,
    TERM,
    UNARY,
    Text,
)
from gradgen.targets.jax.layout import WIDTH
from gradgen.targets.jax.looping import print_loop
from gradgen.targets.jax.names import identifier, name_variables, unique
from gradgen.targets.jax.numbers import Forms, print_number
from gradgen.targets.jax.ties import tie_rules


@dataclass(frozen=True)
class Statement:
    """An assignment in a text."""

    scope: tuple[str, ...]
    """The functions for steps of loops that it stands in, inside of the program's own."""
    name: str
    variable: Var
    text: str
    line: int | None
    """Of the source, that it is the value of."""
    lines: frozenset[int]
    """All those of the source that have a part in it."""


class Printer:
    """Prints a program's sections with given names."""

    def __init__(
        self,
        program: Program,
        names: Mapping[Var, str],
        float_inputs: Sequence[Var],
        follows: Mapping[Var, Var] | None = None,
        width: int = WIDTH - 4,
        written: Mapping[Var, Text] | None = None,
        single: bool = False,
        forms: Forms | None = None,
        of_sizes: Collection[Var] = (),
    ) -> None:
        """`float_inputs` are the inputs whose dtype a conversion may follow; `follows` says which
        one does, where its operand does not tell. Lines have at most `width` characters.
        `written` are expressions that are written wherever they are read; in a `single` precision,
        float32, numbers are as short as they can be; `forms` are what they come from. `of_sizes`
        are numbers of Python, as sizes are and what is computed of these alone."""
        self._names, self._width, self._single = names, width, single
        self._forms = forms or {}
        self._reference = float_inputs[0] if float_inputs else DEFAULT
        self._references = dtype_references(program.instructions, float_inputs, follows or {})
        self._inline = self._inlineable(program)
        self._ties = tie_rules(program.instructions, self._inline)
        self._in_ties = {part for rule in self._ties.values() for part in rule.parts}
        self._pending: dict[Var, Text] = {}
        self._bare: dict[Atom, Text] = {}
        """What is written in place of a conversion where the dtype is that of the other operand."""
        self._lines: dict[Var, frozenset[int]] = {}
        """Of the source, for what is written in place."""
        self._at: dict[Var, int | None] = {i.target: i.line for i in program.instructions}
        self.statements: list[Statement] = []
        """What was printed so far."""
        self._taken = set(names.values())
        """Names of functions for steps too."""
        self._sizes: dict[Var, Text] = dict(written or {})
        self._of_sizes = set(of_sizes)
        self._program = program
        primal = [s for s in program.sections if s.title == PRIMAL]
        self._primal = {i.target for section in primal for i in section.instructions}

    def sections(self) -> list[tuple[str, list[str]]]:
        """Each section's title and lines, without indentation."""
        return [(s.title, self._section(s.instructions)) for s in self._program.sections]

    def atom(self, atom: Atom) -> str:
        """A result: a name or a literal."""
        if isinstance(atom, Const):
            return self._operand(atom).text
        return self._sizes[atom].text if atom in self._sizes else self._names[atom]

    def _inlineable(self, program: Program) -> set[Var]:
        """Variables that are read once, in their own section, and that have no name."""
        count = uses(program.instructions, (a for _, a in program.results))
        for variable in self._references.values():
            count[variable] = count.get(variable, 0) + 1
        hinted = {variable for variable, _ in program.hints}
        # what a loop is given has names
        named = {v for i in program.instructions if i.op == LOOP for v in i.variables}
        results = {atom for _, atom in program.results}
        inline: set[Var] = set()
        for section in program.sections:
            readers = {v for i in section.instructions for v in i.variables}
            primal = section.title == PRIMAL
            inline.update(
                i.target
                for i in section.instructions
                if count.get(i.target) == 1
                and i.target in readers
                and i.target not in results
                and i.target not in named
                and not (primal and i.target in hinted)
            )
        return inline

    def _section(self, instructions: Sequence[Instruction]) -> list[str]:
        lines: list[str] = []
        for instruction in instructions:
            if instruction.op == "size":
                # a name or two, wherever it is read
                self._sizes[instruction.target] = self._expression(instruction)
                self._of_sizes.add(instruction.target)
                continue
            infix, variables = OPERATIONS[instruction.op].infix, instruction.variables
            if infix and variables and self._are_numbers(instruction.operands):
                self._of_sizes.add(instruction.target)
            if instruction.op == LOOP:
                lines += self._loop(instruction)
                continue
            if instruction.op == ITEM or instruction.target in self._in_ties:
                continue
            inlined = [v for v in instruction.variables if v in self._pending]
            parts = {instruction.line, *(n for v in inlined for n in self._lines[v])}
            self._lines[instruction.target] = frozenset(n for n in parts if n is not None)
            text = self._expression(instruction)
            room = self._width - len(f"{self._names[instruction.target]} = ")
            while len(text.text) > room and inlined:
                # write the longest operand on a line of its own
                longest = max(inlined, key=lambda v: len(self._pending[v].text))
                lines.append(self._assign(longest, self._pending.pop(longest)))
                inlined.remove(longest)
                text = self._expression(instruction)
            for variable in inlined:
                del self._pending[variable]
            if instruction.target in self._inline:
                self._pending[instruction.target] = text
            else:
                lines.append(self._assign(instruction.target, text))
        return lines

    def _assign(self, variable: Var, text: Text) -> str:
        name = self._names[variable]
        said = f"{name} = {text.text}"
        at, lines = self._at[variable], self._lines[variable]
        self.statements.append(Statement((), name, variable, said, at, lines))
        return said

    def _loop(self, instruction: Instruction) -> list[str]:
        """A function for a step, and the loop."""
        loop = loop_of(instruction)
        texts = [self._operand(a) for a in instruction.operands]
        operands = [text.text for text in texts]
        items = {
            i.attribute("index"): self._names[i.target]
            for i in self._program.instructions
            if i.op == ITEM and i.operands == (instruction.target,)
        }
        name = "step" if loop.blocks is None else "block"
        step = unique(f"{name}_back" if loop.reverse else name, self._taken)
        taken = {*self._taken, *(text for text in operands if text.isidentifier())}
        names = dict(zip((g.variable for g in loop.constants), operands, strict=False))
        hints = dict(loop.hints)
        if loop.blocks is not None:
            taken.add(loop.blocks.steps)
            # what is read in parts is called after the whole
            pairs = zip(reversed(loop.sequences), reversed(operands), strict=False)
            hints = {g.variable: text for g, text in pairs if text.isidentifier()} | hints
        for g in (*loop.carry, *loop.sequences):
            names[g.variable] = unique(identifier(hints.get(g.variable, "x")), taken)
        program = Program(
            tuple(g.variable for g in loop.given),
            (Section(PRIMAL if instruction.target in self._primal else ACCUMULATION, loop.code),),
            tuple((Kept(str(k)), a) for k, a in enumerate(loop.results)),
            loop.hints,
        )
        reserved = {f"%{name}": name for name in taken}
        given = [g for g in loop.given if g.dtype == "float"]
        floats = [g.variable for g in sorted(given, key=lambda g: not g.shape)]
        if not floats and self._reference != DEFAULT:
            floats, names[self._reference] = [self._reference], self._names[self._reference]
        inner = Printer(
            program,
            name_variables(program, reserved | names),
            floats,
            width=self._width - 4,
            written=dict(zip((g.variable for g in loop.constants), texts, strict=False)),
            single=self._single,
            forms=self._forms,
            of_sizes=[
                g.variable
                for g, a in zip(loop.constants, instruction.operands, strict=False)
                if a in self._of_sizes
            ],
        )
        inside = [line for _, lines in inner.sections() for line in lines]
        self.statements += [replace(s, scope=(step, *s.scope)) for s in inner.statements]
        results = [inner.atom(a) for a in loop.results]
        return print_loop(step, loop, operands, names, inside, results, items)

    def _operand(self, atom: Atom) -> Text:
        if isinstance(atom, Const):
            return print_number(atom, self._forms, single=self._single)
        return self._sizes.get(atom) or self._pending.get(atom) or Text(self._names[atom])

    def _are_numbers(self, operands: Sequence[Atom]) -> bool:
        """Whether operands are numbers of Python, which computes with them."""
        return all(isinstance(a, Const) or a in self._of_sizes for a in operands)

    def _beside_each_other(self, operands: Sequence[Atom]) -> list[Text]:
        """Both operands of a sign: a number of Python takes the dtype of what it meets."""
        bare = [a for a in operands if isinstance(a, str) and a in self._bare]
        if len(bare) == 1 and not self._are_numbers([a for a in operands if a not in bare]):
            return [self._bare.get(a) or self._operand(a) for a in operands]
        return [self._operand(a) for a in operands]

    def _quotient_of_numbers(self, instruction: Instruction) -> Text:
        """Python raises where the divisor is zero, as a number of samples less one may be."""
        above, (left, right) = instruction.operands[0], map(self._operand, instruction.operands)
        infinite = f"jnp.inf * {left.within(TERM + 1)}"
        if isinstance(above, Const) and above.value:
            infinite = "jnp.inf" if above.value > 0 else "-jnp.inf"
        quotient = f"{left.within(TERM)} / {right.within(TERM + 1)}"
        return Text(f"{quotient} if {right.text} else {infinite}", 0)

    def _expression(self, instruction: Instruction) -> Text:
        rule = self._ties.get(instruction.target)
        if rule is not None:
            return self._call("_larger", [self._operand(a) for a in (rule.larger, rule.smaller)])
        op, operands = instruction.op, [self._operand(a) for a in instruction.operands]
        # Python would compute with numbers alone in its own precision
        numbers = all(isinstance(a, Const) for a in instruction.operands)
        if op in ("div", "rem") and not is_float(instruction.dtype):
            return self._call(f"lax.{op}", self._alike(operands))
        if op == "ne" and instruction.operands[0] == instruction.operands[1]:
            return self._call("jnp.isnan", operands[:1])
        if op == "div" and not numbers and self._are_numbers(instruction.operands):
            divisor = instruction.operands[1]
            if not isinstance(divisor, Const) and divisor not in self._sizes:
                return self._quotient_of_numbers(instruction)
        operation = OPERATIONS[op]
        if operation.kind == "array":
            dtype = self._dtype_text(instruction)
            as_source = instruction.target in self._primal
            return spelled(instruction, operands, dtype, as_source=as_source)
        if operation.infix and not numbers:
            sign, binding = operation.infix, BINDING[operation.infix]
            left, right = self._beside_each_other(instruction.operands)
            if binding == COMPARISON:
                return Text(f"{left.within(OR)} {sign} {right.within(OR)}", binding)
            return Text(f"{left.within(binding)} {sign} {right.within(binding + 1)}", binding)
        match op:
            case "neg" if not numbers:
                return Text(f"-{operands[0].within(UNARY)}", UNARY)
            case "not":
                return Text(f"~{operands[0].within(UNARY)}", UNARY)
            case "pow" if not numbers:
                return self._power(operands[0], operands[1])
            case "integer_pow" if not numbers:
                return self._power(operands[0], Text(str(instruction.attribute("y"))))
            case "integer_pow":
                exponent = str(instruction.attribute("y"))
                return self._call("lax.integer_pow", [*operands, Text(exponent)])
            case "clamp":
                low, x, high = operands
                return self._call("jnp.clip", [x, low, high])
            case "convert":
                return self._convert(instruction, operands[0])
            case "convert_like":
                value, like = operands
                if isinstance(instruction.operands[0], Const):
                    return Text(f"jnp.asarray({value.text}, {like.text}.dtype)")
                return Text(f"{value.within(ATOM)}.astype({like.text}.dtype)")
            case "finfo":
                reference = self._dtype_of(self._references[instruction.target])
                if reference == "float":
                    reference = "jnp.result_type(float)"  # NumPy's own is float64 always
                return Text(f"jnp.finfo({reference}).{instruction.attribute('field')}")
            case "round":
                if instruction.attribute("mode") == "even":
                    return self._call("jnp.round", operands)
                return Text(f"lax.round({operands[0].text}, lax.RoundingMethod.AWAY_FROM_ZERO)")
            case "reduce_precision":
                bits = [Text(str(value)) for _, value in instruction.attributes]
                return self._call("lax.reduce_precision", [*operands, *bits])
            case "library":
                return self._call(f"jnp.{instruction.attribute('function')}", operands)
            case "derivative":
                function, slot = (
                    instruction.attribute("function"),
                    instruction.attribute("argument"),
                )
                alike = self._alike(operands)
                return self._call("_derivative", [Text(str(function)), Text(str(slot)), *alike])
        dtype, values = instruction.dtype, instruction.operands[1:]
        of_its_own = not is_float(dtype) and dtype not in ("int", "bool")
        if op == "select" and of_its_own and all(isinstance(a, Const) for a in values):
            # numbers alone would be of JAX's default integer
            operands[1] = Text(f"jnp.{dtype}({operands[1].text})")
        function = JAX.function(operation)
        if function.startswith("lax."):
            operands = self._alike(operands)
        return self._call(function, operands)

    def _alike(self, operands: list[Text]) -> list[Text]:
        """The operands of a function of `jax.lax`, which all need one dtype and one shape."""
        return [Text(f"*{self._call('_alike', operands).text}")] if len(operands) > 1 else operands

    def _dtype_text(self, instruction: Instruction) -> str:
        """The dtype of a result that no operand gives it."""
        dtype = instruction.dtype
        if dtype in WORKING:
            return self._dtype_of(self._reference)
        if dtype == "uint":
            return "jnp.uint32"  # JAX numbers things with it, which 32 bits are enough for
        return dtype if dtype in ("int", "bool") else f"jnp.{dtype}"

    def _dtype_of(self, variable: Var) -> str:
        if self._single:
            return "jnp.float32"
        return "float" if variable == DEFAULT else f"{self._names[variable]}.dtype"

    def _call(self, function: str, operands: Sequence[Text]) -> Text:
        return Text(f"{function}({', '.join(o.text for o in operands)})")

    def _power(self, base: Text, exponent: Text) -> Text:
        simple = base.text.isidentifier() and exponent.text.lstrip("-").replace(".", "").isalnum()
        sign = "**" if simple else " ** "
        return Text(f"{base.within(ATOM)}{sign}{exponent.within(UNARY)}", POWER)

    def _convert(self, instruction: Instruction, operand: Text) -> Text:
        dtype = instruction.dtype
        constant = isinstance(instruction.operands[0], Const)
        if dtype == "weak":
            if instruction.attribute("from") == "bool":
                return self._call("jnp.where", [operand, Text("1.0"), Text("0.0")])
            return Text(f"{operand.within(TERM)} * 1.0", TERM)
        if dtype == "float":
            target = self._dtype_of(self._references[instruction.target])
        else:
            target = dtype if dtype in ("int", "bool") else f"jnp.{dtype}"
        if constant or instruction.operands[0] in self._of_sizes:
            if instruction.target in self._inline and dtype == "float":
                self._bare[instruction.target] = operand
            return Text(f"jnp.asarray({operand.text}, {target})")
        return Text(f"{operand.within(ATOM)}.astype({target})")
