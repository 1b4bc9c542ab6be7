"""A generated text beside its source, on arrays of one set of sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import GradgenError
from gradgen.ir.emitted import STEP, EmittedFunction
from gradgen.verify.array_ledger import ArrayLedger
from gradgen.verify.array_locality import Couplings, couplings_of
from gradgen.verify.array_online import ONLINE, learned_of
from gradgen.verify.array_points import Sample, Sizes, shown
from gradgen.verify.array_programs import (
    SCAN,
    Results,
    generated_program,
    other_mode,
    source_program,
)
from gradgen.verify.array_rule import judge_array, judge_bits
from gradgen.verify.eager import Program
from gradgen.verify.floats import Array
from gradgen.verify.generated import Generated
from gradgen.verify.noise import ONE_WAY, apart, draw_signs, moved
from gradgen.verify.subject import ArraySubject, result_leaves
from gradgen.verify.verdict import Failure

_RUNS = (4, 16)
"""How often JAX's results are moved by roundings, and how often where that does not suffice: of a
single number a few do not tell how far it moves. Then all roundings go one way, too."""

_SUMS = frozenset(("reduce_sum", "reduce_prod"))
"""What the text may add up in another order: block by block, over time."""

Arguments = tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array, ...]]
"""Leaves, cotangents and tangents."""


@dataclass(frozen=True)
class Trial:
    """What is compared at one set of sizes."""

    generated: Generated
    ledger: ArrayLedger
    sizes: Sizes
    samples: Sequence[Sample]
    scanned: bool
    """Whether to take gradients through a scan, too."""
    mapped: bool
    """Whether the generated functions are mapped over the samples with `jax.vmap`, and not called
    for one after the other; the source, which says what is due, is never mapped."""

    def run(self) -> None:
        """Compare everything, and write it down.

        Raises GradgenError if JAX itself does not differentiate the source.
        """
        calls = self._calls
        try:
            source = self._source
        except Exception as error:
            raise self._not_differentiated(error) from error
        try:
            found = self._found()
        except Exception as error:
            self._find_what_raises(error)
            return
        self.ledger.samples += len(self.samples)
        self.ledger.on_ties += sum(sample.on_ties for sample in self.samples)
        for number, results in enumerate(found):
            self._compare(number, source(*calls[number]), results)

    @property
    def is_possible(self) -> bool:
        """Whether the source runs so, with its derivatives."""
        try:
            self._evaluate_shapes(self._differentiated)
        except Exception:
            return False
        return True

    @cached_property
    def _subject(self) -> ArraySubject:
        return self.generated.subject

    @property
    def _functions(self) -> tuple[EmittedFunction, ...]:
        return self._subject.module.functions

    @cached_property
    def _calls(self) -> list[Arguments]:
        """The samples as arguments."""
        return [(s.leaves, s.cotangents, s.tangents) for s in self.samples]

    @cached_property
    def _stacked(self) -> Arguments:
        """All samples at once."""
        stacked: Arguments = jax.tree.map(_stacked, *self._calls)
        return stacked

    @cached_property
    def _parts(self) -> list[str]:
        """What there is to compare."""
        functions = self._functions
        parts = {part for f in functions for part in (*f.returns, f.rule) if part}
        if "traces" in parts:
            # they are what gradients come of
            parts -= {"traces"}
            # where sizes are equal, nothing tells what goes to other neurons
            if not self._leaves_out or len({*self.sizes.values()}) == len(self.sizes):
                parts.add(ONLINE)
        if self.scanned and any(f.name == STEP for f in functions) and self._is_scannable:
            parts.add(SCAN)
        return sorted(parts)

    @property
    def _is_scannable(self) -> bool:
        """Whether the source has a state that keeps its shapes and dtypes, and gradients go through
        steps: what is held constant has no tangent after a step, either."""
        trace = self._subject.module.trace
        floats = {o.path for o in trace.float_outputs}
        goes_on = {o for _, o in trace.differentiated_state} | {*trace.still}
        if not all(o in goes_on for _, o in trace.recurrence if o in floats):
            return False
        if not trace.recurrence:
            return False
        try:
            jax.eval_shape(source_program(self._subject, [SCAN]), *self._calls[0])
        except Exception:
            return False
        return True

    @cached_property
    def _source(self) -> Program:
        return Program(self._differentiated, *self._calls[0])

    @cached_property
    def _differentiated(self) -> Callable[..., Results]:
        couplings: Couplings = frozenset()
        if self._leaves_out and ONLINE in self._parts:
            first = self.samples[0].leaves
            locality = self._leaves_out
            couplings = couplings_of(self._subject, first, self.sizes, locality)
        return source_program(self._subject, self._parts, couplings)

    @property
    def _leaves_out(self) -> str:
        """By which locality traces leave something out; empty if they do not."""
        traces = self._subject.module.traces
        return traces.eligibility.locality if traces is not None and traces.left_out else ""

    def _generated(self, functions: Sequence[EmittedFunction]) -> Callable[..., dict[str, Results]]:
        result = jax.eval_shape(lambda *flat: self._subject.source(flat), *self.samples[0].leaves)
        return generated_program(self.generated, functions, self._parts, result)

    def _found(self) -> Iterable[dict[str, Results]]:
        """What the generated functions give of each sample."""
        program = self._generated(self._functions)
        if not self.mapped:
            compiled = Program(program, *self._calls[0])
            return (compiled(*call) for call in self._calls)
        found = Program(jax.vmap(program), *self._stacked)(*self._stacked)
        return (_row(found, number) for number in range(len(self._calls)))

    def _evaluate_shapes(self, program: Callable[..., Any]) -> None:
        """Trace a program as the generated functions run; raises what that raises."""
        if self.mapped:
            jax.eval_shape(jax.vmap(program), *self._stacked)
        else:
            jax.eval_shape(program, *self._calls[0])

    def _find_what_raises(self, together: Exception) -> None:
        """Blame the functions that raise by themselves; the first one if it is none of them."""
        raised: dict[str, Exception] = {}
        for function in self._functions:
            try:
                self._evaluate_shapes(self._generated([function]))
            except Exception as error:
                raised[function.name] = error
        for name, one in (raised or {self._functions[0].name: together}).items():
            first = str(one).strip().split("\n", 1)[0]
            self._fail(name, "", f"raises {type(one).__name__}: {first}")

    def _not_differentiated(self, error: Exception) -> GradgenError:
        found = self._subject.module.source
        return GradgenError(
            f"JAX itself does not differentiate '{found.function}'",
            hint=f"{type(error).__name__}: {error}".split("\n", 1)[0],
            path=found.path,
            line=found.position.line,
            column=found.position.column,
        )

    def _compare(self, sample: int, due: Results, found: dict[str, Results]) -> None:
        call = self._calls[sample]
        owns = [_Lazily(partial(self._own, sample, due, runs)) for runs in _RUNS]
        for part in self._parts:
            other = _Lazily(partial(self._other, part, call))
            for function, results in found.items():
                for number, array in enumerate(results.get(part, ())):
                    arrays = _numbers(array), _numbers(due[part][number])
                    self._judge(function, part, number, *arrays, owns, other)

    def _judge(
        self,
        function: str,
        part: str,
        number: int,
        found: Array,
        due: Array,
        owns: Sequence[Callable[[], dict[str, list[float]]]],
        other: Callable[[], list[Array] | None],
    ) -> None:
        outputs, trace = self._subject.module.trace.outputs, self._subject.module.trace
        derived = [outputs[k].path for k in self._subject.floats]
        inputs = [i.path for i in trace.inputs if i.wrt]
        learned = [self._subject.paths[k] for k in learned_of(self._subject)]
        pairs = [f"{output} by {path}" for output in derived for path in inputs]
        paths = {
            "result": [o.path for o in outputs],
            "tangents": derived,
            "jacobian": pairs,
            "entries": pairs,
            ONLINE: learned,
        }.get(part, inputs)
        where = ("vmapped " if self.mapped else "") + f"{part} {paths[number]}"
        if (found.shape, found.dtype) != (due.shape, due.dtype):
            message = f"is {found.dtype}{found.shape} where {due.dtype}{due.shape} is due"
            self._fail(function, where, message)
            return
        floats = np.issubdtype(due.dtype, np.floating) or due.dtype.name == "bfloat16"
        exactly = not floats or (part == "result" and self._has_one_value)
        if exactly:
            self.ledger.write(function, shown(self.sizes), where, judge_bits(found, due))
            return

        def of_other() -> Array | None:
            arrays = other()
            return None if arrays is None else arrays[number]

        def of(own: Callable[[], dict[str, list[float]]]) -> Callable[[], float]:
            return lambda: own()[part][number]

        few, more = map(of, owns)
        judged = judge_array(found, due, few, of_other)
        if judged.difference is not None:
            judged = judge_array(found, due, more, of_other)
        self.ledger.write(function, shown(self.sizes), where, judged)

    @cached_property
    def _has_one_value(self) -> bool:
        """Whether the source's operations round the same, as they run in the generated text.

        Sums may be taken in another order there, and XLA approximates an array otherwise than the
        row of one.
        """

        def source(*leaves: Any) -> list[Any]:
            return result_leaves(self._subject.source(leaves))

        program = Program(source, *self.samples[0].leaves)
        if program.adds_up or not program.primitives.isdisjoint(_SUMS):
            return False
        return program.is_defined or not self.mapped

    def _own(self, sample: int, due: Results, count: int) -> dict[str, list[float]]:
        """How far so many runs with other roundings move each of JAX's results at most, and that of
        its other mode where it is not finite; mapping does, too."""
        call = self._calls[sample]
        signs = draw_signs(count) + (ONE_WAY if count == _RUNS[-1] else [])
        runs: list[Results] = [
            moved(self._source, *call, signs=one, with_arguments=True) for one in signs
        ]
        if self._source_mapped is not None:
            row = _row(self._source_mapped, sample)
            runs.append(jax.tree.map(apart, due, row))

        def largest(arrays: Sequence[Any]) -> float:
            sizes = np.asarray([_numbers(array) for array in arrays], np.float64)
            return float(sizes[np.isfinite(sizes)].max(initial=0.0))

        found = {}
        for part in self._parts:
            moves = [run[part] for run in runs]
            finite = (np.isfinite(np.asarray(_numbers(a), np.float64)).all() for a in due[part])
            if not all(finite) and (other := self._others(part)) is not None:
                moves += [moved(other, *call, signs=one, with_arguments=True) for one in signs]
            found[part] = [largest(arrays) for arrays in zip(*moves, strict=True)]
        return found

    @cached_property
    def _source_mapped(self) -> Results | None:
        """What JAX makes of the source where that is mapped as well, if it can be.

        XLA approximates a function of one number otherwise than of many.
        """
        if not self.mapped:
            return None
        try:
            found: Results = Program(jax.vmap(self._differentiated), *self._stacked)(*self._stacked)
        except Exception:
            return None
        return found

    def _other(self, part: str, call: Arguments) -> list[Array] | None:
        """A derivative by JAX's other mode, if there is one."""
        program = self._others(part)
        return None if program is None else program(*call)

    @cached_property
    def _others(self) -> Callable[[str], Program | None]:
        """The program of JAX's other mode for what there is to compare, each compiled once."""
        return cache(self._compiled_other)

    def _compiled_other(self, part: str) -> Program | None:
        program = other_mode(self._subject, part)
        try:
            return program and Program(program, *self._calls[0])
        except (TypeError, ValueError, NotImplementedError):
            return None

    def _fail(self, function: str, where: str, message: str) -> None:
        dtype, sizes = self.ledger.dtype, shown(self.sizes)
        self.ledger.failures.append(Failure("inexact", function, message, dtype, sizes, where))


def _numbers(array: Any) -> Array:
    """An array of NumPy's; of keys, the numbers that they hold."""
    keys = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if keys else array)


def _stacked(*rows: Any) -> Any:
    """Arrays one after the other; NumPy has none of keys."""
    keys = isinstance(rows[0], jax.Array)
    return jnp.stack(rows) if keys else np.stack(rows)


def _row(tree: Any, number: int) -> Any:
    """One of what is stacked."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


class _Lazily:
    """What is computed once, when it is asked for."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute

    @cached_property
    def _value(self) -> Any:
        return self._compute()

    def __call__(self) -> Any:
        return self._value
