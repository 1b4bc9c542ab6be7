"""Derivative rules that users wrote: linear ones are followed, all others refused."""

from __future__ import annotations

import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import compiled
from generating import generate_text, run_text

from gradgen.compile.front import of_neurons, open_front
from gradgen.compile.generation import generate
from gradgen.config import Settings
from gradgen.errors import GradgenError

HEADER = "import jax\nimport jax.numpy as jnp\nfrom jax import lax\n"

# what a rule may make of a tangent or cotangent t at x
LINEAR = [
    *(
        "t * 1.0",
        "-t",
        "t / (1.0 + x * x)",
        "t - t * x",
        "2 * t",
        "0.0 * t",
        "t + 0.0 * x",
        "t ** 1",
    ),
    *(
        "t * (x > 0)",
        "jnp.where(x > 0, t, 0)",
        "jnp.where(x > 0, t, jnp.where(x < -1, 2 * t, 0.0))",
    ),
    *("lax.select(x > 0, t, jnp.zeros_like(t))", "jnp.zeros_like(t)", "t.astype(x.dtype)"),
    *("jnp.sum(jnp.stack([t, 2 * t]) @ jnp.array([[1.0, 2.0], [3.0, 4.0]]))", "jnp.copy(t)"),
    *("jnp.array([t, x * t, 0.0]).sum()", "jnp.cumsum(jnp.stack([t, t]))[1]", "(abs(t), t)[1]"),
    "lax.scan(lambda c, _: (c * x + t, None), t, None, length=3)[0]",
    "lax.fori_loop(0, 3, lambda i, c: c + t * i, jnp.zeros_like(t))",
    *("lax.cond(x > 0, lambda: t, lambda: 2 * t)", "jax.jit(lambda a: a * x)(t)"),
    *("jax.jvp(jnp.sin, (x,), (t,))[1]", "jax.vjp(jnp.tanh, x)[1](t)[0]"),
    *("jax.checkpoint(lambda a: a * x)(t)", "jnp.stack([t, 2 * t]).at[0].set(3 * t)[0]"),
    *("jnp.multiply(t, jnp.array(2))", "jax.nn.sigmoid(x) * t", "twice(t)"),
]
NOT_LINEAR = [
    *("t * t", "abs(t)", "t.astype(int).astype(x.dtype)", "jnp.clip(t, -1, 1)", "jnp.sign(t)"),
    *("lax.cond(t > 0, lambda: t, lambda: 2 * t)", "jnp.where(t > 0, t, 2 * t)", "t + 1", "x"),
    *("jnp.maximum(t, 0)", "jnp.round(t)", "t ** 2", "jnp.sqrt(t * t)", "1 / t", "jnp.tanh(t)"),
    *("jax.nn.relu(t)", "(t > 0).astype(x.dtype)", "t // 1", "jnp.hypot(t, x)", "t + jnp.exp(x)"),
    *("jnp.nan_to_num(t)", "jnp.dot(jnp.stack([t, t]), jnp.stack([t, t]))", "square(t)"),
    *("t.astype(jnp.bfloat16).astype(x.dtype)", "lax.reduce_precision(t, 8, 7)"),
]  # fmt: skip
HELPERS = """
@jax.custom_vjp
def twice(t):
    return 2.0 * t


twice.defvjp(lambda t: (2.0 * t, None), lambda _, g: (2.0 * g,))


@jax.custom_jvp
def square(t):
    return t * t


square.defjvp(lambda primals, tangents: (square(*primals), tangents[0]))
"""


def jvp_rule(name: str, body: str, **options: bool) -> str:
    stated = "".join(f", {option}={value}" for option, value in options.items())
    return (
        f"\n\n@jax.custom_jvp\ndef {name}(x):\n    return x * x\n\n\n"
        f"def {name}_rule(primals, tangents):\n    (x,), (t,) = primals, tangents\n"
        f"    return {name}(x), {body}\n\n\n{name}.defjvp({name}_rule{stated})\n"
    )


def vjp_rule(name: str, body: str) -> str:
    return (
        f"\n\n@jax.custom_vjp\ndef {name}(x):\n    return x * x\n\n\n"
        f"def {name}_bwd(x, t):\n    return ({body},)\n\n\n"
        f"{name}.defvjp(lambda x: (x * x, x), {name}_bwd)\n"
    )


