"""What a user may want to know of a source that is differentiated exactly all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gradgen.verify.expectation import Expectation
from gradgen.verify.subject import Subject

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
        shown = ", ".join(f"{path}={value.split(' ')[0]}" for path, value in point(row))
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
    for k, position in enumerate(subject.floats):
        if zero[k].all():
            path = subject.module.trace.outputs[position].path
            yield f"the derivative of output {path} is zero throughout"
    for k, position in enumerate(subject.wrt):
        if zero[:, k].all():
            yield f"the derivative with respect to {subject.paths[position]} is zero throughout"
