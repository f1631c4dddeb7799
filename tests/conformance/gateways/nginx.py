"""nginx with `deploy/gateways/nginx`: its files as they are shipped, but for what differs here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conformance.gateways import Capability
from tests.conformance.setup import PartMissingError, Running, Setup, ended, free_port, listening
from tests.peers.install import NotOfferedError
from tests.peers.nginx import Nginx

UNSUPPORTED: dict[Capability, str] = {}

SHIPPED = Path(__file__).resolve().parents[3] / "deploy" / "gateways" / "nginx"
NEEDED_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
# So that a suite of seconds sees a client's window pass; half a minute is the default.
CLIENT_WINDOW_S = 2


@contextmanager
def start(setup: Setup) -> Iterator[Running]:
    try:
        nginx = Nginx()
    except NotOfferedError as reason:
        raise PartMissingError(f"nginx: {reason}") from reason
    port, log = free_port(), setup.folder / "error.log"
    write_configuration(setup, port, nginx)
    log.touch()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [nginx.program, "-e", log, "-c", setup.folder / "nginx.conf", "-p", setup.folder],
            env=nginx.environment(SHIPPED),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        listening(port, process, log)
        workers = int(setup.options.get("workers", 2))
        yield Running(f"http://127.0.0.1:{port}", workers, (process,), log)
    finally:
        ended(process)


def write_configuration(setup: Setup, port: int, nginx: Nginx) -> None:
    """Write ``nginx.conf`` and ``tidegate.conf`` for it; again before a reload."""
    (setup.folder / "tidegate.conf").write_text(_snippet(setup))
    modules = "\n".join(f"load_module {nginx.modules / name};" for name in NEEDED_MODULES)
    temporary = "\n".join(f"    {name}_temp_path {setup.folder / name};" for name in TEMPORARY)
    origin = urlsplit(setup.origin_url).netloc
    # A worker that root starts would become `nobody`, who may not read what the tests write.
    user = "user root;" if os.geteuid() == 0 else ""
    (setup.folder / "nginx.conf").write_text(f"""{modules}
{user}
daemon off;
worker_processes {setup.options.get("workers", 2)};
error_log {setup.folder / "error.log"} notice;
pid {setup.folder / "nginx.pid"};
events {{ worker_connections 1024; }}
http {{
{temporary}
    access_log off;
    include {setup.folder / "tidegate.conf"};
    upstream origin {{ server {origin}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        set $tidegate_class $http_x_tidegate_class;
        add_header X-Worker $pid always;
        location / {{
            access_by_lua_block {{ require("tidegate").check() }}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://origin;
        }}
        location /unchecked {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://origin;
        }}
        location = /tidegate/metrics {{ content_by_lua_block {{ require("tidegate").metrics() }} }}
        location = /tidegate/status {{ content_by_lua_block {{ require("tidegate").status() }} }}
    }}
}}
""")


def _snippet(setup: Setup) -> str:
    """Return the shipped snippet with our options, and without its own server."""
    options: dict[str, object] = {
        "endpoint": setup.endpoint_url,
        "service": setup.service,
        "instance": setup.instance,
        "client_variable": "http_x_client",
        "client_window_s": setup.options.get("client_window_s", CLIENT_WINDOW_S),
        "dry_run": bool(setup.options.get("dry_run", False)),
    }
    if setup.token is not None:
        file = setup.folder / "token"
        file.write_text(setup.token + "\n")
        options["token_file"] = str(file)
    shipped = (SHIPPED / "tidegate.conf").read_text()
    text, settings = re.subn(
        r"\.setup \{.*?\n    \}", f".setup {_lua(options)}", shipped, flags=re.DOTALL
    )
    text, servers = re.subn(r"\nserver \{.*\n\}\n", "\n", text, flags=re.DOTALL)
    assert (settings, servers) == (1, 1), "tidegate.conf has another shape than expected here"
    return text


def _lua(options: Mapping[str, object]) -> str:
    fields = [f"{name} = {_value(value)}" for name, value in options.items()]
    return "{ " + ", ".join(fields) + " }"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def reload(running: Running) -> None:
    """Have the master start new workers with the configuration as it is written now."""
    running.processes[0].send_signal(signal.SIGHUP)
