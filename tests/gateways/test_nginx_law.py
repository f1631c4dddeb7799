"""The pure parts of nginx's Lua say what the scaler says: one law, in two languages."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaler.limits import gcra
from scaler.limits.lease import AfterSafe, Lease, limit_at, stage_at
from scaler.limits.priority_classes import PriorityClass, split
from scaler.limits.schedule import LimitStep
from tests.conformance.gateways.nginx import SHIPPED
from tests.conformance.leases import class_part, lease

Ask = Callable[..., dict]
PER_RUN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def ask(nginx_parts) -> Iterator[Ask]:
    process = subprocess.Popen(
        [nginx_parts.luajit, Path(__file__).with_name("nginx_law.lua")],
        env=nginx_parts.environment(SHIPPED),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def answer(question: str, **asked: object) -> dict:
        process.stdin.write(json.dumps({"ask": question, **asked}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield answer
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


STEPS = (LimitStep(60, 1380), LimitStep(300, 1500))
AGES = (0, 9.999, 10, 30, 59.999, 60, 299.9, 300, 309.9, 310, 429.9, 430, 1e5)


def _wire(law: Lease) -> str:
    return json.dumps(
        lease(
            law.version, law.qps, valid_for_s=law.valid_for_s, safe_rps=law.safe_qps,
            max_stale_s=law.max_stale_s, then=law.then.value,
            schedule=[{"in_s": step.in_s, "rps": step.qps} for step in law.schedule],
        )
    )  # fmt: skip


def _agrees(ask: Ask, law: Lease, ages: tuple[float, ...]) -> None:
    told = ask("ages", body=_wire(law), ages=ages)

    assert told["stages"] == [stage_at(law, age).value for age in ages]
    assert [float(limit) for limit in told["limits"]] == [limit_at(law, age) for age in ages]


@pytest.mark.parametrize(
    "law",
    [
        pytest.param(Lease(1, 1240, 10, STEPS, 310, 120), id="it rises"),
        pytest.param(Lease(1, 1240, 10, (LimitStep(5, 800),), 310, 120), id="it falls while fresh"),
        pytest.param(Lease(1, 1240, 10, (LimitStep(5, 2000),), 310, 120), id="no rise while fresh"),
        pytest.param(Lease(1, 1240, 10, (), 310, 120), id="no schedule"),
        pytest.param(Lease(1, 1240, 10, STEPS, 310, 0), id="no safe stage"),
        pytest.param(Lease(1, 0, 10, (), 0, 120, AfterSafe.CLOSED), id="closed in the end"),
    ],
)
def test_a_lease_ages_as_the_scaler_says(ask, law):
    _agrees(ask, law, AGES)


qps = st.floats(0, 1e6)
seconds = st.floats(0.125, 1e4)


@PER_RUN
@given(
    st.builds(
        Lease, st.just(1), qps, seconds, st.just(()), qps, seconds, st.sampled_from(AfterSafe)
    ),
    st.lists(st.tuples(seconds, qps), max_size=4, unique_by=lambda step: step[0]),
    st.lists(st.floats(0, 1e5), min_size=1, max_size=10),
)
def test_any_lease_ages_as_the_scaler_says(ask, law, steps, ages):
    schedule = tuple(LimitStep(*step) for step in sorted(steps))
    whole = Lease(1, law.qps, law.valid_for_s, schedule, law.safe_qps, law.max_stale_s, law.then)

    _agrees(ask, whole, tuple(ages))


@PER_RUN
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([4.0, 16.0, 64.0])), max_size=80),
)
def test_a_bucket_admits_what_the_scalers_admits(ask, burst, steps):
    """Times are multiples of 1/64 s, so that both sides compute exactly."""
    now, tat, before, requests, passed = 1000.0, -math.inf, None, [], []
    for ticks, rate in steps:
        now += ticks / 64
        interval = 1 / rate
        if before is not None:
            tat = gcra.rescaled(tat, now, before, interval)
        verdict = gcra.admit(tat, now, interval, burst)
        tat, before = verdict.tat, interval
        requests.append({"now": now, "rate": rate})
        passed.append(verdict.allowed)

    assert list(ask("requests", requests=requests, burst=burst)["passed"] or []) == passed


def _classed(rps: float, classes, parts) -> str:
    told = [
        {"name": c.name, "priority": c.priority, "guaranteed_rps": part.guaranteed_qps,
         "rps": part.qps, "ceiling_rps": part.ceiling_qps, "then": "open"}
        for c, part in zip(classes, parts.classes, strict=True)
    ]  # fmt: skip
    return json.dumps(lease(1, rps, classes=told))


PAY = PriorityClass("pay", 0, guaranteed_qps=120)
BROWSE = PriorityClass("browse", 5, guaranteed_qps=50)
STRESS = PriorityClass("stress", 9, ceiling_qps=40)
CLASSES, DEMANDS = (STRESS, BROWSE, PAY), (500.0, 90.0, 150.0)


@pytest.mark.parametrize("limit", [335.0, 300.0, 250.0, 180.0, 120.0, 60.0, 0.0])
def test_a_lower_limit_is_divided_as_the_scaler_would(ask, limit):
    """What each class had at 335 rps stands for what it wants."""
    whole = split(335.0, CLASSES, DEMANDS)
    expected = split(limit, CLASSES, [part.qps for part in whole.classes])
    told = ask("parts", body=_classed(335.0, CLASSES, whole), limit=limit)

    assert told["own"] == {part.name: pytest.approx(part.qps) for part in expected.classes}
    assert told["spare"] == pytest.approx(expected.spare_qps)


def test_a_higher_limit_is_spare_but_a_policys_ceiling_stays(ask):
    whole = split(335.0, CLASSES, DEMANDS)
    told = ask("parts", body=_classed(335.0, CLASSES, whole), limit=400.0)

    assert told["own"] == {"pay": 150, "browse": 90, "stress": 40}
    assert told["spare"] == 400 - 150 - 90 - 40
    assert told["rise"] == {"stress": 0}  # has its ceiling already; the others may rise


GOLD = class_part("gold", 1, 2, priority=3, match={"header": "X-Tier", "value": "Gold"})
ANY = class_part("any", 1, 2, priority=1, match={"header": "x-any"})


def test_classes_are_matched_in_order_of_priority_by_header_and_value(ask):
    told = ask("said", body=json.dumps(lease(1, 20, classes=[GOLD, class_part("pay", 1, 2), ANY])))

    assert told["matches"] == [
        ["pay", "", ""], ["any", "http_x_any", ""], ["gold", "http_x_tier", "Gold"],
    ]  # fmt: skip


@pytest.mark.parametrize(("said", "window_s"), [({}, 0), ({"client_window_s": 20}, 20)])
def test_the_window_of_clients_is_what_the_lease_says_if_it_does(ask, said, window_s):
    assert ask("said", body=json.dumps({**lease(1, 20), **said}))["window_s"] == window_s


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"client_window_s": 0}, "client_window_s is 0"),
        ({"schema": 2}, "schema is 2"),
        ({"service": "prod/other"}, "prod/shop was asked for"),
        ({"mode": "of its own"}, "mode is of its own"),
        ({"version": 1.5}, "whole number"),
        ({"valid_for_s": 0}, "valid_for_s is 0"),
        ({"valid_for_s": 7 * 24 * 3600 + 1}, "valid_for_s"),
        ({"share": {"rps": 1e12, "burst": 1}}, "share.rps is 1000000000000"),
        ({"share": {"rps": 1}}, "share.burst is missing"),
        ({"share": None}, "share is"),
        ({"per_client": {"rps": -1}}, "per_client.rps is -1"),
        ({"schedule": [{"in_s": 9, "rps": 1}, {"in_s": 3, "rps": 1}]}, "steps must ascend"),
        ({"classes": [{"name": "pay", "rps": 1}]}, "class pay: priority is missing"),
    ],
)  # fmt: skip
def test_a_lease_that_cannot_be_meant_is_refused_by_name(ask, change, says):
    told = ask("ages", body=json.dumps({**lease(1, 20), **change}), ages=[0])

    assert says in told["fault"]
