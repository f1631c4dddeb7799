"""Hostile clients: nine scenes, decided request by request by the limiter of a gateway.

2,000 normal clients send 935 requests per second, log-normally spread. When the gateway has had
three minutes to get to know them, something happens for two minutes. Then all together send 1.5
times the limit, which does not move; or, in the same scene under a larger limit, nine tenths of it,
and nothing may be refused. The lease comes from the production lease service.

The max-min fair share of a client is found for each ten seconds from what was sent in them, retries
too: each client, under whatever name, may have as many requests as any other.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from benchmarks.limiters.still_limit import SERVICE, still_view
from forecaster.data.series import FloatArray
from scaler.control.snapshot import Snapshot
from scaler.limits.max_min import max_min_fair
from scaler.limits.priority_classes import PriorityClass
from scaler.simulation.virtual_gateways import VirtualGateways

# Trouble begins within a window of the limiter, not with it.
CALM_S, TROUBLE_S, SLICE_S = 187.7, 120.0, 10.0
TICK_S = 15.0
NORMAL, NORMAL_QPS, LIMIT_QPS = 2000, 935.0, 1440.0
OVERLOAD, FITTING = 1.5, 0.9
PAY, BROWSE, BULK = "pay", "browse", "bulk"
MIX = {PAY: 0.15, BROWSE: 0.8, BULK: 0.05}
BACK_OFF_S = 5.0


class Request(NamedTuple):
    """One request; ``kind`` is the number of its `Group`."""

    at: float
    kind: int
    client: str
    class_name: str | None


@dataclass(frozen=True, eq=False)
class Group:
    """Clients of one kind.

    Attributes:
        name: of the kind.
        rates_qps: of each client, ``(n,)``.
        normal: whether they mean no harm.
        from_s: from when on they send.
        rises: whether their rate grows from 0, linearly, until the end.
        fresh_ids_qps: names that all of them use per second, each for a moment; 0: own names.
        class_name: of all their requests; empty: mixed as in `MIX`.
        retries: share of what was refused that is sent again: at once, by normal clients after
            `BACK_OFF_S` on average.
    """

    name: str
    rates_qps: FloatArray
    normal: bool = False
    from_s: float = CALM_S
    rises: bool = False
    fresh_ids_qps: float = 0.0
    class_name: str = ""
    retries: float = 0.0

    @property
    def qps(self) -> float:
        return float(self.rates_qps.sum())


@dataclass(frozen=True, eq=False)
class HostileScene:
    """Who sends, the limit in requests per second, and whether it is divided among classes."""

    name: str
    groups: tuple[Group, ...]
    limit_qps: float
    seed: int = 0
    has_classes: bool = False

    def fitting(self) -> HostileScene:
        """Return the scene under a limit of which it needs only `FITTING`."""
        return replace(self, limit_qps=self.limit_qps * OVERLOAD / FITTING)


@dataclass(frozen=True)
class FairnessFigures:
    """What became of the requests while there was trouble.

    Attributes:
        offered: requests of each kind; refused: those refused.
        beyond: share of the normal clients' requests that was refused although it was within their
            max-min fair share.
        greed: requests of the other clients that were admitted, as a part of their fair share.
        calm_refused: requests refused before there was any trouble.
    """

    offered: Counter[str]
    refused: Counter[str]
    beyond: float
    greed: float
    calm_refused: int

    def served(self, kind: str) -> float:
        return 1 - self.refused[kind] / self.offered[kind]


def hostile_scenes(part: float = 1.0, seed: int = 0) -> tuple[HostileScene, ...]:
    """Return the nine scenes; ``part`` scales clients, requests and limit."""
    rng = np.random.default_rng(seed)
    people = NORMAL_QPS * part * _weights(rng, round(NORMAL * part))
    heaviest, limit = float(people.max()), LIMIT_QPS * part
    normal = Group("normal", people, normal=True, from_s=0.0)
    attack = OVERLOAD * limit - normal.qps
    heavy = Group("attackers", _each(3 * heaviest, attack))
    crowd = Group("new", 4 * normal.qps * _weights(rng, 4 * len(people)), normal=True)
    address = Group("one address", np.array([normal.qps / 2]), normal=True, from_s=0.0)

    def scene(name: str, *groups: Group) -> HostileScene:
        return HostileScene(name, (normal, *groups), limit, seed)

    def rotation(ids_qps: float) -> HostileScene:
        one = Group("attackers", np.array([attack]), fresh_ids_qps=ids_qps)
        return scene(f"rotation, {ids_qps:g} names/s", one)

    return (
        *map(rotation, (33, 100, 500)),
        scene("slow rise", replace(heavy, rises=True)),
        scene("mimicry of the heaviest", replace(heavy, rates_qps=_each(heaviest, attack))),
        replace(
            scene("1,000 people behind one address", address, heavy),
            limit_qps=(normal.qps + address.qps + attack) / OVERLOAD,
        ),
        replace(
            scene("flood in the first class", replace(heavy, class_name=PAY)), has_classes=True
        ),
        replace(
            scene("flash crowd, 80 % new", crowd), limit_qps=(normal.qps + crowd.qps) / OVERLOAD
        ),
        replace(
            scene("retries of refused clients"),
            groups=(replace(normal, retries=0.5), replace(heavy, retries=0.8)),
        ),
    )


def fairness(scene: HostileScene) -> FairnessFigures:
    """Return the figures of one scene."""
    rng = np.random.default_rng(scene.seed)
    with VirtualGateways(SERVICE, 1, 0.0, rng) as gateways:
        return _fairness(scene, gateways, rng)


def _fairness(
    scene: HostileScene, gateways: VirtualGateways, rng: np.random.Generator
) -> FairnessFigures:
    classes = tuple(PriorityClass(name, i) for i, name in enumerate(MIX) if scene.has_classes)
    view = still_view(scene.limit_qps, classes)
    (admit,) = gateways.admit
    offered: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    slices: list[tuple[Counter[tuple[int, str]], Counter[tuple[int, str]]]] = []
    calm_refused, tick_at = 0, 0.0
    again: list[Request] = []
    for request in _with_retries(_sent(scene, rng), again):
        while tick_at <= request.at:
            gateways.publish(Snapshot(0, tick_at, {SERVICE: view}), tick_at)
            tick_at += TICK_S
        if gateways.due <= request.at:
            gateways.run(request.at)
        allowed = admit(request.class_name, request.client, request.at).allowed
        if request.at < CALM_S:
            calm_refused += not allowed
            continue
        group = scene.groups[request.kind]
        if len(slices) <= (request.at - CALM_S) / SLICE_S:
            slices.append((Counter(), Counter()))
        asked, admitted = slices[-1]
        sender = request.kind, request.client
        asked[sender] += 1
        admitted[sender] += allowed
        offered[group.name] += 1
        refused[group.name] += not allowed
        if not allowed and rng.random() < group.retries:
            wait_s = rng.exponential(BACK_OFF_S) if group.normal else 0.05
            heapq.heappush(again, request._replace(at=request.at + wait_s))
    beyond, greed = _against_max_min(scene, slices)
    return FairnessFigures(offered, refused, beyond, greed, calm_refused)


def _against_max_min(
    scene: HostileScene, slices: Sequence[tuple[Counter[tuple[int, str]], Counter[tuple[int, str]]]]
) -> tuple[float, float]:
    """Return ``beyond`` and ``greed`` of `FairnessFigures`."""
    missed = wanted_by_normal = taken = fair_for_others = 0.0
    for asked, admitted in slices:
        wants = np.array(list(asked.values()), dtype=np.float64)
        fair = max_min_fair(scene.limit_qps * SLICE_S, wants).qps
        got = np.array([admitted[sender] for sender in asked])
        is_normal = np.array([scene.groups[kind].normal for kind, _ in asked])
        # Requests are whole: of a fair share of 17.6 a client may have 17.
        missed += float(np.maximum(np.floor(fair) - got, 0.0)[is_normal].sum())
        wanted_by_normal += float(wants[is_normal].sum())
        taken += float(got[~is_normal].sum())
        fair_for_others += float(fair[~is_normal].sum())
    return missed / wanted_by_normal, taken / fair_for_others if fair_for_others else math.nan


def _weights(rng: np.random.Generator, clients: int) -> FloatArray:
    drawn = np.exp(rng.standard_normal(clients))
    return np.asarray(drawn / drawn.sum())


def _each(qps: float, total_qps: float) -> FloatArray:
    """Return clients that send at least ``qps`` each, and ``total_qps`` together."""
    clients = max(1, math.floor(total_qps / qps))
    return np.full(clients, total_qps / clients)


def _sent(scene: HostileScene, rng: np.random.Generator) -> Iterator[Request]:
    """Yield what is sent for the first time, in order."""
    names = list(MIX)
    columns: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
    for kind, group in enumerate(scene.groups):
        seconds = CALM_S + TROUBLE_S - group.from_s
        count = rng.poisson(group.qps * seconds * (0.5 if group.rises else 1.0))
        place = rng.random(count)
        at = group.from_s + seconds * (np.sqrt(place) if group.rises else place)
        client = rng.choice(len(group.rates_qps), count, p=group.rates_qps / group.qps)
        if group.fresh_ids_qps:
            client = np.floor(at * group.fresh_ids_qps).astype(int)
        chosen = rng.choice(len(names), count, p=list(MIX.values()))
        if group.class_name:
            chosen = np.full(count, names.index(group.class_name))
        columns.append((at, np.full(count, kind), client, chosen))
    ats, kinds, clients, classes = (np.concatenate(one) for one in zip(*columns, strict=True))
    order = np.argsort(ats, kind="stable")
    rows = zip(*(one[order].tolist() for one in (ats, kinds, clients, classes)), strict=True)
    for at, kind, client, chosen in rows:
        yield Request(at, kind, f"{kind}-{client}", names[chosen])


def _with_retries(first: Iterator[Request], again: list[Request]) -> Iterator[Request]:
    """Yield requests in order of time, those in the heap ``again`` when they are due."""
    for request in first:
        while again and again[0].at <= request.at:
            yield heapq.heappop(again)
        yield request
