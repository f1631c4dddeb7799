"""Which gateways the suite is run against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance import gateways
from tests.conformance.gateways import Capability, Gateway
from tests.conformance.gateways.command import CommandGateway
from tests.conformance.site import Site, site


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "of gateways, see deploy/gateways/CONTRACT.md")
    group.addoption(
        "--gateway-command", metavar="COMMAND", help="test the gateway that this command starts"
    )
    group.addoption(
        "--gateway-unsupported", metavar="CAPABILITIES", default="",
        help=f"what it cannot do, with commas between: {', '.join(Capability)}",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(capability): skip gateways that say they lack it")


def under_test(config: pytest.Config) -> dict[str, Gateway]:
    """Return the gateways to be tested, by name."""
    command = config.getoption("--gateway-command", None)
    if command is None:
        return gateways.known()
    said = filter(None, config.getoption("--gateway-unsupported").split(","))
    return {"command": CommandGateway(command, {Capability(one.strip()): "said" for one in said})}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "gateway" in metafunc.fixturenames:
        found = under_test(metafunc.config)
        metafunc.parametrize("gateway", found.values(), ids=found, scope="session", indirect=True)


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest) -> Gateway:
    return request.param


@pytest.fixture(autouse=True)
def _supported(request: pytest.FixtureRequest) -> None:
    """Skip by name what a gateway says that it cannot do."""
    marks = request.node.iter_markers("needs")
    if "gateway" not in request.fixturenames:
        return
    unsupported = request.getfixturevalue("gateway").UNSUPPORTED
    for capability in (one for mark in marks for one in mark.args):
        if capability in unsupported:
            pytest.skip(f"not supported: {capability}: {unsupported[capability]}")


@pytest.fixture
def start_folder(tmp_path: Path) -> Path:
    return tmp_path / "gateway"


@pytest.fixture(scope="session")
def sites(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    """Three of the same gateway, each with an endpoint of its own: what takes time runs beside."""
    folder = tmp_path_factory.mktemp("gateways")
    with ExitStack() as stack:
        yield [stack.enter_context(site(gateway, folder / f"{i}")) for i in range(3)]
