"""Timing: the numbers of samples that follow from the step and the length of the forecast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from forecaster.data.series import DAY, steps_per


@dataclass(frozen=True)
class Timing:
    """Numbers of samples that follow from the step and the length of the forecast."""

    step: timedelta
    prediction_length: int

    def __post_init__(self) -> None:
        if not 1 <= self.prediction_length <= self.day:
            raise ValueError(
                f"prediction_length is {self.prediction_length}, but it must be at least 1 and at "
                f"most a day ({self.day} steps of {self.step}), as forecasts use the daily profile"
            )

    @property
    def day(self) -> int:
        return steps_per(DAY, self.step)

    def samples(self, minutes: float) -> int:
        """Return the minutes as a number of steps, rounded; 0 if less than half a step."""
        return round(minutes * 60 / self.step.total_seconds())

    @property
    def hour(self) -> int:
        """Samples of the trailing hour whose mean is the current level; at least 4."""
        return max(self.samples(60), 4)

    @property
    def middle(self) -> int:
        """The step ahead at which the errors of anchors are measured: half of the forecast."""
        return max(self.prediction_length // 2, 1)

    @property
    def memory(self) -> int:
        """Span of the error averages: six hours, or two forecasts where that is longer."""
        return max(self.day // 4, 2 * self.prediction_length)

    @property
    def tail(self) -> int:
        """Number of last samples that `build_track` needs for a forecast from the newest one.

        Older errors weigh at most e**-4, two per cent, in the averages.
        """
        return 4 * self.memory + self.middle

    @property
    def warm_up(self) -> int:
        """Samples needed before the first origin, which has a daily profile and recent errors."""
        return self.day + self.memory
