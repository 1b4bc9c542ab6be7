"""Loops as text: a function for a step, and `lax.scan` over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradgen.ir.code import Var
from gradgen.ir.loops import Loop
from gradgen.ir.shapes import written
from gradgen.targets.jax.layout import WIDTH, Doc, call, flat, in_body, layout, tuple_of


def print_loop(
    step: str,
    loop: Loop,
    operands: Sequence[str],
    names: Mapping[Var, str],
    inside: Sequence[str],
    results: Sequence[str],
    items: Mapping[int, str],
) -> list[str]:
    """The lines of a loop, as they stand in a function's body without its indentation.

    `names` are those of what a step is given, `inside` its lines, `results` where its results are
    in it, and `items` what the loop's own results are called, by number.
    """
    first, end = len(loop.constants), len(loop.constants) + len(loop.carry)
    carry, taken = _parameter("carry", [names[g.variable] for g in loop.carry])
    now, seen = _parameter("now", [names[g.variable] for g in loop.sequences])
    count = len(loop.carry)
    # blank lines as formatters have them
    lines = ["", f"def {step}({carry}, {now}):"]
    lines += [f"    {line}".rstrip() for line in (*taken, *seen, *inside)]
    after, out = _packed(results[:count]), _packed(results[count:])
    lines += [f"    {line}" for line in _returned(after, out)]
    target = [_bound([items.get(k, "_") for k in range(*span)]) for span in _spans(loop)]
    arguments: list[Doc] = [step, _packed(operands[first:end]), _packed(operands[end:])]
    if not loop.sequences:
        arguments.append(f"length={written((loop.length,))[1:-2]}")
    if loop.reverse:
        arguments.append("reverse=True")
    left = ", ".join(map(flat, target))
    return [*lines, "", *in_body(f"{left} = ", call("lax.scan", arguments))]


def _spans(loop: Loop) -> tuple[tuple[int, int], tuple[int, int]]:
    count = len(loop.carry)
    return (0, count), (count, count + len(loop.stacked))


def _parameter(name: str, parts: Sequence[str]) -> tuple[str, list[str]]:
    """What a step calls one of its two arguments, and the statement that takes it apart."""
    if not parts:
        return f"_{name}", []
    if len(parts) == 1:
        return parts[0], []
    return name, [f"{', '.join(parts)} = {name}"]


def _packed(parts: Sequence[str]) -> Doc:
    """Nothing, one thing, or a tuple of several."""
    if not parts:
        return "None"
    return parts[0] if len(parts) == 1 else tuple_of(list(parts))


def _bound(names: Sequence[str]) -> Doc:
    """What results are bound to; an underscore where none of them is read."""
    return "_" if {*names} <= {"_"} else _packed(names)


def _returned(after: Doc, out: Doc) -> list[str]:
    """What a step returns."""
    line = f"return {flat(after)}, {flat(out)}"
    if len(line) <= WIDTH - 8:
        return [line]
    return [part.removeprefix(" " * 8) for part in layout("return ", tuple_of([after, out]), "", 8)]
