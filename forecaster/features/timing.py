"""The anchors there are, and the numbers of samples that follow from step and forecast length."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from forecaster.data.series import DAY, steps_per

# Profiles of the day: (smoothing half-width in minutes, gain per day). The last is the week before.
DAY_PROFILES = ((5, 0.25), (0, 0.25), (5, 1.0), (15, 0.5))
WEEK_PROFILE = len(DAY_PROFILES)
# Days that a profile rests on: a week, so that each weekday counts once.
PROFILE_DAYS = 7
# Anchors, in this order: the level of the last samples; a profile scaled, and one shifted, to that
# level. Each is (profile, span of the level in samples).
LEVEL_SPANS = (0, 3, 10)
SCALED = ((0, 3), (0, 10), (1, 3), (2, 3), (2, 10), (3, 30), (WEEK_PROFILE, 10))
SHIFTED = ((0, 10),)
SHAPED = SCALED + SHIFTED
ANCHOR_COUNT = len(LEVEL_SPANS) + len(SHAPED)
# Rhythms shorter than a day, such as scheduled jobs: (period in minutes, span in periods).
RHYTHMS = ((60, 12), (60, 24), (15, 24))


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
    def warm_up(self) -> int:
        """Samples needed before the first origin, which has a daily profile and recent errors."""
        return self.day + self.memory

    @property
    def lively(self) -> tuple[int, int]:
        """Spans over which the context tells how lively the noise is."""
        return 3 * self.middle, 2 * self.memory

    @property
    def half_widths(self) -> tuple[int, ...]:
        """Samples on either side over which each profile is smoothed, the week's last."""
        room = self.day - self.prediction_length  # further would look past the origin
        widths = tuple(min(self.samples(minutes), room) for minutes, _ in DAY_PROFILES)
        return *widths, widths[0]

    @property
    def reach(self) -> int:
        """The widest of them."""
        return max(self.half_widths)

    @property
    def raw_kept(self) -> int:
        """Columns of raw shapes that the next samples need."""
        return max(2 * self.reach, self.ahead + self.half_widths[0])

    @property
    def shock_reach(self) -> int:
        """Samples on either side of a shock: their median is what it is above."""
        return max(self.samples(20), 2)

    @property
    def ahead(self) -> int:
        """Samples that raw shapes reach past the newest sample."""
        return self.prediction_length + self.reach

    @property
    def periods(self) -> tuple[int, ...]:
        """Samples in a period of each rhythm."""
        return tuple(max(self.samples(minutes), 1) for minutes, _ in RHYTHMS)
