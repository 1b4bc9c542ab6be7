"""A source is executed: whatever it does to its process, the command says so and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from projects import command, gradgen, start, trust

from gradgen.cli import terminal
from gradgen.cli.main import main
from gradgen.compile.status import Status
from gradgen.compile.worker import Worker
from gradgen.errors import GradgenError

CUBE = "def f(v):\n    return v * v * v\n"
HEADER = """\
import os, sys
import jax
import jax.numpy as jnp


class Odd(BaseException):
    pass


"""
RULE = """\
@jax.custom_jvp
def spike(x):
    return jnp.tanh(x)


@spike.defjvp
def _rule(p, t):
    {}


"""
BACKWARD = """\
@jax.custom_vjp
def spike(x):
    return jnp.tanh(x)


def _fwd(x):
    return spike(x), x


def _bwd(x, g):
    {}


spike.defvjp(_fwd, _bwd)


"""
SPIKES = "def f(v):\n    return spike(v - 1.0)\n"

# name: (source after the header with a statement in it, options, what the message says)
PLACES = {
    "step": ("def f(v):\n    {}\n", (), "'f' cannot be traced on scalars"),
    "import": ("{}\n\n\ndef f(v):\n    return v * v\n", (), "the source file cannot be imported"),
    "example": (
        "def give():\n    {}\n\n\ndef f(v):\n    return v * v\n",
        ("--function", "f", "--example", "model.py:give"),
        "the example fails",
    ),
    "static": (
        "def stop():\n    {}\n\n\ndef f(v, w=1.0):\n    return v * w\n",
        ("--function", "f", "--static", "w=stop()"),
        "the static value of 'w' cannot be evaluated",
    ),
    "rule": (RULE + SPIKES, (), "the derivative rule of 'spike' fails"),
    "backward rule": (BACKWARD + SPIKES, (), "the derivative rule of 'spike' fails"),
    "call on arrays": (
        "def f(v):\n    if jnp.shape(v):\n        {}\n    return v * v\n",
        (),
        "'f' fails when gradgen calls it",
    ),
    "comparison": (
        "def f(v):\n    if not isinstance(v, jax.core.Tracer):\n        {}\n    return v * v\n",
        (),
        "'f' fails when gradgen calls it",
    ),
}
STATEMENTS = ["raise SystemExit(0)", "sys.exit()", "raise Odd('hi')", "raise GeneratorExit"]
CASES = [(place, STATEMENTS[k % 4]) for k, place in enumerate(PLACES)]
CASES += [("step", statement) for statement in STATEMENTS[1:]]
CASES += [("step", "raise StopIteration"), ("comparison", "raise ValueError('late')")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "brain"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.mark.parametrize(("place", "statement"), CASES)
def test_whatever_a_source_raises_is_an_error_at_its_line(
    folder: Path, place: str, statement: str
) -> None:
    body, options, message = PLACES[place]
    text = HEADER + body.format(statement)
    (folder / "model.py").write_text(text)
    result = gradgen("model.py", "-o", "out.py", *options)
    assert result.exit_code == 2, result.output
    line = text[: text.index(statement, len(HEADER))].count("\n") + 1
    assert result.stderr.startswith(f"model.py:{line}:"), result.stderr
    kind = {"sys.exit()": "SystemExit"}.get(statement, statement.split()[-1].partition("(")[0])
    assert f": error: {message}: {kind}: " in result.stderr
    assert not (folder / "out.py").exists()


def test_an_ending_process_is_an_error_of_its_target_alone(folder: Path) -> None:
    ends = {
        "exits": "import os\n\n\ndef f(v):\n    os._exit(0)\n",
        "killed": "import os\n\n\ndef f(v):\n    os.kill(os.getpid(), 9)\n",
        "raises": "def f(v):\n    raise KeyboardInterrupt\n",
        "cube": CUBE,
    }
    lines = []
    for name, text in ends.items():
        (folder / f"{name}.py").write_text(text)
        lines += [f"[tool.gradgen.targets.{name}]", f"source = '{name}.py'"]
        lines += [f"output = '{name}_grad.py'"]
    (folder / "pyproject.toml").write_text("\n".join(lines))
    run = start(folder)
    _, said = run.communicate(timeout=300)
    assert run.returncode == 2, said
    ended = "error: the process that worked on this file ended all of a sudden"
    assert f"exits.py: {ended} (exit code 0)" in said
    assert f"killed.py: {ended} (signal 9)" in said
    assert "raises.py:2:5: error: 'f' cannot be traced on scalars: KeyboardInterrupt" in said
    assert "4 files: 3 error, 1 written" in said
    assert {p.name for p in folder.glob("*_grad.py")} == {"cube_grad.py"}
    # alone, no process of the command is left to say what happened but its own
    alone = subprocess.run(
        command("exits.py", "-o", "out.py"), capture_output=True, text=True, check=False
    )
    assert alone.returncode == 2, alone.stderr
    assert f"exits.py: {ended} (exit code 0)" in alone.stderr


NOISY = """\
import os
import jax.numpy as jnp
print("printed")
os.write(1, b"written\\n")
os.system("echo echoed")
os.chdir("/")
def f(v, w, n: int, scale=jnp.arange(3.0)[1]):
    print("called")
    w = jnp.stack([v, w]).at[0].set(1.0)[1]  # as integers, a warning of JAX's
    return v * w * n + scale * jnp.where(v > 0, v, jnp.exp(w)), jnp.sqrt(v)
