"""Jobs over one setting, in this process or in several."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar, cast

Setting = TypeVar("Setting")
Job = TypeVar("Job")
Result = TypeVar("Result")


@contextmanager
def mapped(
    one: Callable[[Setting, Job, bool], Result], setting: Setting, workers: int
) -> Iterator[Callable[[Sequence[Job], int], Iterable[Result]]]:
    """Yield what carries out jobs in order; ``one`` is told of the first few to keep their runs.

    Args:
        one: a function of a module, which returns the result of a job.
        setting: handed to each process once.
        workers: processes; 1 for this one alone.
    """
    if workers == 1:
        yield lambda jobs, keep: (one(setting, job, i < keep) for i, job in enumerate(jobs))
        return
    # A fresh interpreter each: a copy of this one would inherit the locks of its threads.
    context = get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_remember, initargs=(one, setting)
    ) as pool:

        def carry_out(jobs: Sequence[Job], keep: int) -> Iterable[Result]:
            with _interrupts_held():  # the first call starts the processes
                return cast("Iterable[Result]", pool.map(_job, jobs, _first(keep, len(jobs))))

        yield carry_out


_remembered: list[tuple[Callable[..., Any], Any]] = []  # of a worker process


def _first(keep: int, count: int) -> list[bool]:
    return [i < keep for i in range(count)]


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold interrupts back: a process that is interrupted while it starts prints a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _remember(one: Callable[..., Any], setting: object) -> None:
    # An interrupt of the command ends this process at once, and without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _remembered.append((one, setting))


def _job(job: object, keep: bool) -> object:
    one, setting = _remembered[-1]
    return one(setting, job, keep)
