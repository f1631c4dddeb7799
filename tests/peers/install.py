"""Unpack real servers into `.cache/peers` without root: `python -m tests.peers.install`.

Debian's packages are downloaded and unpacked, never installed. apt works on lists and an archive
of its own, so that neither root nor a previous `apt-get update` is needed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.paths import ROOT

PEERS = ROOT / ".cache" / "peers"


class NotOfferedError(Exception):
    """This machine offers no Debian package of that name."""


def installed(package: str, program: str) -> Path:
    """Return the path of ``program`` from ``package``; unpack the package first if need be."""
    wanted = PEERS / package / "usr" / "bin" / program
    if not wanted.is_file():
        _unpack(package, [package])
    if not wanted.is_file():
        raise NotOfferedError(f"the Debian package {package} holds no usr/bin/{program}")
    return wanted


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """Return the folder ``name`` in which all ``packages`` are unpacked; do so if need be.

    Their dependencies are not followed: what a server needs is named.
    """
    folder = PEERS / name
    if not folder.is_dir():
        _unpack(name, packages)
    return folder


def _unpack(target: str, packages: Sequence[str]) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise NotOfferedError(f"no {tool} here, so no Debian package {packages[0]}")
    PEERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{target}-", dir=PEERS) as name:
        work = Path(name)
        for folder in ("lists/partial", "archives/partial"):
            (work / folder).mkdir(parents=True)
        private = [
            *("-o", f"Dir::State::Lists={work / 'lists'}"),
            *("-o", f"Dir::Cache={work}"),
            *("-o", f"Dir::Cache::Archives={work / 'archives'}"),
            *("-o", "Debug::NoLocking=1"),
            *("-o", "APT::Sandbox::User="),  # the folder belongs to us, not to _apt
            *("-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=2"),
        ]
        _do(["apt-get", *private, "-qq", "update"], work)
        _do(["apt-get", *private, "-qq", "download", *packages], work)
        for deb in sorted(work.glob("*.deb")):
            _do(["dpkg", "-x", str(deb), str(work / "unpacked")], work)
        home = PEERS / target
        try:
            (work / "unpacked").replace(home)
        except OSError:  # another process was quicker; a rename leaves no half of a folder
            if not home.is_dir():
                raise


def _do(command: list[str], cwd: Path) -> None:
    done = subprocess.run(
        command, check=False, cwd=cwd, capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        raise NotOfferedError(
            f"{' '.join(command[:1] + command[-2:])} failed: {done.stderr.strip()}"
        )


def main() -> int:
    try:
        program = installed("prometheus", "prometheus")
    except NotOfferedError as reason:
        sys.stderr.write(f"no real Prometheus: {reason}\n")
        return 1
    sys.stdout.write(f"{program}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
