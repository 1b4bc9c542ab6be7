"""Lowers learning online on arrays to programs: traces that move on, and errors that meet them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradgen.ir.array_plan import ArrayPlan, tip
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Atom, Const, DType, Var
from gradgen.ir.eligibility import ArrayEligibility, Eligibility, Held, Plans, Term
from gradgen.ir.program import Program, Section
from gradgen.ir.results import Cotangent, HeldValue, OutputValue, Result
from gradgen.ir.shapes import Shape, axes_in, elements, multiple, shapes_of, told_by
from gradgen.lowering.array_residuals import sizes_read
from gradgen.lowering.arrays import ArrayCode
from gradgen.lowering.passes import eliminate_dead_code
from gradgen.lowering.residuals import BYTES, Leaves, passes_of


class _TraceCode(ArrayCode):
    """Code of a step with its traces, and of the products with errors."""

    def whole(
        self,
        found: Eligibility,
        plans: Plans,
        names: Mapping[Term, str],
        errors: Mapping[Var, Var],
    ) -> Program:
        """Outputs, what is handed on, and the gradients by parameters."""
        results = self._outputs()
        self._is_pulled = True
        for term in names:
            self._give(term.old, term.shape)
        for error, variable in errors.items():
            self._give(error, self._trace.shapes_by_variable[variable])
        self._add_partials()
        states = {**found.carried, **found.derived}
        for plan, terms in ((plans.factors, found.factors), (plans.moving, found.traces)):
            new = self._handed_on(plan, terms, states)
            results += [(HeldValue(names[term]), atom) for term, atom in new.items()]
            self._values |= {term.new: atom for term, atom in new.items()}
            for term, atom in new.items():
                if atom not in self._primal_values and atom not in self._more:
                    self._hints.setdefault(str(atom), re.sub(r"\W+", "_", names[term]))
        weights = {source: weight for weight, source in plans.gradients}
        for plan in plans.meeting:
            for source, atom in self._gradients(plan).items():
                self._values[weights[source]] = atom
        return self._program([*results, *self._by_parameters(plans)])

    def _handed_on(
        self, plan: ArrayPlan, terms: Sequence[Term], states: Mapping[Var, Var]
    ) -> dict[Term, Atom]:
        """The new values of terms, each with all axes that it varies along."""
        values, patterns = self._carried_out(plan), plan.patterns
        found: dict[Term, Atom] = {}
        for term in terms:
            (numbers,) = (
                numbers
                for target, source, numbers in plan.results
                if target == tip(states[term.state])
                and source == states.get(term.source, term.source)
            )
            form = term.pattern.rows, term.pattern.columns
            (number,) = (k for k in numbers if (patterns[k].rows, patterns[k].columns) == form)
            atom = self._held(values[number], term.pattern)
            if isinstance(atom, Const):
                atom = self._writer.broadcast(atom, (), ())
            found[term] = atom
        return found

    def _gradients(self, plan: ArrayPlan) -> dict[Var, Atom]:
        values = self._carried_out(plan)
        return {
            source: self._sum(source, [values[k] for k in numbers])
            for _, source, numbers in plan.results
        }

    def _by_parameters(self, plans: Plans) -> list[tuple[Result, Atom]]:
        found = self._gradients(plans.gathering)
        states = {path for path, _ in self._trace.recurrence}
        results: list[tuple[Result, Atom]] = []
        for leaf, shape in zip(self._trace.inputs, self._trace.shapes, strict=True):
            if leaf.wrt and leaf.path not in states:
                atom = found.get(leaf.variable, Const(0.0))
                self._hint(atom, "d", leaf.variable)
                if isinstance(atom, Const):
                    atom = self._writer.broadcast(atom, shape, ())
                results.append((Cotangent(leaf.path), atom))
        return results

    def start(self, held: Sequence[Held]) -> Program:
        """Zeros in the shapes of all that is held."""
        return self._program(
            [(HeldValue(one.name), self._zeros(one.shape, one.dtype)) for one in held]
        )

    def _zeros(self, shape: Shape, dtype: DType) -> Atom:
        zero = Const(False, "bool") if dtype == "bool" else Const(0.0)
        return self._writer.broadcast(zero, shape, (), dtype)


def traces_of(
    trace: ArrayTrace,
    found: Eligibility,
    plans: Plans,
    names: Mapping[Term, str],
    errors: Mapping[Var, Var],
    left_out: tuple[str, ...],
) -> ArrayEligibility:
    """The programs of learning online, from the plans of what they do.

    `names` are those of what is handed on; `errors` say of each whose it is; `left_out` are the
    terms that traces leave out, in words.
    """
    whole = _TraceCode(trace, "h").whole(found, plans, names, errors)
    new = {key.name: atom for key, atom in whole.results if isinstance(key, HeldValue)}
    handed = {name: str(atom) for name, atom in new.items()}
    shapes = _shapes(whole, trace, {t.old: t.shape for t in names}, errors)
    pulled = _pulled(whole, trace, shapes, list(dict.fromkeys(handed.values())), list(errors))
    dtypes = {i.variable: i.dtype for i in trace.inputs}
    dtypes |= {i.target: i.dtype for i in whole.instructions}
    olds = {names[term]: term.old for term in names}

    def held_as(name: str, variable: Var) -> Held:
        dtype = dtypes.get(variable, "float")
        each = BYTES.get(dtype, 4)
        return Held(name, shapes[variable], dtype, each, variable, olds.get(name))

    held = [held_as(name, handed[name]) for name in names.values()]
    kept = [v for v in pulled.inputs if v not in errors]
    paths = {i.variable: i.path for i in trace.inputs}
    by_variable = {one.variable: one.name for one in reversed(held)}
    for variable in kept:
        if variable not in by_variable:
            name = paths.get(variable, f"partial {len(by_variable) + 1}")
            by_variable[variable] = name
            held.append(held_as(name, variable))
    step = eliminate_dead_code(
        replace(
            whole,
            inputs=tuple(v for v in whole.inputs if v not in errors),
            results=(
                *(r for r in whole.results if isinstance(r[0], OutputValue)),
                *((HeldValue(one.name), one.variable) for one in held),
            ),
        )
    )
    return ArrayEligibility(
        found,
        tuple(held),
        _TraceCode(trace, "h").start(held),
        step,
        pulled,
        whole,
        tuple(v for v in pulled.inputs if v in errors),
        tuple(by_variable[v] for v in kept),
        plans,
        left_out,
    )


def _shapes(
    whole: Program, trace: ArrayTrace, old: dict[Var, Shape], errors: Mapping[Var, Var]
) -> dict[Var, Shape]:
    given = {i.variable: s for i, s in zip(trace.inputs, trace.shapes, strict=True)}
    given |= old | {error: trace.shapes_by_variable[v] for error, v in errors.items()}
    return shapes_of(whole.instructions, given)


def _pulled(
    whole: Program,
    trace: ArrayTrace,
    shapes: Mapping[Var, Shape],
    handed: Sequence[Var],
    errors: Sequence[Var],
) -> Program:
    """The products with errors, from what is handed on, which is there for nothing, and from as
    few bytes more as possible."""
    known = [v for v in whole.inputs if v not in errors]
    given = (*known, *(v for v in handed if v not in known))
    cut = replace(
        whole,
        inputs=(*given, *errors),
        sections=tuple(
            Section(s.title, tuple(i for i in s.instructions if i.target not in handed))
            for s in whole.sections
        ),
        results=tuple(r for r in whole.results if isinstance(r[0], Cotangent)),
    )
    cut = eliminate_dead_code(cut)
    shapes = shapes_of(cut.instructions, {v: shapes[v] for v in cut.inputs})
    sizes = dict(trace.sizes)
    counts = {v: 0 if v in handed else elements(s, sizes) for v, s in shapes.items()}
    dtypes = {i.variable: i.dtype for i in trace.inputs}
    # a number that comes of sizes is no array, and is there again at once
    sizing = [i.target for i in cut.instructions if i.op == "size"]
    charged = [*given, *sizing]
    leaves = Leaves({v: dtypes.get(v, "float") for v in given}, charged, (), counts)
    backward = passes_of(cut, leaves, "auto").backward
    kept = [v for v in backward.inputs if v not in errors]
    read = {v for i in backward.instructions for v in i.variables}
    met = [v for v in errors if v in read or v in dict(backward.results).values()]
    missing = _untold(sizes_read(backward), [shapes[v] for v in kept], [shapes[v] for v in met])
    for axis in sorted(missing):
        telling = [v for v in given if axis in told_by(shapes[v])]
        kept.append(min(telling, key=lambda v: counts[v]))
    return replace(backward, inputs=(*dict.fromkeys(kept), *met))


def _untold(read: set[str], kept: Sequence[Shape], errors: Sequence[Shape]) -> set[str]:
    """The names of sizes that something more has to tell, whichever of the errors there are.

    Sums of sizes, as of an axis `batch + 2`, tell none.
    """
    known = frozenset().union(*map(told_by, kept))
    told = [told_by(shape) for shape in errors]
    missing = read.difference(*told)
    for k, shape in enumerate(errors):
        # each of the others may be the only one
        others = [names for j, names in enumerate(told) if j != k]
        by_all = frozenset.intersection(*others) if others else frozenset()
        missing |= told[k] - by_all
        missing |= {*axes_in([tuple(dim for dim in shape if multiple(dim) is None)])}
    return missing - known
