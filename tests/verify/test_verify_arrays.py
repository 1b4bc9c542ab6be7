"""Verification on arrays accepts what is generated, and rejects every fault that is put into it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gradgen.compile.array_front import array_front
from gradgen.compile.array_programs import array_module
from gradgen.compile.opening import execute
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.frontend.reading.directives import parse_wrt
from gradgen.frontend.tracing.arguments import read_signature
from gradgen.ir.array_module import ArrayModule
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.array_points import choose_sizes, draw_samples
from gradgen.verify.array_programs import other_mode, source_program
from gradgen.verify.array_rule import judge_array
from gradgen.verify.arrays import verify_arrays
from gradgen.verify.eager import Program
from gradgen.verify.noise import ONE_WAY, draw_signs, moved
from gradgen.verify.subject import ArraySubject
from gradgen.verify.verdict import Verdict

_SPIKE = """
import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2
"""

LAYER = f"""
# gradgen: shape v=(batch, n) i=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt v, i, z, w
{_SPIKE}

def layer(v, i, z, x, w, alpha=0.95, beta=0.9):
    i = beta * i + x @ w
    v = alpha * v + (1.0 - alpha) * i - lax.stop_gradient(z)
    return v, i, spike(v - 1.0)
"""
LOSS = f"""
# gradgen: shape x=(batch, n_in) params.w=(n_in, n) params.o=(n, m) labels=(batch,):int32
# gradgen: example params={{w, o}}
{_SPIKE}

def loss(params, x, labels):
    h = jax.nn.relu(x @ params["w"])
    scores = jax.nn.log_softmax(h @ params["o"])
    return -jnp.mean(scores[jnp.arange(x.shape[0]), labels])
"""
ATTENTION = """
# gradgen: shape x=(t, d) q=(d, h) k=(d, h) v=(d, h)
import jax
import jax.numpy as jnp


def attention(x, q, k, v, scale=0.5):
    scores = scale * jnp.einsum("th,sh->ts", x @ q, x @ k)
    return jax.nn.softmax(scores, axis=-1) @ (x @ v)
"""
CONVOLUTION = """
# gradgen: shape x=(batch, 2, 6, 6) w=(4, 2, 3, 3) b=(4,)
import jax
from jax import lax


def convolve(x, w, b):
    return jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME") + b[:, None, None])
