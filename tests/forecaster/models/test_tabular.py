"""The trained baselines predict exactly what scikit-learn predicts."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from forecaster.features.windows import Windows
from forecaster.models.candidate import FitTask, FittingData
from forecaster.models.config import TrainConfig
from forecaster.models.tabular import (
    BOOSTING_SETTINGS,
    CLIP,
    RIDGE_PENALTY,
    BoostingBaseline,
    RidgeBaseline,
    _at_most,
    _full_trees,
    column_count,
    every,
    fit_boosting,
    table,
)
from tests.forecaster.evaluation.fitting_samples import LEVELS, MODEL


@pytest.fixture(scope="module")
def windows(fitted) -> Windows:
    return Windows.join([part.train for part in fitted.parts.items])


@pytest.fixture(scope="module")
def boosting(windows) -> BoostingBaseline:
    return BoostingBaseline.fit(windows, LEVELS)


@pytest.mark.parametrize(
    ("budget", "all_fitted"),
    [
        pytest.param(None, True, id="without a budget all windows are fitted"),
        pytest.param(timedelta(hours=10), True, id="within a long one, too"),
        pytest.param(timedelta(milliseconds=1), False, id="in next to no time fewer are"),
    ],
)
def test_boosting_fits_what_its_part_of_a_time_budget_takes(windows, budget, all_fitted):
    said = []
    config = TrainConfig(replace(MODEL, quantile_levels=(0.5,)), time_budget=budget)
    data = FittingData([windows], [windows])
    task = FitTask(config, data, windows, doing=lambda *done, line="": said.append(done))
    fitted, whole = fit_boosting(task)[0], BoostingBaseline.fit(windows, (0.5,))
    assert np.array_equal(fitted.leaf, whole.leaf) == all_fitted
    assert said == [("fitting boosting, quantiles", done, 1) for done in (0, 1)]


def test_windows_in_which_nothing_is_known_are_not_what_is_left(windows):
    partly = replace(
        windows, target=np.where(np.arange(len(windows))[:, None] % 7, np.nan, windows.target)
    )
    assert np.isfinite(every(partly, 7).deviation).any(axis=1).all()


def forest(rows, target, level: float = 0.9) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss="quantile", quantile=level, random_state=0, **BOOSTING_SETTINGS
    ).fit(rows, target)


def walked(fitted: HistGradientBoostingRegressor, rows) -> np.ndarray:
    trees = BoostingBaseline(*(part[None] for part in _full_trees(fitted)))
    return trees._predict_level(rows, 0)


def made_up(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 5)).astype(np.float32)
    rows[:, 1] = rng.integers(0, 4, n)  # values that recur become thresholds between them
    rows[:, 2] = np.float32(0.1) * rng.integers(-20, 20, n)
    target = rows[:, 0] * rows[:, 1] + np.abs(rows[:, 2]) + rng.gamma(2, 0.3, n)
    return rows, target.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.1, 0.5, 0.99])
def test_a_row_reaches_the_same_leaf_as_in_scikit_learn(seed, level):
    rows, target = made_up(seed)
    theirs = forest(rows, target, level)
    unseen, _ = made_up(seed + 100, 9_000)  # more than one block
    np.testing.assert_allclose(walked(theirs, unseen), theirs.predict(unseen), rtol=0, atol=2e-5)


def test_a_value_equal_to_a_threshold_reaches_the_same_leaf():
    """Each row sits on a threshold, or one float32 to either side of it."""
    rows, target = made_up(7)
    theirs = forest(rows, target)
    nodes = [trees[0].nodes for trees in theirs._predictors]
    cuts = {
        (int(node["feature_idx"]), float(node["num_threshold"]))
        for tree in nodes
        for node in tree
        if not node["is_leaf"]
    }
    found = []
    for feature, threshold in cuts:
        at = np.float32(threshold)
        for value in (np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(9))):
            row = rows[len(found) % len(rows)].copy()
            row[feature] = value
            found.append(row)
    edge = np.stack(found)
    assert len(edge) > 500
    np.testing.assert_allclose(walked(theirs, edge), theirs.predict(edge), rtol=0, atol=2e-5)


@given(st.floats(-1e30, 1e30))
def test_rounding_a_threshold_to_float32_does_not_change_any_comparison(threshold):
    kept = _at_most(threshold)
    above = np.nextafter(kept, np.float32(np.inf))
    assert float(kept) <= threshold < float(above)


def test_few_rows_make_trees_of_one_leaf():
    rows, target = made_up(1, 60)  # no split leaves 50 on both sides
    theirs = forest(rows, target)
    np.testing.assert_allclose(walked(theirs, rows), theirs.predict(rows), atol=1e-5)


def test_boosting_predicts_the_same_as_scikit_learn(windows, boosting):
    rows, target = table(windows), windows.deviation
    known = np.isfinite(target)
    flat = rows.reshape(-1, rows.shape[2])
    theirs = [forest(rows[known], target[known], level).predict(flat) for level in LEVELS]
    expected = np.sort(np.stack(theirs, axis=1).reshape(*target.shape, -1), axis=2)
    np.testing.assert_allclose(
        boosting.predict(windows).centre, windows.restore(expected), rtol=1e-4, atol=1e-3
    )


def test_ridge_predicts_the_same_as_scikit_learn(windows):
    rows, target = table(windows), np.clip(windows.deviation, -CLIP, CLIP)
    expected = np.empty(target.shape)
    for step in range(target.shape[1]):
        known = np.isfinite(target[:, step])
        line = Ridge(alpha=RIDGE_PENALTY).fit(rows[known, step], target[known, step])
        expected[:, step] = line.predict(rows[:, step])
    spread = RidgeBaseline.fit(windows, LEVELS).predict(windows)
    for k in range(len(LEVELS)):
        np.testing.assert_allclose(
            spread.centre[:, :, k], windows.restore(expected[:, :, None])[:, :, 0], rtol=1e-3
        )
    np.testing.assert_array_equal(spread.unit, windows.scale)


def test_a_flash_crowd_does_not_distort_ridge(windows):
    """One target of 10^6 noise scales counts as 20."""
    crowded = windows.target.copy()
    crowded[0] += 1e6 * windows.scale[0]
    bent = Windows(**{**vars(windows), "target": crowded})
    capped = crowded.copy()
    capped[0] = windows.blend[0] + CLIP * windows.scale[0]
    expected = RidgeBaseline.fit(Windows(**{**vars(windows), "target": capped}), (0.5,))
    np.testing.assert_allclose(
        RidgeBaseline.fit(bent, (0.5,)).predict(windows).centre,
        expected.predict(windows).centre,
        rtol=1e-4,
    )


def test_unknown_targets_are_not_fitted(windows):
    half = len(windows) // 2
    gappy = windows.target.copy()
    gappy[half:] = np.nan
    known = windows.take(np.arange(half))
    partly = Windows(**{**vars(windows), "target": gappy})
    np.testing.assert_array_equal(
        RidgeBaseline.fit(partly, (0.5,)).weights, RidgeBaseline.fit(known, (0.5,)).weights
    )
    np.testing.assert_array_equal(
        BoostingBaseline.fit(partly, (0.5,)).leaf, BoostingBaseline.fit(known, (0.5,)).leaf
    )


@pytest.mark.parametrize("context_length", [1, 3, 12, 60, 90])
def test_the_columns_are_counted_right(windows, context_length):
    recent = np.zeros((len(windows), context_length, windows.recent.shape[2]), np.float32)
    resized = Windows(**{**vars(windows), "recent": recent})
    assert table(resized).shape == (
        len(windows), MODEL.prediction_length, column_count(context_length),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [RidgeBaseline, BoostingBaseline])
def test_restored_arrays_give_the_same_forecasts(windows, boosting, kind):
    made = boosting if kind is BoostingBaseline else RidgeBaseline.fit(windows, LEVELS)
    again = kind.from_tensors(MODEL, made.tensors())
    np.testing.assert_array_equal(again.predict(windows).centre, made.predict(windows).centre)
