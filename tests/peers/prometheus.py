"""A real Prometheus on loopback with a history of our making.

`promtool tsdb create-blocks-from openmetrics` writes the history, so nothing has to be scraped.
Other suites get it as the fixture ``real_prometheus`` (see conftest.py beside this file).
"""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.setup import ended, free_port
from tests.peers.install import installed
from tests.waiting import PATIENCE_S


@dataclass(frozen=True)
class Samples:
    """One series to backfill: ``points`` are (epoch seconds, value), in time order."""

    name: str
    labels: dict[str, str]
    points: tuple[tuple[int, float], ...]
    kind: str = "gauge"


def openmetrics(series: Iterable[Samples]) -> str:
    """Return the exposition text that promtool reads; a counter's name ends in ``_total``."""
    lines: list[str] = []
    declared: set[str] = set()
    for one in sorted(series, key=lambda s: s.name):
        if one.name not in declared:
            declared.add(one.name)
            lines.append(f"# TYPE {one.name.removesuffix('_total')} {one.kind}")
        labels = ",".join(f'{key}="{value}"' for key, value in one.labels.items())
        lines += [f"{one.name}{{{labels}}} {value!r} {stamp}" for stamp, value in one.points]
    return "\n".join([*lines, "# EOF", ""])


def backfill(series: Iterable[Samples], folder: Path) -> None:
    """Write the samples as TSDB blocks into ``folder``."""
    source = folder.with_suffix(".openmetrics")
    source.write_text(openmetrics(series))
    promtool = installed("prometheus", "promtool")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", source, folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"promtool could not backfill: {done.stderr}")


@contextmanager
def running(data: Path, config: str = "scrape_configs: []\n") -> Iterator[str]:
    """Serve the blocks in ``data``; yield the base URL; stop the process by its own id."""
    settings = data.with_suffix(".yml")
    settings.write_text(config)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = data.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                installed("prometheus", "prometheus"),
                f"--config.file={settings}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=100y",  # the history may lie years back
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, url, log)
        yield url
    finally:
        ended(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with direct.open(f"{url}/-/ready", timeout=PATIENCE_S) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    said = log.read_text()[-2000:]
    raise RuntimeError(f"Prometheus is not ready (exit {process.poll()}): {said}")