"""


@dataclass(frozen=True)
class Made:
    """A text on arrays with what it is verified against."""

    text: str
    module: ArrayModule
    function: Callable[..., Any]
    bind: Callable[[Sequence[Any]], Any]

    def verdict(self, text: str | None = None, **options: Any) -> Verdict:
        return verify_arrays(text or self.text, self.module, self.function, self.bind, **options)

    def with_fault(self, inside: str, pattern: str, replacement: str) -> str:
        """The text with a change in one of its functions."""
        start = self.text.index(f"def {inside}(")
        end = self.text.find("\ndef ", start)
        body, count = re.subn(pattern, replacement, self.text[start:end], count=1)
        assert count == 1, self.text[start:end]
        return self.text[:start] + body + self.text[end:]


@cache
def made(source: str) -> Made:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "source.py"
        path.write_text(source)
        settings = Settings(str(path))
        opened = execute(settings)
        stated = {d.kind: d.text for d in opened.source.directives}
        wrt = parse_wrt(stated["wrt"]) if "wrt" in stated else ()
        signature = read_signature(opened.source, opened.namespace, opened.function, wrt=wrt)
        module = array_module(array_front(settings, opened, signature))
    return Made(render_arrays(module), module, opened.function, signature.bind)


@pytest.mark.parametrize(
    "source",
    # files with attention and convolutions are checked in test_golden.py
    [LAYER, *(pytest.param(s, marks=pytest.mark.full) for s in (LOSS, ATTENTION, CONVOLUTION))],
)
def test_what_is_generated_is_exact(source: str) -> None:
    verdict = made(source).verdict()
    assert verdict.exact, verdict.pretty()
    assert verdict.summary().startswith("exact: 24 sets of arguments, worst error")
    assert {t.function for t in verdict.tallies} == {f.name for f in made(source).module.functions}
    assert all(t.compared > 10 for t in verdict.tallies)


def test_a_quick_verification_takes_one_set_of_sizes() -> None:
    verdict = made(LAYER).verdict(quick=True)
    assert verdict.exact
    assert (verdict.points, verdict.boundary_points) == (8, 6)
    assert {t.dtype for t in verdict.tallies} == {"float32"}


FAULTS = [
    (LAYER, "_vjp", r"d_v_new \* alpha", "-(d_v_new * alpha)", "vjp"),
    (LAYER, "_cotangents", r"d_v_new \* alpha", "-(d_v_new * alpha)", "f"),
    (LAYER, "_jvp", r"alpha \* t_v \+", "alpha * t_v -", "jvp"),
    (LAYER, "_cotangents", r"x\.T @ (\w+)", r"(x.T @ \1) * 1.00001", "f"),
    (LAYER, "_primal", r"beta \* i \+ x @ w", "x @ w + beta * i * 1.00001", "f"),
    (LAYER, "_primal", r"x6 > 0\.0", "x6 >= 0.0", "f"),  # a tie
    (LOSS, "_vjp", r"h\.T @ (\w+)", r"h.T @ jnp.flip(\1, 0)", "vjp"),
    (LOSS, "_value_and_gradient", r"h\.T @ (\w+)", r"h.T @ -\1", "value_and_grad"),
    (LOSS, "_vjp", r"(x\d+) > 0\.0", r"\1 >= 0.0", "vjp"),  # a tie
    (ATTENTION, "_cotangents", r"p1\)\[:, None\]", r"p1)[None, :]", "f"),
    (CONVOLUTION, "_cotangents", r"\.sum\(\(0, 2, 3\)", ".mean((0, 2, 3)", "f"),
]


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the counts alone, so that faults have to be found in numbers."""
    monkeypatch.setattr("gradgen.verify.arrays.miscounted", lambda generated: [])


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(("source", "inside", "pattern", "replacement", "function"), FAULTS)
def test_a_fault_in_numbers_is_found(
    source: str, inside: str, pattern: str, replacement: str, function: str
) -> None:
    text = made(source).with_fault(inside, pattern, replacement)
    found = made(source).verdict(text, quick=True)
    assert found.kind == "inexact"
    assert function in {f.function for f in found.failures}
    failure = next(f for f in found.failures if f.function == function)
    assert failure.dtype == "float32"
    assert re.fullmatch(r"(\w+=\d+(, )?)+", failure.shape)
    assert failure.ulps > 8
    assert failure.expected != failure.got


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(
    ("source", "inside", "pattern", "replacement", "function"),
    [
        # right in the set of ones alone
        (LAYER, "_vjp", r"x\.T @", "x @", "vjp"),
        (LAYER, "_cotangents", r"= x\.T @ (\w+)", r"= (x.T @ \1).sum(0)", "f"),
        # right in the first set alone
        (LOSS, "_primal", r"/ batch\)", "/ 3)", "f"),
    ],
)
def test_a_fault_at_some_sizes_is_found(
    source: str, inside: str, pattern: str, replacement: str, function: str
) -> None:
    text = made(source).with_fault(inside, pattern, replacement)
    failures = made(source).verdict(text, dtypes=("float32",)).failures
    assert function in {f.function for f in failures}


def test_an_output_of_another_dtype_is_found() -> None:
    text = made(LAYER).with_fault("_primal", r"\(x6 > 0\.0\)\.astype\(x6\.dtype\)", "x6 > 0.0")
    failures = made(LAYER).verdict(text, quick=True).failures
    due = "returns bool(3, 4) where float32(3, 4) is due"
    assert ("f", due) in {(f.function, f.message) for f in failures}


def test_another_container_is_found() -> None:
    text = made(LOSS).with_fault("loss_vjp", r"_over_arguments\(values\)", "values")
    failures = made(LOSS).verdict(text, quick=True).failures
    assert [f.function for f in failures] == ["vjp"]
    assert "returns the structure" in failures[0].message


