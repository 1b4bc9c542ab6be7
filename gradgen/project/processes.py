"""Several targets at a time, each worked on in another process than this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from gradgen.compile.status import Status, mute
from gradgen.compile.worker import Worker, here, works_here
from gradgen.errors import GradgenError, UnforeseenError
from gradgen.frontend.reading.local_imports import roots_of
from gradgen.project.outcome import Outcome, error_finding
from gradgen.project.target import Target

Work = Callable[[Target, Status], Outcome]
"""What is done with a target, by a function that another process can import."""

_AT_ONCE = 4
"""Each process holds JAX and what it compiled, some hundreds of megabytes."""


def run(work: Work, targets: Sequence[Target], status: Status, *, debug: bool) -> Iterator[Outcome]:
    """The outcome of each target, in their order; an error is the outcome of its target alone.

    With `debug` all are worked on in this process, and an error is raised.
    """
    if debug:
        for target in targets:
            yield here(_do, work, target, status=status)
    elif len(targets) == 1 and works_here(debug):
        yield _outcome(targets[0], partial(here, _do, work, targets[0], status=status))
    elif targets:
        yield from _apart(work, targets, status)


def _apart(work: Work, targets: Sequence[Target], status: Status) -> Iterator[Outcome]:
    """The outcome of each target, worked on by a few other processes."""
    count = min(len(targets), os.cpu_count() or 1, _AT_ONCE)
    tell = status if len(targets) == 1 else mute
    longest_first = sorted(range(len(targets)), key=lambda k: -_size(targets[k]))
    # the processes end before the threads that wait for them
    with ThreadPoolExecutor(count) as pool, _workers(count) as idle:
        futures = {k: pool.submit(_by_one_of, idle, work, targets[k], tell) for k in longest_first}
        try:
            for number, _ in enumerate(as_completed(futures.values()), start=1):
                if len(targets) > 1:
                    status(f"{number} of {len(targets)} targets")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for k in range(len(targets)):
        yield futures[k].result()


@contextmanager
def _workers(count: int) -> Iterator[SimpleQueue[Worker]]:
    """Processes that wait for work; they end with this context, whatever they do."""
    workers = [Worker() for _ in range(count)]
    idle = SimpleQueue[Worker]()
    for worker in workers:
        idle.put(worker)
    try:
        yield idle
    finally:
        for worker in workers:
            worker.end()


def _by_one_of(idle: SimpleQueue[Worker], work: Work, target: Target, status: Status) -> Outcome:
    worker = idle.get()
    try:
        path = target.settings.path
        return _outcome(target, partial(worker.do, _do, work, target, path=path, status=status))
    finally:
        idle.put(worker)


def _outcome(target: Target, run: Callable[[], Outcome]) -> Outcome:
    """The outcome of a target; an error is one as well, and keeps no other from being done."""
    try:
        return run()
    except GradgenError as error:
        found = error
    except Exception as error:
        found = UnforeseenError.of(error)
    finding = error_finding(target.placed(found))
    return Outcome(target.name, target.settings.path, target.output, "error", (finding,))


def _size(target: Target) -> int:
    """How much there is to do, roughly; the longest last would keep the other processes waiting."""
    path = target.output or ""
    return os.stat(path).st_size if os.path.isfile(path) else 0


def _do(work: Work, target: Target, status: Status) -> Outcome:
    """Work on a target, and forget the modules that its source brought along.

    Another one may call its own the same.
    """
    folders = roots_of(Path(target.settings.path))
    before = set(sys.modules)
    try:
        return work(target, status)
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is None or "site-packages" in file:
                continue
            if any(Path(os.path.realpath(file)).is_relative_to(folder) for folder in folders):
                del sys.modules[name]
