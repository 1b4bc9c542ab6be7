"""Several targets at a time, each worked on in another process than this one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from pathlib import Path

from gradgen.errors import GradgenError, UnforeseenError
from gradgen.frontend.reading.local_imports import roots_of
from gradgen.project.outcome import Outcome, error_finding
from gradgen.project.target import Target
from gradgen.status import Status

Work = Callable[[Target], Outcome]
"""What is done with a target, by a function that another process can import."""

_AT_ONCE = 4
"""Each process holds JAX and what it compiled, some hundreds of megabytes."""


def run(work: Work, targets: Sequence[Target], status: Status, *, debug: bool) -> Iterator[Outcome]:
    """The outcome of each target, in their order; an error is the outcome of its target alone.

    A single target is worked on here. With `debug` all are, and an error is raised.
    """
    if debug or len(targets) < 2:
        for target in targets:
            yield work(target) if debug else guarded(work, target)
        return
    done: dict[int, Outcome] = {}
    with _pool(min(len(targets), os.cpu_count() or 1, _AT_ONCE)) as pool:
        longest_first = sorted(range(len(targets)), key=lambda k: -_size(targets[k]))
        futures = {pool.submit(guarded, work, targets[k]): k for k in longest_first}
        for future in as_completed(futures):
            outcome = _result(future)
            if outcome is not None:
                done[futures[future]] = outcome
                status(f"{len(done)} of {len(targets)} targets")
    for k, target in enumerate(targets):
        yield done[k] if k in done else _alone(work, target)


def _size(target: Target) -> int:
    """How much there is to do, roughly; the longest last would keep the other processes waiting."""
    path = Path(target.output or "")
    return path.stat().st_size if path.is_file() else 0


def _result(future: Future[Outcome]) -> Outcome | None:
    """What came back; None if the process died, of this target or of another one."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _alone(work: Work, target: Target) -> Outcome:
    """A target in a process of its own: whether it is the one that ends its process."""
    with _pool(1) as pool:
        outcome = _result(pool.submit(guarded, work, target))
    if outcome is not None:
        return outcome
    return _failed(
        target,
        GradgenError(
            "the process that worked on this file ended all of a sudden",
            hint="a source is executed: does it exit by itself, or need too much memory?",
            path=target.settings.path,
        ),
    )


def guarded(work: Work, target: Target) -> Outcome:
    """The outcome of a target; an error is one as well."""
    try:
        with _own_modules(target):
            return work(target)
    except GradgenError as error:
        return _failed(target, error)
    except Exception as error:  # whatever it is, it must not keep the others from being done
        return _failed(target, UnforeseenError.of(error, target.settings.path))


def _failed(target: Target, error: GradgenError) -> Outcome:
    finding = error_finding(error)
    return Outcome(target.name, target.settings.path, target.output, "error", (finding,))


@contextmanager
def _own_modules(target: Target) -> Iterator[None]:
    """Forget the modules that a source brought along: another one may call its own the same."""
    folders = roots_of(Path(target.settings.path))
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is None or "site-packages" in file:
                continue
            if any(Path(file).resolve().is_relative_to(folder) for folder in folders):
                del sys.modules[name]


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that die quietly with this one when it is interrupted; they write no files."""
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_die_when_interrupted
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.terminate()
        raise
    pool.shutdown()


def _die_when_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
