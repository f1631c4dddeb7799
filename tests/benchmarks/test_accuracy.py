"""The accuracy figures: nothing that is judged has been seen, and the denominator is one."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy import SERVED, fit, measure, third_quarter
from benchmarks.every_minute import compare, quarter_hours
from forecaster.data.series import History
from forecaster.evaluation.origins import backtest_origins
from forecaster.models.artifact import pack
from forecaster.models.naive import LAST_VALUE
from tests.forecaster.evaluation.fitting_samples import TINY, changed, traffic

NAN = float("nan")
QUICK = replace(
    TINY, members=1, epochs=2, steps_per_epoch=2, max_windows=400,
    calibration_share=0.1, test_share=0.25,
)  # fmt: skip
HISTORY = traffic(2)


@pytest.fixture(scope="module")
def tiny():
    return fit(HISTORY, QUICK)


def noise_after(one, first):
    def replaced(values):
        values[first:] = np.random.default_rng(0).uniform(0, 1e6, len(values) - first)

    return changed(one, replaced)


def test_what_is_fitted_stopped_calibrated_and_chosen_sees_nothing_after_the_third_quarter(tiny):
    """The rest becomes noise, and the whole forecaster stays the same to the last bit."""
    altered = History(tuple(noise_after(one, third_quarter(one, QUICK)) for one in HISTORY))
    other = fit(altered, QUICK)

    mine, its = (pack(one.forecaster, one.config) for one in (tiny, other))
    assert mine[0] == its[0]  # who serves and why, and when the fitting was stopped
    assert mine[1].keys() == its[1].keys()
    for name, tensor in mine[1].items():
        np.testing.assert_array_equal(tensor, its[1][name], name)


def test_a_sample_before_the_third_quarter_is_seen(tiny):
    altered = History(tuple(noise_after(one, third_quarter(one, QUICK) - 1) for one in HISTORY))
    mine, its = (pack(one.forecaster, one.config)[1] for one in (tiny, fit(altered, QUICK)))
    assert any((tensor != its[name]).any() for name, tensor in mine.items())


def test_a_trace_that_begins_late_is_refused_where_its_third_quarter_would_be_seen():
    """Parts are counted from the first known sample, so the training would reach further."""

    def late(values):
        values[: len(values) // 3] = NAN

    with pytest.raises(AssertionError, match="are seen before the test"):
        fit(History(tuple(changed(one, late) for one in HISTORY)), QUICK)


@pytest.mark.parametrize("grid", [backtest_origins, quarter_hours])
def test_each_grid_has_last_value_at_its_own_moments_as_denominator(tiny, grid):
    found = measure(tiny, HISTORY, QUICK, grid)
    for figures in found[LAST_VALUE].values():
        assert (figures.relative, figures.peaks) == (1, 1)
    for trace, figures in found[SERVED].items():
        loss = figures.loss / found[LAST_VALUE][trace].loss
        assert figures.relative == pytest.approx(loss)


def test_the_quarter_hours_are_where_the_backtest_stood():
    (one,) = traffic(1).series
    origins = quarter_hours(one, 3_000, QUICK.model.timing)
    assert set(one.stamps[origins] % 900) == {0}
    assert set(np.diff(origins)) == {3}


def test_both_grids_are_printed_side_by_side_with_the_reason(capsys):
    compare("Two services", fit(HISTORY, QUICK), HISTORY, QUICK)
    said = capsys.readouterr().out
    assert "## Two services" in said
    assert said.count("| served |") == 2  # of the forecasters, and of each day's highest
    assert "last value's loss on the quarter hours" in said
    assert "Covered of each minute of the hour" in said
