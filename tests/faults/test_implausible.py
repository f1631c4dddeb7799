"""Measured demand that cannot be what is offered: no floor falls by it, and none sticks.

A whole loop, and gateways that report to its lease service what they are offered.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.checkpoint import to_plain
from scaler.control.loop import ControlLoop
from scaler.control.ports import World
from scaler.control.snapshot import ConditionKind, ServiceView
from scaler.decision.hold import HoldRules
from tests.faults.test_clocks import HOUR, ITEM, MINUTE, SCALE, START, STEP, TICK_S, WATCHED, Site

USUAL = 390.0
RAISED, HALF = 10, 5  # replicas for 390 and for 195, 40 requests per second each
MOST = 400
# What is held of demand that is low for the time of day is told in `test_upstream_outage`.
POLICY = replace(WATCHED.policy, scale=replace(SCALE, max_replicas=MOST), hold=HoldRules(share=0))
ABSURD = 1e6
FAULT = START + HOUR / 2  # when it begins


def wavy(stamp: float) -> float:
    """Return demand that never repeats itself, some 4 % around the usual."""
    return USUAL * (1 - 0.02 + 0.02 * math.sin(stamp / 97.0))


class Replica:
    """One scaler of a shop: gateways report to who leads, which alone moves the floor."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.leads = shop, False
        self.holder = SnapshotHolder(lambda: shop.uptime)
        self.leases = LeaseService(self.holder, ApiSettings(learns_shares=False), "c0ff")
        world = World(shop, shop, self, self.leases.reports)
        self.control = ControlLoop(world, STEP, self.holder.publish)

    def observe(self, watched, now):
        return self.shop.observe(watched, now)

    def apply(self, views, now):
        return self.shop.apply(views, now) if self.leads else {}


@dataclass
class Shop(Site):
    """A service, what is offered to it, and what queries and gateways say of that.

    Attributes:
        offered: requests per second at a moment.
        shown: what the query makes of that; told: what gateways do; None: there are none.
    """

    offered: Callable[[float], float] = wavy
    shown: Callable[[float, float], float] = lambda stamp, qps: qps
    told: Callable[[float, float], float] | None = None
    given: list[float] = field(default_factory=list)  # samples that the model was given last
    kept: dict | None = None  # the checkpoint in the policy's status

    def __post_init__(self) -> None:
        self.demand = lambda stamp: self.shown(stamp, self.offered(stamp))
        self.follower: Replica | None = None
        self.elect(Replica(self))

    def elect(self, replica: Replica) -> None:
        """Have a replica lead, and nobody else run."""
        self.leader, replica.leads, self.follower = replica, True, None

    def predict(self, name, series):
        self.given = series[0].values[-500:].tolist()
        return super().predict(name, series)

    def gateways_report(self) -> None:
        leader = self.leader
        if self.told is None or leader.holder.latest() is None:
            return
        half = self.told(self.truth, self.offered(self.truth)) / 2
        for name in ("gw-1", "gw-2"):
            report = GatewayReport(half, admits_qps=half, interval_s=5.0)
            leader.leases.reply(ITEM, LeaseRequest(name, report=report), self.uptime)

    def until(self, moment: float) -> Iterator[ServiceView]:
        while self.truth < moment:
            for _ in range(3):
                self.pass_by(TICK_S / 3)
                self.gateways_report()
            watched = [replace(WATCHED, policy=POLICY, checkpoint=self.kept)]
            view = self.leader.control.tick(watched, self.truth).services[ITEM]
            if self.follower is not None:
                self.follower.control.tick(watched, self.truth)
            if self.truth % MINUTE < TICK_S:  # a status is written once a minute
                self.kept = json.loads(json.dumps(to_plain(view.checkpoint)))
            yield view


def after(change: Callable[[float], float], begins: float = FAULT, ends: float = math.inf):
    """Return what changes demand from one moment to another."""
    return lambda stamp, qps: change(qps) if begins <= stamp < ends else qps


def fresh(view: ServiceView) -> tuple[bool, str]:
    (found,) = [one for one in view.conditions if one.kind is ConditionKind.DATA_FRESH]
    return found.status, found.reason


def honest(stamp: float, qps: float) -> float:
    return 0.8 * qps  # a fifth comes by another way


IMPLAUSIBLE, BELIEVED = (False, "Implausible"), (True, "Observed")


@pytest.mark.parametrize("told", [None, honest], ids=["alone", "with gateways"])
@pytest.mark.parametrize("lasts_s", [15.0, 60.0, 120.0])
def test_an_absurd_sample_raises_a_floor_no_longer_than_a_hold(told, lasts_s):
    shop = Shop(shown=after(lambda _: ABSURD, ends=FAULT + lasts_s), told=told)
    list(shop.until(FAULT - TICK_S))
    assert shop.floor == RAISED
    *_, view = shop.until(FAULT)
    assert fresh(view) == IMPLAUSIBLE
    assert RAISED < shop.floor <= 20 * RAISED  # bounded, though not known to be wrong
    list(shop.until(FAULT + lasts_s + SCALE.stabilization_s + MINUTE))
    assert shop.floor == RAISED
    for view in shop.until(FAULT + 3 * HOUR):
        assert (fresh(view), shop.floor) == (BELIEVED, RAISED)
    assert np.nanmax(shop.given) < 2 * USUAL  # no model ever sees it


