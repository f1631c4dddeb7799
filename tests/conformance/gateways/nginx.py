"""nginx with `deploy/gateways/nginx`: its files as they are shipped, but for what differs here.

Options of its own: ``ca``, which signed the endpoint's certificate, and
``tls_server_name``, which is in it; ``locations``, more of them for the server; ``init_worker``,
Lua that runs before tidegate's; ``resolver``, the port of a name server; ``shipped``, a folder with
the files of another version.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conformance.gateways import Capability
from tests.conformance.setup import PartMissingError, Running, Setup, ended, free_port, listening
from tests.paths import ROOT
from tests.peers.install import NotOfferedError
from tests.peers.nginx import Nginx

UNSUPPORTED: dict[Capability, str] = {}

CHECKED = """
        location / {
            access_by_lua_block { require("tidegate").check() }
            proxy_pass http://origin;
        }
        location = /tidegate/metrics { content_by_lua_block { require("tidegate").metrics() } }
        location = /tidegate/status { content_by_lua_block { require("tidegate").status() } }
"""
SHIPPED = ROOT / "deploy" / "gateways" / "nginx"
# Where Lua finds the shipped modules: these of nginx, and the core.
LUA = (SHIPPED, SHIPPED.parent / "lua")


@contextmanager
def start(setup: Setup) -> Iterator[Running]:
    try:
        parts = Nginx()
    except NotOfferedError as reason:
        raise PartMissingError(f"nginx: {reason}") from reason
    (setup.folder / "tidegate.conf").write_text(_snippet(setup))
    with _running(parts, setup, CHECKED) as running:
        yield running


@contextmanager
def start_bare(setup: Setup) -> Iterator[Running]:
    """Start the same nginx without the check, to be measured beside it."""
    with _running(Nginx(), setup, "location / { proxy_pass http://origin; }") as running:
        yield running


@contextmanager
def _running(parts: Nginx, setup: Setup, locations: str) -> Iterator[Running]:
    port = free_port()
    workers = int(setup.options.get("workers", 2))
    (setup.folder / "nginx.conf").write_text(
        f"{preamble(parts, setup.folder, workers)}"
        f"http {{\n{_http(setup, port, locations)}\n{temporary_paths(setup.folder)}\n}}\n"
    )
    # The files of another version have all that they need.
    lua = (_shipped(setup),) if "shipped" in setup.options else LUA
    with process_of(parts, setup.folder, port, lua) as process:
        log = setup.folder / "error.log"
        yield Running(f"http://127.0.0.1:{port}", workers, (process,), log)


def reload(running: Running) -> None:
    """Have the master start new workers."""
    running.processes[0].send_signal(signal.SIGHUP)


@contextmanager
def process_of(
    parts: Nginx, folder: Path, port: int, lua: Sequence[Path] = LUA
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``nginx.conf`` of that folder until it is no longer needed."""
    log = folder / "error.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command(parts, folder), env=parts.environment(*lua), stdout=output, stderr=output
        )
    try:
        listening(port, process, log)
        yield process
    finally:
        ended(process)


def command(parts: Nginx, folder: Path) -> list[str]:
    return [str(parts.program), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def preamble(parts: Nginx, folder: Path, workers: int) -> str:
    """Return what stands before ``http`` in a configuration."""
    # A worker that root starts would become `nobody`, who may not read what the tests write.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{load_modules(parts)}
{user}
daemon off;
worker_processes {workers};
error_log {folder}/error.log notice;
pid {folder}/nginx.pid;
events {{ }}
"""


def load_modules(parts: Nginx) -> str:
    names = ("ndk_http_module.so", "ngx_http_lua_module.so")
    return "\n".join(f"load_module {parts.modules / name};" for name in names)


def temporary_paths(folder: Path) -> str:
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n".join(f"    {name}_temp_path {folder / name};" for name in names)


def _http(setup: Setup, port: int, locations: str) -> str:
    return f"""
    access_log off;
    include {setup.folder}/tidegate*.conf;
    upstream origin {{ server {urlsplit(setup.origin_url).netloc}; keepalive 64; }}
    keepalive_requests 1000000;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{port} reuseport;
        set $tidegate_class $http_x_tidegate_class;
        add_header X-Worker $pid always;
        {locations}
        {setup.options.get("locations", "")}
    }}
"""


def _shipped(setup: Setup) -> Path:
    return Path(str(setup.options.get("shipped", SHIPPED)))


def _snippet(setup: Setup) -> str:
    """Return the shipped snippet with our options, and without its own server."""
    options: dict[str, object] = {
        "endpoint": setup.endpoint_url,
        "service": setup.service,
        "instance": setup.instance,
        "client_variable": "http_x_client",
        "dry_run": bool(setup.options.get("dry_run", False)),
    }
    if "tls_server_name" in setup.options:
        options["tls_server_name"] = setup.options["tls_server_name"]
    if setup.token is not None:
        file = setup.folder / "token"
        file.write_text(setup.token + "\n")
        options["token_file"] = str(file)
    text = (_shipped(setup) / "tidegate.conf").read_text()
    text, settings = re.subn(
        r"\.setup \{.*?\n    \}", f".setup {_lua(options)}", text, flags=re.DOTALL
    )
    text, servers = re.subn(r"\nserver \{.*\n\}\n", "\n", text, flags=re.DOTALL)
    assert (settings, servers) == (1, 1), "tidegate.conf has another shape than expected here"
    if "resolver" in setup.options:
        asked = f"resolver 127.0.0.1:{setup.options['resolver']} valid=1s;"
        text = text.replace("# resolver 127.0.0.53 valid=10s;", asked)
    begun = "init_worker_by_lua_block {"
    text = text.replace(begun, f"{begun} {setup.options.get('init_worker', '')}")
    if "ca" in setup.options:
        trusted = f"lua_ssl_trusted_certificate {setup.options['ca']};"
        text = re.sub(r"# lua_ssl_trusted_certificate .*;", trusted, text)
    return text


def _lua(options: Mapping[str, object]) -> str:
    fields = [f"{name} = {_value(value)}" for name, value in options.items()]
    return "{ " + ", ".join(fields) + " }"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)
