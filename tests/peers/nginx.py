"""The real nginx with Lua from Debian, unpacked beside the other peers."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from tests.peers.install import unpacked

# All that a bare image lacks, too: dependencies are not followed.
PACKAGES = (
    *("nginx", "libnginx-mod-http-ndk", "libnginx-mod-http-lua"),
    *("lua-resty-core", "lua-resty-lrucache", "lua-cjson"),
    *("luajit2", "libluajit2-5.1-2", "libluajit2-5.1-common"),
    *("libpcre3", "libpcre2-8-0", "libssl3"),
)


class Nginx:
    """Where the parts are, once they are unpacked.

    Raises:
        NotOfferedError: this machine offers no such packages.
    """

    def __init__(self) -> None:
        root = unpacked("nginx", PACKAGES).resolve()
        libraries = f"{platform.machine()}-linux-gnu"
        usr = root / "usr"
        self.program = usr / "sbin" / "nginx"
        self.luajit = usr / "bin" / "luajit"
        self.modules = usr / "lib" / "nginx" / "modules"
        self.lua_path = f"{usr}/share/lua/5.1/?.lua"
        self.lua_cpath = f"{usr}/lib/{libraries}/lua/5.1/?.so"
        folders = (usr / "lib" / libraries, root / "lib" / libraries)
        self._libraries = ":".join(map(str, folders))

    def environment(self, *lua_folders: Path) -> dict[str, str]:
        """Return that of a process whose Lua finds modules in these folders, then in Debian's."""
        own = [f"{folder}/{name}" for folder in lua_folders for name in ("?.lua", "?/init.lua")]
        return {
            **os.environ,  # noqa: TID251 - the child's, with ours as a base
            "LD_LIBRARY_PATH": self._libraries,
            "LUA_PATH": ";".join([*own, self.lua_path]),
            "LUA_CPATH": self.lua_cpath,
        }