@pytest.mark.usefixtures("uncounted")
def test_what_overflows_where_jax_does_not_is_found() -> None:
    text = made(LAYER).with_fault("_vjp", r"d_v_new \* alpha", "d_v_new * 3e38 * 3e38 * alpha")
    verdict = made(LAYER).verdict(text, quick=True)
    assert verdict.kind == "nonfinite"
    assert verdict.failure.function == "vjp"


MAPPED_OTHERWISE = """
@jax.custom_batching.custom_vmap
def _product(x, y):
    return x.T @ y


@_product.def_vmap
def _(size, mapped, x, y):
    return jnp.zeros((size, x.shape[-1], y.shape[-1]), x.dtype), True


def _vjp("""


@pytest.mark.usefixtures("uncounted")
def test_a_fault_under_vmap_alone_is_found() -> None:
    text = made(LAYER).with_fault("_vjp", r"x\.T @ (\w+)", r"_product(x, \1)")
    text = text.replace("\ndef _vjp(", MAPPED_OTHERWISE)
    failures = made(LAYER).verdict(text, dtypes=("float32",)).failures
    assert {f.function for f in failures} == {"vjp"}
    assert {f.entry.partition("[")[0] for f in failures} == {"vmapped cotangents w"}


def test_what_is_approximated_otherwise_for_one_number_than_for_many_is_no_fault() -> None:
    """Mapped over samples, single numbers are an array."""
    source = """
    # gradgen: shape v=(..., 2) x=(...,)
    import jax.numpy as jnp
    from jax.scipy.special import erfc

    def step(v, x):
        return jnp.stack([0.9 * v[..., 0] + erfc(x), v[..., 1] * erfc(x)], axis=-1)
    """
    verdict = made(textwrap.dedent(source)).verdict(dtypes=("float32",))
    assert verdict.exact, verdict.pretty()


@pytest.mark.usefixtures("uncounted")
def test_gradients_through_a_scan_are_compared() -> None:
    module = made(LAYER).module
    trace = replace(module.trace, recurrence=(("v", "0"), ("i", "1"), ("z", "2")))
    source = replace(made(LAYER), module=replace(module, trace=trace))
    assert source.verdict(quick=True).exact
    text = source.with_fault("_cotangents", r"d_v_new \* x3", "d_v_new + x3")
    failures = source.verdict(text, quick=True).failures
    assert any(f.entry.startswith("through scan w") for f in failures)


def test_a_missing_guard_is_found() -> None:
    source = made(LAYER)
    unnamed = source.with_fault("_fitted", r"if not fits:", "if False:")
    failures = source.verdict(unnamed, quick=True).failures
    assert {f.function for f in failures} == {"f", "vjp", "jvp", "forward"}
    assert "v of shape (1, 3, 4) is taken" in {f.message for f in failures}
    silent = source.with_fault("_fitted", r"takes \{name\} of shape", "takes another shape")
    assert "is refused without a word of it" in source.verdict(silent, quick=True).failure.message
    for function, inside, guard, none in (
        ("forward", "_hold_constant", r'_constant\(x, "x"\)', "x"),
        ("f", "_forward", r"_refuse_derivative\(primals\)", "pass"),
    ):
        held = source.with_fault(inside, guard, none)
        failures = source.verdict(held, quick=True).failures
        assert {f.function for f in failures} == {function}
        assert failures[0].message.startswith("x is held constant")


@pytest.mark.parametrize("program", ["primal", "vjp", "jvp", "residuals", "backward"])
def test_a_wrong_count_is_found(program: str) -> None:
    source = made(LAYER)
    start = source.text.index(f'"{program}": {{', source.text.index('"counts": {'))
    changed = re.sub(r'"mul": (\d+)', r'"mul": 1\1', source.text[start:], count=1)
    failure = source.verdict(source.text[:start] + changed, quick=True).failure
    assert failure.function == {"residuals": "_residuals", "backward": "_cotangents"}.get(
        program, f"_{program}"
    )
    assert failure.message.startswith("counts differ: mul: ")