RULES = {"custom_jvp": jvp_rule, "custom_vjp": vjp_rule}
KINDS = pytest.mark.parametrize("kind", RULES)


@KINDS
def test_linear_rules_are_followed(kind: str, tmp_path: Path) -> None:
    names = [f"f{k}" for k in range(len(LINEAR))]
    rules = "".join(RULES[kind](*both) for both in zip(names, LINEAR, strict=True))
    returned = ", ".join(f"{name}(v) * w" for name in names)
    generated = generate_text(
        tmp_path,
        f"{HEADER}{HELPERS}{rules}\n\ndef step(v, w):\n    return {returned}\n",
        order="forward",
    )

    def both(*point):
        """The Jacobian and a product with it, of ours and of JAX's."""
        found = generated.function("jacobian")(*point)
        if kind == "custom_jvp":
            tangents = tuple(jnp.array([0.9, -2.3]))
            _, product = generated.function("jvp")(point, tangents)
            due = jax.jacfwd(generated.source, (0, 1))(*point)
            return (found, product), (due, jax.jvp(generated.source, point, tangents)[1])
        cotangents = tuple(jnp.linspace(-2.0, 3.0, len(names)))
        product = generated.function("vjp")(point, cotangents)
        due = jax.jacrev(generated.source, (0, 1))(*point)
        return (found, product), (due, jax.vjp(generated.source, *point)[1](cotangents))

    with jax.enable_x64(True):
        points = [tuple(jnp.array(p)) for p in ([1.3, 0.7], [-1.7, 2.0])]
        program = compiled(both, *points[0])
        for point in points:
            (found, product), (due, wanted) = program(*point)
            np.testing.assert_allclose(product, wanted, rtol=1e-12)
            np.testing.assert_allclose(found, due, rtol=1e-12)


def refusal(text: str, folder: Path) -> GradgenError:
    path = folder / "model.py"
    path.write_text(text)
    with pytest.raises(GradgenError) as caught:
        open_front(Settings(str(path)))
    assert caught.value.exit_code == 2
    return caught.value


def is_additive(step: types.FunctionType, kind: str) -> bool:
    """Whether JAX's product with a sum of vectors is the sum of its products."""

    def along(t: float) -> float:
        if kind == "custom_jvp":
            return float(jax.jvp(step, (jnp.float32(0.3),), (jnp.float32(t),))[1])
        return float(jax.vjp(step, jnp.float32(0.3))[1](jnp.float32(t))[0])

    vectors = [(1.25, -2.75), (0.5, 0.5), (1.001, 0.3)]
    return all(np.isclose(along(a) + along(b), along(a + b), rtol=1e-4) for a, b in vectors)


@KINDS
@pytest.mark.parametrize("body", NOT_LINEAR)
def test_other_rules_are_refused(kind: str, body: str, tmp_path: Path) -> None:
    rule = RULES[kind]("f", body)
    text = f"{HEADER}{HELPERS}{rule}\n\ndef step(v):\n    return f(v)\n"
    error = refusal(text, tmp_path)
    which = "rule" if kind == "custom_jvp" else "backward rule"
    assert f"the {which} of 'f' is not linear" in error.message
    assert "scale or select" in str(error.hint)
    first = text.count("\n", 0, text.index("def f_")) + 1
    assert "square" in body or first <= error.line <= first + 3
    if "nan_to_num" not in body:  # additive at numbers
        assert not is_additive(run_text(text).step, kind)


