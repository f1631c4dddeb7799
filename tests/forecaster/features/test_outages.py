"""Outages: found by a sharp fall, kept out of what is expected of later days, and nothing else."""

import numpy as np
import pytest

from forecaster.features.anchor_state import AnchorState
from forecaster.features.anchors import build_track
from forecaster.features.windows import cut_windows
from tests.forecaster.features.test_anchor_state import following, shown
from tests.forecaster.traffic_samples import HALF_HOUR

HOUR, DAY = 60, 1440
WEEK = 7 * DAY
BEGIN = 9 * DAY + 13 * HOUR


def season(days: int = 18, noise: float = 0.05) -> np.ndarray:
    """Traffic between 40 and 160 requests per second by the time of day."""
    at = np.arange(days * DAY)
    random = np.random.default_rng(0)
    values = (100 + 60 * np.sin(2 * np.pi * at / DAY)) * np.exp(
        noise * random.standard_normal(len(at))
    )
    return values[None].astype(np.float32)


def found(values: np.ndarray) -> np.ndarray:
    return build_track(values, HALF_HOUR).outage[0] > 0


@pytest.mark.parametrize("left", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("length", [10, HOUR, 5 * HOUR])
def test_an_outage_is_found_minute_by_minute(left, length):
    values = season()
    values[0, BEGIN : BEGIN + length] *= left
    is_out = found(values)
    assert is_out[BEGIN : BEGIN + length].mean() > 0.95
    assert not np.delete(is_out, np.arange(BEGIN, BEGIN + length)).any()


def a_weekend(values: np.ndarray) -> None:
    day = np.arange(values.shape[1]) // DAY % 7
    values[0, day >= 5] *= 0.3


def noisy(values: np.ndarray) -> None:
    values *= np.exp(0.6 * np.random.default_rng(1).standard_normal(values.shape))


def bursts(values: np.ndarray) -> None:
    for begin in range(100, values.shape[1], 397):
        values[0, begin : begin + 12] *= 5


def silent_nights(values: np.ndarray) -> None:
    """Closed at a moment in the evening, from 8 in the evening until 8 in the morning."""
    hour = np.arange(values.shape[1]) // HOUR % 24
    values[0, (hour >= 20) | (hour < 8)] = 0


def a_lasting_fall(values: np.ndarray) -> None:
    values[0, BEGIN:] *= 0.3


@pytest.mark.parametrize(
    ("change", "most"),
    [
        pytest.param(a_weekend, 2 * 6 * HOUR * 3, id="weekends: the first hours of a fall at most"),
        pytest.param(noisy, 0, id="noise"),
        pytest.param(bursts, 5 * HOUR, id="where a burst was yesterday: some minutes each"),
        pytest.param(silent_nights, 0, id="nights without a request"),
        pytest.param(a_lasting_fall, 6 * HOUR, id="a lasting fall: six hours"),
    ],
)
def test_what_is_no_outage_is_hardly_ever_taken_for_one(change, most):
    values = season()
    change(values)
    assert found(values).sum() <= most


def expected_peak(values: np.ndarray, origin: int) -> float:
    """Return the highest of the anchors' blend in the next half hour, over what comes then."""
    track = build_track(values[:, : origin + 1], HALF_HOUR)
    windows = cut_windows(track, np.array([0]), np.array([origin]), 60)
    return float(windows.blend.mean() / season()[0, origin + 1 : origin + 31].mean())


@pytest.mark.parametrize("days", [1, 2, 7])
def test_an_outage_has_no_echo(days):
    values = season()
    values[0, BEGIN : BEGIN + HOUR] = 0
    for minute in range(-30, HOUR, 10):
        origin = BEGIN + days * DAY + minute
        assert 0.9 < expected_peak(values, origin) < 1.2


def test_a_state_finds_the_outages_of_the_whole_history():
    """To the bit, from before one begins until it has an echo, or would have."""
    values = np.concatenate([season(), season(noise=0.3)])
    values[:, BEGIN : BEGIN + 25] *= 0.1
    values[0, BEGIN + 10] = np.nan
    state = AnchorState.of(values[:, :BEGIN], HALF_HOUR, 60)
    state = following(state, values, np.arange(BEGIN, BEGIN + 40))
    for at in (BEGIN + 40, BEGIN + 41):
        state = following(state, values, np.array([at]))
    state = following(state, values, np.arange(BEGIN + 42, BEGIN + DAY - 20))
    for newest in range(BEGIN + DAY - 20, BEGIN + DAY + 10):
        state = following(state, values, np.array([newest]))
    track = build_track(values[:, : newest + 1], HALF_HOUR)
    windows = cut_windows(track, np.arange(2), np.full(2, newest), 60)
    carried = shown(state, values, newest)
    for name in ("horizon", "context", "recent", "blend", "scale"):
        np.testing.assert_array_equal(getattr(carried, name), getattr(windows, name), name)
