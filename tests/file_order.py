"""The order in which workers get the files of tests: what waits stands between what computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

# Folders of tests that wait for servers, leases and leaders most of the time.
WAITING = frozenset({"conformance", "faults", "gateways", "kube", "peers"})


def mixed(files: Iterable[PurePath]) -> list[PurePath]:
    """Spread the files that wait evenly over the other tests; doctests, which are short, come last.

    Each kind keeps its order. Paths are relative to the root of the repository.

    >>> names = "tests/faults/a.py", "tests/kube/b.py", "tests/c.py", "tests/d.py", "scaler/e.py"
    >>> [path.stem for path in mixed(map(PurePath, names))]
    ['a', 'c', 'b', 'd', 'e']
    """
    listed = list(files)
    tests = [path for path in listed if path.parts[0] == "tests"]
    waiting = [path for path in tests if path.parts[1] in WAITING]
    computing = [path for path in tests if path.parts[1] not in WAITING]
    placed = _placed(waiting) + _placed(computing)
    placed.sort(key=lambda one: one[0])  # stable: of two at one place, what waits is first
    return [path for _, path in placed] + [path for path in listed if path.parts[0] != "tests"]


def _placed(files: Sequence[PurePath]) -> list[tuple[float, PurePath]]:
    return [(place / len(files), path) for place, path in enumerate(files)]
