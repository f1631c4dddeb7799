"""What a long command says on stderr while it works: it is never silent for long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress

# Nobody should have to wonder whether a command still runs.
SILENT_S = 3.0


class Work(Protocol):
    """Takes what a command is doing now."""

    def now(self, doing: str, done: int = 0, total: int | None = None, line: str = "") -> None:
        """Say what is being done, and how much of how much is done; None: nobody knows.

        ``line`` is worth a line of its own where there is no terminal.
        """


@contextmanager
def working(doing: str, silent_s: float = SILENT_S) -> Iterator[Work]:
    """Say what is being done: by a bar on a terminal; elsewhere by a line whenever it lasts.

    Args:
        doing: what it begins with.
        silent_s: seconds after which a line is due.
    """
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from forecaster.commands.terminal import Terminal

    terminal = Terminal(stderr=True)
    if not terminal.is_terminal:
        with _Lines(doing, silent_s) as lines:
            yield lines
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=terminal, transient=True) as bar:
        yield _Bar(bar, doing)


class _Bar:
    """A bar that moves while something is being done."""

    def __init__(self, bar: Progress, doing: str) -> None:
        self._bar, self._task = bar, bar.add_task(doing, total=None)

    def now(self, doing: str, done: int = 0, total: int | None = None, line: str = "") -> None:
        self._bar.update(self._task, description=line or doing, completed=done, total=total)


class _Lines:
    """Lines on stderr, by a thread of its own.

    Attributes:
        said: when something was said last, of whatever work of this process.
    """

    said = time.monotonic()

    def __init__(self, doing: str, silent_s: float) -> None:
        self._doing, self._silent_s = doing, silent_s
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> _Lines:
        # Of one work after another none is silent for all of its time.
        _Lines.said = max(_Lines.said, time.monotonic() - self._silent_s / 2)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def now(self, doing: str, done: int = 0, total: int | None = None, line: str = "") -> None:
        self._doing = doing if total is None else f"{doing}: {done} of {total}"
        if line:
            self._say(line)

    def _run(self) -> None:
        while not self._ended.wait(max(self._due() - time.monotonic(), 0.0)):
            if time.monotonic() >= self._due():
                self._say(f"{self._doing} ({time.monotonic() - self._begun:.0f} s)")

    def _due(self) -> float:
        return _Lines.said + self._silent_s

    def _say(self, line: str) -> None:
        _Lines.said = time.monotonic()
        print(line, file=sys.stderr, flush=True)
