"""Times of a text on arrays and of JAX, which can be compared: programs that take turns."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax

from gradgen.errors import GradgenError, error_in
from gradgen.ir.emitted import EMITTED, STEP
from gradgen.verify.array_points import (
    Sample,
    Sizes,
    draw_samples,
    recorded_sizes,
    shown,
    why_not_at,
)
from gradgen.verify.compiling import precision
from gradgen.verify.generated import CallArguments, Generated
from gradgen.verify.isolate import load, packages_of
from gradgen.verify.points import Range
from gradgen.verify.subject import ArraySubject, result_leaves
from gradgen.verify.times import PartTimes, Timed, Times

K = TypeVar("K")
ROUNDS, MOST_ROUNDS, SECONDS = 15, 150, 20.0
"""At least and at most so many rounds; between them as many as take so long."""
_BY_JAX, _AGAIN, _CHECKPOINT, _GENERATED = "jax.grad", "again", "checkpoint", "this file"
_FORWARD, _BACKWARD = "forward pass", "backward pass"
_OF_LOSSES = "value_and_grad"
_OnLeaves = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class _Program:
    """A compiled program, and what it is called with."""

    compiled: Any
    arguments: tuple[Any, ...]

    def __call__(self) -> Any:
        return self.compiled(*self.arguments)

    @property
    def bytes(self) -> int:
        """XLA's temporary memory."""
        return int(self.compiled.memory_analysis().temp_size_in_bytes)


