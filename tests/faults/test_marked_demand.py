"""What `demand.maskQuery` marks: from a policy file and a Prometheus to floors and forecasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.control.checkpoint import to_plain
from scaler.control.loop import ControlLoop
from scaler.control.ports import WatchedPolicy, World
from scaler.control.snapshot import ConditionKind, ServiceView
from scaler.policy.files import read_policies
from scaler.policy.replay_settings import plain_hpa
from tests.faults.test_clocks import HOUR, ITEM, MINUTE, START, STEP, TICK_S, Site
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving

DEMAND = 'sum(rate(http_requests_total{namespace="shop"}[1m]))'
MASK = 'max(ALERTS{alertname="CheckoutDown", alertstate="firing"})'
POLICY = f"""
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {{namespace: shop, name: web}}
spec:
  mode: Enforce
  demand: {{query: '{DEMAND}', maskQuery: '{MASK}', model: m, hold: {{share: 0}}}}
  capacity: {{requestsPerReplica: 50}}
  replicas: {{min: 2, max: 60}}
"""
USUAL, FALLEN, CROWD = 390.0, 20.0, 800.0
RAISED, MORE = 10, 20  # replicas for the usual and for a crowd, 40 requests per second each
OLD = (START - 26 * HOUR, START - 24 * HOUR)  # an incident before we have started
BEGINS, ENDS = START + 10 * MINUTE, START + 70 * MINUTE

Firing = Callable[[int], bool]


def incident(stamp: int) -> bool:
    return OLD[0] <= stamp < OLD[1] or BEGINS <= stamp < ENDS


def demand(stamp: int) -> str:
    """Return what is offered, which varies by a twentieth: next to nothing in an incident."""
    return varied(FALLEN if incident(stamp) else USUAL, stamp)


def varied(qps: float, stamp: int) -> str:
    return str(qps * (1 + 0.05 * np.sin(stamp / 97.0)))


class Watched(Site):
    """A cluster and a model that keeps what it was given."""

    def predict(self, name, series):
        self.given = series[0]
        return super().predict(name, series)


class Shop:
    """A loop over a policy file and a Prometheus; ``site`` is the rest of the world."""

    def __init__(self, folder, url: str, *, now: float = START, left: ServiceView | None) -> None:
        (folder / "policy.yaml").write_text(POLICY)
        (document,) = read_policies(folder / "policy.yaml")
        self.site, self.now, checkpoint = Watched(), now, None
        if left is not None:
            self.site.floor, checkpoint = left.floor, to_plain(left.checkpoint)
        self._watched = WatchedPolicy(document.policy, plain_hpa(document.policy), checkpoint)
        settings = PrometheusSettings(url, timeout=timedelta(seconds=10), retries=0)
        self.traffic = PrometheusTraffic(settings, STEP, workers=2)
        self._loop = ControlLoop(World(self.traffic, self.site, self.site), STEP, lambda _: None)

    def until(self, moment: float, every: float = TICK_S) -> Iterator[ServiceView]:
        while self.now < moment:
            self.now += every
            yield self._loop.tick([self._watched], self.now).services[ITEM]

    def given(self, begin: float, end: float) -> np.ndarray:
        """Return the samples between two moments that the model was given last."""
        past = self.site.given
        return past.values[(past.stamps > begin) & (past.stamps < end)]


def prometheus(fires: Firing, offered: Callable[[int], str]) -> PrometheusServer:
    firing = FakeSeries({"alertname": "CheckoutDown"}, lambda at: "1" if fires(at) else None)
    return PrometheusServer({DEMAND: [FakeSeries({}, offered)], MASK: [firing]})


@contextmanager
def shop(folder, fires: Firing, offered: Callable[[int], str] = demand) -> Iterator[Shop]:
    with serving(prometheus(fires, offered)) as server:
        made = Shop(folder, server.url, left=None)
        yield made
        made.traffic.close()


def fresh(view: ServiceView) -> tuple[bool, str]:
    (found,) = [one for one in view.conditions if one.kind is ConditionKind.DATA_FRESH]
    return found.status, found.reason


def test_a_marked_incident_lowers_no_floor_and_no_forecast_rests_on_it(tmp_path):
    with shop(tmp_path, incident) as web:
        list(web.until(BEGINS - TICK_S))
        floors = {view.floor for view in web.until(ENDS - TICK_S) if fresh(view)[1] == "Marked"}
        assert floors <= {RAISED, RAISED + 1}
        *_, view = web.until(ENDS + 10 * MINUTE)
        assert fresh(view) == (True, "Observed")
        for begin, end in (OLD, (BEGINS, ENDS)):
            assert np.isnan(web.given(begin, end)).all()
        assert np.nanmin(web.site.given.values) > 0.9 * USUAL
        assert np.isfinite(web.given(ENDS + MINUTE, ENDS + 9 * MINUTE)).all()


def test_what_is_offered_in_a_marked_incident_raises_the_floor(tmp_path):
    def crowd(stamp: int) -> str:
        return str(CROWD) if BEGINS <= stamp < ENDS else demand(stamp)

    with shop(tmp_path, incident, crowd) as web:
        *_, view = web.until(BEGINS + 5 * MINUTE)
        assert (fresh(view), web.site.floor) == ((True, "Marked"), MORE)
        assert np.nanmax(web.site.given.values) < 1.1 * USUAL


@pytest.mark.parametrize("fires", [lambda _: False, lambda _: True], ids=["nothing", "everything"])
def test_where_nothing_is_marked_or_all_for_longer_than_a_day_demand_is_learned(tmp_path, fires):
    with shop(tmp_path, fires) as web:
        list(web.until(START + 5 * MINUTE))
        assert np.nanmin(web.given(*OLD)) == pytest.approx(FALLEN, rel=0.05)


@pytest.mark.parametrize("hours", [5, 20, 25])
def test_the_next_leader_goes_on_in_a_marked_incident_as_the_last_one_would(tmp_path, hours):
    """It lasts for longer than the samples that say what is usual, and at last than marks may."""

    def lasts(stamp: int) -> bool:
        return BEGINS <= stamp < BEGINS + 26 * HOUR

    def offered(stamp: int) -> str:
        return varied(0.6 * USUAL if lasts(stamp) else USUAL, stamp)

    with serving(prometheus(lasts, offered)) as server:
        first = Shop(tmp_path, server.url, left=None)
        *_, left = first.until(BEGINS + hours * HOUR, every=10 * MINUTE)
        other = Shop(tmp_path, server.url, now=first.now, left=left)
        assert fresh(left)[1] == ("Marked" if hours < 24 else "QueryFailed")
        end = first.now + 10 * MINUTE
        for view, other_view in zip(first.until(end), other.until(end), strict=True):
            assert fresh(other_view) == fresh(view)
            assert other_view.decision.plan.replicas == view.decision.plan.replicas
        known, known_other = (np.isfinite(one.given(BEGINS, end)) for one in (first, other))
        assert known_other.tolist() == known.tolist()
        first.traffic.close()
        other.traffic.close()
