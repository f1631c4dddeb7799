"""Who serves: the favourite, unless another leads by more than chance, and nobody bad at peaks."""

import numpy as np
import pytest

from forecaster.evaluation.choice import choose, holds_at_peaks, hourly_losses, relative
from forecaster.evaluation.metrics import is_peak, pinball_loss
from tests.forecaster.evaluation.fitting_samples import LEVELS, MODEL

NAN = float("nan")
SWING = np.array([0.1, -0.1] * 24)  # hour by hour, with a mean of 0


def hourly(loss, peaks=None) -> np.ndarray:
    """Return losses of all moments and of the peaks, ``(2, hours)``; the same unless given."""
    return np.stack([np.array(row, float) for row in (loss, loss if peaks is None else peaks)])


@pytest.mark.parametrize(
    ("lstm", "rival", "winner", "words"),
    [
        pytest.param(1 + SWING, 2 + SWING, "lstm", "50.0 % below", id="the lstm leads"),
        pytest.param(1 + SWING, 1 + SWING, "lstm", "0.0 % below", id="a draw is the lstm's"),
        pytest.param(
            2 + SWING, 1 + SWING, "ridge", "by more than 2", id="a rival leads throughout"
        ),
        pytest.param(1.01 + SWING, 1 - SWING, "lstm", "within 2", id="a lead by chance"),
        pytest.param([2.0], [1.0], "lstm", "within 2", id="one hour proves nothing"),
        pytest.param([2.0, NAN, 2.1], [1.0, NAN, 1.0], "ridge", "by more", id="unknown hours"),
        pytest.param([NAN, NAN], [NAN, NAN], "lstm", "cannot be compared", id="nothing known"),
        pytest.param([0.0, 0.0], [0.0, 0.0], "lstm", "cannot be compared", id="no candidate errs"),
        pytest.param([1.0, 1.1], [0.0, 0.0], "ridge", "100.0 % below", id="a rival never errs"),
    ],
)
def test_the_lstm_serves_unless_a_rival_leads_by_more_than_chance(lstm, rival, winner, words):
    worst = np.array(lstm) + 100
    losses = {"last_value": worst, "ridge": np.array(rival), "lstm": np.array(lstm)}
    source, reason = choose({name: hourly(loss) for name, loss in losses.items()})
    assert source == winner
    assert words in reason


@pytest.mark.parametrize(
    ("lead", "wins"), [pytest.param(1.9, False, id="1.9"), pytest.param(2.1, True, id="2.1")]
)
def test_a_lead_counts_from_two_standard_errors_of_the_hourly_ratios_on(lead, wins):
    """Six hours, in which the logarithm of the ratio swings around its mean."""
    swing = np.array([0.1, -0.1] * 3)
    error = np.sqrt(6 * 0.01 / 5) / np.sqrt(6)
    ridge = np.array([1.0, 9.0] * 3)
    losses = {"last_value": hourly(2 * ridge, 99 * ridge), "ridge": hourly(ridge)}
    losses["lstm"] = hourly(ridge * np.exp(swing + lead * error))
    assert (choose(losses)[0] == "ridge") is wins


@pytest.mark.parametrize(
    ("lead", "holds"), [pytest.param(1.9, True, id="1.9"), pytest.param(2.1, False, id="2.1")]
)
def test_at_peaks_last_value_counts_by_the_same_rule(lead, holds):
    swing = np.array([0.1, -0.1] * 3)
    error = np.sqrt(6 * 0.01 / 5) / np.sqrt(6)
    peaks = np.array([1.0, 9.0] * 3)
    losses = {
        "last_value": hourly(np.full(6, 2.0), peaks),
        "ridge": hourly(np.full(6, 1.5), peaks),
        "lstm": hourly(np.full(6, 1.0), peaks * np.exp(swing + lead * error)),
    }
    assert holds_at_peaks(losses, "lstm") is holds
    source, reason = choose(losses)
    assert source == ("lstm" if holds else "ridge")
    assert holds or "the best of those that hold at peaks: lstm loses" in reason


def test_losses_of_items_are_compared_in_units_of_last_value():
    losses = {
        "last_value": hourly([2.0, 6.0, NAN], [10.0, NAN, NAN]),
        "lstm": hourly([1.0, 2.0, NAN], [5.0, NAN, NAN]),
    }
    found = relative(losses)  # by 4, the mean of all moments; the peaks by theirs
    np.testing.assert_array_equal(found["last_value"], [[0.5, 1.5, NAN], [1.0, NAN, NAN]])
    np.testing.assert_array_equal(found["lstm"], [[0.25, 0.5, NAN], [0.5, NAN, NAN]])


@pytest.mark.parametrize("loss", [0.0, NAN])
def test_an_item_on_which_last_value_makes_no_error_does_not_affect_the_default(loss):
    found = relative({"last_value": hourly([loss, loss]), "lstm": hourly([0.0, 1.0])})
    assert np.isnan(found["lstm"]).all()


def test_hourly_losses_are_the_means_of_the_origins_in_each_hour_and_of_the_peaks_in_it(fitted):
    cases = fitted.parts.items[0].calibration
    target = cases.windows.target
    predicted = np.repeat(cases.windows.blend[:, :, None], len(LEVELS), axis=2)
    found = hourly_losses(cases, predicted, MODEL)
    loss = pinball_loss(target, predicted, LEVELS).mean(axis=2)
    hour = cases.origins // 12 - cases.origins[0] // 12  # samples of five minutes
    expected = [loss[hour == at].mean() for at in range(hour[-1] + 1)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    for at, value in enumerate(found[1]):
        peaks = loss[hour == at][is_peak(target)[hour == at]]
        assert value == pytest.approx(peaks.mean(), rel=1e-5) if len(peaks) else np.isnan(value)
    assert 0 < np.isfinite(found[1]).sum() < len(found[1]) / 2