def test_an_operation_more_is_counted() -> None:
    text = made(LAYER).with_fault("_vjp", r"x\.T @ (\w+)", r"(x.T @ \1) * 1.5 / 1.5")
    failure = made(LAYER).verdict(text, quick=True).failure
    assert failure.function == "_vjp"
    assert failure.message == "counts differ: div: 8192 in the text, 4096 stated"


def test_a_missing_function_and_an_import_of_gradgen_are_found() -> None:
    source = made(LAYER)
    text = source.text.replace("def layer_jvp(", "def layer_other(")
    assert source.verdict(text).failure.message == "the text has no function layer_jvp"
    text = source.text.replace("import jax\n", "import jax\nimport gradgen\n", 1)
    assert source.verdict(text).failure.message == "the text imports gradgen"


def test_ranges_are_kept_to() -> None:
    module = made(LAYER).module
    subject = ArraySubject(module, made(LAYER).function, made(LAYER).bind, text="")
    sizes = {"batch": 2, "n": 3, "n_in": 4}
    samples = draw_samples(subject, sizes, "float32", {"v": (5.0, 6.0)}, 0)
    for sample in samples:
        v, _, _, x, _, alpha, _ = sample.leaves
        assert v.shape == (2, 3)
        assert ((v >= 5) & (v <= 6)).all()
        assert set(np.unique(x)) <= {-1, -0.5, 0, 0.5, 1, 2} or not sample.on_ties
        assert float(alpha) in [np.float32(0.95 * factor) for factor in (0.5, 1.0, 2.0, 1 / 0.95)]


def test_sizes_are_pairwise_different_and_ones() -> None:
    subject = ArraySubject(made(LAYER).module, made(LAYER).function, made(LAYER).bind, text="")
    first, second, ones = choose_sizes(subject, "float32")
    for sizes in (first, second):
        assert len(set(sizes.values())) == 3
    assert set(ones.values()) == {1}
    assert all(first[name] != second[name] for name in ("batch", "n_in"))


DIFFERENCES = """
# gradgen: shape x=(batch, n)
import jax.numpy as jnp


def rough(x):
    return jnp.sqrt((x[:, 1:] - x[:, :-1]) ** 2)
"""


def test_sizes_at_which_the_source_returns_nothing_are_left_out() -> None:
    verdict = made(DIFFERENCES).verdict(dtypes=("float32",))
    assert verdict.exact, verdict.pretty()
    assert verdict.points == 16
    assert verdict.warnings == (
        "the source runs at few sizes: it was compared at batch=3, n=4; batch=5, n=4",
    )


FIXED = """
# gradgen: shape x=(n,)
import jax.numpy as jnp


def channels(x):
    if isinstance(x.shape[0], int) and x.shape[0] != 100:
        raise ValueError("a hundred channels are due")
    return jnp.sin(x).sum()
"""


def test_a_source_that_does_not_run_is_refused_with_what_it_says() -> None:
    message = r"'channels' does not run at n=64: ValueError: a hundred channels are due"
    with pytest.raises(GradgenError, match=message) as refused:
        made(FIXED).verdict(dtypes=("float32",))
    assert "# gradgen: size" in refused.value.hint
    assert made(f"# gradgen: size n=100\n{FIXED}").verdict(dtypes=("float32",)).exact


def test_roundings_are_forgiven_where_jax_has_them_too() -> None:
    def cancels(x: Any) -> list[Any]:
        return [(x + 1e4) - 1e4]

    x = np.float32([1.0, 2.0])
    program = Program(cancels, x)
    own = max(
        float(moved(program, x, signs=signs, with_arguments=True)[0].max())
        for signs in draw_signs(4)
    )
    unit = 1e4 * 2.0**-23
    assert unit / 2 < own < 4 * unit
    due = np.asarray(cancels(x)[0])
    assert judge_array(due + np.float32(unit), due, lambda: own).difference is None
    assert judge_array(due + np.float32(unit), due, lambda: 0.0).difference is not None
    assert judge_array(due + np.float32(100 * unit), due, lambda: own).difference is not None


