"""Random models in other forms through the whole pipeline, each compared with JAX.

    pytest tests/test_random_forms.py                                 # 6 models, always the same
    GRADGEN_EXAMPLES=2000 pytest tests/test_random_forms.py -n 2      # others in each run

With GRADGEN_VERIFIED=4, one model in four goes through gradgen's own verification as well, as on
the command line; those that `check_formed` compares always do.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import check_model
from form_strategies import Formed, methods, packed, stepped
from generating import run_text
from hypothesis import note
from random_runs import examples, run_shard
from strategies import Model
from test_random_models import BRIEF

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import generate_arrays
from gradgen.compile.front import open_front
from gradgen.compile.generation import generate_from
from gradgen.config import Settings
from gradgen.errors import GradgenError

SHARDS = 2
COUNT = examples(2)
VERIFIED = int(os.environ.get("GRADGEN_VERIFIED", "0"))
POINTS = 5
SPARE = 1e-9
"""Of a derivative, beside the largest one there."""


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_steps(shard: int) -> None:
    passed: set[str] = set()
    outcomes: Counter[str] = Counter()

    def check(model: Model) -> None:
        if model.text in passed:
            return
        note(f"\n{model.text}")
        verified = VERIFIED > 0 and len(passed) % VERIFIED == 0
        # told by the text, so that it is the same when hypothesis tries it again
        extent = BRIEF[crc32(model.text.encode()) % len(BRIEF)]
        outcomes[check_model(model.text, extent, verified=verified)] += 1
        passed.add(model.text)
        _forget(len(passed))

    run_shard(check, stepped(), shard, SHARDS, COUNT)
    print(dict(outcomes))
    assert outcomes["refused"] + outcomes["untold"] <= 2 + 0.2 * outcomes.total()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("forms", [packed(), methods()], ids=["packed", "methods"])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_forms(shard: int, forms: Any) -> None:
    passed: set[str] = set()

    def check(formed: Formed) -> None:
        if formed.model.text in passed:
            return
        note(f"\n{formed.model.text}")
        check_formed(formed)
        passed.add(formed.model.text)
        _forget(len(passed))

    run_shard(check, forms, shard, SHARDS, COUNT)


def check_formed(formed: Formed) -> None:
    """Generate and verify; then compare values and gradients with those of the source."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_text(formed.model.text, encoding="utf-8")
        settings = Settings(str(path), function=formed.target, budget=0.1)
        refused, front, outcome = None, None, None
        try:
            front = open_front(settings)
            made = generate_arrays if isinstance(front, ArrayFront) else generate_from
            outcome = made(front, lambda status: None)
        except GradgenError as error:
            refused = error
    wide = front is None or not front.trace.single
    source = run_text(formed.model.text)
    with jax.enable_x64(wide):
        function = source
        for part in (*formed.target.split("."), *(["__call__"] if formed.target == "Cell" else ())):
            function = getattr(function, part)
        if front is None or outcome is None:
            assert refused is not None
            for taken in (_gradients, _tangents):
                with suppress(NotImplementedError, TypeError, ValueError):
                    taken(formed, function, source)
                    raise refused
            return  # JAX does not differentiate it either, in no mode
        try:
            due = _gradients(formed, function, source)
        except ValueError as error:  # a loop without an end that is known, which gradgen writes out
            assert "Reverse-mode differentiation does not work" in str(error)  # noqa: PT017
            return
        found = _gradients(formed, getattr(run_text(outcome.text), front.source.name), source)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        finite = np.isfinite(other)
        room = (SPARE if wide else 1e-3) * np.abs(np.where(finite, other, 0.0)).max(initial=1.0)
        np.testing.assert_allclose(one[finite], other[finite], atol=room)


def _gradients(formed: Formed, function: Any, source: Any) -> Any:
    """Values and vector-Jacobian products at some points, one at a time."""

    def pulled(point: Any) -> Any:
        value, pull = jax.vjp(partial(_at, formed, function, source), point)
        return value, pull(jnp.ones_like(value))

    return jax.tree.map(np.asarray, list(map(pulled, _points(formed))))


def _tangents(formed: Formed, function: Any, source: Any) -> Any:
    """Jacobian-vector products at the same points."""
    at = partial(_at, formed, function, source)
    return [jax.jvp(at, [point], [jnp.ones_like(point)]) for point in _points(formed)]


def _points(formed: Formed) -> list[Any]:
    numbers = np.random.default_rng(0).normal(0.3, 1.0, (POINTS, formed.first + formed.others))
    return [jnp.asarray(point, float) for point in numbers]


def _at(formed: Formed, function: Any, source: Any, point: Any) -> Any:
    numbers = list(point)
    first, more = numbers[: formed.first], numbers[formed.first :]
    return function(
        getattr(source, formed.made_by)(*first) if formed.made_by else jnp.stack(first, -1),
        *more,
    )


def _forget(count: int) -> None:
    if count % 50 == 0:
        jax.clear_caches()
