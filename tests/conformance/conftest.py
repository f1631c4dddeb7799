"""Which gateways the suite is run against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue

import pytest

from tests.conformance import gateways
from tests.conformance.gateways import Capability, Gateway
from tests.conformance.gateways.command import CommandGateway
from tests.conformance.site import Site, site

Scenario = Callable[[Site], object]


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
    config.addinivalue_line("markers", "measures(by): the scenario whose result is `measured`")
    config.addinivalue_line("markers", "by_day(gateway): the other ones that we know are nightly")


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
        by_day = metafunc.definition.get_closest_marker("by_day")
        quick = {*by_day.args, "command"} if by_day else set(found)
        cases = [
            pytest.param(one, marks=() if name in quick else pytest.mark.nightly, id=name)
            for name, one in found.items()
        ]
        metafunc.parametrize("gateway", cases, scope="session", indirect=True)


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest) -> Gateway:
    return request.param


@pytest.fixture(autouse=True)
def _supported(request: pytest.FixtureRequest) -> None:
    """Skip by name what a gateway says that it cannot do."""
    if "gateway" in request.fixturenames:
        gateway = request.getfixturevalue("gateway")
        for capability in _lacks(request.node, gateway):
            pytest.skip(f"not supported: {capability}: {gateway.UNSUPPORTED[capability]}")


def _lacks(item: pytest.Item, gateway: Gateway) -> list[Capability]:
    needed = [one for mark in item.iter_markers("needs") for one in mark.args]
    return [one for one in needed if one in gateway.UNSUPPORTED]


@pytest.fixture(scope="session")
def sites(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    """Three of the same gateway, each with an endpoint of its own: what takes time runs beside."""
    folder = tmp_path_factory.mktemp("gateways")
    with ExitStack() as stack:
        yield [stack.enter_context(site(gateway, folder / f"{i}")) for i in range(3)]


@pytest.fixture(scope="module")
def measuring(
    request: pytest.FixtureRequest, gateway: Gateway, sites: list[Site]
) -> Iterator[dict[Scenario, Future[object]]]:
    """Begin all that the selected tests of this module measure, one scenario per site at a time."""
    free: SimpleQueue[Site] = SimpleQueue()
    for one in sites:
        free.put(one)

    def run(scenario: Scenario) -> object:
        here = free.get()
        try:
            return scenario(here)
        finally:
            free.put(here)

    marks = [
        mark.kwargs["by"]
        for item in request.session.items
        if item.path == request.path and item.callspec.params.get("gateway") is gateway
        for mark in item.iter_markers("measures")
        if not _lacks(item, gateway)
    ]
    with ThreadPoolExecutor(len(sites)) as threads:
        yield {scenario: threads.submit(run, scenario) for scenario in dict.fromkeys(marks)}


@pytest.fixture
def measured(request: pytest.FixtureRequest, measuring: dict[Scenario, Future[object]]) -> object:
    """Return what the test's scenario has found."""
    return measuring[request.node.get_closest_marker("measures").kwargs["by"]].result(600)