@pytest.mark.parametrize("loop", ["scan", "fori_loop", "while_loop", "cond"])
def test_what_is_added_up_in_a_loop_is_moved_in_each_step(loop: str) -> None:
    def summed(x: Any) -> list[Any]:
        def added(total: Any) -> Any:
            return jnp.where(total > -1.0, total + 0.1 * x, 0.0)

        if loop == "scan":
            return [lax.scan(lambda total, _: (added(total), total), x, length=200)[1][-1]]
        if loop == "fori_loop":
            return [lax.fori_loop(0, 200, lambda _, total: added(total), x)]
        if loop == "while_loop":
            return [lax.while_loop(lambda total: (total < 20.0).all(), added, x)]
        for _ in range(200):
            x = lax.cond(x[0] > 0.0, added, lambda total: -total, x)
        return [x]

    x = np.float32([1.0, 2.0])
    program = Program(summed, x)
    due = np.asarray(summed(x)[0])
    away = [moved(program, x, signs=signs)[0] / due * 2.0**23 for signs in ONE_WAY]
    assert all((one > 10).all() and (one < 400).all() for one in away)
    assert all(
        (moved(program, x, signs=signs)[0] / due * 2.0**23 > 1).any() for signs in draw_signs(4)
    )


def test_comparisons_keep_their_outcome_when_results_are_moved() -> None:
    def ties(x: Any) -> list[Any]:
        return list(jax.vjp(lambda x: jnp.maximum(x, 2.0 * x / 2.0).max(), x)[1](1.0))

    x = np.float32([1.1, 1.1, 0.3])
    program = Program(ties, x)
    for signs in draw_signs(4):
        assert float(moved(program, x, signs=signs, with_arguments=True)[0].max()) < 1e-5


def test_ties_of_what_xla_computes_in_several_ways_are_decided_either_way() -> None:
    """And no others: what a rule says of a tie is not forgiven anywhere else."""

    def larger(one: Any) -> Any:
        return lambda x: [jax.grad(lambda x: jnp.maximum(one(x), x + 0.0 * one(x)).sum())(x)]

    x = np.float32([1.5, 0.75])
    for function, follows in ((jnp.tanh, True), (jnp.negative, False)):
        shift = x - np.asarray(function(x))
        program = Program(larger(lambda x, f=function, s=shift: f(x) + s), x)
        away = [
            moved(program, x, signs=signs, with_decisions=True)[0].max() for signs in draw_signs(8)
        ]
        assert bool(max(away) > 0.1) is follows


def test_the_largest_number_is_moved_as_itself() -> None:
    def entropy(x: Any) -> list[Any]:
        return [jax.nn.log_softmax(x), jnp.where(x > 0.0, -jnp.inf, x)]

    x = np.float32([3e12, -1e12, 2.9e12])
    program = Program(entropy, x)
    for signs in draw_signs(4):
        away, infinite = moved(program, x, signs=signs, with_arguments=True)
        assert float(away.max()) < 1e-6 * 3e12
        assert not np.isnan(np.asarray(infinite[1]))


def test_what_is_finite_in_one_mode_is_compared_with_that() -> None:
    nan, one = np.float32([np.nan, 1.0]), np.float32([1.0, 1.0])
    assert judge_array(one, nan, lambda: 0.0, lambda: one).one_finite == 1
    assert judge_array(2 * one, np.float32([np.nan, 2.0]), lambda: 0.0, lambda: one).difference
    assert judge_array(nan, nan, lambda: 0.0, lambda: one).difference is None
    assert judge_array(one, nan, lambda: 0.0, lambda: None).compared == 1
    lost = judge_array(nan, one, lambda: 0.0).difference
    assert lost is not None
    assert lost.kind == "nonfinite"


def test_both_modes_of_jax_agree() -> None:
    made_loss = made(LOSS)
    subject = ArraySubject(made_loss.module, made_loss.function, made_loss.bind, text="")
    sizes = {"batch": 2, "n": 3, "n_in": 4, "m": 5}
    sample = draw_samples(subject, sizes, "float32", {}, 0)[0]
    given = sample.leaves, sample.cotangents, sample.tangents
    parts = ["cotangents", "gradient", "tangents"]
    found = source_program(subject, parts)(*given)
    for part in parts:
        other = other_mode(subject, part)
        assert other is not None
        for a, b in zip(found[part], other(*given), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
