"""A generated step equals its source for whatever is passed, or raises a TypeError."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from calling import HEADER, MODES, SOURCES, arguments, differences, plain
from generating import Generated, generate_text

from gradgen.errors import GradgenError

NORMAL, FULL = 3, 8
"""Calls of each source that are compared with the source's own."""
SEED = os.environ.get("GRADGEN_SEED", "0")


@pytest.fixture(scope="module")
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("styles")
    return request.param, generate_text(folder, HEADER + SOURCES[request.param])


@pytest.mark.parametrize(
    ("generated", "wide"),
    [
        # every other one in each precision, and in the full matrix in both
        pytest.param(
            name, wide, id=f"{name}-{label}", marks=() if k % 2 == wide else pytest.mark.full
        )
        for k, name in enumerate(SOURCES)
        for label, wide in (("x32", False), ("x64", True))
    ],
    indirect=["generated"],
)
@pytest.mark.filterwarnings("ignore")
def test_equals_the_source_or_refuses(
    generated: tuple[str, Generated], wide: bool, pytestconfig: pytest.Config
) -> None:
    name, made = generated
    normal = FULL if pytestconfig.getoption("--full") else NORMAL
    examples = int(os.environ.get("GRADGEN_EXAMPLES", 50 * normal)) // 50
    r = random.Random(f"{name} {wide} {SEED}")
    compared = drawn = 0
    with jax.enable_x64(wide), np.errstate(all="ignore"):
        while drawn < examples or compared < 3:
            drawn += 1
            assert drawn < 1000 + examples, "the source takes nothing, or what it takes is refused"
            mode = r.choice(list(MODES))
            given = arguments(r, made.source, mode)
            shown = f"{mode} " + ", ".join(f"{type(a).__name__}:{a!r}" for a in given)
            found, refusal = None, None
            try:
                found = MODES[mode](made.function())(*given)
            except Exception as error:
                if takes_no_such(error) and not plain(given):
                    continue  # whatever the source makes of it
                refusal = error
            try:
                due = MODES[mode](made.source)(*given)
            except Exception:
                continue  # what the source does not take has no value
            if refusal is None:
                compared += 1
                assert not list(differences(found, due)), f"{shown}: {found} for {due}"
                continue
            assert takes_no_such(refusal), f"{shown}: {refusal!r}"
            if plain(given):
                others = ("an integer", "a truth value", "values of NumPy")
                assert any(what in str(refusal) for what in others), shown


def takes_no_such(error: Exception) -> bool:
    """Whether a function refuses what it was passed."""
    return isinstance(error, TypeError) and "step takes" in str(error)


LONE = """
def step(v, n: int):
    return v * (1 / n), jnp.floor(v).astype(jnp.int32) + n
"""


def test_converted_and_promoted_integers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GradgenError, match="converts integers, and has others promoted") as found:
        generate_text(tmp_path, HEADER + LONE)
    assert "n * 1.0" in str(found.value.hint)
    text = LONE.replace("1 / n", "1 / (n * 1.0)")
    with jax.enable_x64(True):
        made = generate_text(tmp_path, HEADER + text)
        for n in (7, np.array(7), jnp.int32(7)):
            got = made.function()(0.3, n)
            assert not list(differences(got, made.source(0.3, n)))


TOGETHER = """
def step(v, n: int, m: int):
    return 0.9 * v, jnp.floor(v).astype(jnp.result_type(n, m))
"""


def test_conversions_to_the_dtype_of_several_integers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GradgenError, match="the dtype of several integers") as found:
        generate_text(tmp_path, HEADER + TOGETHER)
    assert "or take that of one" in str(found.value.hint)
    for told in ("int", "jnp.asarray(n).dtype"):
        text = TOGETHER.replace("jnp.result_type(n, m)", told)
        with jax.enable_x64(True):
            made = generate_text(tmp_path, HEADER + text)
            for n in (7, jnp.int32(7), jnp.int64(7)):
                got = made.function()(2.3, n, jnp.int32(2))
                assert not list(differences(got, made.source(2.3, n, jnp.int32(2))))


BESIDE_FIXED = """
from jax.scipy import special

def step(v, i=2):
    return 0.9 * v, jnp.float32(0.3) * special.i0e(i - i)
"""


def test_integers_promoted_beside_a_fixed_precision_are_refused(tmp_path: Path) -> None:
    # in an array they decide the dtype that a number of float32 gives way to
    with pytest.raises(GradgenError, match="promoted beside numbers of float32") as found:
        generate_text(tmp_path, HEADER + BESIDE_FIXED)
    assert found.value.hint is not None
    with jax.enable_x64(True):
        for told in (("(i - i)", "(i * 1.0 - i * 1.0)"), ("jnp.float32(0.3)", "0.3")):
            made = generate_text(tmp_path, HEADER + BESIDE_FIXED.replace(*told))
            got = made.function()(0.3, 2)
            assert not list(differences(got, made.source(0.3, 2)))


def test_an_array_without_axes_is_a_number(tmp_path: Path) -> None:
    # JAX itself keeps it in the precision that it met it in first
    text = "import numpy as np\n\nC = np.array(0.1)\n\ndef step(v):\n    return C * v\n"
    assert "0.1, float" in generate_text(tmp_path, HEADER + text).text
