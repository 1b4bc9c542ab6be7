"""Loops as text: a function for a step, and `_scan`, which is `lax.scan`, over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradgen.ir.code import Var
from gradgen.ir.loops import Loop
from gradgen.ir.shapes import Dim, written
from gradgen.targets.jax.layout import Doc, call, flat, tuple_of
from gradgen.targets.jax.names import unique


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

    Each statement is one of them, however long.

    `names` are those of what a step is given, `inside` its lines, `results` where its results are
    in it, and `items` what the loop's own results are called, by number.
    """
    first, end = len(loop.constants), len(loop.constants) + len(loop.carry)
    own = set(operands[:first])
    carry, taken = _parameter(unique("carry", own), [names[g.variable] for g in loop.carry])
    given = [names[g.variable] for g in loop.sequences]
    whole = unique("now", own)
    now, seen = _parameter(whole, given)
    if loop.blocks is not None and given:
        now = whole
        seen = [f"{flat(tuple_of(given))} = {now}"]
    count = len(loop.carry)
    steps = "" if loop.blocks is None else f", {loop.blocks.steps}"
    # blank lines as formatters have them
    lines = ["", f"def {step}({carry}, {now}{steps}):"]
    lines += [f"    {line}".rstrip() for line in (*taken, *seen, *inside)]
    after, out = _packed(results[:count]), _packed(results[count:])
    target = [_bound([items.get(k, "_") for k in range(*span)]) for span in _spans(loop)]
    if loop.blocks is not None:
        out = _halves(loop, results[count:])
        if loop.stacked:
            target[1] = _halves(loop, [items.get(k, "_") for k in range(*_spans(loop)[1])])
    lines.append(f"    return {flat(after)}, {flat(out)}")
    left = ", ".join(map(flat, target))
    start = _packed(operands[first:end])
    if loop.blocks is not None:
        found = _blocks(step, loop, start, operands[end:])
    else:
        found = _scan(step, loop, start, operands[end:])
    return [*lines, "", f"{left} = {flat(found)}"]


def _scan(step: str, loop: Loop, start: Doc, sequences: Sequence[str]) -> Doc:
    arguments: list[Doc] = [step, start, _packed(sequences)]
    if not loop.sequences:
        arguments.append(f"length={_written(loop.length)}")
    if loop.reverse:
        arguments.append("reverse=True")
    if loop.unroll > 1:
        arguments.append(f"unroll={loop.unroll}")
    return call("_scan", arguments)


def _blocks(step: str, loop: Loop, start: Doc, sequences: Sequence[str]) -> Doc:
    assert loop.blocks is not None
    timed = [g.shape[:1] == (loop.blocks.steps,) for g in loop.sequences]
    parts, once = (
        tuple_of([s for s, t in zip(sequences, timed, strict=True) if t == wanted])
        for wanted in (True, False)
    )
    arguments: list[Doc] = [step, start, parts, once]
    arguments += [_written(loop.length), _written(loop.blocks.size)]
    if loop.reverse:
        arguments.append("reverse=True")
    return call("_in_blocks", arguments)


def _halves(loop: Loop, parts: Sequence[str]) -> Doc:
    """What is put out step by step, then once a block."""
    each = list(zip(parts, loop.each_step, strict=True))
    return tuple_of([tuple_of([p for p, e in each if e == wanted]) for wanted in (True, False)])


def _written(dim: Dim) -> str:
    return written((dim,))[1:-2]


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
