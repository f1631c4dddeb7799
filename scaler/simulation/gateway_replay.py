"""Recorded traffic through real gateways: what the published limits do to requests one by one.

The busiest part of the demand that was replayed, an hour at most, comes as single requests: in each
tick a Poisson process at the recorded rate. Each request arrives at one gateway, any of them alike,
and is decided by the limiter that runs in production, on a lease from the lease service that runs
in production. Recorded traffic says neither who sent a request nor whether it would come again:
nobody is limited by client, and what is refused does not come again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forecaster.data.series import FloatArray
from scaler.control.snapshot import ServiceView, Snapshot
from scaler.errors import ReplayError
from scaler.limits.priority_classes import admitted, split
from scaler.limits.published_limit import PublishedLimit
from scaler.policy.policy import Mode, Policy
from scaler.simulation.contest import (
    TIDEGATE,
    Contest,
    ContestJob,
    ContestSetting,
    tidegate_contender,
)
from scaler.simulation.gateway_outcome import (
    NO_CLASS,
    GatewayCounts,
    GatewayOutcome,
    GatewayTraffic,
    TickRequests,
)
from scaler.simulation.virtual_gateways import VirtualGateways
from scaler.simulation.world import SimulatedService

LONGEST_S = 3600.0
# Some 5 us each: a service with more traffic is followed for a shorter time around its peak.
MOST_REQUESTS = 2_000_000
# Gateways have served for a while when the part begins; so long they do so uncounted.
WARM_UP_S = 60.0


def equal_shares(policy: Policy) -> dict[str, float]:
    """Return the same share for each class; all of none where the policy names none."""
    names = [one.name for one in policy.classes] or [NO_CLASS]
    return dict.fromkeys(names, 1 / len(names))


def busiest(demand: FloatArray, tick_s: float) -> slice:
    """Return the ticks around the peak: an hour at most, and `MOST_REQUESTS` at most.

    >>> busiest(np.array([1.0, 2.0, 9.0, 3.0, 1.0]), tick_s=1800.0)  # two ticks are an hour
    slice(1, 3, None)
    """
    known = np.nan_to_num(demand)
    if not known.any():
        raise ReplayError("no request came in the time that is replayed, so none can be limited")
    peak, counts = int(np.argmax(known)), known * tick_s
    length = min(max(int(LONGEST_S // tick_s), 1), len(known))
    while True:
        begin = min(max(peak - length // 2, 0), len(known) - length)
        if length == 1 or counts[begin : begin + length].sum() <= MOST_REQUESTS:
            return slice(begin, begin + length)
        length = max(length * 9 // 10, 1)


def gateway_replay(
    traffic: GatewayTraffic,
    policy: Policy,
    published: Callable[[int], PublishedLimit],
    *,
    gateways: int = 2,
    seed: int = 0,
) -> GatewayOutcome:
    """Return what gateways make of the traffic.

    Args:
        traffic: of the part.
        policy: whose classes and clients gateways are told; it is enforced whatever its mode.
        published: the limit that stands from the begin of each tick of the part.
        gateways: how many.
        seed: of the requests.
    """
    unknown = traffic.shares.keys() - equal_shares(policy).keys()
    if unknown:
        raise ValueError(f"shares are of {sorted(unknown)}, which {policy.item_id} does not name")
    rng = np.random.default_rng(seed)
    warm_up = math.ceil(WARM_UP_S / traffic.tick_s)
    enforced = replace(policy, mode=Mode.ENFORCE)
    counted = GatewayCounts(traffic)
    with VirtualGateways(policy.item_id, gateways, -warm_up * traffic.tick_s, rng) as site:
        for tick in range(-warm_up, len(traffic.demand)):
            place = max(tick, 0)
            limit, begins = published(place), tick * traffic.tick_s
            view = ServiceView(
                policy=enforced, at=traffic.start + begins, ready=limit.ready_replicas,
                published_limit=limit,
            )  # fmt: skip
            site.publish(Snapshot(tick, view.at, {policy.item_id: view}), begins)
            requests = _drawn(traffic, place, gateways, rng)
            passed = _decided(site, requests, list(traffic.shares), begins)
            if tick >= 0:
                counted.add(requests, passed, within(limit, traffic, tick))
                counted.compare(requests.times[passed], limit.limit.qps)
    return counted.outcome(gateways)


def within(limit: PublishedLimit, traffic: GatewayTraffic, tick: int) -> list[bool]:
    """Return of each class whether all of its demand passes where it comes evenly.

    That is the closed form of a lease: guarantees, priorities and ceilings included.
    """
    demand = float(np.nan_to_num(traffic.demand[tick]))
    if not limit.classes:
        return [demand <= limit.limit.qps]
    demands = [demand * traffic.shares.get(one.name, 0.0) for one in limit.classes]
    divided = split(limit.limit.qps, limit.classes, demands)
    passed = zip(limit.classes, admitted(divided, demands), demands, strict=True)
    fits = {one.name: qps >= wanted - 1e-9 for one, qps, wanted in passed}
    return [fits[name] for name in traffic.shares]


def _drawn(
    traffic: GatewayTraffic, tick: int, gateways: int, rng: np.random.Generator
) -> TickRequests:
    """Return the requests of a tick: a Poisson process, each of a class and at a gateway."""
    qps = np.nan_to_num(traffic.demand[tick])
    count = int(rng.poisson(qps * traffic.tick_s))
    shares = np.array(list(traffic.shares.values()))
    return TickRequests(
        np.sort(rng.uniform(0.0, traffic.tick_s, count)),
        rng.choice(len(shares), count, p=shares / shares.sum()),
        rng.integers(gateways, size=count),
    )


def _decided(
    site: VirtualGateways, requests: TickRequests, classes: list[str], begins: float
) -> np.ndarray:
    """Return which requests pass, one by one."""
    admit, passed = site.admit, []
    names = [classes[i] or None for i in requests.classes]
    times = (begins + requests.times).tolist()
    for now, name, gateway in zip(times, names, requests.gateways.tolist(), strict=True):
        if now >= site.due:
            site.run(now)
        passed.append(admit[gateway](name, None, now).allowed)
    return np.array(passed, dtype=bool)


def rate_limited(contest: Contest) -> GatewayOutcome:
    """Return what gateways make of the busiest part of a replay, by tidegate's limits."""
    setting = contest.setting
    scene, tick_s = setting.scene, setting.scene.timing.tick_s
    part = busiest(scene.demand, tick_s)
    shares = equal_shares(setting.policy)
    traffic = GatewayTraffic(scene.now(part.start), tick_s, scene.demand[part], shares)
    return gateway_replay(traffic, setting.policy, published_limits(setting, part).__getitem__)


def published_limits(setting: ContestSetting, part: slice) -> list[PublishedLimit]:
    """Return what tidegate publishes at each tick of a part: it runs once more, to keep it."""
    job = ContestJob(TIDEGATE, setting.policy.scale.target_utilization)
    tidegate, scene = tidegate_contender(setting, job), setting.scene
    service = SimulatedService(scene, setting.net)
    published: list[PublishedLimit] = []
    for tick in range(part.stop):
        service.begin(tick)
        service.end(tick, tidegate.decide(tick, scene.now(tick), service))
        assert tidegate.latest is not None
        if tick >= part.start:
            published.append(tidegate.latest.published_limit)
    return published
