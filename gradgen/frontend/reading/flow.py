"""Follows values through statements and expressions, and notes how they are used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst

from gradgen.frontend.reading.strings import concatenated, has_string, unescaped
from gradgen.frontend.reading.syntax import Syntax, children, elements
from gradgen.frontend.reading.uses import (
    UNKNOWN,
    AccessKind,
    Entries,
    Names,
    Place,
    Use,
    UseKind,
    Value,
)

_DISPLAYS = (cst.Tuple, cst.List, cst.Dict)


@dataclass(eq=False)
class Notes:
    """What all frames of one reading share."""

    syntax: Syntax
    instance: str | None = None
    """The argument that takes the instance, where a method is read."""
    methods: Mapping[str, cst.FunctionDef] = field(default_factory=dict)
    """Those of its class."""
    constants: Mapping[str, int | str] = field(default_factory=dict)
    """What is known of the instance's attributes, by dotted path."""
    module_names: Names = field(default_factory=dict)
    uses: dict[Use, None] = field(default_factory=dict)
    """In order and without repetitions."""
    active: list[cst.CSTNode] = field(default_factory=list)
    results: dict[Hashable, Value] = field(default_factory=dict)
    """Of the module's functions, by what they were called with."""


@dataclass(eq=False)
class Flow(ABC):
    """The names of one activation of a function, or of the module, as its statements run."""

    notes: Notes
    names: Names
    result: Value | None = None

    @abstractmethod
    def closure(self, node: cst.FunctionDef | cst.Lambda) -> Value:
        """The value of a function defined here."""

    @abstractmethod
    def call(self, node: cst.Call) -> Value:
        """The value of a call, noting the uses in it."""

    # Statements

    def run(self, node: cst.CSTNode) -> None:
        """Follow a statement or a block; what is not listed is only searched for expressions."""
        match node:
            case cst.FunctionDef(name=cst.Name(value=name)):
                self.names[name] = self.closure(node)
            case cst.ClassDef() | cst.Import() | cst.ImportFrom():
                pass
            case cst.If(test=test, body=body, orelse=orelse):
                self.value(test)
                self.branches(body, orelse)
            case cst.For(target=target, iter=iterated, body=body, orelse=orelse):
                self.iterate(target, iterated)
                self.branches(body, orelse)
            case cst.While(test=test, body=body, orelse=orelse):
                self.value(test)
                self.branches(body, orelse)
            case cst.Assign(targets=targets, value=assigned):
                value = self.value(assigned)
                for each in targets:
                    self.bind(each.target, value)
            case cst.AnnAssign(target=target, value=cst.BaseExpression() as assigned):
                self.bind(target, self.value(assigned))
            case cst.AugAssign(target=target, value=operand):
                self.arithmetic(target, operand)
                self.bind(target, UNKNOWN)
            case cst.Return(value=cst.BaseExpression() as returned):
                value = self.value(returned)
                self.result = value if self.result is None else self.result.join(value)
            case _:
                self.descend(node)

    def descend(self, node: cst.CSTNode) -> None:
        """Follow everything inside a node that itself means nothing here."""
        for child in children(node):
            if isinstance(child, cst.BaseExpression):
                self.value(child)
            else:
                self.run(child)

    def branches(self, *bodies: cst.CSTNode | None) -> None:
        """Follow bodies of which one is run, None for the empty one."""
        before, after = dict(self.names), Names()
        for body in bodies:
            # The same dict throughout: functions defined here look up names in it.
            self.names.clear()
            self.names.update(before)
            if body is not None:
                self.run(body)
            for name, value in self.names.items():
                after[name] = after[name].join(value) if name in after else value
        self.names.update(after)

    def iterate(self, target: cst.BaseExpression, iterated: cst.BaseExpression) -> None:
        """A loop over a value: of which the parts are not followed."""
        self.note(self.value(iterated), "open", iterated, how="iterated over")
        self.bind(target, UNKNOWN)

    def bind(self, target: cst.BaseExpression, value: Value) -> None:
        """Give a value to a target of any form."""
        if isinstance(target, cst.Name):
            self.names[target.value] = value
        elif isinstance(target, cst.Tuple | cst.List):
            for inner, part in zip(target.elements, self.unpack(target, value), strict=True):
                self.bind(inner.value, part)
        else:
            self.value(target)

    def unpack(self, target: cst.Tuple | cst.List, value: Value) -> Sequence[Value]:
        """The parts of a value that is unpacked into a display of targets."""
        count = len(target.elements)
        if elements(target) is None:
            self.note(value, "open", target, how="unpacked with a star")
            return [UNKNOWN] * count
        if value.parts is not None and len(value.parts) == count:
            return value.parts
        self.note(value, "unpacked", target, count=count)
        return [self.part(value, "item", index, target) for index in range(count)]

    # Expressions

    def value(self, node: cst.BaseExpression) -> Value:
        """What is known of an expression's value, noting the uses in it."""
        match node:
            case cst.Name(value=name):
                return self.names.get(name, UNKNOWN)
            case cst.Integer() | cst.SimpleString():
                constant = node.evaluated_value
                return Value(constant=constant) if isinstance(constant, int | str) else UNKNOWN
            case cst.FormattedString():
                return Value(constant=self.formatted(node))
            case cst.ConcatenatedString(left=left, right=right):
                return Value(constant=concatenated(self.value(left), self.value(right)))
            case cst.UnaryOperation(operator=operator, expression=operand):
                value = self.value(operand)
                if isinstance(operator, cst.Minus) and isinstance(value.constant, int):
                    return Value(constant=-value.constant)
                if not isinstance(operator, cst.Not):
                    self.note(value, "number", operand)
            case cst.Tuple() | cst.List() if elements(node) is not None:
                return Value(parts=tuple(self.value(part) for part in elements(node) or ()))
            case cst.Dict(elements=items):
                return self.display(items)
            case cst.StarredElement(value=spread):
                self.note(self.value(spread), "open", spread, how="spread with a star")
            case cst.Attribute(value=base, attr=cst.Name(value=name)):
                return self.part(self.value(base), "field", name, node)
            case cst.Subscript():
                return self.subscript(node)
            case cst.Call():
                return self.call(node)
            case cst.BinaryOperation(left=left, operator=operator, right=right):
                operands = self.arithmetic(left, right)
                if isinstance(operator, cst.Add):
                    return Value(constant=concatenated(*operands))
            case cst.BooleanOperation(left=left, right=right):
                return self.value(left).join(self.value(right))
            case cst.Comparison():
                self.compare(node)
            case cst.IfExp(test=test, body=body, orelse=orelse):
                self.value(test)
                return self.value(body).join(self.value(orelse))
            case cst.NamedExpr(target=target, value=assigned):
                value = self.value(assigned)
                self.bind(target, value)
                return value
            case cst.Lambda():
                return self.closure(node)
            case cst.BaseComp():
                self.comprehension(node)
            case _:
                self.descend(node)
        return UNKNOWN

    def display(self, items: Sequence[cst.BaseDictElement]) -> Value:
        """A dict as it is written, with other dicts spread into it."""
        entries: list[tuple[str | None, Value]] = []
        places: frozenset[Place] = frozenset()
        has_all_keys = True
        for item in items:
            value = self.value(item.value)
            if isinstance(item, cst.DictElement):
                key = self.value(item.key).constant
                has_all_keys &= isinstance(key, str)
                entries.append((str(key), value))
            else:
                self.note(value, "spread", item.value)
                places |= value.places
                entries += [(None, value)] if value.entries is None else value.entries
        return Value(places, entries=tuple(entries) if has_all_keys else None)

    def entry(self, entries: Entries, key: str, node: cst.CSTNode) -> Value:
        """What a dict holds at a key: what is written last, or what is spread into it.

        Which it is hangs on the keys of what is passed if that is spread over others.
        """
        last = max((k for k, (name, _) in enumerate(entries) if name == key), default=0)
        holders = [(name, value) for name, value in entries[last:] if name in (key, None)]
        if len(holders) == 1:
            ((name, value),) = holders
            return self.part(value, "key", key, node) if name is None else value
        for name, value in holders:
            if name is None:
                self.note(value, "open", node, how="spread over another dict, and read")
        return UNKNOWN

    def formatted(self, node: cst.FormattedString) -> str | None:
        """What an f-string of constants comes to; None for another one."""
        found: list[str | None] = []
        for part in node.parts:
            match part:
                case cst.FormattedStringText(value=text):
                    found.append(unescaped(node, text))
                case cst.FormattedStringExpression(
                    expression=inner, conversion=None, format_spec=None, equal=None
                ):
                    constant = self.value(inner).constant
                    found.append(None if constant is None else str(constant))
                case _:
                    self.descend(part)
                    found.append(None)
        return None if None in found else "".join(map(str, found))

    def note(
        self, value: Value, kind: UseKind, node: cst.CSTNode, count: int = 0, how: str = ""
    ) -> None:
        """Note a use of every place that a value may come from."""
        for place in value.places:
            position = self.notes.syntax.position(node)
            self.notes.uses[Use(place, kind, position, count, how)] = None

    def part(self, value: Value, kind: AccessKind, name: str | int, node: cst.CSTNode) -> Value:
        """A part of a value, noted as read."""
        if kind == "item" and value.parts and isinstance(name, int):
            return value.parts[name] if -len(value.parts) <= name < len(value.parts) else UNKNOWN
        if kind == "key" and value.entries is not None:
            return self.entry(value.entries, str(name), node)
        places = frozenset(place.part(kind, name) for place in value.places)
        known = {self.notes.constants.get(place.pretty()) for place in places}
        found = Value(places, constant=known.pop() if len(known) == 1 else None)
        self.note(found, "read", node)
        return found

    def subscript(self, node: cst.Subscript) -> Value:
        """The value of `state[...]`, a part if the index is a constant."""
        base = self.value(node.value)
        indices = [element.slice for element in node.slice]
        match indices:
            case [cst.Index(value=index)]:
                constant = self.value(index).constant
                if isinstance(constant, int):
                    return self.part(base, "item", constant, node)
                if isinstance(constant, str):
                    return self.part(base, "key", constant, node)
                if isinstance(index, cst.Ellipsis) or index.deep_equals(cst.Name("None")):
                    self.note(base, "number", node)
                else:
                    self.note(base, "open", node, how="indexed by something that is no constant")
            case [cst.Slice()]:
                self.note(base, "open", node, how="sliced")
            case _:
                # Only arrays take several indices.
                self.note(base, "number", node)
        for element in node.slice:
            self.descend(element)
        return UNKNOWN

    def arithmetic(self, left: cst.BaseExpression, right: cst.BaseExpression) -> list[Value]:
        """Follow the operands of an arithmetic operation."""
        operands = []
        for node, other in ((left, right), (right, left)):
            operands.append(self.value(node))
            if isinstance(other, _DISPLAYS):
                self.note(operands[-1], "open", node, how="combined with another container")
            else:
                self.note(operands[-1], "number", node)
        return operands

    def compare(self, node: cst.Comparison) -> None:
        """Follow the operands of a comparison: with strings, they are Python values."""
        left, left_value = node.left, self.value(node.left)
        for comparison in node.comparisons:
            right, right_value = comparison.comparator, self.value(comparison.comparator)
            match comparison.operator:
                case cst.Is() | cst.IsNot():
                    pass
                case cst.In() | cst.NotIn():
                    kind: UseKind = "static" if has_string(right_value) else "number"
                    self.note(left_value, kind, left)
                    self.note(right_value, "open", right, how="searched with `in`")
                case _:
                    strings = has_string(left_value) or has_string(right_value)
                    kind = "static" if strings else "number"
                    self.note(left_value, kind, left)
                    self.note(right_value, kind, right)
            left, left_value = right, right_value

    def comprehension(self, node: cst.BaseComp) -> None:
        """Follow a comprehension, which has names of its own."""
        inner = type(self)(self.notes, dict(self.names))
        loop: cst.CompFor | None = node.for_in
        while loop is not None:
            inner.iterate(loop.target, loop.iter)
            for condition in loop.ifs:
                inner.value(condition.test)
            loop = loop.inner_for_in
        if isinstance(node, cst.DictComp):
            inner.value(node.key)
            inner.value(node.value)
        elif isinstance(node, cst.BaseSimpleComp):
            inner.value(node.elt)
