"""What is told of a query before Prometheus is asked."""

import pytest

from scaler.adapters.promql_checks import doubts


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(http_requests_total{namespace="shop"}[5m]))',
        "sum by (service) (increase(x_total[1h])) / 3600",
        "sum(irate(x_total[1m])) or vector(0)",
        "max_over_time(sum(rate(x_total[1m]))[5m:1m])",
        "rate(x_total[5m:30s])",
        "histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[5m])))",
        "absent(x_total)",
        "sum(job:requests:rate5m)",
        "sum(kube_deployment_status_replicas_ready)",
        "0",
    ],
)
def test_nothing_is_said_of_a_query_that_can_be_meant(query):
    assert doubts(query) == ()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("sum(x_total)", ["x_total"], id="a sum of it"),
        pytest.param('{__name__="x_total", job="a"}', ["x_total"], id="named by its label"),
        pytest.param("max_over_time(x_total[5m])", ["x_total"], id="its greatest value"),
        pytest.param("rate(x_total[1m]) / y_total", ["y_total"], id="beside a rate"),
        pytest.param("y_total / rate(x_total[1m]) + y_total", ["y_total"], id="told of once"),
    ],
)
def test_a_raw_counter_is_named(query, names):
    said = doubts(query)
    assert [text.split(";")[0] for text in said] == [f"asks for the raw counter {n}" for n in names]


@pytest.mark.parametrize(
    "query", ["sum(rate(x_total[5m])", "sum(rate(x_total[$__rate_interval]))", "", "sum(rate(x))"]
)
def test_what_is_no_promql_is_said_in_a_few_words(query):
    (said,) = doubts(query)
    assert said.startswith("is no valid PromQL: ")
    assert len(said) < 250
