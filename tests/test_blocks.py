"""Loops over time in blocks and segments of steps, each compared with JAX; and what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_sources import HEADER
from click.testing import CliRunner
from compiling import run_compiled
from generating import ROOT
from loop_sources import LOOPS, loop_source
from test_arrays import Pair, assert_verifies, check, pair
from test_networks import close, source

from gradgen.cli.main import main
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.shapes import names_in
from gradgen.project.budgets import over_budget
from gradgen.project.configuration import parse
from gradgen.project.record import counts_of
from gradgen.project.target import Target
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.array_points import choose_sizes, has_long_loops
from gradgen.verify.isolate import load
from gradgen.verify.subject import ArraySubject

WAYS = {
    "blocks of 2": {"blocks": "2"},
    "blocks of 3": {"blocks": "3"},
    "2 segments": {"segments": "2"},
    "3 segments": {"segments": "3"},
    "segments": {"segments": "auto"},
}
REPRESENTATIVES = {
    # sums over time and layers, the other direction, loops in loops, what begins anew in a block
    ("a readout added up", "blocks of 3"),
    ("backwards in time", "blocks of 2"),
    ("many steps within steps", "blocks of 3"),
    ("masks over time", "3 segments"),
    ("two loops in a row", "segments"),
}
"""What the normal run takes."""
STEP_BY_STEP = {"a map over time"}
"""Without a loop: whatever is mapped is done for all steps at once."""


def _cases() -> list[Any]:
    every = [(name, way) for name in LOOPS if name not in STEP_BY_STEP for way in WAYS]
    return [
        case if case in REPRESENTATIVES else pytest.param(*case, marks=pytest.mark.full)
        for case in every
    ]


def of_steps(made: Pair, steps: int) -> list[int]:
    """Sizes of all axes in the order of their names, no two alike."""
    axes = sorted({n for shape in made.front.trace.shapes for dim in shape for n in names_in(dim)})
    others = iter((3, 2, 4, 5, 6))
    return [steps if axis == "time" else next(others) for axis in axes]


@pytest.mark.parametrize(("name", "way"), _cases())
def test_equals_jax(name: str, way: str, tmp_path: Path) -> None:
    """With a block of what is left."""
    made = pair(tmp_path, loop_source(name), **WAYS[way])
    assert "_in_blocks(block" in made.text
    check(made, "float64", value_ulps=1e3, sets=[of_steps(made, 7)])


@pytest.mark.parametrize(
    "way", [{"blocks": "3"}, pytest.param({"segments": "auto"}, marks=pytest.mark.full)]
)
def test_any_number_of_steps(
    way: dict[str, str], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    made = pair(tmp_path, loop_source("recurrence and spikes put out"), **way)
    full = pytestconfig.getoption("--full")

    def both(*given: Any) -> Any:
        return made.function("_value_and_grad")(*given), jax.value_and_grad(made.source)(*given)

    with jax.enable_x64(True):
        for steps in (1, 2, 3, 7) if full else (1, 3):  # seven are above
            leaves = made.leaves(of_steps(made, steps), "float64", np.random.default_rng(steps))
            (first, *others), _ = made.front.signature.bind(leaves)
            (value, (gradient,)), due = run_compiled(both, first, *others)
            close((value, gradient), due)


@pytest.mark.filterwarnings("ignore")
def test_verifies_at_the_sizes_of_blocks(tmp_path: Path) -> None:
    """Operations are counted again, too."""
    made = pair(tmp_path, loop_source("a leaky layer and its last potential"), blocks="2")
    assert_verifies(made)


RATES = """
# gradgen: shape w=(n,) xs=(time, batch, n)
def f(w, xs):
    def step(v, x):
        v = 0.9 * v + w * x
        return v, jnp.tanh(v)
    v, rates = lax.scan(step, jnp.zeros(xs.shape[1:], xs.dtype), xs)
    return jnp.sum((rates.mean(0).mean(0) - 0.1) ** 2) + jnp.mean(v)
