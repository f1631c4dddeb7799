"""The metadata of a trigger: the valid keys, and the messages about invalid ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.keda.trigger import (
    KEDA_KEYS,
    Trigger,
    TriggerError,
    TriggerMetric,
    read_trigger,
)

FROM_KEDA = {"scalerAddress": "tidegate.tidegate.svc:9090", "enableTLS": "true", "caCert": "PEM"}


def read(**metadata: str) -> Trigger:
    return read_trigger("prod", "shop", {**FROM_KEDA, **metadata})


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param({}, Trigger(service="prod/shop"), id="the ScaledObject's own name"),
        pytest.param(
            {"service": "shops/eu"}, Trigger(service="shops/eu"), id="a policy of another name"
        ),
        pytest.param(
            {"metric": "replicas", "tolerance": "0"},
            Trigger(service="prod/shop", tolerance=0.0),
            id="an autoscaler without a tolerance",
        ),
        pytest.param(
            {"metric": "qps", "targetQps": "62.5"},
            Trigger(service="prod/shop", metric=TriggerMetric.QPS, target_qps=62.5),
            id="the demand, with a target per replica",
        ),
        pytest.param(
            {"activationQps": "0.5"},
            Trigger(service="prod/shop", activation_qps=0.5),
            id="a service that may sleep",
        ),
        pytest.param(
            {"activationQps": "0"},
            Trigger(service="prod/shop", activation_qps=0.0),
            id="one that may sleep without any demand",
        ),
    ],
)
def test_metadata_are_parsed(metadata, expected):
    assert read(**metadata) == expected


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        pytest.param(
            {"service": "shop"},
            "service is 'shop', but must be namespace/name of a policy",
            id="a service without a namespace",
        ),
        pytest.param({"service": "a/b/c"}, "service is 'a/b/c'", id="a service of three parts"),
        pytest.param({"service": ""}, "service is ''", id="an empty service"),
        pytest.param(
            {"metric": "cpu"}, "metric is 'cpu', but must be replicas or qps", id="another metric"
        ),
        pytest.param({"metric": "Replicas"}, "metric is 'Replicas'", id="metric in capitals"),
        pytest.param(
            {"targetQPS": "50"},
            "'targetQPS' is '50', but there is no such key; did you mean targetQps?",
            id="a key misspelt",
        ),
        pytest.param(
            {"xyz": "1"}, "there is no such key; there is service, metric,", id="a key like none"
        ),
        pytest.param(
            {"targetQps": "50"},
            "targetQps is '50', but is only for metric qps, and metric is replicas",
            id="a key that does not apply to the metric",
        ),
        pytest.param(
            {"metric": "qps", "tolerance": "0"},
            "tolerance is '0', but is only for metric replicas, and metric is qps",
            id="the other way round",
        ),
        pytest.param(
            {"metric": "qps", "targetQps": "0"},
            "targetQps is '0', but must be a decimal number, at least 0.001 and below 1e+09",
            id="a target of nothing",
        ),
        pytest.param({"tolerance": "1"}, "tolerance is '1'", id="a tolerance of all"),
        pytest.param({"tolerance": "10%"}, "tolerance is '10%'", id="a tolerance in per cent"),
        pytest.param({"tolerance": "-0.1"}, "tolerance is '-0.1'", id="one below 0"),
        pytest.param({"activationQps": "nan"}, "activationQps is 'nan'", id="no number"),
        pytest.param({"activationQps": "inf"}, "activationQps is 'inf'", id="no end"),
        pytest.param({"activationQps": "1e400"}, "activationQps is '1e400'", id="a float's end"),
        pytest.param(
            {"activationQps": "1_0"},
            "activationQps is '1_0'",
            id="a number that only Python accepts",
        ),
    ],
)
def test_invalid_metadata_are_refused_naming_the_key(metadata, message):
    with pytest.raises(TriggerError) as error:
        read(**metadata)
    assert message in str(error.value)


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(TriggerError) as error:
        read(service="x" * 100_000)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("key", sorted(KEDA_KEYS))
def test_keys_of_keda_are_ignored(key):
    assert read(**{key: "anything"}) == Trigger(service="prod/shop")


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=6))
def test_any_metadata_are_parsed_or_refused(metadata):
    try:
        trigger = read_trigger("prod", "shop", metadata)
    except TriggerError:
        return
    assert trigger.service == metadata.get("service", "prod/shop")