def take_turns(
    programs: Mapping[K, Callable[..., Any]],
    arguments: Sequence[Any],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[K, list[float]]:
    """Seconds of each compiled program in each round, all of them in every round.

    Their order is shuffled anew in each: what follows a program may pay for what it left behind.
    With `time.process_time` they are those of the processors, which other programs take none of.
    """
    shuffled = random.Random(0)
    seconds: dict[K, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name in shuffled.sample(list(programs), len(programs)):
            start = clock()
            jax.block_until_ready(programs[name](*arguments))  # type: ignore[no-untyped-call]
            seconds[name].append(clock() - start)
    return seconds


def time_arrays(
    subject: ArraySubject,
    with_checkpoints: Callable[..., Any],
    ranges: Mapping[str, Range],
    status: Callable[[str], None],
) -> Times:
    """Time the forward pass, the backward pass and the whole derivative, in float32.

    Beside the text are JAX's derivative of the source, compiled twice, and that of the source with
    `jax.checkpoint` around the steps of its loops, which is what `with_checkpoints` makes of a
    function and its arguments, or None. Arguments are random, at the sizes that are recorded. The
    whole is value and gradient of a loss, and of other functions value and vector-Jacobian product.

    Raises GradgenError if the source does not run at these sizes.
    """
    trace, dtype = subject.module.trace, "float32"
    sizes = recorded_sizes(trace)
    with precision(dtype):
        if reason := why_not_at(subject, sizes, dtype):
            raise _does_not_run(subject, sizes, reason)
        sample = draw_samples(subject, sizes, dtype, ranges, seed=0)[0]
        status("compiling what is timed")
        programs = _compiled(subject, with_checkpoints, sample)
        take_turns(programs, (), 1)  # what is called for the first time takes longer
        whole = sum(seconds for (seconds,) in take_turns(programs, (), 1).values())
        rounds = max(ROUNDS, min(MOST_ROUNDS, int(SECONDS / whole)))
        status(f"timing {rounds} rounds")
        seconds = take_turns(programs, (), rounds)
        device = f"{jax.devices()[0].device_kind}, JAX {jax.__version__}"
    return Times(_parts(seconds, programs), rounds, tuple(sizes.items()), dtype, device)


def _does_not_run(subject: ArraySubject, sizes: Sizes, reason: str) -> GradgenError:
    source = subject.module.source
    return error_in(
        source,
        f"'{source.function}' cannot be measured at {shown(sizes)}: {reason}",
        hint="state sizes that it runs at, as in # gradgen: size n=256 batch=32",
    )


def _compiled(
    subject: ArraySubject, with_checkpoints: Callable[..., Any], sample: Sample
) -> dict[tuple[str, str], _Program]:
    """The compiled programs with their arguments, by part and name."""
    loaded = load(subject.text, packages_of(subject.module.source.text))
    generated = Generated(subject, loaded)

    def source(leaves: Sequence[Any]) -> list[Any]:
        return result_leaves(subject.source(leaves))

    def drop_in(leaves: Sequence[Any]) -> list[Any]:
        return result_leaves(generated.call(STEP, leaves))

    checkpointed = with_checkpoints(source, sample.leaves)
    functions: dict[str, _OnLeaves] = {_BY_JAX: source}
    if checkpointed is not None:
        functions[_CHECKPOINT] = checkpointed
    functions[_GENERATED] = drop_in
    given = sample.leaves, sample.cotangents
    compiled: dict[tuple[str, str], _Program] = {}
    for name, function in functions.items():
        forward = _compile(partial(_forward, subject, function), sample.leaves)
        compiled[_FORWARD, name] = forward
        _, pull = forward()
        compiled[_BACKWARD, name] = _compile(_pulled, pull, sample.cotangents)
    is_loss = any(f.name == _OF_LOSSES for f in subject.module.functions)
    by_jax = partial(_gradient if is_loss else _product, subject)
    record = EMITTED[_OF_LOSSES if is_loss else "vjp"]
    result = jax.eval_shape(subject.source, sample.leaves)

    def whole(leaves: Sequence[Any], cotangents: Sequence[Any]) -> Any:
        return generated.returned(record, CallArguments(leaves, cotangents, (), result))

    wholes: dict[str, Callable[..., Any]] = {_BY_JAX: partial(by_jax, source)}
    wholes[_AGAIN] = lambda *given: by_jax(source, *given)
    if checkpointed is not None:
        wholes[_CHECKPOINT] = partial(by_jax, checkpointed)
    wholes[_GENERATED] = whole
    title = "value and gradient" if is_loss else "value and vector-Jacobian product"
    for name, program in wholes.items():
        compiled[title, name] = _compile(program, *given)
    return compiled


def _compile(function: Callable[..., Any], *arguments: Any) -> _Program:
    return _Program(jax.jit(function).lower(*arguments).compile(), arguments)


def _chosen(subject: ArraySubject, function: _OnLeaves, leaves: Sequence[Any]) -> _OnLeaves:
    """A function's outputs that are floats, from what it is differentiated by."""

    def of_chosen(chosen: Sequence[Any]) -> list[Any]:
        outputs = function(subject.with_differentiated(leaves, chosen))
        return [outputs[k] for k in subject.floats]

    return of_chosen


def _forward(subject: ArraySubject, function: _OnLeaves, leaves: Sequence[Any]) -> tuple[Any, Any]:
    """The float outputs, and what the backward pass is called by."""
    outputs, pull = jax.vjp(_chosen(subject, function, leaves), [leaves[k] for k in subject.wrt])
    return outputs, pull


def _pulled(pull: Callable[[Any], Any], cotangents: Sequence[Any]) -> Any:
    return pull(list(cotangents))


def _product(
    subject: ArraySubject, function: _OnLeaves, leaves: Sequence[Any], cotangents: Sequence[Any]
) -> tuple[Any, Any]:
    outputs, pull = _forward(subject, function, leaves)
    return outputs, pull(list(cotangents))


def _gradient(
    subject: ArraySubject, function: _OnLeaves, leaves: Sequence[Any], cotangents: Sequence[Any]
) -> tuple[Any, Any]:
    """The loss, which is the first output, with its gradient; it takes no cotangents."""

    def loss(chosen: Sequence[Any]) -> tuple[Any, Any]:
        outputs = _chosen(subject, function, leaves)(chosen)
        return outputs[0], outputs

    value: tuple[Any, Any] = jax.value_and_grad(loss, has_aux=True)(
        [leaves[k] for k in subject.wrt]
    )
    return value


def _parts(
    seconds: Mapping[tuple[str, str], Sequence[float]], programs: Mapping[tuple[str, str], _Program]
) -> tuple[PartTimes, ...]:
    parts = []
    for title in dict.fromkeys(title for title, _ in seconds):
        names = [name for part, name in seconds if part == title]
        first = seconds[title, names[0]]
        timed = [
            Timed(
                name,
                1e3 * statistics.median(seconds[title, name]),
                statistics.median(
                    one / other for one, other in zip(seconds[title, name], first, strict=True)
                ),
                None if title in (_FORWARD, _BACKWARD) else programs[title, name].bytes / 1e6,
            )
            for name in names
        ]
        parts.append(PartTimes(title, tuple(timed)))
    return tuple(parts)
