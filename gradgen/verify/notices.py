"""What a user may want to know of a source that is differentiated exactly all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gradgen.verify.expectation import Expectation
from gradgen.verify.subject import Subject

_SHOWN = 8
"""So many numbers of a point are shown at most."""

Point = tuple[tuple[str, str], ...]


def notices(
    subject: Subject,
    dtype: str,
    expectation: Expectation,
    point: Callable[[int], Point],
) -> Iterator[str]:
    """Ranges in which JAX's derivative is not finite; derivatives that are zero throughout.

    `point` says how a point is shown.
    """
    reference, random = expectation.reference, ~expectation.on_tie
    broken = np.zeros(random.shape, bool)
    zero = np.ones((len(subject.floats), len(subject.wrt)), bool)
    for mode in reference.modes:
        finite = np.isfinite(mode)
        broken |= random & ~finite.all((0, 1))
        zero &= ((mode == 0) | ~finite).all(2)
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        leaves = [f"{path}={value.split(' ')[0]}" for path, value in point(row)]
        shown = ", ".join([*leaves[:_SHOWN], *(["..."] if leaves[_SHOWN:] else [])])
        yield (
            f"JAX's derivative is not finite at {int(broken.sum())} of {int(random.sum())} "
            f"random points in {dtype}, for example at {shown}"
        )
    left_out = int(expectation.skipped.sum())
    if left_out:
        yield (
            f"{left_out} of {len(random)} points in {dtype} are left out, as JAX's derivative is "
            "finite in no mode there and no range is stated (--range)"
        )
    outputs = [subject.module.trace.outputs[k].path for k in subject.floats]
    inputs = [subject.paths[k] for k in subject.wrt]
    for what, names, none in (
        ("of output", outputs, zero.all(1)),
        ("with respect to", inputs, zero.all(0)),
    ):
        if none.any():
            named = ", ".join(names[k] for k in np.flatnonzero(none))
            yield f"the derivative {what} {named} is zero throughout"
