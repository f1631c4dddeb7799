"""What events have brought before anybody watched is read from the past."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecaster.data.series import Series
from scaler.control.past_events import past_ratios
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.recurrence import Recurrence
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy, RecurringEvent

START = datetime(2026, 3, 1, tzinfo=UTC)  # a Sunday
NOON = Recurrence("0 12 * * mon-fri", "0 13 * * *", "UTC")
LUNCH = RecurringEvent("lunch", NOON, multiplier=2.0, learns=True)
SALE = AnnouncedEvent(
    "sale",
    (START + timedelta(days=1, hours=20)).timestamp(),
    (START + timedelta(days=1, hours=21)).timestamp(),
    multiplier=2.0,
    learns=True,
)
POLICY = Policy(
    item_id="shop/web",
    target="web",
    scale=ScalePolicy(1, 10),
    capacity_qps=50.0,
    events=(SALE,),
    recurring=(LUNCH,),
)


def past(days: int = 8, **missing: slice) -> Series:
    """Return 100 QPS a minute; at noon of each day 300, at eight in the evening 150."""
    values = np.full((days, 1440), 100.0)
    values[:, 12 * 60 + 1 : 13 * 60 + 1] = 300.0
    values[:, 20 * 60 + 1 : 21 * 60 + 1] = 150.0
    for span in missing.values():
        values.ravel()[span] = np.nan
    return Series("shop/web", START, timedelta(minutes=1), values.ravel())


def test_each_occurrence_in_the_past_is_evidence():
    found = past_ratios(POLICY, past())
    assert found["lunch"] == pytest.approx([3.0] * 5, rel=0.01)  # Monday to Friday, not Sunday
    assert found["sale"] == pytest.approx([1.5], rel=0.01)


def test_what_is_missing_or_marked_is_no_evidence():
    monday = slice(1440 + 12 * 60, 1440 + 12 * 60 + 30)
    assert len(past_ratios(POLICY, past(monday=monday))["lunch"]) == 4


def test_one_that_is_not_over_yet_is_not_counted():
    assert "sale" not in past_ratios(POLICY, past(days=1))


def test_nothing_is_learned_of_events_that_do_not_learn():
    events = (replace(SALE, learns=False),)
    assert set(past_ratios(replace(POLICY, events=events), past())) == {"lunch"}
