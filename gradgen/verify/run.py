"""The verification in one dtype, from points to a tally."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from gradgen.ir.code import is_float
from gradgen.verify import populations as people
from gradgen.verify.boundaries import Search, boundaries
from gradgen.verify.compiling import choose_compiler, precision
from gradgen.verify.expectation import Expectation
from gradgen.verify.floats import Array, epsilon, same_bits, widest
from gradgen.verify.generated import Generated, everything
from gradgen.verify.notices import notices
from gradgen.verify.oracle import Oracle, Reference
from gradgen.verify.points import cast
from gradgen.verify.report import Failure, Tally
from gradgen.verify.rule import Expected, judge
from gradgen.verify.scale import Scales
from gradgen.verify.subject import Subject, result_leaves
from gradgen.verify.values import beyond_fusion, moved

BOUNDARY_POINTS = 280
"""At most so many points on boundaries; what is not used up is random points as well."""
_MANY = 400
"""Programs of more instructions than this are compiled for fewer shapes, and never optimised."""


@dataclass
class DTypeRun:
    """What was found in one dtype."""

    dtype: str
    points: int = 0
    boundary_points: int = 0
    skipped: int = 0
    tallies: list[Tally] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @staticmethod
    def refused(dtype: str, failures: Sequence[Failure]) -> DTypeRun:
        """A run that came to nothing."""
        return DTypeRun(dtype, failures=list(failures))

    @staticmethod
    def of(
        generated: Generated,
        shared: Generated,
        dtype: str,
        drawn: Sequence[Array],
        points: int,
        seed: int,
        wide: Future[Oracle],
    ) -> DTypeRun:
        """Everything in one dtype; the dtype has to be available."""
        return _Runner(generated, shared, dtype, drawn, points, seed, wide).run()


class _Runner:
    def __init__(
        self,
        generated: Generated,
        shared: Generated,
        dtype: str,
        drawn: Sequence[Array],
        points: int,
        seed: int,
        wide: Future[Oracle],
    ) -> None:
        self._subject: Subject = generated.subject
        self._trace = self._subject.module.trace
        self._generated, self._shared = generated, shared
        self._dtype = dtype
        self._precision = _coarsest(self._subject, dtype)
        self._rng = np.random.default_rng(seed + 1)
        self._random = cast(self._trace, drawn, dtype)
        self._wide = wide
        self._scales = Scales(self._subject.module, dtype)
        self._worst: dict[str, Tally] = {}
        self._result = DTypeRun(dtype, points=len(self._random[0]))
        self._large = len(self._subject.module.jacobian.chosen.program.instructions) > _MANY
        self._leaves, self._on_tie = self._points(points)

    def run(self) -> DTypeRun:
        """Values first, then derivatives, then arrays of neurons."""
        if self._dtype == "float64":
            oracle = self._wide.result()
        else:
            compiler = choose_compiler(self._subject, self._random)
            oracle = Oracle(self._subject, compiler, self._leaves)
        self._compile = oracle.compiler
        reference = oracle(self._leaves)
        if not self._values(reference):
            return self._finish()
        expectation = self._expectation(self._leaves, reference, self._on_tie)
        self._derivatives(expectation)
        self._result.warnings += notices(
            self._subject, self._dtype, reference, ~self._on_tie, self._point
        )
        if not self._result.failures:
            self._populations(oracle)
        return self._finish()

    def _finish(self) -> DTypeRun:
        self._result.tallies = list(self._worst.values())
        return self._result

    def _points(self, count: int) -> tuple[list[Array], Array]:
        """The random points, the last of them replaced by points on boundaries."""
        search = Search(self._trace, boundaries(self._trace), self._random, self._dtype)
        found = search.points(self._rng)
        found = found[: len(self._random[0]) - count]
        leaves = [leaf.copy() for leaf in self._random]
        for k, leaf in enumerate(leaves):
            if found:
                leaf[-len(found) :] = [point[k] for point in found]
        on_tie = np.arange(len(leaves[0])) >= len(leaves[0]) - len(found)
        self._result.boundary_points = len(found)
        return leaves, on_tie

    def _values(self, reference: Reference) -> bool:
        """The primal, run eagerly, is bit-identical to the source."""
        if "f" not in self._generated.emitted:
            return True
        arrays = people.arrays(self._leaves)
        source = result_leaves(self._subject.source(arrays))
        try:
            ours = result_leaves(self._generated.call("f", arrays))
        except Exception as error:
            self._raised(error, "")
            return False
        for k, (a, b) in enumerate(zip(ours, source, strict=True)):
            entry = f"output {self._trace.outputs[k].path}"
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                message = f"{a.dtype}{a.shape} where {b.dtype}{b.shape} is due"
                self._fail("inexact", "f", message, entry=entry)
                return False
            wrong = ~np.broadcast_to(same_bits(a, b), self._on_tie.shape)
            # where XLA compiles parts of the source together (a loop, an inner jit), it fuses them
            wrong = wrong & ~np.broadcast_to(same_bits(a, reference.outputs[k]), wrong.shape)
            if self._trace.inlined_jit or self._compile.simplifies:
                scale = self._output_scales().get(k)
                wrong = beyond_fusion(wrong, a, b, self._precision, scale)
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                got, due = (np.broadcast_to(np.asarray(x), wrong.shape)[row] for x in (a, b))
                self._fail(
                    "inexact", "f", "the value is not bit-identical to the source", entry=entry,
                    row=row, expected=_shown(due), got=_shown(got),
                )  # fmt: skip
                return False
        return True

    def _output_scales(self) -> dict[int, Array]:
        """The scales of the outputs' values, by number."""
        by_path = self._scales.outputs(self._leaves)
        return {k: by_path[o.path] for k, o in enumerate(self._trace.outputs) if o.path in by_path}

    def _expectation(
        self, leaves: Sequence[Array], reference: Reference, on_tie: Array
    ) -> Expectation:
        true = None
        if self._dtype != "float64":
            oracle = self._wide.result()
            with precision("float64"):
                true = oracle(
                    [
                        widest(leaf) if is_float(i.dtype) else leaf
                        for leaf, i in zip(leaves, self._trace.inputs, strict=True)
                    ]
                )
        scale = self._scales.entries(leaves)
        return Expectation(reference, true, scale, on_tie, np.zeros(len(on_tie), bool))

    def _derivatives(self, expectation: Expectation) -> None:
        """Every function at every point, as one compiled program."""
        population = people.Population(
            "", self._on_tie.shape, tuple(self._leaves), np.arange(len(self._on_tie))
        )
        evaluated = self._evaluate([population])
        if evaluated is not None:
            (found,), (outputs,), (given,) = evaluated
            self._judge(population, given, found, outputs, expectation)

    def _populations(self, oracle: Oracle) -> None:
        """Scalars, arrays and shared parameters, against the source called directly."""
        wide = self._dtype == "float64"
        which: tuple[int, ...] = (2, 4) if wide else (0, 1, 3)
        if self._large:
            which = () if wide else (3,)
        chosen = people.populations(self._subject, self._random, which, self._rng)
        if not chosen:
            return
        chosen, leaves = people.as_points(chosen, self._random)
        nowhere = np.zeros(len(leaves[0]), bool)
        expectation = self._expectation(leaves, oracle(leaves), nowhere)
        evaluated = self._evaluate(chosen)
        if evaluated is None:
            return
        found, outputs, given = evaluated
        for population, vectors, one, due in zip(chosen, given, found, outputs, strict=True):
            self._judge(population, vectors, one, due, expectation)
        self._source_directly(chosen[-1:], given[-1:], outputs[-1:], expectation)
        if self._dtype == "float32" and not self._large:
            self._optimised(chosen[-1], given[-1], outputs[-1], expectation)

    def _evaluate(
        self, chosen: Sequence[people.Population]
    ) -> tuple[list[dict[str, Any]], list[list[Any]], list[people.Vectors]] | None:
        """The generated functions' results, the source's values, and the vectors used."""
        leaves = [people.arrays(p.leaves) for p in chosen]
        results = [jax.eval_shape(lambda *flat: self._subject.source(flat), *one) for one in leaves]
        shapes = [jax.tree.leaves(result) for result in results]
        given = [
            people.vectors(self._subject, p.leaves, shape, self._rng)
            for p, shape in zip(chosen, shapes, strict=True)
        ]
        vectors = [(people.arrays(v.cotangents), people.arrays(v.tangents)) for v in given]

        def program(leaves: Any, vectors: Any) -> Any:
            values = [result_leaves(self._subject.source(one)) for one in leaves]
            found = [
                everything(self._shared, one, both[0], both[1], result)
                for one, both, result in zip(leaves, vectors, results, strict=True)
            ]
            return found, values

        try:
            found, values = self._compile(program, leaves, vectors)(leaves, vectors)
        except Exception as error:
            titles = "; ".join(population.title for population in chosen)
            self._raised(error, titles)
            return None
        return found, values, given

    def _judge(
        self,
        population: people.Population,
        given: people.Vectors,
        found: dict[str, Any],
        outputs: Sequence[Any],
        expectation: Expectation,
    ) -> None:
        for name, values in found.items():
            if not name.startswith("d:"):
                self._same_values(name, population, values, outputs)
        for comparison in people.derivatives(
            self._subject, population, given, found, outputs, expectation
        ):
            self._compare(population, comparison)

    def _same_values(
        self, name: str, population: people.Population, values: Any, outputs: Sequence[Any]
    ) -> None:
        """Each function computes the source's value, to the bit, when nothing is fused."""
        for output, a, b in zip(self._trace.outputs, values, outputs, strict=True):
            entry = f"output {output.path}"
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                message = f"{a.dtype}{a.shape} where {b.dtype}{b.shape} is due"
                self._fail("inexact", name, message, population, entry=entry)
                return
            wrong = ~same_bits(a, b)
            if self._compile.simplifies:
                wrong = beyond_fusion(wrong, a, b, self._precision)
            if wrong.any():
                row = int(np.flatnonzero(wrong.reshape(-1))[0])
                self._fail(
                    "inexact", name, "the value is not bit-identical to the source", population,
                    entry=entry, row=row, expected=_shown(np.asarray(b).reshape(-1)[row]),
                    got=_shown(np.asarray(a).reshape(-1)[row]),
                )  # fmt: skip
                return

    def _compare(self, population: people.Population, comparison: people.Comparison) -> None:
        found, expected = comparison.found, comparison.expected
        if found.shape != expected.scale.shape:
            message = f"has shape {found.shape} where {expected.scale.shape} is due"
            self._fail("inexact", comparison.function, message, population, entry=comparison.entry)
            return
        flat = _flat(expected)
        verdict = judge(found.reshape(-1), flat, self._precision, self._scales.growth)
        known = self._worst.get(comparison.function)
        self._worst[comparison.function] = Tally(
            comparison.function,
            self._dtype,
            verdict.compared + (known.compared if known else 0),
            verdict.one_finite + (known.one_finite if known else 0),
            max(verdict.worst, known.worst if known else 0.0),
        )
        row = verdict.wrong if verdict.wrong is not None else verdict.overflowed
        if row is None:
            return
        wrong = verdict.wrong is not None
        self._fail(
            "inexact" if wrong else "nonfinite",
            comparison.function,
            "the derivative differs from JAX's" if wrong else "is not finite where JAX's is",
            population,
            entry=comparison.entry,
            row=row if found.shape == population.shape else None,
            expected=" or ".join(dict.fromkeys(_shown(m[row]) for m in flat.modes)),
            got=_shown(found.reshape(-1)[row]),
            ulps=verdict.error,
        )

    def _source_directly(
        self,
        chosen: Sequence[people.Population],
        given: Sequence[people.Vectors],
        outputs: Sequence[Any],
        expectation: Expectation,
    ) -> None:
        """The source's own gradient on arrays is the sum of that of its neurons."""
        if self._subject.vmapped or self._large:
            return
        leaves = [people.arrays(p.leaves) for p in chosen]
        vectors = [(people.arrays(v.cotangents), people.arrays(v.tangents)) for v in given]
        try:
            compiled = self._compile(people.source_program(self._subject), leaves, vectors)
        except Exception:
            return  # a rule written for one neuron, or none at all: the Jacobians were compared
        for population, vector, one, due in zip(
            chosen, given, compiled(leaves, vectors), outputs, strict=True
        ):
            direct = {"d:vjp": one["d:vjp"]}
            for comparison in people.derivatives(
                self._subject, population, vector, direct, due, expectation
            ):
                named = people.Comparison(
                    "source", comparison.entry, comparison.found, comparison.expected
                )
                self._compare(population, named)

    def _optimised(
        self,
        population: people.Population,
        given: people.Vectors,
        outputs: Sequence[Any],
        expectation: Expectation,
    ) -> None:
        """Under plain `jax.jit` the functions run, and differ by what XLA changes."""
        leaves = people.arrays(population.leaves)
        result = jax.eval_shape(lambda *flat: self._subject.source(flat), *leaves)

        def program(leaves: Any, cotangents: Any, tangents: Any) -> Any:
            return everything(self._generated, leaves, cotangents, tangents, result)

        try:
            found = jax.jit(program)(
                leaves, people.arrays(given.cotangents), people.arrays(given.tangents)
            )
        except Exception as error:
            self._raised(error, f"{population.title}, under jax.jit")
            return
        values = [v for name, vs in found.items() if not name.startswith("d:") for v in vs]
        due = list(outputs) * (len(values) // len(outputs))
        if any(moved(a, b) for a, b in zip(values, due, strict=True)):
            return  # XLA's roundings moved a neuron across a boundary
        for comparison in people.derivatives(
            self._subject, population, given, found, outputs, expectation
        ):
            self._compare_loosely(population, comparison)

    def _compare_loosely(
        self, population: people.Population, comparison: people.Comparison
    ) -> None:
        expected = _flat(comparison.expected)
        found = comparison.found.reshape(-1)
        loose = judge(found, expected, self._precision, growth=2.0**10)
        row = loose.wrong
        if row is not None:
            self._fail(
                "inexact", comparison.function, "under jax.jit the derivative differs from JAX's",
                population, entry=comparison.entry, got=_shown(found[row]),
                expected=" or ".join(dict.fromkeys(_shown(m[row]) for m in expected.modes)),
                ulps=loose.error,
            )  # fmt: skip

    def _raised(self, error: Exception, title: str) -> None:
        """Generated code that raises, where the source does not."""
        first = str(error).strip().split("\n", 1)[0]
        name = next((f.name for f in _generated_frames(error)), "f")
        message = f"raises {type(error).__name__}: {first}"
        self._result.failures.append(
            Failure("inexact", name, message, dtype=self._dtype, shape=title)
        )

    def _point(
        self, row: int, leaves: Sequence[Array] | None = None
    ) -> tuple[tuple[str, str], ...]:
        chosen = self._leaves if leaves is None else leaves
        return tuple(
            (path, _shown(leaf[row]))
            for path, leaf in zip(self._subject.paths, chosen, strict=True)
        )

    def _fail(
        self,
        kind: Any,
        function: str,
        message: str,
        population: people.Population | None = None,
        *,
        entry: str = "",
        row: int | None = None,
        expected: str = "",
        got: str = "",
        ulps: float = 0.0,
    ) -> None:
        """Keep the evidence; the first of each function and entry is enough."""
        point: tuple[tuple[str, str], ...] = ()
        if population is None or population.shape == self._on_tie.shape:
            point = () if row is None else self._point(row)
        elif row is not None:
            full = [np.broadcast_to(x, population.shape).reshape(-1) for x in population.leaves]
            point = self._point(row, full)
        title = population.title if population is not None else ""
        self._result.failures.append(
            Failure(kind, function, message, self._dtype, title, entry, point, expected, got, ulps)
        )


def _generated_frames(error: Exception) -> list[traceback.FrameSummary]:
    """Where in the generated text an error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename.startswith("<_gradgen_isolated")]


def _coarsest(subject: Subject, dtype: str) -> str:
    """The precision of results: that of the dtype, or of one that the source converts to."""
    trace = subject.module.trace
    fixed = [i.dtype for i in (*trace.primal, *trace.partials)] + [o.dtype for o in trace.outputs]
    floats = {name for name in fixed if is_float(name) and name not in ("float", "weak")}
    return max({dtype, *floats}, key=epsilon)


def _flat(expected: Expected) -> Expected:
    return Expected(
        tuple(m.reshape(-1) for m in expected.modes),
        tuple(t.reshape(-1) for t in expected.true),
        expected.scale.reshape(-1),
        expected.on_tie.reshape(-1),
        expected.skipped.reshape(-1),
    )


def _shown(value: Any) -> str:
    """A number, exactly."""
    scalar = np.asarray(value)
    if scalar.dtype.kind in "biu":
        return repr(scalar.item())
    number = float(scalar.astype(np.float64))
    return f"{number!r} [{number.hex()}]"
