"""A file that is written atomically: old or new after a kill, old after a failure, never a part."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forecaster.adapters.atomic_write import ABANDONED_AFTER_S, write_atomically

OLD, NEW = b"old" * 1_000, b"new" * 2_000

# For each step of a write, a child that is killed at it: step N works in the folder N.
KILLED_AT_EACH_STEP = """
import itertools, os, signal, sys
from pathlib import Path
from forecaster.adapters.atomic_write import write_atomically

STEPS = ("open", "os.rename", "os.remove", "writing")
root = sys.argv[1]

def write(file):
    file.write(b"new" * 1_000)
    sys.audit("writing", root)
    file.write(b"new" * 1_000)

def die_at(step):
    steps = itertools.count()
    def watch(event, args):
        if event in STEPS and str(args[0]).startswith(root) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)

for step in itertools.count():
    target = Path(root, str(step), "data.bin")
    write_atomically(target, b"old" * 1_000)
    child = os.fork()
    if child == 0:
        die_at(step)
        write_atomically(target, write)
        os._exit(0)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        print(step)
        break
"""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize(
    "content", [NEW, lambda file: file.write(NEW)], ids=["bytes", "a function that writes"]
)
def test_the_new_content_takes_the_place_of_the_old_and_leaves_nothing_else(tmp_path, content):
    target = tmp_path / "folder" / "data.bin"
    write_atomically(target, OLD)

    write_atomically(target, content)

    assert target.read_bytes() == NEW
    assert files(target.parent) == ["data.bin"]


def test_a_file_has_the_rights_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "data.bin", NEW)
    (tmp_path / "plain").touch()

    assert (tmp_path / "data.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_whenever_a_writer_is_killed_the_file_is_the_old_or_the_new_one(tmp_path):
    command = [sys.executable, "-c", KILLED_AT_EACH_STEP, str(tmp_path)]
    steps = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    found = [(tmp_path / str(step) / "data.bin").read_bytes() for step in range(steps)]

    assert steps >= 4  # open, write, rename, open the folder
    assert set(found) == {OLD, NEW}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    def fail_half_way(file):
        file.write(NEW)
        raise OSError(28, "No space left on device")

    target = tmp_path / "data.bin"
    write_atomically(target, OLD)

    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, fail_half_way)

    assert target.read_bytes() == OLD
    assert files(tmp_path) == ["data.bin"]


def test_what_a_killed_writer_left_is_removed_a_day_later(tmp_path):
    target = tmp_path / "data[1].bin"
    old, young, foreign = (
        tmp_path / name
        for name in (".data[1].bin.00.tmp", ".data[1].bin.01.tmp", ".data1.bin.00.tmp")
    )
    for path in (old, young, foreign):
        path.touch()
    age(old, 2 * ABANDONED_AFTER_S)
    age(foreign, 2 * ABANDONED_AFTER_S)

    write_atomically(target, NEW)

    assert files(tmp_path) == sorted([target.name, young.name, foreign.name])


def test_of_many_writers_at_once_one_wins_whole(tmp_path):
    contents = [bytes([number]) * 10_000 for number in range(16)]
    target = tmp_path / "data.bin"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(target, content), contents))

    assert target.read_bytes() in contents
    assert files(tmp_path) == ["data.bin"]
