"""A real Envoy that asks the scaler itself, as deploy/gateways/envoy says.

What any gateway promises is in tests/conformance, where Envoy asks `scaler rls`.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from scaler.adapters.http.server import Tls
from scaler.adapters.http.settings import ApiSettings
from scaler.limits.priority_classes import PriorityClass
from tests.conformance.bucket_law import Bucket, excess, room
from tests.conformance.load import Answer, Underway, offer, underway
from tests.conformance.origin import Origin
from tests.conformance.setup import PartMissingError, free_port
from tests.missing import missing
from tests.peers import envoy
from tests.scaler.adapters.envoy.lease_services import joined, limited, serving
from tests.scaler.adapters.http.conftest import certificates  # noqa: F401 - a fixture
from tests.scaler.adapters.http.snapshots import SHORT
from tests.waiting import PATIENCE_S, eventually

# Of a limit of 50 or 20, less what is left free for newcomers.
SHARE_50, SHARE_20 = 49.0, 19.0
SHOP, SEARCH = "prod/shop", "prod/search"
BURST = 10
# The second limit, as deployed, and its burst as `patient` has it.
AWAY, AWAY_BURST = 100.0, 50
# By so many requests Envoy may be off: its workers read their clocks at different moments.
NEARLY = 3.0


@pytest.fixture(autouse=True, scope="module")
def _real() -> None:
    try:
        envoy.binary()
    except PartMissingError as reason:
        missing(reason)


def patient(config: envoy.Json) -> None:
    """Let decisions take longer, and have the limits of Envoy's own a burst that can be judged."""

    def deepen(part: object) -> None:
        if isinstance(part, dict):
            if part.get("max_tokens") == 10:
                part["max_tokens"] = AWAY_BURST
            for one in part.values():
                deepen(one)
        elif isinstance(part, list):
            for one in part:
                deepen(one)

    deepen(config)
    envoy.be_patient(config)


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


def obeys(answers: Sequence[Answer], qps: float, burst: float) -> bool:
    """Return whether so much was admitted, and no less, of what was more than that."""
    bucket = Bucket(qps, burst)
    return len(answers) >= 120 and max(excess(answers, bucket), room(answers, bucket)) <= NEARLY


def comes_to_obey(load: Underway, qps: float, burst: float = BURST) -> bool:
    """Wait until a load is held to a limit, and return whether that lasts."""
    eventually(lambda: obeys(load.answers[-150:], qps, burst))
    known = time.monotonic()
    eventually(lambda: len(load.since(known)) >= 150)
    return obeys(load.since(known), qps, burst)


@pytest.mark.parametrize("name", FILES)
def test_it_admits_its_share_and_follows_a_change(tmp_path, name):
    with (
        serving(limited(50.0, burst=BURST)) as scaler,
        gateway(name, tmp_path, scaler.rpc.port) as (running, _),
    ):
        with underway(running.url, 100) as above:
            assert comes_to_obey(above, SHARE_50)
        below = offer(running.url, 40, 1.5)
        scaler.holder.publish(limited(20.0, burst=BURST))
        with underway(running.url, 100) as changed:
            assert comes_to_obey(changed, SHARE_20)

    # Where the load itself was held up, and then came all at once, the bucket may have been full.
    assert room(below.answers, Bucket(SHARE_50, BURST)) < 0
    assert {one.status for one in [*above.answers, *changed.answers]} == {200, 429}


def test_while_the_scaler_is_away_the_second_limit_holds_and_then_there_is_no_burst(tmp_path):
    port = free_port()
    with ExitStack() as stack:
        with serving(limited(50.0, burst=BURST), port=port):
            running, _ = stack.enter_context(gateway("envoy.yaml", tmp_path, port))
            envoy.asks_tidegate(running)
        envoy.asks_tidegate(running, can_be=False)
        # No request waits for the decision, which may take a minute here, nor is one refused.
        quiet = offer(running.url, 50, 1)
        # Who says himself that tidegate was asked is not believed.
        away = offer(running.url, 200, 2, headers={"x-tidegate": "checked"})
        with serving(limited(50.0, burst=BURST), port=port):
            envoy.asks_tidegate(running)
            with underway(running.url, 100) as back:
                assert comes_to_obey(back, SHARE_50)

    assert quiet.statuses() == {200: 50}
    assert max(one.latency_s for one in quiet.answers) < 30
    assert excess(away.answers, Bucket(AWAY, AWAY_BURST)) <= NEARLY
    assert room(away.answers, Bucket(AWAY, AWAY_BURST)) <= NEARLY
    assert away.first(429).headers["retry-after"] == "1"
    assert excess(back.answers, Bucket(SHARE_50, BURST)) <= NEARLY


def test_an_envoy_that_counts_by_itself_goes_on_and_then_keeps_to_the_safe_limit(tmp_path):
    # So short that an assignment is seen to expire.
    published = limited(50.0, burst=BURST, lease=SHORT)
    port = free_port()
    with ExitStack() as stack:
        with serving(published, port=port):
            running, _ = stack.enter_context(gateway("envoy-rlqs.yaml", tmp_path, port))
            load = stack.enter_context(underway(running.url, 200))
            assert comes_to_obey(load, SHARE_50)
        stopped = time.monotonic()
        assert comes_to_obey(load, AWAY, AWAY_BURST)
        returning = time.monotonic()
        with serving(published, port=port):
            assert comes_to_obey(load, SHARE_50)

    # Each change of what Envoy counts by fills its bucket.
    assert excess(load.since(stopped), Bucket(AWAY, AWAY_BURST + 2 * BURST)) <= NEARLY
    refused = [one for one in load.answers if stopped < one.sent_at < returning]
    assert {one.headers["retry-after"] for one in refused if one.status == 429} == {"1"}


