"""The adapters of the loop's ports: one service's fault leaves the others what is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from forecaster.adapters.prometheus.answers import PrometheusAnswer, RawRange
from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.data.series import Forecast
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.long_poll import LongPoll
from scaler.adapters.kube.workloads_port import ClusterWorkloads
from scaler.adapters.policy_sources import FilePolicies
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.adapters.registry_models import BATCH_SIZE, RegistryModels
from scaler.control.loop import ControlLoop
from scaler.control.ports import TrafficQuery, World
from scaler.control.snapshot import ConditionKind
from scaler.policy.policy import Mode
from tests.fakes import FakeCluster, FakeLeadership
from tests.scaler.adapters.http.gateways import SHOP, Site
from tests.scaler.adapters.http.snapshots import snapshot, view
from tests.scaler.control.test_loop import LEVELS, START, STEP, Demand, Flat, Replicas, watched
from tests.seams.faulty import API, WEB, OddError

# Where demand is measured.


class OddTraffic(PrometheusTraffic):
    """One whose server answers anything but what a server answers, where ``odd`` is asked for."""

    def _asked(self, query, grid, within_s, series):
        if query == "odd":
            raise OddError("odd")
        return PrometheusAnswer((RawRange({}, np.full(grid.count, 200.0)),))


@pytest.fixture
def traffic() -> Iterator[OddTraffic]:
    made = OddTraffic(PrometheusSettings("http://prometheus.invalid"), STEP, workers=2)
    yield made
    made.close()


def test_a_service_that_cannot_be_measured_leaves_the_others_measured(traffic):
    queries = [TrafficQuery(item, q, None, START) for item, q in ((WEB, "up"), (API, "odd"))]
    web, api = traffic.measure(queries, START + 60)
    assert (web.observed_qps, web.fault) == (200.0, None)
    assert "OddError" in api.fault


def test_a_history_that_cannot_be_read_leaves_the_others_read(traffic):
    web, api = traffic.histories([(WEB, "up"), (API, "odd")], timedelta(hours=1), START)
    assert web.item_id == WEB
    assert "OddError" in api


# Where forecasts are made.


class OddForecaster:
    """Says the last value; not of a batch that has one of these items in it."""

    def __init__(self, *odd: str) -> None:
        self.odd, self.batches = set(odd), []

    def predict(self, history):
        self.batches.append(len(history.series))
        if self.odd & set(history.item_ids):
            raise OddError("odd")
        origins = tuple(one.end - one.step for one in history.series)
        values = np.array([np.full((30, 5), one.values[-1]) for one in history.series])
        return Forecast(history.item_ids, origins, STEP, LEVELS, values, ("odd",) * len(origins))


def series_of(names):
    demand = Demand(**{name.replace("/", "_"): 100.0 for name in names})
    return demand.histories([(name, "q") for name in names], timedelta(hours=1), START)


def predicted(forecaster: OddForecaster, names: list[str]):
    models = RegistryModels("nowhere")
    models._loaded["m"] = SimpleNamespace(forecaster=forecaster, version="v0001")
    return models.predict("m", series_of(names))


def test_an_item_that_cannot_be_forecast_leaves_the_others_of_its_batch_forecast():
    names = [f"shop/{n}" for n in range(BATCH_SIZE + 10)]
    forecaster = OddForecaster("shop/7")
    said = predicted(forecaster, names)
    assert set(said.rows) == set(names) - {"shop/7"}
    assert "OddError" in said.faults["shop/7"]
    # Found by halving, not one by one.
    assert len(forecaster.batches) <= 2 * np.log2(BATCH_SIZE) + 2


def test_a_past_that_cannot_be_made_into_a_series_leaves_the_others_forecast():
    class Odd(Demand):
        def _history(self, item, length, now):
            found = super()._history(item, length, now)
            return replace_values(found) if item == API else found

    world = World(Odd(shop_web=200.0, shop_api=400.0), RegistryFlat(), Replicas())
    loop = ControlLoop(world, STEP, lambda _: None)
    services = loop.tick([watched(WEB), watched(API)], START).services
    assert services[WEB].forecast is not None
    (told,) = [c for c in services[API].conditions if c.kind is ConditionKind.FORECAST_TRUSTED]
    assert (told.status, told.reason) == (False, "NoForecast")
    assert "its history could not be read" in told.message


def replace_values(series):
    """Return what passes for a series, with a demand below 0, which none has."""
    return SimpleNamespace(values=-series.values, end=series.end, step=series.step)


class RegistryFlat(RegistryModels):
    """A registry with one model, that demand stays."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self._loaded["m"] = SimpleNamespace(forecaster=OddForecaster(), version="v0001")

    def reload(self, names):
        pass