"""


@pytest.mark.filterwarnings("ignore")
def test_values_that_are_added_up_block_by_block_verify(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    quick = not pytestconfig.getoption("--full")
    assert_verifies(pair(tmp_path, RATES, blocks="2"), quick=quick)


@pytest.mark.parametrize(("blocks", "lengths"), [(2, [5, 2, 1]), (70, [5, 141, 70])])
def test_what_is_compared_of_blocks(blocks: int, lengths: list[int], tmp_path: Path) -> None:
    """Two and one over, one, and less than one; of long ones, few steps come first."""
    front = pair(tmp_path, RATES, blocks=str(blocks)).front
    module = array_module(front)
    subject = ArraySubject(module, front.function, front.signature.bind, text="")
    sets = choose_sizes(subject, "float32")
    assert [sizes["time"] for sizes in sets[:3]] == lengths
    assert [has_long_loops(subject, sizes) for sizes in sets] == [n > 64 for n in (*lengths, 1)]


@pytest.mark.full
def test_long_blocks_verify(tmp_path: Path) -> None:
    assert_verifies(pair(tmp_path, RATES, blocks="70"))


def network(name: str, sizes: str, **options: Any) -> ArrayModule:
    path = str(ROOT / "models" / "networks" / f"{name}.py")
    front = open_front(Settings(path, directives=(("size", sizes),), **options))
    assert isinstance(front, ArrayFront)
    return array_module(front)


@pytest.mark.parametrize(
    ("name", "sizes", "size"),
    [
        ("feedforward_loss", "time=100 batch=128 n_in=128 n=128 n_out=10", 20),
        pytest.param(
            *("feedforward_loss", "time=100 batch=32 n_in=700 n=256 n_out=20", None),
            marks=pytest.mark.full,
        ),
        ("recurrent_loss", "time=250 batch=1 n_in=700 n=2048 n_out=20", None),
        pytest.param(
            *("recurrent_loss", "time=1000 batch=4 n_in=700 n=256 n_out=20", None),
            marks=pytest.mark.full,
        ),
    ],
)
def test_blocks_where_they_pay(name: str, sizes: str, size: int | None) -> None:
    """At many examples and small layers, in as many steps as divide all; at few examples never."""
    found = {loop.blocks.size for loop in network(name, sizes).blocks if loop.blocks}
    assert found == ({size} - {None})


def temporary(function: Any, given: Any) -> int:
    return jax.jit(function).lower(*given).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(
    "name", ["feedforward_loss", pytest.param("recurrent_loss", marks=pytest.mark.full)]
)
def test_memory_of_segments(name: str) -> None:
    """At 1,000 steps at most 0.35 of what it takes to keep what every step began with."""
    made = network(name, "time=1000 batch=8 n_in=20 n=32 n_out=4", segments="auto")
    generated = getattr(load(render_arrays(made)), f"{name}_value_and_grad")
    weights = ((20, 32), (32, 32), (32, 4))
    given = (
        source(name).Weights(*(jnp.ones(shape) for shape in weights)),
        jnp.zeros((1000, 8, 20)),
        jnp.zeros(8, jnp.int32),
    )
    text = (ROOT / "models" / "networks" / f"{name}.py").read_text(encoding="utf-8")
    text = text.replace("lax.scan(step,", "lax.scan(jax.checkpoint(step, prevent_cse=False),")
    checkpoint = jax.value_and_grad(getattr(load(text), name))
    assert temporary(generated, given) < 0.35 * temporary(checkpoint, given)


@pytest.mark.parametrize("blocks", ["1", "10"])
def test_bytes_as_formulas(blocks: str) -> None:
    """What they come to at other sizes is what is counted there."""
    sizes = {"time": 100, "batch": 32, "n_in": 70, "n": 64, "n_out": 10}
    larger = {"time": 130, "batch": 48, "n_in": 90, "n": 96, "n_out": 12}
    made, other = (
        network("feedforward_loss", " ".join(f"{k}={v}" for k, v in at.items()), blocks=blocks)
        for at in (sizes, larger)
    )
    assert made.takes is not None
    assert made.takes.at(larger) == other.memory
    assert made.keeps.at(larger) == other.passes.bytes
    assert eval(str(made.takes), {}, larger) == other.memory


@pytest.mark.parametrize(
    "name", ["feedforward_loss", pytest.param("recurrent_loss", marks=pytest.mark.full)]
)
@pytest.mark.parametrize("blocks", ["auto", pytest.param("10", marks=pytest.mark.full)])
def test_the_memory_that_is_stated(name: str, blocks: str) -> None:
    """It is what XLA takes for its own, and the gradient, by some percents."""
    made = network(name, "time=100 batch=32 n_in=70 n=64 n_out=10", blocks=blocks)
    generated = getattr(load(render_arrays(made)), f"{name}_value_and_grad")
    weights = tuple(jnp.ones(shape) for shape in ((70, 64), (64, 64), (64, 10)))
    given = (source(name).Weights(*weights), jnp.zeros((100, 32, 70)), jnp.zeros(32, jnp.int32))
    assert made.memory is not None
    taken = temporary(generated, given) + sum(w.nbytes for w in weights)
    assert 0.9 < made.memory / taken < 1.2


def test_a_memory_that_is_asked_for() -> None:
    """Each amount has its way, until there is none; the hint of the error works."""
    sizes = "time=400 batch=64 n_in=64 n=64 n_out=10"
    plain = network("feedforward_loss", sizes)
    assert plain.memory is not None
    half = network("feedforward_loss", sizes, memory=f"{plain.memory // 2}")
    least = network("feedforward_loss", sizes, memory=f"{plain.memory // 4}")
    for made, share in ((half, 2), (least, 4)):
        assert made.memory is not None
        assert made.memory <= plain.memory // share
    assert 1.0 <= half.factor <= least.factor < 1.5
    with pytest.raises(GradgenError, match="takes at least") as caught:
        network("feedforward_loss", sizes, memory="10kB")
    assert caught.value.line is not None
    assert caught.value.hint is not None
    allowed = caught.value.hint.removeprefix("allow it --memory ").partition(",")[0]
    network("feedforward_loss", sizes, memory=allowed)


def test_a_budget_of_memory() -> None:
    made = network("feedforward_loss", "time=30 batch=8 n_in=16 n=8 n_out=4")
    counts = counts_of(made)
    assert made.memory is not None
    for allowed, passes in ((made.memory, True), (made.memory - 1, False)):
        target = Target(
            Settings("loss.py"), "loss_grad.py", "loss", {"max-memory": allowed}, "pyproject.toml"
        )
        assert (over_budget(target, counts) == ()) == passes


WITHOUT = f"""{HEADER}
# gradgen: shape w=(n, m) x=(batch, n)

