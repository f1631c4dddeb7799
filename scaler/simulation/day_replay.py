"""One day of a service's past, replayed under many settings: what each would have come to.

A day is of UTC. Each is replayed by itself, after two hours that count for nothing, so that a
review of one new day costs one day. The forecasts of a day are made once for all settings, by a
model that has not seen it.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from scaler.decision.lead_demand import ForecastReader
from scaler.decision.objective import Spent, Tuning
from scaler.simulation.contenders import TidegateContender, run
from scaler.simulation.contest import (
    ROWS_AT_ONCE,
    TIDEGATE,
    ContestJob,
    ContestSetting,
    carried_out,
)
from scaler.simulation.outcome import violations_per_tick
from scaler.simulation.world import Run, SimulatedService

DAY = timedelta(days=1)
WARM_UP = timedelta(hours=2)


class DayReplay:
    """One day, ready to be replayed.

    Args:
        setting: of the day and of the time before it that counts for nothing.
        begin: of the day, in seconds since the epoch.
    """

    def __init__(self, setting: ContestSetting, begin: float) -> None:
        self.setting = setting
        scene = setting.scene
        self._first = max(round((begin - scene.start) / scene.timing.tick_s), 0)
        # Distributions are worked out once for all settings.
        self._reader = ForecastReader(setting.ours, block=ROWS_AT_ONCE)

    @property
    def known_share(self) -> float:
        """Of which share of the day the demand is known."""
        return float(np.isfinite(self.setting.scene.demand[self._first :]).mean())

    def spent_by(self, tuning: Tuning) -> Spent:
        """Return what tidegate comes to with these settings."""
        setting = self.setting
        policy, tick_s = setting.policy.tuned(tuning), setting.scene.timing.tick_s
        who = TidegateContender(TIDEGATE, policy, setting.samples, self._reader, tick_s)
        return self.spent(run(setting.scene, who, SimulatedService(setting.scene, setting.net)))

    def spent_by_rival(self, job: ContestJob) -> Spent:
        """Return what another contender comes to."""
        return self.spent(carried_out(self.setting, job)[0])

    def spent(self, done: Run) -> Spent:
        """Return what a run comes to on the day."""
        scene, first = self.setting.scene, self._first
        tick_s = scene.timing.tick_s
        offered = done.offered[first:]
        broken = violations_per_tick(scene, done)[first:] * offered
        return Spent(
            float(offered.sum()) * tick_s,
            float(broken.sum()) * tick_s,
            float(done.replicas[first:].sum()) * tick_s / 3600,
            1,
        )