@pytest.mark.parametrize("told", [None, honest], ids=["alone", "with gateways"])
def test_a_flash_crowd_raises_the_floor_at_once_and_is_believed_soon(told):
    shop = Shop(offered=lambda stamp: 25 * wavy(stamp) if stamp >= FAULT else wavy(stamp))
    shop.told = told
    list(shop.until(FAULT - TICK_S))
    list(shop.until(FAULT))
    assert shop.floor >= 19 * RAISED
    *_, view = shop.until(FAULT + 2.5 * MINUTE)
    assert shop.floor >= 24 * RAISED
    assert fresh(view) == BELIEVED


def tenth(qps: float) -> float:
    return qps / 10


def half(qps: float) -> float:
    return qps / 2


@pytest.mark.parametrize("shown", [tenth, half], ids=["another unit", "half of the targets gone"])
def test_a_fall_that_gateways_deny_is_not_followed_while_they_do(shown):
    fixed = FAULT + 2 * HOUR
    shop = Shop(shown=after(shown, ends=fixed), told=honest)
    list(shop.until(FAULT - TICK_S))
    for view in shop.until(fixed - TICK_S):
        # What gateways report is sure, what else there was is not: that much may decay.
        assert (fresh(view), shop.floor >= 0.8 * RAISED) == (IMPLAUSIBLE, True)
    *_, view = shop.until(fixed + 10 * MINUTE)
    assert (fresh(view), shop.floor) == (BELIEVED, RAISED)
    assert np.nanmin(shop.given) > 0.8 * USUAL


@pytest.mark.parametrize("shown", [tenth, half], ids=["a tenth", "half"])
@pytest.mark.parametrize("gateways", ["none", "see it too"])
def test_a_fall_that_nobody_denies_is_followed(shown, gateways):
    shop = Shop(offered=lambda stamp: shown(wavy(stamp)) if stamp >= FAULT else wavy(stamp))
    shop.told = None if gateways == "none" else honest
    for view in shop.until(FAULT + 10 * MINUTE):
        assert fresh(view) == BELIEVED
    assert shop.floor == max(shown(RAISED), SCALE.min_replicas)


def test_a_gateway_that_is_away_for_a_moment_ends_no_hold():
    shop = Shop(shown=after(tenth), told=honest)
    list(shop.until(FAULT + 20 * MINUTE))
    shop.told = None
    list(shop.until(FAULT + 22 * MINUTE))
    shop.told = honest
    for view in shop.until(FAULT + HOUR):
        assert (fresh(view), shop.floor >= 0.8 * RAISED) == (IMPLAUSIBLE, True)


@pytest.mark.parametrize("shown", [tenth, half], ids=["another unit", "half of the targets gone"])
@pytest.mark.parametrize("after_s", [2 * MINUTE, 40 * MINUTE], ids=["early", "late"])
@pytest.mark.parametrize("how", ["restart", "another leads", "the first leads again"])
def test_a_fall_that_gateways_deny_is_not_followed_by_who_leads_next(shown, after_s, how):
    shop = Shop(shown=after(shown), told=honest)
    first, other = shop.leader, Replica(shop)
    shop.follower = other
    changes = [] if how == "restart" else [other]
    if how == "the first leads again":
        changes.append(first)
    list(shop.until(FAULT + after_s))
    for successor in changes or [Replica(shop)]:
        told, shop.told = shop.told, None  # gateways have yet to find it
        before = shop.leader
        before.leads = False
        shop.pass_by(MINUTE if how == "restart" else 2 * TICK_S)
        shop.elect(successor)
        shop.follower = None if how == "restart" else before
        list(shop.until(shop.truth + 2 * TICK_S))
        shop.told = lambda stamp, qps: honest(stamp, qps) / 2  # some have
        list(shop.until(shop.truth + 2 * TICK_S))
        shop.told = told
        for view in shop.until(shop.truth + 30 * MINUTE):
            assert (fresh(view), shop.floor >= 0.8 * RAISED) == (IMPLAUSIBLE, True)
    shop.shown = lambda stamp, qps: qps
    *_, view = shop.until(shop.truth + 10 * MINUTE)
    assert (fresh(view), shop.floor) == (BELIEVED, RAISED)


def test_a_fall_that_gateways_see_is_followed_by_who_leads_next():
    shop = Shop(offered=lambda stamp: half(wavy(stamp)) if stamp >= FAULT else wavy(stamp))
    shop.told = honest
    list(shop.until(FAULT))
    shop.elect(Replica(shop))
    list(shop.until(FAULT + 15 * MINUTE))
    assert shop.floor == HALF


