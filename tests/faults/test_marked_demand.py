"""What `demand.maskQuery` marks: from a policy file and a Prometheus to floors and forecasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.adapters.prometheus_traffic import PrometheusTraffic
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
    return str((FALLEN if incident(stamp) else USUAL) * (1 + 0.05 * np.sin(stamp / 97.0)))


class Watched(Site):
    """A cluster and a model that keeps what it was given."""

    def predict(self, name, series):
        self.given = series[0]
        return super().predict(name, series)


class Shop:
    """A loop over a policy file and a Prometheus; ``site`` is the rest of the world."""

    def __init__(self, folder, url: str) -> None:
        (folder / "policy.yaml").write_text(POLICY)
        (document,) = read_policies(folder / "policy.yaml")
        self.site, self.now = Watched(), START
        self._watched = WatchedPolicy(document.policy, plain_hpa(document.policy))
        settings = PrometheusSettings(url, timeout=timedelta(seconds=10), retries=0)
        self.traffic = PrometheusTraffic(settings, STEP, workers=2)
        self._loop = ControlLoop(World(self.traffic, self.site, self.site), STEP, lambda _: None)

    def until(self, moment: float) -> Iterator[ServiceView]:
        while self.now < moment:
            self.now += TICK_S
            yield self._loop.tick([self._watched], self.now).services[ITEM]

    def given(self, begin: float, end: float) -> np.ndarray:
        """Return the samples between two moments that the model was given last."""
        past = self.site.given
        return past.values[(past.stamps > begin) & (past.stamps < end)]


@contextmanager
def shop(folder, fires: Firing, offered: Callable[[int], str] = demand) -> Iterator[Shop]:
    firing = FakeSeries({"alertname": "CheckoutDown"}, lambda at: "1" if fires(at) else None)
    answers = {DEMAND: [FakeSeries({}, offered)], MASK: [firing]}
    with serving(PrometheusServer(answers)) as server:
        made = Shop(folder, server.url)
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
