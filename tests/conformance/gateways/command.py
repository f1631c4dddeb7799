"""A gateway that a command starts: `pytest tests/conformance --gateway-command './start.sh'`.

The command gets in its environment ENDPOINT_URL, ORIGIN_URL, SERVICE, INSTANCE and LISTEN_PORT,
ENDPOINT_TOKEN where the endpoint wants one, and the options in capitals (WORKERS, DRY_RUN=1). It
runs in an empty folder of its own and stays in the foreground. SIGTERM ends it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.conformance.gateways import Capability
from tests.conformance.setup import Running, Setup, ended, free_port, listening


@dataclass
class CommandGateway:
    """A gateway known by its command alone.

    Attributes:
        command: split as a shell would.
        UNSUPPORTED: what was said on the command line that it cannot do.
    """

    command: str
    UNSUPPORTED: dict[Capability, str] = field(default_factory=dict)

    @contextmanager
    def start(self, setup: Setup) -> Iterator[Running]:
        port, log = free_port(), setup.folder / "gateway.log"
        said = {
            "ENDPOINT_URL": setup.endpoint_url,
            "ORIGIN_URL": setup.origin_url,
            "SERVICE": setup.service,
            "INSTANCE": setup.instance,
            "LISTEN_PORT": str(port),
            **({"ENDPOINT_TOKEN": setup.token} if setup.token else {}),
            **{name.upper(): f"{value:d}" for name, value in setup.options.items()},
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                shlex.split(self.command),
                cwd=setup.folder,
                env={**os.environ, **said},  # noqa: TID251 - the child's, with ours as a base
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            listening(port, process, log)
            yield Running(f"http://127.0.0.1:{port}", 1, (process,), log)
        finally:
            ended(process)