"""


def test_neither_prints_nor_the_environment_change_what_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "noisy.py").write_text(NOISY.replace("scale=jnp.arange(3.0)[1]", "scale=1.0"))
    environment = {
        "JAX_DISABLE_JIT": "1",
        "JAX_PLATFORMS": "cuda",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_DEBUG_NANS": "1",
        "JAX_ENABLE_X64": "1",
    }
    run = subprocess.run(
        command("noisy.py", "--dtype", "float32"),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for word in ("printed", "written", "echoed", "called"):
        assert f"{word}\n" in run.stderr
    assert "FutureWarning" not in run.stderr
    trust(monkeypatch)  # the other process has compared it
    result = gradgen("noisy.py", "-o", "out.py", "--dtype", "float32")
    assert result.exit_code == 0, result.output
    assert run.stdout == (folder / "out.py").read_text()


def test_a_source_on_standard_input_reaches_the_other_process(folder: Path) -> None:
    # and nothing is written where standard error should be, though both are closed
    closing = f"exec {' '.join(command('-', '-o', 'out.py'))} 2>&- >&-"
    run = subprocess.run(["bash", "-c", closing], input=CUBE, text=True, check=False)
    assert run.returncode == 0
    assert (folder / "out.py").read_text().startswith("# Code generated by gradgen")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "cube.py"), ("explain", "cube.py"), ("cube.py",),
        ("--help",), ("--version",), ("search", "--help"), ("train", "-h"),
    ],
)  # fmt: skip
def test_a_result_that_cannot_be_printed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    (folder / "cube.py").write_text(CUBE)
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert ended.value.code == 2
        patch.setattr(sys, "stdout", None)
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert ended.value.code == 2
        reader, writer = os.pipe()
        os.close(reader)  # as `head` does
        with os.fdopen(writer, "w") as pipe:
            patch.setattr(sys, "stdout", pipe)
            with pytest.raises(SystemExit) as ended:
                main(list(arguments))
        assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "error: cannot print the result: No space left on device" in said
    assert "error: cannot print the result: standard output is closed" in said
    assert "error: cannot print the result: Broken pipe" in said


def test_messages_that_nobody_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "none.py").write_text("def f(v):\n    return v > 0\n")
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        for stream in (None, full):
            patch.setattr(sys, "stderr", stream)
            with pytest.raises(SystemExit) as ended:
                main(["none.py"])
            assert ended.value.code == 2


def test_ctrl_c_is_heeded_after_a_round_or_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class EndedError(Exception):
        pass

    def end(code: int) -> None:
        assert code == 130
        raise EndedError

    monkeypatch.setattr(terminal.os, "_exit", end)
    with terminal.Interruption() as interruption:
        with pytest.raises(EndedError):
            os.kill(os.getpid(), signal.SIGINT)
        interruption.heed()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(EndedError):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.heed()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


SETTING = """\
import sys
import jax
import jax.numpy as jnp
{what}
def f(v, i):
    return v * jnp.exp(i)
"""


@pytest.mark.parametrize(
    "what",
    [
        'jax.config.update("jax_platforms", "cuda")',
        "sys.path.clear()",
        "sys.path = ()",
        "sys.setrecursionlimit(100)",
        "sys.setrecursionlimit(1)",
    ],
)
def test_what_a_source_sets_for_its_process_ends_with_it(folder: Path, what: str) -> None:
    paths, depth, platforms = list(sys.path), sys.getrecursionlimit(), jax.config.jax_platforms
    (folder / "setting.py").write_text(SETTING.format(what=what))
    result = gradgen("setting.py", "-o", "out.py", "--dtype", "float32")
    assert (sys.path, sys.getrecursionlimit(), jax.config.jax_platforms) == (
        paths, depth, platforms,
    )  # fmt: skip
    if "limit" in what and result.exit_code != 0:
        assert (result.exit_code, result.stderr[:14]) == (2, "setting.py:4:1")
    else:
        assert result.exit_code == 0, result.output


def _loops(status: Status) -> None:
    status("busy")
    while True:
        pass


def test_a_worker_ends_when_nobody_can_ask_any_more() -> None:
    with Worker() as worker:
        process = worker._process
        assert process is not None
        assert process.stdin is not None
        started = process.stdin
        with pytest.raises(GradgenError, match=r"ended all of a sudden \(exit code 0\)"):
            worker.do(_loops, path="one.py", status=lambda _: started.close())


def _nothing(status: Status) -> None:
    """Work that is done at once."""


@pytest.mark.parametrize(
    "variable", ["JAX_ENABLE_X64", "JAX_DEFAULT_PRNG_IMPL", "JAX_TRACEBACK_IN_LOCATIONS_LIMIT"]
)
def test_what_jax_does_not_take_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "bogus")
    with Worker() as worker:
        for _ in range(2):
            with pytest.raises(GradgenError, match=f"{variable}='bogus'") as raised:
                worker.do(_nothing, path="one.py")
            assert raised.value.exit_code == 2
