"""How many derivatives a program gives that are finite, at points where that is in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradgen.ir.program import Program
from gradgen.ir.results import OutputValue
from gradgen.ir.trace import Trace
from gradgen.verify.compiling import precision
from gradgen.verify.evaluate import Evaluator
from gradgen.verify.floats import widest
from gradgen.verify.verdict import Points


def finite_results(program: Program, trace: Trace, points: Sequence[Points]) -> int:
    """The number of finite derivatives at all points; vectors to multiply by are all ones."""
    found = 0
    for some in points:
        values = dict(zip((i.variable for i in trace.inputs), some.leaves, strict=True))
        count = len(some.leaves[0])
        with precision(some.dtype):
            evaluator = Evaluator(some.dtype, exact=False)
            ones = np.ones(count, some.dtype)
            values = {variable: values.get(variable, ones) for variable in program.inputs}
            values = evaluator.run(program.instructions, values)
            for key, atom in program.results:
                if not isinstance(key, OutputValue):
                    result = widest(np.asarray(evaluator.atom(atom, values)))
                    found += int(np.isfinite(np.broadcast_to(result, (count,))).sum())
    return found
