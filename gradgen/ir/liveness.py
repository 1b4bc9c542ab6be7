"""How much is held at once while values are made one after the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def most_held(
    sizes: Sequence[int],
    reads: Sequence[Collection[int]],
    kept: Collection[int],
    within: Sequence[int],
) -> int:
    """The most that is held at a time.

    Values are numbered, and `sizes` has what each takes. The last ones are made by steps, one each;
    `reads` has the values that a step reads. Those before them are there from the step that reads
    them first. Each is held until the last step that reads it, and what is `kept` to the end. It is
    counted as a step reads its operands, with what it holds `within` itself, and as it has written
    its result, which may take the place of an operand that is read there for the last time.
    """
    given = len(sizes) - len(reads)
    last = {value: k for k, operands in enumerate(reads) for value in operands}
    last.update(dict.fromkeys(kept, len(reads)))
    known: set[int] = set()
    held = most = 0
    for k, operands in enumerate(reads):
        held += sum(sizes[v] for v in {*operands} - known if v < given)
        known.update(operands)
        most = max(most, held + within[k])
        held += sizes[given + k] - sum(sizes[v] for v in {*operands} if last[v] == k)
        most = max(most, held)
    return max(most, sum(sizes[value] for value in {*kept}))
