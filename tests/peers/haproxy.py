"""A real HAProxy, as Debian packages it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.peers.install import unpacked

# What it is linked against and a machine may lack; the rest is everywhere.
PACKAGES = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1", "lua5.3")


class HAProxy:
    """The programs and what they need in their environment.

    Raises:
        NotOfferedError: this machine offers no such packages.
    """

    def __init__(self) -> None:
        self._home = unpacked("haproxy", PACKAGES)

    @property
    def program(self) -> Path:
        return self._home / "usr" / "sbin" / "haproxy"

    @property
    def lua(self) -> Path:
        """The interpreter of the Lua that HAProxy has built in."""
        return self._home / "usr" / "bin" / "lua5.3"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return ours, with the libraries and ``more``."""
        libraries = ":".join(map(str, (self._home / "usr" / "lib").glob("*-linux-gnu")))
        ours = {
            name: value
            for name, value in os.environ.items()  # noqa: TID251 - the child's, with ours as a base
            if not name.startswith("TIDEGATE_")
        }
        return {**ours, "LD_LIBRARY_PATH": libraries, **more}