TWO = {
    "a product of tangents": (
        "@jax.custom_jvp\ndef f(x, y):\n    return x * y\n\n\n@f.defjvp\ndef _(p, t):\n"
        "    return f(*p), t[0] * t[1]\n",
        "f(v, w)",
    ),
    "one that depends on the other": (
        "@jax.custom_jvp\ndef f(x, y):\n    return x * y\n\n\n@f.defjvp\ndef _(p, t):\n"
        "    return f(*p), jnp.where(t[0] == 0, p[0] * t[1], p[1] * t[0])\n",
        "f(v, w)",
    ),
    "elements of one tangent": (
        "@jax.custom_jvp\ndef f(x):\n    return x * x\n\n\n@f.defjvp\ndef _(p, t):\n"
        "    return f(*p), t[0] * t[0][::-1]\n",
        "f(jnp.stack([v, w]))[0]",
    ),
    "a product of cotangents": (
        "@jax.custom_vjp\ndef f(x):\n    return x, x * x\n\n\n"
        "f.defvjp(lambda x: (f(x), x), lambda x, g: (g[0] * g[1],))\n",
        "f(v)",
    ),
    "a cotangent's direction": (
        "@jax.custom_vjp\ndef f(x):\n    return x * x\n\n\n"
        "f.defvjp(lambda x: (f(x), x), lambda x, g: (g / jnp.sqrt(jnp.sum(g * g)),))\n",
        "f(jnp.stack([v, w]))[0]",
    ),
    "a custom gradient": (
        "@jax.custom_gradient\ndef f(x):\n    return x * x, lambda g: 2.0 * x * g * g\n",
        "f(v)",
    ),
    "one of several rules": (
        "@jax.custom_jvp\ndef f(x, y):\n    return x * y\n\n\n"
        "f.defjvps(lambda t, ans, x, y: t * t, None)\n",
        "f(v, w)",
    ),
}


@pytest.mark.parametrize("name", TWO)
def test_rules_are_linear_in_all_vectors_together(name: str, tmp_path: Path) -> None:
    rule, called = TWO[name]
    error = refusal(f"{HEADER}\n\n{rule}\n\ndef step(v, w):\n    return {called}\n", tmp_path)
    assert "is not linear in its" in error.message


