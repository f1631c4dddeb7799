"""A real Envoy that asks the scaler itself, as deploy/gateways/envoy says.

What any gateway promises is in tests/conformance, where Envoy asks `scaler rls`.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from scaler.adapters.http.server import Tls
from scaler.adapters.http.settings import ApiSettings, LeaseTerms
from scaler.limits.priority_classes import PriorityClass
from tests.conformance.load import Offered, offer, offering
from tests.conformance.origin import Origin
from tests.conformance.setup import PartMissingError, free_port
from tests.peers import envoy
from tests.scaler.adapters.envoy.lease_services import limited, serving
from tests.scaler.adapters.http.conftest import certificates  # noqa: F401 - a fixture

# Of a limit of 50 or 20, less what is left free for newcomers.
SHARE_50, SHARE_20 = 49.0, 19.0
# The second limit, as deployed.
AWAY = 100


@pytest.fixture(autouse=True, scope="module")
def _real() -> None:
    try:
        envoy.binary()
    except PartMissingError as missing:
        if "CI" in os.environ:  # noqa: TID251 - the test set-up decides what CI may skip
            pytest.fail(f"CI must test the real Envoy: {missing}")
        pytest.skip(str(missing))


def patient(config: envoy.Json) -> None:
    """Let a core that is busy elsewhere for half a second change no count: decisions may take
    longer, and the limits of Envoy's own have a burst as long.
    """

    def patiently(part: object) -> None:
        if isinstance(part, dict):
            if part.get("max_tokens") == 10:
                part["max_tokens"] = AWAY // 2
            for one in part.values():
                patiently(one)
        elif isinstance(part, list):
            for one in part:
                patiently(one)

    patiently(config)
    for one in envoy.filters(config):
        if one["name"].endswith(".ratelimit"):
            one["typed_config"]["timeout"] = "2s"


@contextmanager
def gateway(
    name: str, folder: Path, tidegate: int, changed=patient
) -> Iterator[tuple[envoy.Envoy, Origin]]:
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        origin = stack.enter_context(Origin())
        port = urlsplit(origin.url).port
        running = envoy.running(name, folder, origin=port, tidegate=tidegate, changed=changed)
        yield stack.enter_context(running), origin


FILES = ("envoy.yaml", "envoy-rlqs.yaml")


@pytest.fixture(scope="module")
def offered(tmp_path_factory) -> dict[str, list[Offered]]:
    """What becomes of 100, of 40, and of 100 requests a second; before the last, 50 becomes 20.

    Each of the deployed files has a scaler of its own, and all are measured at once. A core that is
    busy elsewhere for a second loses no admission: that is the burst.
    """
    with ExitStack() as stack:
        urls, scalers = {}, []
        for name in FILES:
            scalers.append(stack.enter_context(serving(limited(50.0, burst=50))))
            folder = tmp_path_factory.mktemp("envoy")
            running = gateway(name, folder, scalers[-1].rpc.port)
            urls[name] = stack.enter_context(running)[0].url

        def all_of(rps: float, seconds: float) -> list[Offered]:
            loads = [offering(url, rps, seconds) for url in urls.values()]
            return [load.result(40) for load in loads]

        above = all_of(100, 5)
        time.sleep(1.0)  # until there is room in the bucket again
        below = all_of(40, 2)
        for scaler in scalers:
            scaler.holder.publish(limited(20.0, burst=20))
        changed = all_of(100, 3)
    return dict(zip(FILES, map(list, zip(above, below, changed, strict=True)), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_it_admits_its_share_and_a_change_within_a_second(offered, name):
    above, below, changed = offered[name]

    assert above.rate(200, 1.5) == pytest.approx(SHARE_50, rel=0.03)
    assert below.statuses() == {200: 80}
    assert changed.rate(200, 1.5) == pytest.approx(SHARE_20, abs=1)
    assert set(above.statuses() | changed.statuses()) == {200, 429}


@dataclass(frozen=True)
class Away:
    """What becomes of load while there is a scaler, while there is none, and when it is back."""

    decided: Offered
    away: Offered
    back: Offered
    quiet: Offered | None = None  # less than the second limit, while there is none


@pytest.fixture(scope="module")
def outages(tmp_path_factory) -> Iterator[dict[str, Future[Away]]]:
    """Each of the deployed files; they are tried at the same time."""
    with ThreadPoolExecutor(len(FILES)) as pool:
        folders = [tmp_path_factory.mktemp("away") for _ in FILES]
        tried = zip(FILES, (_away_rls, _away_rlqs), folders, strict=True)
        yield {name: pool.submit(away, folder) for name, away, folder in tried}


def _away_rls(folder: Path) -> Away:
    port = free_port()
    with ExitStack() as stack:
        with serving(limited(50.0, burst=25), port=port):
            running, _ = stack.enter_context(gateway("envoy.yaml", folder, port))
            decided = offer(running.url, 80, 3)
        quiet = offer(running.url, 80, 1.5)
        # Who says himself that tidegate was asked is not believed.
        away = offer(running.url, 150, 3, headers={"x-tidegate": "checked"})
        with serving(limited(50.0, burst=25), port=port):
            time.sleep(2.5)  # it is looked each second who can be asked
            return Away(decided, away, offer(running.url, 80, 2.5), quiet)


def _away_rlqs(folder: Path) -> Away:
    settings = ApiSettings(learning_s=0.0, terms=LeaseTerms(valid_for_s=2.0, refresh_s=0.5))
    port = free_port()
    with ExitStack() as stack:
        with serving(limited(50.0, burst=25), settings, port):
            running, _ = stack.enter_context(gateway("envoy-rlqs.yaml", folder, port))
            decided = offer(running.url, 150, 2)
        away = offer(running.url, 150, 6)
        with serving(limited(50.0, burst=25), settings, port):
            return Away(decided, away, offer(running.url, 120, 5))


def test_while_the_scaler_is_away_the_second_limit_holds_and_then_there_is_no_burst(outages):
    found = outages["envoy.yaml"].result(60)

    assert found.decided.rate(200, 1.5) == pytest.approx(SHARE_50, rel=0.05)
    assert found.quiet.statuses() == {200: 120}  # 80 a second
    assert found.quiet.latency_s(0.9) < 0.2
    assert found.away.rate(200, 1.5) == pytest.approx(AWAY, rel=0.05)
    assert found.away.first(429).headers["retry-after"] == "1"
    assert found.back.count(200) <= 2.5 * SHARE_50 + 25 + 3


def test_an_envoy_that_counts_by_itself_goes_on_and_then_keeps_to_the_safe_limit(outages):
    found = outages["envoy-rlqs.yaml"].result(60)

    # Its assignment has two seconds to live; each change of it fills Envoy's bucket.
    assert found.away.rate(200, 0, 1) <= SHARE_50 + 25 + 3
    assert found.away.rate(200, 4, 6) == pytest.approx(AWAY, rel=0.05)
    assert found.away.first(429).headers["retry-after"] == "1"
    assert max(found.back.per_second(200)) <= AWAY + AWAY // 2 + 3
    assert found.back.rate(200, 3.5, 5) == pytest.approx(SHARE_50, rel=0.05)


def test_without_the_second_limit_it_is_open_while_the_scaler_is_away(tmp_path):
    def alone(config) -> None:
        filters = envoy.filters(config)
        filters[:] = [one for one in filters if not one["name"].endswith("local_ratelimit")]

    with gateway("envoy.yaml", tmp_path, free_port(), alone) as (running, _):
        assert offer(running.url, 150, 2).statuses() == {200: 300}


def test_a_token_goes_over_mutual_tls_and_responses_have_both_kinds_of_fields(
    tmp_path,
    certificates,  # noqa: F811 - the fixture
):
    tokens = tmp_path / "tokens"
    tokens.write_text("open-sesame\n")
    readme = (envoy.DEPLOYED / "README.md").read_text()
    socket = re.search(r"\n( +transport_socket:\n.*?)\n(?! )", readme, re.DOTALL)[1]

    def shown(config) -> None:
        asking = envoy.filters(config)[1]["typed_config"]["rate_limit_service"]["grpc_service"]
        said = {"key": "authorization", "value": "Bearer open-sesame"}
        asking["initial_metadata"] = [said]
        found = re.sub(r"(\w+)\.(pem|key)", rf"{certificates}/\1.\2", socket)
        config["static_resources"]["clusters"][1].update(yaml.safe_load(found))

    settings = ApiSettings(learning_s=0.0, tokens=tokens)
    tls = Tls(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    with (
        serving(limited(10.0), settings, tls=tls) as here,
        gateway("envoy.yaml", tmp_path / "envoy", here.rpc.port, shown) as (running, _),
    ):
        time.sleep(1.0)  # until its health is known
        offered = offer(running.url, 40, 1)
        headers = offered.first(429).headers

    assert headers["ratelimit-policy"] == '"default";q=9;w=1'
    assert headers["ratelimit"] == '"default";r=0;t=1'
    assert headers["retry-after"] == "1"
    assert headers["x-ratelimit-limit"] == "9, 9;w=1"
    assert headers["x-ratelimit-remaining"] == "0"


def test_stress_traffic_counted_by_envoy_itself_is_shed_first(tmp_path):
    pay = PriorityClass("pay", 0, guaranteed_qps=30.0)
    stress = PriorityClass("stress", 9, ceiling_qps=10.0)
    with (
        serving(limited(60.0, pay, stress, burst=30)) as here,
        gateway("envoy-rlqs.yaml", tmp_path, here.rpc.port) as (running, _),
    ):
        loads = [
            offering(running.url, 28, 6, headers={"x-tidegate-class": "pay"}),
            offering(running.url, 60, 6, headers={"x-stress-test": "1"}),
        ]
        paying, stressing = [load.result(30) for load in loads]

    assert paying.rate(200) >= 0.994 * 28
    # Each assignment that differs from the one before fills Envoy's bucket, of 5, anew.
    assert stressing.count(200, 3) <= 3 * 10 + 3 * 5


@pytest.mark.parametrize("name", FILES)
def test_the_deployed_files_are_what_envoy_takes(name):
    path = envoy.DEPLOYED / name
    command = [envoy.binary(), "--mode", "validate", "-c", path, "--log-level", "error"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stdout + done.stderr
