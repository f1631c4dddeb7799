"""The plain autoscaler beside us, and the ledger of both."""

import pytest

from scaler.control.counterfactual import Counterfactual
from scaler.control.observations import Pod, Workload
from scaler.hpa.controller import HPASpec, MetricGoal, MetricKind

HPA = HPASpec(2, 60, MetricKind.PODS, 30.0)
FOUR = Workload(tuple(Pod(str(i), 0.0, 0.0) for i in range(4)))


def ledger_after(seconds, qps):
    counterfactual = Counterfactual(HPA)
    for now in range(0, seconds + 1, 15):
        _, ledger = counterfactual.tick(float(now), qps, 50.0, FOUR)
    return ledger


def test_the_ledger_counts_replicas_beside_those_of_a_plain_hpa():
    ledger = ledger_after(3600, 100.0)
    assert ledger.seconds == 3600
    assert ledger.replica_hours == pytest.approx(4.0)
    assert ledger.hpa_replica_hours == pytest.approx(4.0, abs=0.1)  # 100 / 30 = 4
    assert (ledger.short_s, ledger.hpa_short_s) == (0, 0)


def test_replicas_that_cannot_serve_what_comes_are_counted_as_short():
    assert ledger_after(60, 300.0).short_s == 60  # 6 replicas' worth on 4


@pytest.mark.parametrize(
    ("qps", "expected"),
    [
        pytest.param(300.0, 10, id="CPU of 300 / 50 requests at 60 %; 300 / 40 are 8"),
        pytest.param(float("nan"), 2, id="neither is known"),
    ],
)
def test_an_hpa_of_several_metrics_follows_the_one_that_asks_for_most(qps, expected):
    rate = MetricGoal(MetricKind.EXTERNAL_AVERAGE, 40.0)
    both = Counterfactual(HPASpec(2, 60, MetricKind.UTILIZATION, 0.6, more=(rate,)))
    for now in range(0, 600, 15):
        hpa, _ = both.tick(float(now), qps, 50.0, FOUR)
    assert hpa == expected