# rules of other forms, with what a step returns
FORMS = {
    "two outputs": (
        "@jax.custom_vjp\ndef f(x):\n    return {'a': x, 'b': x * x}\n\n\n"
        "f.defvjp(lambda x: (f(x), x), lambda x, g: (g['a'] + 2.0 * x * g['b'],))\n",
        "f(v)['a'] * w, f(v)['b']",
    ),
    "arrays": (
        "@jax.custom_vjp\ndef f(x):\n    return x * x\n\n\n"
        "f.defvjp(lambda x: (f(x), x), lambda x, g: (2.0 * x * g[::-1],))\n",
        "tuple(f(jnp.stack([v, w])))",
    ),
    "symbolic zeros": (
        "from jax.custom_derivatives import SymbolicZero\n\n\n"
        "@jax.custom_jvp\ndef f(x, y):\n    return x * y\n\n\ndef rule(p, t):\n"
        "    terms = [other * one for one, other in zip(t, p[::-1]) "
        "if not isinstance(one, SymbolicZero)]\n"
        "    return f(*p), sum(terms)\n\n\nf.defjvp(rule, symbolic_zeros=True)\n",
        "f(v, w), f(v, v)",
    ),
    "symbolic zeros backwards": (
        "from jax.custom_derivatives import SymbolicZero\n\n\n"
        "@jax.custom_vjp\ndef f(x):\n    return x, x * x\n\n\ndef bwd(x, g):\n"
        "    a, b = (0.0 if isinstance(one, SymbolicZero) else one for one in g)\n"
        "    return (a + 2.0 * x * b,)\n\n\n"
        "f.defvjp(lambda x: (f(x.value), x.value), bwd, symbolic_zeros=True)\n",
        "f(v)[0] * w, f(v)[1]",
    ),
    "defjvps": (
        "@jax.custom_jvp\ndef f(x, y):\n    return x * y\n\n\n"
        "f.defjvps(None, lambda t, ans, x, y: t * x)\n",
        "f(v, w), f(w, w)",
    ),
    "None": (
        "@jax.custom_vjp\ndef f(x, y):\n    return x * y\n\n\n"
        "f.defvjp(lambda x, y: (x * y, (y, 3)), lambda r, g: (r[0] * g * (r[1] - 2), None))\n",
        "f(v, w), f(w, w)",
    ),
    "a constant": (
        "@jax.custom_jvp\ndef f(x):\n    return jnp.zeros_like(x)\n\n\n"
        "f.defjvp(lambda p, t: (f(*p), 3.0 * p[0] * t[0]))\n",
        "f(v) + w, f(w)",
    ),
    "float32": (
        "@jax.custom_vjp\ndef f(x):\n    return x * x\n\n\n"
        "f.defvjp(lambda x: (f(x), x), lambda x, g: (g.astype(jnp.float32).astype(x.dtype),))\n",
        "f(v) * w, w",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_rules_of_every_form(name: str, tmp_path: Path) -> None:
    rule, returned = FORMS[name]
    text = f"{HEADER}{rule}\n\ndef step(v, w):\n    return {returned}\n"
    generated = generate_text(tmp_path, text)
    for point in ((1.5, 0.75), (-0.5, 2.0)):
        np.testing.assert_allclose(
            generated.function("jacobian")(*point),
            jax.jacrev(generated.source, (0, 1))(*map(jnp.float32, point)),
            rtol=1e-6,
        )


WRONG = {
    "another value forwards": (
        "@jax.custom_vjp\ndef f(x):\n    return x * x\n\n\n"
        "f.defvjp(lambda x: (x * x + 1.0, x), lambda x, g: (2.0 * x * g,))\n",
        "computes another value than its function: output out is 9.0, but 10.0 when",
    ),
    "another value beside tangents": (
        "@jax.custom_jvp\ndef f(x):\n    return jnp.where(x > 0, 1.0, 0.0)\n\n\n"
        "f.defjvp(lambda p, t: (jax.nn.sigmoid(p[0]), t[0]))\n",
        "computes another value than its function",
    ),
    "neurons together": (
        "@jax.custom_vjp\ndef f(x):\n    return x * x\n\n\n"
        "f.defvjp(lambda x: (x * x, x), lambda x, g: (jnp.mean(g) * x,))\n",
        "does not do the same for each neuron of a population as for one",
    ),
    "a shape": (
        "@jax.custom_jvp\ndef f(x):\n    return x * x\n\n\n"
        "f.defjvp(lambda p, t: (f(*p), t[0] * (1.0 + jnp.ndim(t[0]))))\n",
        "does not do the same for each neuron of a population as for one",
    ),
    "no mode of JAX": (
        "@jax.custom_vjp\ndef g(x):\n    return x * x\n\n\n"
        "g.defvjp(lambda x: (x * x, x), lambda x, t: (2.0 * x * t,))\n\n\ndef f(x):\n"
        "    turn = lambda s: (s[0] + 1, g(s[1]))\n"
        "    return lax.while_loop(lambda s: s[0] < 3, turn, (0, x))[1]\n",
        "JAX itself differentiates 'step' neither forwards nor backwards",
    ),
    "a value around it": (
        "def f(x):\n    @jax.custom_jvp\n    def g(y):\n        return y * y\n\n"
        "    g.defjvp(lambda p, t: (g(*p), x * t[0]))\n    return g(2.0 * x)\n",
        "the derivative rule of 'g' reads a value of the function around it",
    ),
    "a pair": (
        "@jax.custom_jvp\ndef f(x):\n    return x * x\n\n\nf.defjvp(lambda p, t: (f(*p), t))\n",
        "the derivative rule of 'f' fails: TypeError",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_rules_may_not_do(name: str, tmp_path: Path) -> None:
    rule, message = WRONG[name]
    path = tmp_path / "model.py"
    path.write_text(f"{HEADER}\n\n{rule}\n\ndef step(v):\n    return f(v)\n")
    with pytest.raises(GradgenError) as caught:
        generate(Settings(str(path)), lambda status: None)
    assert caught.value.exit_code == 2
    assert message in caught.value.message
    assert caught.value.line is not None


def test_neurons_together_with_the_option_that_the_hint_gives(tmp_path: Path) -> None:
    rule, _ = WRONG["neurons together"]
    path = tmp_path / "model.py"
    path.write_text(f"{HEADER}\n\n{rule}\n\ndef step(v):\n    return f(v)\n")
    made = generate(Settings(str(path), per_neuron=True), lambda status: None)
    assert made.report.exact


def test_a_rule_with_a_named_dtype_is_for_that_alone(tmp_path: Path) -> None:
    text = (
        f"{HEADER}\n\n@jax.custom_jvp\ndef f(x):\n    return (x > 0).astype(jnp.float32)\n\n\n"
        "@f.defjvp\ndef _rule(p, t):\n    return f(*p), t[0] / (jnp.abs(p[0]) + 1.0)\n\n\n"
        "def step(v):\n    return f(0.9 * v)\n"
    )
    path = tmp_path / "model.py"
    path.write_text(text)
    assert of_neurons(open_front(Settings(str(path))), "rule").trace.single
    path.write_text(text.replace(".astype(jnp.float32)", ".astype(x.dtype)"))
    assert not of_neurons(open_front(Settings(str(path))), "rule").trace.single
