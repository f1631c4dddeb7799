"""Faults that the API server in memory can be switched to."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Harm(Enum):
    REFUSE = auto()  # reply with `status` instead of executing it
    DROP = auto()  # close the connection before executing it
    LOSE = auto()  # execute it, and close the connection instead of replying
    HOLD = auto()  # do not reply until released, then close the connection without executing it
    GONE = auto()  # end a watch with an ERROR event of 410
    MEDDLE = auto()  # let another client write first, then execute it


@dataclass
class Fault:
    """A fault of the next ``times`` requests whose ``"METHOD path"`` matches the pattern."""

    pattern: str
    harm: Harm = Harm.REFUSE
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    meddle: Callable[[], object] = lambda: None


class Faults:
    """The faults to come. Safe to use from any thread."""

    def __init__(self) -> None:
        self._left: list[Fault] = []
        self._lock = threading.Lock()
        self.released = threading.Event()
        self.partition = False  # no request gets a reply, and open watches are closed
        self.cut_off: set[str] = set()  # tokens of clients whose requests get none

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._left.append(fault)

    def end(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._left.clear()
            self.partition = False
            self.cut_off.clear()
        self.released.set()

    def next(self, what: str, token: str = "") -> Fault | None:
        with self._lock:
            if self.partition or token in self.cut_off:
                return Fault("", Harm.DROP)
            for fault in self._left:
                if fault.times > 0 and re.search(fault.pattern, what):
                    fault.times -= 1
                    return fault
        return None