def test_without_gateways_a_new_leader_holds_for_as_long_as_the_old_would():
    shop = Shop(shown=after(half), told=honest)
    list(shop.until(FAULT + 10 * MINUTE))
    shop.told = None
    shop.elect(Replica(shop))
    list(shop.until(shop.truth + 4 * MINUTE))
    assert shop.floor >= 0.8 * RAISED
    *_, view = shop.until(shop.truth + 15 * MINUTE)  # its own word does not come back to it
    assert (fresh(view), shop.floor) == (BELIEVED, HALF)


def test_gateways_that_lie_hold_a_floor_no_higher_than_demand_was():
    """For a day at most: see `tests/scaler/decision/test_plausible.py`."""
    shop = Shop(offered=lambda stamp: wavy(stamp) / (10 if stamp >= FAULT else 1))
    shop.told = lambda stamp, qps: 5 * USUAL
    list(shop.until(FAULT - TICK_S))
    for _ in shop.until(FAULT + 2 * HOUR):
        assert shop.floor <= RAISED


def test_gateways_that_lie_raise_nothing_and_lower_nothing():
    for told in (lambda stamp, qps: 1e9, lambda stamp, qps: 0.0, lambda stamp, qps: 1e6 % stamp):
        shop = Shop(told=told)
        for view in shop.until(START + 2 * HOUR):
            assert (fresh(view), shop.floor) == (BELIEVED, RAISED)


def test_targets_that_are_counted_twice_raise_a_floor_and_are_no_history():
    fixed = FAULT + 20 * MINUTE
    shop = Shop(shown=after(lambda qps: 2 * qps, ends=fixed), told=honest)
    list(shop.until(FAULT - TICK_S))
    for view in shop.until(fixed - TICK_S):
        assert fresh(view) == IMPLAUSIBLE
        assert shop.floor >= 1.9 * RAISED
    list(shop.until(fixed + SCALE.stabilization_s + MINUTE))
    assert shop.floor == RAISED
    assert np.nanmax(shop.given) < 1.5 * USUAL


def test_another_unit_that_stays_is_believed_in_the_end():
    shop = Shop(shown=after(lambda qps: 3 * qps), told=honest)
    *_, view = shop.until(FAULT + 40 * MINUTE)
    assert fresh(view) == BELIEVED
    # 3 x 390 / 40 = 29.25: one more is started only where 29 are short by over 1 %, which is noise.
    assert shop.floor in (3 * RAISED - 1, 3 * RAISED)
    for view in shop.until(FAULT + 2 * HOUR):
        assert fresh(view) == BELIEVED


def test_an_exporter_that_hangs_at_night_lowers_nothing_and_is_no_history():
    """It goes on saying what was there at the lowest, while nobody knows what there is."""
    shop = Shop(shown=after(lambda _: 300.0))
    list(shop.until(FAULT + 30 * MINUTE))
    before = shop.floor
    for view in shop.until(FAULT + 2 * HOUR):
        assert (fresh(view), shop.floor >= before) == (IMPLAUSIBLE, True)
    assert np.isnan(shop.given[-60:]).all()


def test_rates_that_reach_back_into_an_outage_are_no_history():
    """A rate over five minutes counts what was scraped in them."""
    back = FAULT + 15 * MINUTE

    def rate(stamp: float, qps: float) -> float:
        return qps * min((stamp - back + MINUTE) / (5 * MINUTE), 1) if stamp >= back else qps

    shop = Shop(shown=rate)
    list(shop.until(FAULT - TICK_S))
    shop.known = False
    list(shop.until(back))
    shop.known = True
    for _ in shop.until(back + 30 * MINUTE):
        assert shop.floor >= RAISED
        assert np.nanmin(shop.given) > 0.75 * USUAL
    assert not np.isnan(shop.given[-20:]).any()


def test_less_demand_after_an_outage_is_history_within_minutes():
    shop = Shop(offered=lambda stamp: half(wavy(stamp)) if stamp >= FAULT else wavy(stamp))
    list(shop.until(FAULT - TICK_S))
    shop.known = False
    list(shop.until(FAULT + 15 * MINUTE))
    shop.known = True
    list(shop.until(FAULT + 30 * MINUTE))
    assert (shop.floor, np.nanmax(shop.given[-5:]) < 0.6 * USUAL) == (HALF, True)


def test_an_hour_that_the_clock_is_set_ends_no_doubt():
    shop = Shop(told=honest)
    list(shop.until(FAULT))
    shop.shown = lambda stamp, qps: qps / 10
    list(shop.until(FAULT + 20 * MINUTE))
    watched = replace(WATCHED, policy=POLICY)
    for set_by_s in (HOUR, -HOUR):
        shop.pass_by(TICK_S)
        shop.truth += set_by_s  # of the whole machine, Prometheus too
        view = shop.leader.control.tick([watched], shop.truth, set_by_s).services[ITEM]
        assert (fresh(view), shop.floor) == (IMPLAUSIBLE, RAISED)
