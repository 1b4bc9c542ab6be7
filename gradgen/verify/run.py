"""The verification in one dtype, from points to a tally."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from gradgen.ir.code import WORKING, is_float
from gradgen.ir.emitted import STEP
from gradgen.ir.module import Module
from gradgen.verify import populations as people
from gradgen.verify.asking import Asked, Setting
from gradgen.verify.boundaries import Search, boundaries
from gradgen.verify.comparisons import Due
from gradgen.verify.compiling import OPTIMISED, precision
from gradgen.verify.eager import Program
from gradgen.verify.expectation import Expectation
from gradgen.verify.floats import Array, epsilon
from gradgen.verify.functions import FunctionResults, comparisons, everything
from gradgen.verify.generated import CallArguments, Generated
from gradgen.verify.ledger import Ledger
from gradgen.verify.notices import notices
from gradgen.verify.oracle import Reference
from gradgen.verify.points import Range, cast
from gradgen.verify.populations import ALIKE, MIXED, SHARED
from gradgen.verify.rule import credible
from gradgen.verify.rule_values import require_values
from gradgen.verify.scale import Scales
from gradgen.verify.subject import Subject, arrays, result_leaves
from gradgen.verify.values import another, flips, moved
from gradgen.verify.verdict import SOURCE

_MANY = 400
"""Programs of more instructions than this are not compiled as a whole, which takes seconds."""


class Run:
    """The verification in one dtype, which has to be available."""

    def __init__(
        self,
        generated: Generated,
        shared: Generated,
        setting: Setting,
        asked: Asked,
    ) -> None:
        """`shared` is the same text, its programs traced once."""
        self._subject: Subject = generated.subject
        self._trace = self._subject.module.trace
        self._generated, self._shared = generated, shared
        self._setting, self._dtype = setting, (dtype := setting.dtype)
        self._asked = asked
        self._rng = np.random.default_rng(asked.seed + 1)
        self._random = cast(self._trace, asked.drawn, dtype)
        self._scales = Scales(self._subject.module, dtype)
        self.ledger = Ledger(
            self._subject, dtype, _coarsest(self._subject, dtype), self._scales.growth
        )
        self._leaves, self._on_tie = self._points(asked.points)
        self._everywhere = people.Population(
            "", self._on_tie.shape, tuple(self._leaves), np.arange(len(self._on_tie))
        )
        self.ledger.points = tuple(self._leaves)

    def run(self) -> Ledger:
        """Values first, then derivatives, then arrays of neurons if they are asked for."""
        self._oracle = self._asked.oracles[self._setting].result()
        reference = self._oracle(self._leaves)
        if self._values(reference):
            expectation = self._expectation(self._leaves, reference, self._on_tie)
            self.ledger.skipped += int(expectation.skipped.sum())
            self._derivatives(expectation)
            if isinstance(self._subject.module, Module):  # a row of a Hessian may well be zero
                self.ledger.warnings += notices(
                    self._subject, self._dtype, expectation, self.ledger.point
                )
            if not self.ledger.failures:
                self._arrays()
        return self.ledger

    def _points(self, count: int) -> tuple[list[Array], Array]:
        """The random points, the last of them replaced by points on boundaries."""
        search = Search(self._trace, boundaries(self._trace), self._random, self._dtype)
        found = [p for p in search.points(self._rng) if _within(p, self._asked.stated)]
        found = found[: len(self._random[0]) - count]
        leaves = [leaf.copy() for leaf in self._random]
        for k, leaf in enumerate(leaves):
            if found:
                leaf[-len(found) :] = [point[k] for point in found]
        on_tie = np.arange(len(leaves[0])) >= len(leaves[0]) - len(found)
        self.ledger.boundary_points = len(found)
        return leaves, on_tie

    def _values(self, reference: Reference) -> bool:
        """The step computes the source's bits where nothing is differentiated."""
        leaves = arrays(self._leaves)

        def source(*leaves: Any) -> list[Any]:
            return result_leaves(self._subject.source(leaves))

        program = Program(source, *leaves)
        outputs = program(*leaves)
        if self._trace.own_rules:
            scales, random = self._output_scales(), ~self._on_tie
            require_values(self._subject, outputs, reference.outputs, scales, random, self.ledger)
        if self._setting.structures:  # it may do otherwise where it is not traced
            for k, value in enumerate(result_leaves(self._subject.source(leaves))):
                wrong = another(outputs[k], value, self.ledger.precision)
                if wrong.any():
                    entry, place = f"output {self._trace.outputs[k].path}", self._everywhere
                    self.ledger.another_value(STEP, place, entry, outputs[k], value, wrong)
                    return False
        if STEP not in self._subject.module.emit:
            return True
        self.ledger.strict = not program.adds_up
        try:
            step = Program(lambda *leaves: self._generated.call(STEP, leaves), *leaves)
            values = result_leaves(step(*leaves))
        except Exception as error:
            self.ledger.raised(error)
            return False
        self.ledger.same_values(STEP, self._everywhere, values, outputs)
        return not self.ledger.failures

    def _output_scales(self) -> dict[int, Array]:
        """The scales of the outputs' values, by number."""
        by_path = self._scales.outputs(self._leaves)
        return {k: by_path[o.path] for k, o in enumerate(self._trace.outputs) if o.path in by_path}

    def _expectation(
        self, leaves: Sequence[Array], reference: Reference, on_tie: Array
    ) -> Expectation:
        true, wide = None, self._asked.wide
        if self._dtype != "float64" and wide is not None:
            with precision("float64"):
                true = wide.result()(cast(self._trace, leaves, "float64"))
        scale = credible(self._scales.entries(leaves), reference.modes, self._dtype)
        left_out = self._oracle.left_out(leaves, reference, self._asked.stated)
        moves = partial(self._oracle.moves, leaves)
        return Expectation(reference, true, scale, on_tie, left_out, moves)

    def _derivatives(self, expectation: Expectation) -> None:
        """Every function at every point, as one program."""
        leaves = arrays(self._everywhere.leaves)
        result = jax.eval_shape(lambda *flat: self._subject.source(flat), *leaves)
        everywhere = replace(self._everywhere, result=result)
        evaluated = self._evaluate(everywhere)
        if evaluated is not None:
            found, outputs, _, given = evaluated
            self._judge(self._everywhere, given, found, outputs, expectation)

    def _arrays(self) -> None:
        """Arrays of neurons, and parameters that they share.

        Arrays of one axis were the points themselves.
        """
        if self._setting.mixed:
            for population in self._population(MIXED, ALIKE):
                self._sums(population)
        if self._setting.optimised and len(self._subject.module.longest.instructions) <= _MANY:
            for population in self._population(SHARED, ALIKE):
                self._optimised(population)

    def _population(self, *titles: str) -> list[people.Population]:
        """The first of these that the source can be called on; none where there is none."""
        for found in people.populations(self._subject, self._random, titles, self._rng):
            if not people.couples_neurons(self._subject, found):
                return [found]
            self.ledger.warnings.append(
                f"with {found.title}, '{self._trace.function}' itself mixes neurons; the generated "
                "code treats each by itself, and is not compared there"
            )
        return []

    def _sums(self, population: people.Population) -> None:
        """Against the sums over neurons, which the source's own gradient on arrays is as well."""
        evaluated = self._evaluate(population, of_source=not self._subject.vmapped)
        if evaluated is None:
            return
        found, outputs, pulled, given = evaluated
        expectation = self._expected_of(population)
        self._judge(population, given, found, outputs, expectation, pulled)

    def _expected_of(self, population: people.Population) -> Expectation:
        leaves = people.as_points(population, self._random)
        nowhere = np.zeros(len(leaves[0]), bool)
        return self._expectation(leaves, self._oracle(leaves), nowhere)

    def _evaluate(
        self, population: people.Population, *, of_source: bool = False
    ) -> tuple[FunctionResults, list[Any], list[Any] | None, people.Vectors] | None:
        """The generated functions' results, the source's values, and the vectors used.

        The source's own cotangents too if they are asked for and there are any: rules may be for
        one neuron alone.
        """
        result, given = population.result, self._vectors(population)
        called = arrays(population.leaves), arrays(given.cotangents), arrays(given.tangents)

        def program(leaves: Any, cotangents: Any, tangents: Any) -> Any:
            values = result_leaves(self._subject.source(leaves))
            pulled = None
            if of_source:
                with suppress(Exception):
                    pulled = people.pulled_by_source(self._subject, leaves, cotangents)
            arguments = CallArguments(leaves, cotangents, tangents, result)
            return everything(self._shared, arguments), values, pulled

        try:
            traced = Program(program, *called)
            self.ledger.strict = not traced.adds_up
            found, values, pulled = traced(*called)
        except Exception as error:
            self.ledger.raised(error, population.title)
            return None
        return found, values, pulled, given

    def _vectors(self, population: people.Population) -> people.Vectors:
        shapes = jax.tree.leaves(population.result)
        return people.vectors(self._subject, population.leaves, shapes, self._rng)

    def _judge(
        self,
        population: people.Population,
        given: people.Vectors,
        found: FunctionResults,
        outputs: Sequence[Any],
        expectation: Expectation,
        pulled: list[Any] | None = None,
    ) -> None:
        """All functions, and the source's own cotangents if there are any."""
        everywhere = expectation
        flipped = np.zeros(population.shape, bool)
        for name, values in found.values.items():
            self.ledger.same_values(name, population, values, outputs)
            if not self.ledger.strict:
                flipped |= flips(values, outputs, population.shape, self.ledger.precision)
        if flipped.any():
            self.ledger.skipped += int(flipped.sum())
            expectation = expectation.without(population.rows[flipped.reshape(-1)])

        def due(expectation: Expectation) -> Due:
            return Due(self._subject, population, given, outputs, expectation, self._oracle)

        def compared(expectation: Expectation, everywhere: Expectation) -> Ledger:
            ledger = self.ledger.copy()
            for comparison in comparisons(due(expectation), found):
                ledger.compare(population, comparison)
            if pulled is not None:
                # no value of the source's has moved
                for comparison in due(everywhere).cotangents(SOURCE, pulled):
                    ledger.compare(population, comparison)
            return ledger

        ledger, known = compared(expectation, everywhere), len(self.ledger.failures)
        if any(failure.kind == "inexact" for failure in ledger.failures[known:]):
            # scales do not tell how everything is rounded
            coarsest = self.ledger.precision
            ledger = compared(expectation.measured(coarsest), everywhere.measured(coarsest))
        self.ledger = ledger

    def _optimised(self, population: people.Population) -> None:
        """Under plain `jax.jit` the step and its products run, and differ by what XLA changes."""
        functions = [f for f in self._subject.module.functions if f.rule]
        if not functions:
            return
        result, given = population.result, self._vectors(population)
        called = arrays(population.leaves), arrays(given.cotangents), arrays(given.tangents)

        def program(leaves: Any, cotangents: Any, tangents: Any) -> Any:
            arguments = CallArguments(leaves, cotangents, tangents, result)
            return everything(self._shared, arguments, functions)

        try:
            found = jax.jit(program).lower(*called).compile(OPTIMISED)(*called)
        except Exception as error:
            self.ledger.raised(error, f"{population.title}, under jax.jit")
            return
        expectation = self._expected_of(population)
        by_neuron = (o[population.rows] for o in expectation.reference.outputs)
        outputs = [o.reshape(population.shape) for o in by_neuron]
        if any(any(map(moved, values, outputs)) for values in found.values.values()):
            return  # XLA's roundings moved a neuron across a boundary
        values = next(iter(found.values.values()))
        due = Due(self._subject, population, given, values, expectation, self._oracle)
        for comparison in comparisons(due, found):
            self.ledger.compare_loosely(population, comparison)


def _within(point: Sequence[Any], stated: Sequence[Range | None]) -> bool:
    """Whether a point is in all ranges that were stated."""
    return all(
        known is None or known[0] <= value <= known[1]
        for value, known in zip(point, stated, strict=True)
    )


def _coarsest(subject: Subject, dtype: str) -> str:
    """The precision of results: that of the dtype, or of one that the source converts to."""
    trace = subject.module.trace
    fixed = [i.dtype for i in (*trace.primal, *trace.partials)] + [o.dtype for o in trace.outputs]
    fixed += trace.rounded
    floats = {name for name in fixed if is_float(name) and name not in WORKING}
    return max({dtype, *floats}, key=epsilon)
