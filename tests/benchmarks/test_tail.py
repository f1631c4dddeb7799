"""The figures of the tail: what is asked stands beside what was measured."""

import numpy as np
import pytest

from benchmarks.tail import LEVELS, TailOutcome, asked_and_measured, plain_shifts
from forecaster.models.naive import Spread

WIDTHS = np.array([-1.0, 0.0, 1.0, 2.0, 4.0, 6.0])  # of the levels, from the median


def outcome(jump: float = 1.0) -> TailOutcome:
    """Return a thousand forecasts of 100 for two steps, the second wider, and demand below 106."""
    served = 100 + np.stack([WIDTHS, jump * WIDTHS])[None].repeat(1000, axis=0)
    target = np.full((1000, 2), 99.5)
    target[0] = 105.0
    return TailOutcome(target, served, served[:, :, :5])


def test_widths_are_compared_from_the_median():
    assert outcome().growth(LEVELS.index(0.95), LEVELS.index(0.99)) == pytest.approx(2.0)
    assert outcome().growth(LEVELS.index(0.99), LEVELS.index(0.999)) == pytest.approx(1.5)


@pytest.mark.parametrize("jump", [1.0, 2.5, 0.4])
def test_a_jump_counts_in_both_directions(jump):
    assert outcome(jump).jump == pytest.approx(max(jump, 1 / jump))


def test_what_is_served_as_under_plain_calibration_has_its_loss():
    assert outcome().loss == pytest.approx(1.0)


def test_each_bar_has_its_figure():
    rows = dict(asked_and_measured({"wc98": outcome(), "other": outcome(3.0)}))
    assert rows["0.999 covered .997 - .9997 (all samples)"] == "1.0000"
    assert rows["width at 0.999 <= 1.6 x 0.99 on the same"] == "1.50"
    assert rows["no jump between neighbouring steps"] == "at most a factor of 3.00 (other)"


def test_plain_calibration_is_the_quantile_of_the_residuals_around_a_step():
    """Residuals of 0 to 99 at all steps, in units of 2."""
    target = np.repeat(np.arange(100.0)[:, None], 9, axis=1)
    spread = Spread(np.zeros((100, 9, 5)), np.full(100, 2.0))
    shifts = plain_shifts(spread, target)
    assert shifts[4] == pytest.approx([4.95, 24.75, 44.55, 47.0, 49.0], abs=0.6)
