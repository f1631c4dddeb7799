"""Test profiles: CI repeats the same examples every time; elsewhere hypothesis explores.

The forecaster that many tests share is fitted once per process; it is frozen, so they may.
"""

import gc
import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before numpy, torch and scikit-learn are loaded: threads that fight for cores cost minutes here.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from forecaster.data.series import History, utc
from tests.file_order import mixed
from tests.forecaster.evaluation.fitting_samples import TINY, traffic
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.scaler.adapters.chromium import Tab

settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None)
settings.register_profile("nightly", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among what is collected: thousands of tests, and all of it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers that share the cores get files that wait together with files that compute."""
    if hasattr(config, "workerinput"):
        files = dict.fromkeys(item.path.relative_to(ROOT) for item in items)
        place = {path: number for number, path in enumerate(mixed(files))}
        items.sort(key=lambda item: place[item.path.relative_to(ROOT)])


@pytest.fixture(autouse=True)
def restored_log_level() -> Iterator[None]:
    """Undo what a command that a test calls does to the level of the root logger."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Tab"]:
    """Return the tab of a real browser."""
    from tests.missing import missing
    from tests.scaler.adapters.chromium import browsing, found

    program = found()
    if program is None:
        missing("no Chromium is installed here: apt-get install chromium")
    with browsing(program, tmp_path_factory.mktemp("browser") / "profile") as tab:
        yield tab


@pytest.fixture(scope="session", autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """Fail where a test has left a process that it had started, or has not waited for its end."""
    before = _children()
    yield
    assert _children() - before == set()


def _children() -> set[str]:
    """Return this process's children, but for Python's own helper."""
    pids = [
        pid
        for told in Path("/proc/self/task").glob("*/children")
        for pid in told.read_text().split()
    ]
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids}
    return {f"{pid} {line}" for pid, line in lines.items() if "resource_tracker" not in line}


@pytest.fixture(scope="session")
def history() -> History:
    """Three generated services, 14 days at 5 minutes, one of them with an outage."""
    return traffic()


@pytest.fixture(scope="session")
def fitted(history):
    """A tiny forecaster fitted on `history`, with the config and the parts it came from."""
    from forecaster.evaluation.selection import train

    return train(history, TINY)


@pytest.fixture(scope="session")
def forecaster(fitted):
    return fitted.forecaster


@pytest.fixture(scope="session")
def artifact(fitted):
    """What the registry is given of `fitted`."""
    from forecaster.adapters.registry.registry import Artifact
    from forecaster.models.artifact import pack

    return Artifact(*pack(fitted.forecaster, fitted.config), {"summary": {}})


@pytest.fixture(scope="session")
def history_file(history, tmp_path_factory):
    """`history` as a Parquet file."""
    from forecaster.adapters.tables.history_files import write_history

    path = tmp_path_factory.mktemp("history") / "history.parquet"
    write_history(path, history, ())
    return path


@pytest.fixture
def models(artifact, tmp_path):
    """A registry in which `forecaster` is the champion called web, v0001."""
    from forecaster.adapters.registry.registry import Registry

    registry = Registry(tmp_path / "models")
    registry.promote("web", registry.save("web", artifact, now=utc("2026-04-01T00:00:00Z")))
    return tmp_path / "models"
