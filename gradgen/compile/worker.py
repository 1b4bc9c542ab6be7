"""A process of its own for what executes a source, which may print, exit, crash or go elsewhere.

The process of the command executes no source. It speaks and writes all files, so that nothing that
a source prints is taken for a result, and a source that ends its process is an error like another.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from queue import SimpleQueue
from typing import IO, Any, TypeVar

from gradgen.compile.environment import keep_compiled_programs, require_jax
from gradgen.compile.status import Status, mute
from gradgen.errors import GradgenError, UnforeseenError
from gradgen.files import read_standard_input

T = TypeVar("T")
Work = Callable[..., T]
"""A function that another process can import; its last argument is a `Status`."""

_SECONDS_TO_END = 5.0
"""For a process that says no more."""
_OBJECTS = 100_000
"""After so many new ones Python looks for cycles."""


def apart(
    work: Work[T], *arguments: Any, path: str, status: Status = mute, debug: bool = False
) -> T:
    """What some work on a source comes to, done by another process.

    Raises GradgenError, also where the source ends that process.
    """
    if works_here(debug):
        return here(work, *arguments, status=status)
    with Worker() as worker:
        return worker.do(work, *arguments, path=path, status=status)


def works_here(debug: bool) -> bool:
    """Whether sources are executed in this process after all.

    They are for a debugger, and where JAX is loaded already: by a program that calls the command.
    """
    return debug or "jax" in sys.modules


def here(work: Work[T], *arguments: Any, status: Status = mute) -> T:
    """What some work on a source comes to, done by this process."""
    with redirect_stdout(sys.stderr):
        return work(*arguments, status)


class Worker:
    """Another process, which does one piece of work after the other."""

    def __init__(self) -> None:
        """Start the process."""
        self._process: subprocess.Popen[bytes] | None = _start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def do(self, work: Work[T], *arguments: Any, path: str, status: Status = mute) -> T:
        """What the work comes to.

        Raises GradgenError; with this path if the source ends the process, which is then replaced.
        """
        given = read_standard_input() if path == "-" else b""
        self._process = process = self._process or _start()
        requests, answers = process.stdin, process.stdout
        assert requests is not None
        assert answers is not None
        try:
            pickle.dump(pickle.dumps((given, work, arguments)), requests)
            requests.flush()
            while True:
                kind, value = pickle.load(answers)
                if kind == "status":
                    status(value)
                elif kind == "error":
                    raise value
                else:
                    result: T = value
                    return result
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
            code = process.returncode
            self.end()
            raise _vanished(path, code) from None

    def end(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what it did not read any more
                    pipe.close()


def _start() -> subprocess.Popen[bytes]:
    # modules are found as they are here, and not beside the working folder
    code = f"import sys; sys.path[:] = {sys.path!r}; import gradgen.compile.worker as w; w._serve()"
    command = [sys.executable, "-P", "-c", code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _vanished(path: str, code: int | None) -> GradgenError:
    how = "" if code is None else f" (exit code {code})" if code >= 0 else f" (signal {-code})"
    return GradgenError(
        f"the process that worked on this file ended all of a sudden{how}",
        hint="a source is executed: does it exit by itself, or need too much memory?",
        path=path,
    )


def _serve() -> None:
    """Do what is asked for, until nobody can ask any more."""
    # Ctrl-C reaches this process as well, and nothing has to be put in order here
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # what a source reads is nothing, and what it prints goes where messages go
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    # derivatives are the same everywhere; the CPU starts fastest and is always there
    os.environ["JAX_PLATFORMS"] = "cpu"
    # JAX would look at every frame of every error, of which verification makes hundreds
    os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")
    keep_compiled_programs()
    # tracing makes many objects and few cycles, which Python would look for all the time
    gc.set_threshold(_OBJECTS)
    # what cannot be kept or read again is compiled
    warnings.filterwarnings("ignore", r"Error \w+ing persistent compilation cache entry")
    # sources are tried on dtypes and numbers that nobody gives them: what JAX says of those is for
    # nobody
    for category in (FutureWarning, RuntimeWarning):
        warnings.filterwarnings("ignore", category=category, module=r"jax\b")
    lock = threading.Lock()

    def answer(kind: str, value: Any) -> None:
        content = pickle.dumps((kind, value))
        with lock:
            try:
                answers.write(content)
                answers.flush()
            except OSError:
                os._exit(0)  # nobody asks any more

    asked = SimpleQueue[bytes]()
    threading.Thread(target=_listen, args=(requests, asked), daemon=True).start()
    while True:
        request = asked.get()
        try:
            require_jax()
            given, work, arguments = pickle.loads(request)
            sys.stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
            answer("result", work(*arguments, lambda what: answer("status", what)))
        except GradgenError as error:
            answer("error", error)
        except Exception as error:
            answer("error", UnforeseenError.of(error))


def _listen(requests: IO[bytes], asked: SimpleQueue[bytes]) -> None:
    """Pass on what is asked for; once nobody can ask any more, end, whatever a source does."""
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            asked.put(pickle.load(requests))
    os._exit(0)