def f(w, x):
    return (x @ w).sum()
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": "4"}, "--blocks is about loops over time, and 'f' has none"),
        ({"segments": "auto"}, "--segments is about loops over time"),
        ({"memory": "1MB"}, "--memory is about loops over time"),
        ({"unroll": "2"}, "--unroll is about loops over time"),
    ],
)
def test_options_where_there_is_no_loop(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "layer.py"
    path.write_text(WITHOUT)
    with pytest.raises(GradgenError, match=message) as caught:
        open_front(Settings(str(path), **options))
    assert (caught.value.path, caught.value.hint is None) == (str(path), False)
    assert caught.value.line == WITHOUT.splitlines().index("def f(w, x):") + 1
    open_front(Settings(str(path)))


def test_two_sizes_at_once() -> None:
    with pytest.raises(GradgenError, match="both say how many steps") as caught:
        network("feedforward_loss", "time=30", blocks="3", segments="2")
    assert caught.value.hint == "leave out --segments"


def test_options_are_recorded(tmp_path: Path) -> None:
    made = pair(tmp_path, loop_source("no sequence"), segments="4", unroll="2")
    options = made.generated.GRADGEN["options"]
    assert (options["segments"], options["unroll"]) == ("4", "2")
    assert "unroll=2" in made.text


def configured(lines: str) -> Settings:
    text = f'[tool.gradgen.targets.loss]\nsource = "loss.py"\noutput = "loss_grad.py"\n{lines}\n'
    (target,) = parse(Path("pyproject.toml"), text).targets
    return target.settings


def test_keys_of_a_target() -> None:
    found = configured('blocks = 25\nunroll = "auto"\nmax-memory = 10')
    assert (found.blocks, found.segments, found.unroll) == ("25", None, "auto")
    assert configured('segments = "auto"\nmemory = "1.5GB"').options() == (
        ("segments", "auto"),
        ("memory", "1.5GB"),
    )
    for wrong in ("blocks = 0", 'segments = "many"', "unroll = true", 'memory = "much"'):
        with pytest.raises(GradgenError) as caught:
            configured(wrong)
        assert caught.value.line == 4


@pytest.mark.parametrize(
    "given", [["--blocks", "0"], ["--segments", "few"], ["--memory", "1 house"]]
)
def test_what_the_command_refuses(given: list[str]) -> None:
    result = CliRunner().invoke(main, ["loss.py", *given])
    assert result.exit_code == 2
    assert given[1] in result.output
