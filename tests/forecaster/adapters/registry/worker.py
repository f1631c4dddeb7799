"""A process that uses a registry and may be killed in it.

    python -m tests.forecaster.adapters.registry.worker ROOT ACTION

    kill            kill a saver at each of its steps
    save COUNT      save and promote COUNT times
    full BYTES      save; no file may exceed BYTES
    promote BYTES   promote v0002; likewise

`kill` makes one registry per step, ROOT/0, ROOT/1 ..., each with a champion, and in each a child
that saves and promotes a second version until SIGKILL meets it at that step. A step is anything
done to a path under the registry: open, mkdir, rename.
"""

import itertools
import os
import resource
import signal
import sys
from datetime import UTC, datetime

import numpy as np

from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.errors import RegistryError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = ("open", "os.mkdir", "os.rename")


def save_and_promote(root: str, mark: int) -> str:
    weights = {"weights": np.full(1_000, mark, np.float32)}
    registry = Registry(root)
    version = registry.save("web", Artifact({"mark": mark}, weights, {}), now=NOW)
    registry.promote("web", version)
    return version


def die_at_step(root: str, step: int) -> None:
    steps = itertools.count()

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event in STEPS and str(args[0]).startswith(root) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def kill_at_each_step(root: str) -> None:
    """Write the number of killed children: all but the last, which had fewer steps to do."""
    for step in itertools.count():
        where = f"{root}/{step}"
        save_and_promote(where, 1)
        child = os.fork()
        if child == 0:
            die_at_step(where, step)
            save_and_promote(where, 2)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.stdout.write(f"{step}\n")
            return


def main(root: str, action: str, number: int) -> int:
    if action == "kill":
        kill_at_each_step(root)
        return 0
    if action in {"full", "promote"}:
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    try:
        if action == "promote":
            Registry(root).promote("web", "v0002")
            return 0
        for _ in range(number if action == "save" else 1):
            sys.stdout.write(save_and_promote(root, 2) + "\n")
    except RegistryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
