"""The real servers as fixtures; tests that need one live in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.missing import missing
from tests.peers.install import NotOfferedError, installed
from tests.peers.prometheus import backfill, running
from tests.peers.traffic import samples


@pytest.fixture(scope="session")
def prometheus_installed() -> None:
    """Make sure that a real Prometheus can be started."""
    try:
        installed("prometheus", "prometheus")
    except NotOfferedError as reason:
        missing(f"the real Prometheus is not offered here: {reason}")


@pytest.fixture(scope="session")
def real_prometheus(
    prometheus_installed: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Return the base URL of a real Prometheus that serves `tests.peers.traffic`."""
    data = tmp_path_factory.mktemp("prometheus") / "data"
    backfill(samples(), data)
    with running(data) as url:
        yield url
