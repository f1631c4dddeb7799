"""What scenarios have come to: every reason, condition, Event and sample that was seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from scaler.control.snapshot import ServiceView
from tests.seams.policy_rows import policy
from tests.seams.scene import TICKS, Stage, read

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass
class Reached:
    """All that was seen so far; ``samples`` are of `/metrics`: name, labels and value."""

    reasons: set[Enum] = field(default_factory=set)
    leases: set[str] = field(default_factory=set)  # "share.fair", "class.demand", "client.abuse"
    conditions: set[tuple[str, bool, str]] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    samples: set[tuple[str, str, float]] = field(default_factory=set)
    metrics: set[str] = field(default_factory=set)  # the names of all that is exposed

    def view(self, view: ServiceView) -> None:
        self.conditions |= {(one.kind, one.status, one.reason) for one in view.conditions}
        if view.decision is None:
            return
        decision, limit = view.decision, view.published_limit
        self.reasons |= {decision.plan.reason, decision.demand.reason, decision.capacity.reason}
        self.reasons.add(view.lead_time.reason)
        if limit is not None:
            self.reasons |= {limit.limit.reason, limit.safe.reason}
            self.reasons |= {step.reason for step in limit.schedule}

    def lease(self, lease: Mapping) -> None:
        self.leases.add(f"share.{lease['share']['reason']}")
        self.leases |= {f"class.{one['reason']}" for one in lease["classes"]}

    def stage(self, stage: Stage) -> None:
        """Take in what stands in the cluster."""
        for statuses in stage.cluster.statuses.values():
            told = (one for status in statuses for one in status.conditions)
            self.conditions |= {(one.kind, one.status, one.reason) for one in told}
        self.events |= {one.reason for told in stage.cluster.notices.values() for one in told}

    def exposed(self, stage: Stage) -> None:
        """Take in what `/metrics` says."""
        text = stage.telemetry.exposition().decode()
        self.metrics |= set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
        self.samples |= {(name, labels, float(v)) for name, labels, v in _SAMPLE.findall(text)}


@dataclass(frozen=True)
class Scenario:
    """A policy, by what differs from the usual one, and what happens to it.

    Attributes:
        stage: made of the policy; options of `Stage`.
        each: done before each tick.
        ask: done after each tick in which a limit is known.
        last: done in the end.
    """

    given: Mapping[str, object] = field(default_factory=dict)
    stage: Callable[[], Mapping[str, object]] = dict
    each: Callable[[Stage, int], None] = lambda stage, tick: None
    ask: Callable[[Stage, int, Reached], None] = lambda stage, tick, reached: None
    last: Callable[[Stage], None] = lambda stage: None
    ticks: int = TICKS


def play(scenario: Scenario, folder: Path, reached: Reached) -> None:
    """Carry a scenario out, and note what it comes to."""
    stage = Stage(read(folder, policy(scenario.given)), **scenario.stage())
    for tick in range(scenario.ticks):
        scenario.each(stage, tick)
        view = stage.tick()
        reached.view(view)
        if view.published_limit is not None:
            scenario.ask(stage, tick, reached)
        if tick % 10 == 0:
            reached.exposed(stage)
    scenario.last(stage)
    reached.exposed(stage)
    reached.stage(stage)
    stage.close()
