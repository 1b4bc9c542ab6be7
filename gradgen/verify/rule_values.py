"""Whether a derivative rule of the source computes the value of the function that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradgen.errors import error_in
from gradgen.verify.floats import Array
from gradgen.verify.ledger import Ledger
from gradgen.verify.subject import Subject
from gradgen.verify.values import differs


def require_values(
    subject: Subject,
    outputs: Sequence[Any],
    differentiated: Sequence[Array],
    scales: Mapping[int, Array],
    random: Array,
    ledger: Ledger,
) -> None:
    """Raise GradgenError where the source has another value once JAX differentiates it.

    `outputs` are its values at the ledger's points, `differentiated` those beside derivatives.
    `random` says which points are random ones, away from ties; `scales` holds the sizes of what is
    added up in outputs. What is off by roundings is the same value.
    """
    source, paths = subject.module.source, [o.path for o in subject.module.trace.outputs]
    for k, (value, derived) in enumerate(zip(outputs, differentiated, strict=True)):
        found = random & differs(derived, value, ledger.precision, scales.get(k))
        if not found.any():
            continue
        row = int(np.flatnonzero(found)[0])
        one, other = (np.broadcast_to(np.asarray(v), found.shape)[row] for v in (value, derived))
        point = ", ".join(f"{path}={shown.split(' ')[0]}" for path, shown in ledger.point(row))
        raise error_in(
            source,
            f"a derivative rule in '{source.function}' computes another value than its function: "
            f"output {paths[k]} is {one}, but {other} when it is differentiated, at {point}",
            hint="a rule has to return the value that the function itself returns",
        )
