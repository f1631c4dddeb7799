"""Variations of traffic: what each does, and what none does."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data import augmentation
from forecaster.data.augmentation import Augmentation, mixed, split, warped

MINUTES = Augmentation(timedelta(minutes=1))
DAY = 1440


def wave(days: float = 3, seed: int = 0, gaps: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = 50 * (1.2 + np.sin(np.arange(int(days * DAY)) * 2 * np.pi / DAY))
    values[rng.random(len(values)) < gaps] = np.nan
    return values


@given(
    seed=st.integers(0, 2**32),
    gaps=st.sampled_from([0.0, 0.1, 1.0]),
    scale=st.sampled_from([0, 1e-4, 1, 1e7]),
)
def test_any_variation_is_traffic(seed, gaps, scale):
    values, other = scale * wave(gaps=gaps), wave(2, seed=1)
    before = values.copy()
    found = MINUTES.vary(values, [other, values], np.random.default_rng(seed))
    assert len(found) in {len(values), len(other)}
    known = found[np.isfinite(found)]
    assert (known >= 0).all()
    assert np.isinf(found).sum() == 0
    np.testing.assert_array_equal(values, before)  # what was recorded is left as it was


def test_the_same_seed_gives_the_same_variation_and_another_one_another():
    one, again, other = (
        MINUTES.vary(wave(), [wave(seed=1)], np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", ["with_outage", "with_shift", "with_promotion"])
def test_an_incident_leaves_what_was_before_it(name):
    values = wave()
    for seed in range(20):
        found = getattr(augmentation, name)(values, DAY, np.random.default_rng(seed))
        changed = np.flatnonzero(~(found == values))
        assert len(changed)
        if name != "with_shift":
            assert np.ptp(changed) <= DAY / 4  # a span of it, and no more


def test_what_is_missing_stays_missing():
    values = wave(gaps=0.2)
    for seed in range(20):
        found = MINUTES.counted(
            MINUTES.disturbed(values, np.random.default_rng(seed)), np.random.default_rng(seed)
        )
        assert np.isnan(found[np.isnan(values)]).all()


def test_a_mixture_has_the_mean_of_one_service_and_the_seasons_of_two():
    flat, seasonal = np.full(2 * DAY, 1e6), wave(2)
    found = mixed(flat, seasonal, np.random.default_rng(0))
    assert found.mean() == pytest.approx(1, rel=1e-3)
    assert 0.1 < found.std() < seasonal.std() / seasonal.mean()


def test_a_warp_moves_moments_and_no_more():
    ramp = np.arange(3 * DAY, dtype=float)
    moved = warped(ramp, 20, 360, np.random.default_rng(0)) - ramp
    assert 5 < np.abs(moved).max() <= 20
    assert np.abs(np.diff(moved)).max() <= 1.2


@given(counts=st.lists(st.integers(0, 10_000), min_size=1, max_size=20), parts=st.integers(1, 10))
def test_a_sample_that_is_split_keeps_its_requests(counts, parts):
    rates = np.array(counts) / 300
    fine = split(rates, 300, parts, np.random.default_rng(0))
    assert len(fine) == parts * len(counts)
    np.testing.assert_allclose(fine.reshape(-1, parts).sum(axis=1) * 300 / parts, counts, atol=1e-6)


def test_an_unknown_sample_that_is_split_is_unknown():
    assert np.isnan(split(np.array([np.nan]), 300, 5, np.random.default_rng(0))).all()
