"""Jobs over one setting, in this process or in several."""

from __future__ import annotations

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
        yield lambda jobs, keep: cast(
            "Iterable[Result]", pool.map(_job, jobs, [i < keep for i in range(len(jobs))])
        )


_remembered: list[tuple[Callable[..., Any], Any]] = []  # of a worker process


def _remember(one: Callable[..., Any], setting: object) -> None:
    _remembered.append((one, setting))


def _job(job: object, keep: bool) -> object:
    one, setting = _remembered[-1]
    return one(setting, job, keep)