# Where workloads are observed, and plans carried out.


class OddCluster(FakeCluster):
    """One that fails over one autoscaler, and by no error that a cluster has."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self._call = call

    def _seen(self, target):
        if self._call == "observe" and target.name == "api":
            raise OddError("odd")
        return super()._seen(target)

    def set_floor(self, wish, guard):
        if self._call == "set_floor" and wish.target.name == "api":
            raise OddError("odd")
        return super().set_floor(wish, guard)

    def publish(self, item_id, status, *, now):
        if self._call == "publish" and item_id == API:
            raise OddError("odd")
        return super().publish(item_id, status, now=now)


@contextmanager
def in_a_cluster(cluster: FakeCluster):
    """Yield the services after some ticks in which all but ``call`` of shop/api works."""
    workloads = ClusterWorkloads(cluster, FakeLeadership(), workers=2)
    web = watched(WEB, mode=Mode.ENFORCE)
    api = watched(API, mode=Mode.ENFORCE, target="api")
    for one in (web, api):
        target = cluster.put(one.policy)
        cluster.pods[target] = Replicas().observe([one], START)[one.policy.item_id].pods
    world = World(Demand(shop_web=200.0, shop_api=400.0), Flat(), workloads)
    loop = ControlLoop(world, STEP, lambda _: None)
    for tick in range(4):
        services = loop.tick([web, api], START + 15 * tick).services
    yield services
    workloads.close()


@pytest.mark.parametrize(
    ("call", "reason"),
    [("observe", "NotDecided"), ("set_floor", "NotApplied"), ("publish", "NotApplied")],
)
def test_a_service_that_fails_in_the_cluster_leaves_the_others_floors_moved(call, reason):
    cluster = OddCluster(call)
    with in_a_cluster(cluster) as services:
        (told,) = [c for c in services[API].conditions if c.kind is ConditionKind.READY]
        assert (told.status, told.reason) == (False, reason)
        assert "OddError" in told.message
        (fine,) = [c for c in services[WEB].conditions if c.kind is ConditionKind.READY]
        assert (fine.status, fine.reason) == (True, "Enforcing")
    floors = {target.name: seen.min_replicas for target, seen in cluster.scaled.items()}
    assert floors["web"] == services[WEB].decision.plan.replicas


def test_a_policy_that_cannot_be_let_go_leaves_the_others_floors_moved():
    class Stuck(FakeCluster):
        def restore(self, target, policy_min=None):
            raise OddError("odd")

    cluster = Stuck()
    gone = watched("shop/gone", target="gone").policy
    cluster.put(gone)
    cluster.guard("shop/gone")
    cluster.delete("shop/gone")
    with in_a_cluster(cluster) as services:
        assert services[WEB].decision is not None
    assert {seen.target.name for seen in cluster.raised()} == {"web", "api"}


def test_a_file_that_vanishes_while_it_is_looked_at_leaves_the_policies_as_they_were(tmp_path):
    class Vanishing(FilePolicies):
        vanished = False

        def _modification_times(self):
            if self.vanished:
                raise FileNotFoundError("policy.yaml")
            return super()._modification_times()

    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    policies = Vanishing([file])
    before = policies.current()
    policies.vanished = True
    assert policies.current() == before


POLICY = """\
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: web}
spec:
  demand: {query: up}
  capacity: {requestsPerReplica: 50}
  replicas: {min: 2, max: 10}
"""


# Where leases are handed out.


def test_a_check_of_leases_that_fails_is_made_again():
    class Odd:
        calls = 0

        def drop_empty(self, now):
            self.calls += 1
            raise OddError("odd")

    async def scenario(service: Odd) -> None:
        checks = asyncio.create_task(LongPoll(service, lambda: 0.0).run())
        while service.calls < 2:
            await asyncio.sleep(0.05)
        assert not checks.done()
        checks.cancel()

    asyncio.run(scenario(Odd()))


def test_one_service_whose_leases_cannot_be_checked_leaves_the_others_checked():
    site, odd = Site(), view("prod/odd")
    site.holder.publish(snapshot(odd, view(SHOP)))
    for service in (odd.item_id, SHOP):
        site.lease_service.reply(service, LeaseRequest("gw-1"), site.clock.now)
    site.clock.now += 60.0  # both leases have expired
    broken = replace(odd, published_limit=replace(odd.published_limit, schedule=None))
    site.holder.publish(snapshot(broken, view(SHOP)))
    site.lease_service.drop_empty(site.clock.now)
    assert site.lease_service.gateways() == {odd.item_id: 1}
