"""What is kept of a service: it comes back as it was, and what is not readable is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.control.checkpoint import (
    EMPTY_CHECKPOINT,
    ServiceCheckpoint,
    from_plain,
    reports_from_plain,
    to_plain,
)
from scaler.decision.capacity import Capacity, CapacityReason
from scaler.decision.earned_trust import AutoStanding, FloorEvidence, PairedDay
from scaler.decision.hold import LowSpell
from scaler.decision.sequential_test import BettingTest
from scaler.decision.trust import Standing, Trust
from scaler.decision.wariness import Doubt, DoubtReason, KeptReports

TRUST = Trust(0.96, 0.94, 0.7, 1.4, loss=12.0, rival_loss=10.0, standing=Standing.BENCHED)
DOUBT = Doubt(DoubtReason.FALL, 1_772_442_000.0, 390.0)
KEPT_REPORTS = KeptReports(1.25, 3600.0, 312.0, 1_772_442_300.0, DOUBT)


def test_what_is_kept_comes_back():
    checkpoint = ServiceCheckpoint(
        Capacity(50.0, CapacityReason.LEARNED, 48.0, 53.0),
        0.9,
        {"black-friday": 1200.0},
        TRUST,
        (80.0, 95.5),
        LowSpell(1_772_442_000.0),
        KEPT_REPORTS,
        FloorEvidence(
            AutoStanding.COSTS_MORE,
            12,
            BettingTest((0.1, 1 / 3, 1e-300, 1e12)),
            day=PairedDay(20_000, 5, -12.3, 0.1, 99.9, 1e3 / 7, 1e9),
        ),
    )
    assert from_plain(json.loads(json.dumps(to_plain(checkpoint)))) == checkpoint


@given(st.floats(1e-3, 1e9), st.floats(0.5, 1.0), st.floats(1.0, 2.0))
def test_rounding_leaves_a_capacity_within_its_span(qps, below, above):
    checkpoint = ServiceCheckpoint(Capacity(qps, CapacityReason.LEARNED, qps * below, qps * above))
    kept = from_plain(to_plain(checkpoint)).capacity
    assert kept.qps == pytest.approx(qps, rel=1e-3)


@pytest.mark.parametrize(
    ("key", "value"),
    [("ratio", 0), ("ratio", "inf"), ("qps", -1), ("at", "nan"), ("doubt", {"reason": "mood"})],
)
def test_reports_that_are_not_readable_are_refused(key, value):
    plain = to_plain(ServiceCheckpoint(reports=KEPT_REPORTS))
    plain["reported"][key] = value
    assert reports_from_plain(plain) is None
    with pytest.raises(ValueError, match="not readable"):
        from_plain(plain)


def test_a_checkpoint_of_a_version_before_reports_has_none():
    plain = to_plain(EMPTY_CHECKPOINT)
    assert "reported" not in plain
    assert from_plain(plain).reports is reports_from_plain(plain) is None


def test_nothing_kept_is_nothing_known():
    assert from_plain(None) is EMPTY_CHECKPOINT


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param({}, id="of another version"),
        pytest.param({"factor": "fast", "usual": {}}, id="a word for a number"),
        pytest.param({"factor": 1.0, "usual": [1]}, id="a list for a mapping"),
        pytest.param({"factor": 1.0, "usual": {}, "trust": {"level": 0.9}}, id="half of a trust"),
        pytest.param(
            {"factor": 1.0, "usual": {}, "capacity": {"qps": -1, "reason": "learned", "low": -1,
             "high": 0}}, id="a capacity below nothing",
        ),
        pytest.param([], id="no mapping"),
    ],
)  # fmt: skip
def test_what_is_not_readable_is_refused(plain):
    with pytest.raises(ValueError, match="not readable"):
        from_plain(plain)