def test_without_the_second_limit_it_is_open_while_the_scaler_is_away(tmp_path):
    def alone(config) -> None:
        filters = envoy.filters(config)
        filters[:] = [one for one in filters if not one["name"].endswith("local_ratelimit")]

    with gateway("envoy.yaml", tmp_path, free_port(), alone) as (running, _):
        assert offer(running.url, 300, 0.8).statuses() == {200: 240}


def test_a_token_goes_over_mutual_tls_and_responses_have_both_kinds_of_fields(
    tmp_path,
    certificates,  # noqa: F811 - the fixture
):
    tokens = tmp_path / "tokens"
    tokens.write_text("open-sesame\n")
    readme = (envoy.DEPLOYED / "README.md").read_text()
    socket = re.search(r"\n( +transport_socket:\n.*?)\n(?! )", readme, re.DOTALL)[1]

    def shown(config) -> None:
        patient(config)
        asking = envoy.filters(config)[1]["typed_config"]["rate_limit_service"]["grpc_service"]
        said = {"key": "authorization", "value": "Bearer open-sesame"}
        asking["initial_metadata"] = [said]
        found = re.sub(r"(\w+)\.(pem|key)", rf"{certificates}/\1.\2", socket)
        config["static_resources"]["clusters"][1].update(yaml.safe_load(found))

    settings = ApiSettings(learns_shares=False, tokens=tokens)
    tls = Tls(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    with (
        serving(limited(10.0), settings, tls=tls) as here,
        gateway("envoy.yaml", tmp_path / "envoy", here.rpc.port, shown) as (running, _),
    ):
        envoy.asks_tidegate(running)
        offered = offer(running.url, 40, 0.5)
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
        # Each assignment that differs from the one before fills Envoy's bucket, of 5, anew.
        shed = Bucket(10.0, 3 * 5)
        with (
            underway(running.url, 28, headers={"x-tidegate-class": "pay"}) as paying,
            underway(running.url, 60, headers={"x-stress-test": "1"}) as stressing,
        ):
            eventually(lambda: 429 in {one.status for one in stressing.answers})
            eventually(lambda: excess(stressing.answers[-120:], shed) <= NEARLY)
            known = time.monotonic()
            eventually(lambda: len(stressing.since(known)) >= 120)

    assert room(paying.answers, Bucket(30.0, 15)) <= NEARLY
    assert excess(stressing.since(known), shed) <= NEARLY


def of_two_services(config: envoy.Json) -> None:
    """Nest the buckets of the deployed file below those of services, as the README shows."""
    patient(config)
    quotas = envoy.filters(config)[0]["typed_config"]
    buckets = json.dumps(quotas["bucket_matchers"])
    readme = (envoy.DEPLOYED / "README.md").read_text()
    shown = re.search(r"\n( +bucket_matchers:\n.*?)\n(?! )", readme, re.DOTALL)[1]
    for service in (SHOP, SEARCH):
        shown = shown.replace(f"<buckets of {service}>", buckets.replace(SHOP, service))
    quotas.update(yaml.safe_load(shown))


def test_two_envoys_share_the_limit_of_a_service_and_of_each_of_its_classes(tmp_path):
    pay = PriorityClass("pay", 0, guaranteed_qps=30.0, ceiling_qps=30.0)
    published = joined(limited(60.0, pay, burst=BURST), limited(20.0, service=SEARCH, burst=BURST))
    # Both are offered as much as a limit allows, so together the double of it.
    limits = {"pay": 30.0, "other": 30.0, "search": 20.0}
    with ExitStack() as stack:
        scaler = stack.enter_context(serving(published))
        loads: dict[str, list[Underway]] = {name: [] for name in limits}
        for folder in ("one", "two"):
            start = gateway("envoy-rlqs.yaml", tmp_path / folder, scaler.rpc.port, of_two_services)
            url = stack.enter_context(start)[0].url
            paying = underway(f"{url}/shop", 30, headers={"x-tidegate-class": "pay"})
            loads["pay"].append(stack.enter_context(paying))
            loads["other"].append(stack.enter_context(underway(f"{url}/shop", 30)))
            loads["search"].append(stack.enter_context(underway(f"{url}/search", 20)))

        def sent(*names: str, since: float = -math.inf) -> list[Answer]:
            answers = [one for name in names for load in loads[name] for one in load.since(since)]
            return sorted(answers, key=lambda one: one.sent_at)

        def used_up(answers: Sequence[Answer], qps: float) -> bool:
            """Return whether nobody was refused while both admitted less than nine tenths."""
            return room(answers, Bucket(0.9 * qps, 1)) <= NEARLY

        def is_shared() -> bool:
            latest = {name: sent(name)[-200:] for name in limits}
            return all(
                len(latest[name]) == 200
                and excess(latest[name], Bucket(qps, BURST)) <= NEARLY
                and used_up(latest[name], qps)
                for name, qps in limits.items()
            )

        eventually(is_shared)
        known = time.monotonic()
        eventually(lambda: all(len(sent(name, since=known)) >= 200 for name in limits))

    for name, qps in limits.items():
        assert excess(sent(name, since=known), Bucket(qps, BURST)) <= NEARLY, name
        assert used_up(sent(name, since=known), qps), name
    assert excess(sent("pay", "other", since=known), Bucket(60.0, 2 * BURST)) <= NEARLY
    each = [sum(one.status == 200 for one in load.since(known)) for load in loads["pay"]]
    assert min(each) >= 0.8 * max(each)


@pytest.mark.parametrize("name", FILES)
def test_the_deployed_files_are_what_envoy_takes(name):
    path = envoy.DEPLOYED / name
    command = [envoy.binary(), "--mode", "validate", "-c", path, "--log-level", "error"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.returncode == 0, done.stdout + done.stderr
