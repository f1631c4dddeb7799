"""A policy that contradicts itself cannot be constructed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from scaler.decision.demand import AnnouncedEvent
from scaler.decision.replicas import ScalePolicy
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.policy import Policy, Slo


def made(**changes: Any) -> Policy:
    usual = {"item_id": "a/b", "target": "b", "scale": ScalePolicy(), "capacity_qps": 50.0}
    return Policy(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"item_id": "b"}, "item_id is 'b'", id="no namespace"),
        pytest.param({"item_id": "a/"}, "item_id is 'a/'", id="no name"),
        pytest.param({"capacity_qps": 0.0}, "capacity_qps is 0.0", id="no capacity"),
        pytest.param({"capacity_qps": None}, "nor an SLO query", id="capacity out of nothing"),
        pytest.param({"lead_s": -1.0}, "lead_s is -1.0", id="negative lead time"),
        pytest.param({"payback_s": math.nan}, "payback_s is nan", id="unknown payback"),
        pytest.param({"safe_qps": math.inf}, "safe_qps is inf", id="everything is safe"),
        pytest.param(
            {"events": (AnnouncedEvent("x", 0, 1, qps=1), AnnouncedEvent("x", 2, 3, qps=1))},
            "events are",
            id="two events of one name",
        ),
        pytest.param(
            {"classes": (PriorityClass("x", 0), PriorityClass("x", 1))},
            "classes are",
            id="two classes of one name",
        ),
    ],
)
def test_a_contradictory_policy_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        made(**changes)


def test_an_slo_query_stands_in_for_the_capacity():
    assert made(capacity_qps=None, slo=Slo(query="up")).capacity_qps is None


@pytest.mark.parametrize("objective", [0.0, 1.0, math.nan])
def test_an_objective_is_a_share_of_the_requests(objective):
    with pytest.raises(ValueError, match="objective is"):
        Slo(objective=objective)


@pytest.mark.parametrize("latency_s", [0.0, -1.0, math.inf, math.nan])
def test_a_latency_must_be_above_zero_and_finite(latency_s):
    with pytest.raises(ValueError, match="latency_s is"):
        Slo(latency_s=latency_s)
