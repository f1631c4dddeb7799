"""HAProxy with `deploy/gateways/haproxy`: its configuration as it is shipped, but for threads,
and for where a request's client and class are found.

Options of its own: ``shipped``, a folder with the files of another version; ``lua``, other Lua that
is loaded after it; ``resolver``, the port of a name server.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conformance.gateways import Capability
from tests.conformance.setup import (
    CLASS_HEADER,
    CLIENT_HEADER,
    PartMissingError,
    Running,
    Setup,
    ended,
    free_port,
    listening,
)
from tests.paths import ROOT
from tests.peers.haproxy import HAProxy
from tests.peers.install import NotOfferedError

UNSUPPORTED: dict[Capability, str] = {}

SHIPPED = ROOT / "deploy" / "gateways" / "haproxy"
CORE = SHIPPED.parent / "lua"
RESOLVERS = """
resolvers dns
    nameserver one 127.0.0.1:{port}
    hold valid 1s
    timeout resolve 1s
"""


def start(setup: Setup) -> AbstractContextManager[Running]:
    return _start(setup, configured(setup))


def start_bare(setup: Setup) -> AbstractContextManager[Running]:
    """Start it without the rules that ask for a decision."""
    lines = configured(setup).splitlines(keepends=True)
    return _start(setup, "".join(line for line in lines if "txn.tidegate" not in line))


@contextmanager
def _start(setup: Setup, configuration: str) -> Iterator[Running]:
    try:
        haproxy = HAProxy()
        assert haproxy.program.is_file()
    except NotOfferedError as reason:
        raise PartMissingError(f"HAProxy: {reason}") from reason
    port, log = free_port(), setup.folder / "haproxy.log"
    file = setup.folder / "haproxy.cfg"
    file.write_text(configuration)
    (setup.folder / "books.map").touch()
    environment = haproxy.environment({
        "SHOP_BIND": f"127.0.0.1:{port}",
        "SHOP_SERVER": urlsplit(setup.origin_url).netloc,
        "TIDEGATE_METRICS_BIND": f"unix@{setup.folder / 'metrics.sock'}",
        "TIDEGATE_LUA": str(_lua(setup)),
        "TIDEGATE_SERVER": urlsplit(setup.endpoint_url).netloc,
        **told(setup),
    })  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            [haproxy.program, "-W", "-db", "-f", file],
            env=environment,
            stdout=subprocess.DEVNULL,  # says the same as stderr: that is where it logs to
            stderr=output,
        )
    try:
        listening(port, process, log)
        yield Running(f"http://127.0.0.1:{port}", threads_of(setup), (process,), log)
    finally:
        ended(process)
    # HAProxy admits what Lua fails on. Its tasks may be made to fail by a test.
    failed = [
        line for line in log.read_text(errors="replace").splitlines() if "runtime err" in line
    ]
    assert [line for line in failed if "lua" not in setup.options or "Lua task" not in line] == []


def told(setup: Setup) -> dict[str, str]:
    """Return the options."""
    token = {}
    if setup.token is not None:
        file = setup.folder / "token"
        file.write_text(setup.token + "\n")
        token = {"TIDEGATE_TOKEN_FILE": str(file)}
    return {
        "TIDEGATE_ENDPOINT": setup.endpoint_url,
        "TIDEGATE_SERVICES": setup.service,
        "TIDEGATE_INSTANCE": setup.instance,
        "TIDEGATE_BOOKS": str(setup.folder / "books.map"),
        # An abstract socket is the machine's, and several are run here.
        "TIDEGATE_VIA": f"unix@{setup.folder / 'endpoint.sock'}",
        "TIDEGATE_DRY_RUN": str(int(bool(setup.options.get("dry_run", False)))),
        "TIDEGATE_WITHOUT_LEASE": str(setup.options.get("without_lease", "open")),
        **token,
    }


def _shipped(setup: Setup) -> Path:
    return Path(str(setup.options.get("shipped", SHIPPED)))


def installed(folder: Path) -> Path:
    """Copy the Lua files to a folder, as its README says; return the one to load."""
    shutil.copy(SHIPPED / "tidegate.lua", folder)
    for source in (SHIPPED, CORE):
        shutil.copytree(source / "tidegate", folder / "tidegate", dirs_exist_ok=True)
    return folder / "tidegate.lua"


def _lua(setup: Setup) -> Path:
    """Return the Lua file to load: that of another version has all that it needs beside it."""
    if "shipped" in setup.options:
        return _shipped(setup) / "tidegate.lua"
    folder = setup.folder / "lua"
    folder.mkdir()
    return installed(folder)


def threads_of(setup: Setup) -> int:
    return int(str(setup.options.get("workers", 2)))


def configured(setup: Setup) -> str:
    """Return the shipped configuration for this service."""
    text = (_shipped(setup) / "haproxy.cfg").read_text()
    rule = "    http-request set-var(txn.tidegate_client) "
    named = f"{rule}req.hdr({CLIENT_HEADER}) if {{ req.hdr({CLIENT_HEADER}) -m found }}\n"
    # Passes are for requests whose client is not named; without `books` no request takes one.
    taken = "{ var(txn.tidegate_client) -m found }"
    for shipped, ours in (
        ("nbthread 2", f"nbthread {threads_of(setup)}"),
        (f"{rule}src\n", named),
        (
            f"unless {taken} ||",
            f"unless {taken if setup.options.get('books') else '{ always_true }'} ||",
        ),
        (
            "(txn.tidegate_class) str(pay) if { path_beg /pay/ }",
            f"(txn.tidegate_class) req.hdr({CLASS_HEADER})",
        ),
    ):
        assert text.count(shipped) == 1
        text = text.replace(shipped, ours)
    if "resolver" in setup.options:
        server = 'server tidegate "${TIDEGATE_SERVER-127.0.0.1:8080}"'
        text = text.replace(server, f"{server} resolvers dns init-addr none")
        text += RESOLVERS.format(port=setup.options["resolver"])
    if "lua" in setup.options:
        other = setup.folder / "other.lua"
        other.write_text(str(setup.options["lua"]))
        text = text.replace("    # <<< tidegate\n", f"    lua-load {other}\n", 1)
    return text.replace("prod/shop", setup.service)


def reload(running: Running) -> None:
    """Have the master start a new worker with the configuration as it is written now."""
    running.processes[0].send_signal(signal.SIGUSR2)
