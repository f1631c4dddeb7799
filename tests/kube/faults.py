"""What an API server on loopback does wrong when it is told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Harm(Enum):
    REFUSE = auto()  # answer `status` instead of doing it
    DROP = auto()  # hang up before it is done
    LOSE = auto()  # do it, and hang up instead of answering
    HOLD = auto()  # say nothing until released, then hang up without doing it
    GONE = auto()  # end a watch with an ERROR event of 410
    MEDDLE = auto()  # let somebody else write first, then do it


@dataclass
class Fault:
    """Harm to the next ``times`` requests whose ``"METHOD path"`` the pattern finds."""

    pattern: str
    harm: Harm = Harm.REFUSE
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    meddle: Callable[[], object] = lambda: None


class Faults:
    """The faults that are still to come; takes one at a time, from any thread."""

    def __init__(self) -> None:
        self._left: list[Fault] = []
        self._lock = threading.Lock()
        self.released = threading.Event()
        self.partition = False  # nobody is answered, and open watches are cut

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._left.append(fault)

    def end(self) -> None:
        """Let all be well from now on."""
        with self._lock:
            self._left.clear()
            self.partition = False
        self.released.set()

    def next(self, what: str) -> Fault | None:
        with self._lock:
            if self.partition:
                return Fault("", Harm.DROP)
            for fault in self._left:
                if fault.times > 0 and re.search(fault.pattern, what):
                    fault.times -= 1
                    return fault
        return None
