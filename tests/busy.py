"""Run a command beside two busy loops for each core: `python -m tests.busy make test`.

The loops are processes of this one's own, and are ended by their own ids whatever becomes of the
command. Its exit code is ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PER_CORE = 2
# A loop ends by itself when whoever started it has gone, by whatever way.
LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))\n"


@contextmanager
def busy(count: int) -> Iterator[list[int]]:
    """Keep so many cores busy until the block ends; yield the loops' ids."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        yield [loop.pid for loop in loops]
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


def main(command: Sequence[str]) -> int:
    if not command:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with busy(PER_CORE * (os.cpu_count() or 1)) as loops:
        sys.stdout.write(f"{len(loops)} busy loops: {' '.join(map(str, loops))}\n")
        sys.stdout.flush()
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
