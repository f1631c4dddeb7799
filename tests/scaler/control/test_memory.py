"""All that is remembered between two ticks is in a memory, or is known not to matter.

Who adds an attribute says here which; the replay of journals from any file on rests on it.
"""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import timedelta

import numpy as np
import pytest

from scaler.adapters.http.lease_memory import LeasesMemory, LedgerMemory
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.share_ledger import ShareLedger
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.journal.plain_values import to_plain_value
from scaler.control.capacity_tracker import CapacityTracker
from scaler.control.demand_history import DemandHistory
from scaler.control.forecasts import Forecasts
from scaler.control.loop import ControlLoop
from scaler.control.memory import (
    HistoryMemory,
    LearnedMemory,
    LoopMemory,
    ServiceMemory,
    StartUpsMemory,
)
from scaler.control.ports import World
from scaler.control.service_state import ServiceState
from scaler.control.start_ups import StartUps
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy

STEP = timedelta(minutes=1)
POLICY = Policy(item_id="prod/shop", target="shop", scale=ScalePolicy(1, 9), capacity_qps=9.0)
HISTORY = DemandHistory(None, STEP)

# Of each class: what is made, the memory that it fills, and what is remembered elsewhere or
# follows from the rest.
MADE = [
    pytest.param(
        ServiceState(POLICY, 60.0, 15.0), ServiceMemory, {"step_s", "tick_s", "lead_time"},
        id="a service",
    ),
    pytest.param(StartUps(), StartUpsMemory, {"latest"}, id="start-ups"),
    pytest.param(
        HISTORY, HistoryMemory,
        {"traffic", "step", "step_s", "demand_history", "half_hours"},
        id="histories",
    ),
    pytest.param(
        ControlLoop(World(None, None, None), STEP, lambda _: None), LoopMemory,
        {
            *("world", "publish", "leads", "figures", "step_s", "tick_s"),
            *("demand_history", "demand_judge", "capacity_tracker", "forecasts", "auto"),
        },
        id="the loop",
    ),
    pytest.param(
        ShareLedger("prod/shop", "c0ff", -math.inf), LedgerMemory,
        {"epoch", "view", "limit", "caretakes"},
        id="a ledger",
    ),
    pytest.param(
        LeaseService(SnapshotHolder(), ApiSettings(), "c0ff"), LeasesMemory,
        {"holder", "settings", "reports"},  # what they add up to is recorded with each tick
        id="the lease service",
    ),
]  # fmt: skip
# Names in a memory of what is made of other parts.
PARTS = {
    "ends", "histories", "known", "learned", "models", "renewed_at", "restored",
    "trials", "wariness",
}  # fmt: skip


@pytest.mark.parametrize(("made", "memory", "elsewhere"), MADE)
def test_each_attribute_is_remembered_or_known_not_to_matter(made, memory, elsewhere):
    attributes = {name.removeprefix("_") for name in vars(made)}
    remembered = {one.name for one in fields(memory)}
    assert attributes - remembered == elsewhere
    assert remembered - attributes <= PARTS


def test_the_parts_of_the_loop_remember_what_they_hold():
    assert set(vars(CapacityTracker(None, HISTORY, STEP))) == {
        "_traffic", "_demand_history", "_step_s", "_learned",
    }  # fmt: skip
    assert set(vars(Forecasts(World(None, None, None), HISTORY))) == {
        # What was not read is told in the same tick.
        "_models", "_seasonal_lows", "_demand_history", "_by_model", "_renewed_at", "_unread",
    }  # fmt: skip
    assert {one.name for one in fields(LearnedMemory)} == {
        "moments", "capacity", "why_not", "taken_at", "tried_at",
    }  # fmt: skip


def test_a_capacity_that_is_learned_is_recalled_with_its_moments():
    tracker, other = (CapacityTracker(None, HISTORY, STEP) for _ in range(2))
    for minute in range(5):
        tracker.add("prod/shop", 10.0 + minute, 0.1, 60.0 * minute)
    other.recall(tracker.memory())
    assert to_plain_value(other.memory()) == to_plain_value(tracker.memory())
    assert np.array_equal(other.memory()["prod/shop"].moments, [[10.0 + m, 0.1] for m in range(5)])
