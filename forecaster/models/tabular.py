"""The trained baselines, ridge and gradient boosting, fitted on the same windows as the LSTM.

Axes: a table has one row per window and step ahead, ``(windows * horizon, columns)``.
Fitted estimators are stored as plain arrays, not as pickles. So scikit-learn, which takes 90 MB of
memory, is imported for fitting only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block
from forecaster.features.windows import CONTEXT_FEATURES, HORIZON_FEATURES, Windows
from forecaster.models.candidate import FitTask, Tensors, require_shape
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.naive import Spread

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

RIDGE, BOOSTING = "ridge", "boosting"
# Recent samples that are columns themselves; older ones enter as means over so many samples.
RECENT_SAMPLES, RECENT_MEANS, RECENT_CHANNELS = 5, (15, 60), 2
# Targets of the least-squares fit are clipped to this many noise scales.
CLIP = 20.0
RIDGE_PENALTY = 10.0
BOOSTING_SETTINGS: dict[str, Any] = {
    "max_iter": 80,
    "max_depth": 6,
    "learning_rate": 0.1,
    "min_samples_leaf": 50,
    "early_stopping": False,
}
# Of a time budget, for boosting; the networks get the rest.
BUDGET_SHARE = 0.5
# The part of the rows by which it is measured how long all of them would take.
TIMED_PART = 10


def column_count(context_length: int) -> int:
    """Return the number of columns of `table`."""
    past = min(RECENT_SAMPLES, context_length) + len(RECENT_MEANS)
    return HORIZON_FEATURES + CONTEXT_FEATURES + RECENT_CHANNELS * past


def table(windows: Windows) -> Block:
    """Return the rows of the windows, ``(windows, horizon, columns)``."""
    recent = windows.recent[:, :, :RECENT_CHANNELS]
    parts = [recent[:, -RECENT_SAMPLES:].reshape(len(windows), -1)]
    parts += [recent[:, -length:].mean(axis=1) for length in RECENT_MEANS]
    window = np.concatenate([windows.context, *parts], axis=1)
    horizon = windows.horizon.shape[1]
    repeated = np.broadcast_to(window[:, None], (len(windows), horizon, window.shape[1]))
    return np.concatenate([windows.horizon, repeated], axis=2, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class RidgeBaseline:
    """Ridge regression per step ahead: ``weights`` (horizon, columns), ``offset`` (horizon,).

    The prediction is the same at each of ``levels``; calibration separates them.
    """

    weights: Block
    offset: Block
    levels: tuple[float, ...]

    @classmethod
    def fit(cls, windows: Windows, levels: Sequence[float]) -> RidgeBaseline:
        from sklearn.linear_model import Ridge  # noqa: PLC0415

        rows, target = table(windows), np.clip(windows.deviation, -CLIP, CLIP)
        weights, offsets = [], []
        for step in range(rows.shape[1]):
            known = np.isfinite(target[:, step])
            line = Ridge(alpha=RIDGE_PENALTY).fit(rows[known, step], target[known, step])
            weights.append(line.coef_)
            offsets.append(line.intercept_)
        return cls(
            np.array(weights, dtype=np.float32), np.array(offsets, dtype=np.float32), tuple(levels)
        )

    def predict(self, windows: Windows) -> Spread:
        line = np.einsum("nhc,hc->nh", table(windows), self.weights) + self.offset
        centre = np.repeat(line[:, :, None], len(self.levels), axis=2)
        return Spread(windows.restore(centre.astype(np.float32)), windows.scale)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self.weights, "offset": self.offset}

    @classmethod
    def from_tensors(cls, model: ModelConfig, tensors: Tensors) -> RidgeBaseline:
        """Return the baseline from `tensors`.

        Raises:
            KeyError, ValueError: the arrays do not fit ``model``.
        """
        weights, offset = tensors["weights"], tensors["offset"]
        horizon = model.prediction_length
        require_shape(weights, (horizon, column_count(model.context_length)), "weights")
        require_shape(offset, (horizon,), "offset")
        return cls(weights, offset, model.quantile_levels)


@dataclass(frozen=True, eq=False)
class BoostingBaseline:
    """Gradient-boosted quantile regression: for each level, full binary trees of equal depth.

    ``feature`` and ``threshold`` are ``(levels, trees, 2 ** depth - 1)``, ``leaf`` is
    ``(levels, trees, 2 ** depth)``, ``start`` is ``(levels,)``. The child of node ``i`` is
    ``2 i + 1`` for rows whose feature is at most the threshold, else ``2 i + 2``.
    """

    feature: npt.NDArray[np.int64]
    threshold: Block
    leaf: Block
    start: Block

    @classmethod
    def fit(
        cls,
        windows: Windows,
        quantile_levels: Sequence[float],
        on_level: Callable[[int], None] = lambda _: None,
    ) -> BoostingBaseline:
        """Return the baseline, fitted on all windows.

        Args:
            windows: for fitting.
            quantile_levels: one forest for each.
            on_level: called with how many are fitted.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415

        rows, target = table(windows), windows.deviation
        known = np.isfinite(target)
        forests = []
        for level in quantile_levels:
            forest = HistGradientBoostingRegressor(
                loss="quantile", quantile=level, random_state=0, **BOOSTING_SETTINGS
            )
            forests.append(_full_trees(forest.fit(rows[known], target[known])))
            on_level(len(forests))
        feature, threshold, leaf, start = (np.stack(part) for part in zip(*forests, strict=True))
        return cls(feature, threshold, leaf, start)

    def predict(self, windows: Windows) -> Spread:
        rows = table(windows)
        flat = rows.reshape(-1, rows.shape[2])
        levels = [self._predict_level(flat, k) for k in range(len(self.start))]
        centre = np.stack(levels, axis=1).reshape(*rows.shape[:2], -1)
        return Spread(windows.restore(np.sort(centre, axis=2)), windows.scale)

    def _predict_level(self, rows: Block, k: int) -> Block:
        total = np.full(len(rows), self.start[k], dtype=np.float32)
        inner = self.feature.shape[2]
        depth = inner.bit_length()
        for first in range(0, len(rows), 8192):  # blocks that fit into the processor's cache
            block = rows[first : first + 8192]
            at = np.arange(len(block))
            for feature, threshold, leaf in zip(
                self.feature[k], self.threshold[k], self.leaf[k], strict=True
            ):
                node = np.zeros(len(block), dtype=np.int64)
                for _ in range(depth):
                    right = block[at, feature[node]] > threshold[node]
                    node = 2 * node + 1 + right
                total[first : first + 8192] += leaf[node - inner]
        return total

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "feature": self.feature.astype(np.int16),
            "threshold": self.threshold,
            "leaf": self.leaf,
            "start": self.start,
        }

    @classmethod
    def from_tensors(cls, model: ModelConfig, tensors: Tensors) -> BoostingBaseline:
        """Return the baseline from `tensors`.

        Raises:
            KeyError, ValueError: the arrays do not fit ``model``.
        """
        feature, threshold = tensors["feature"].astype(np.int64), tensors["threshold"]
        leaf, start = tensors["leaf"], tensors["start"]
        levels, columns = len(model.quantile_levels), column_count(model.context_length)
        trees, leaves = leaf.shape[1:]
        if leaves.bit_count() != 1:
            raise ValueError(f"leaf has shape {leaf.shape}, not a power of two of leaves")
        require_shape(start, (levels,), "start")
        require_shape(leaf, (levels, trees, leaves), "leaf")
        require_shape(feature, (levels, trees, leaves - 1), "feature")
        require_shape(threshold, (levels, trees, leaves - 1), "threshold")
        if feature.min() < 0 or feature.max() >= columns:
            raise ValueError(f"feature names columns outside 0 to {columns - 1}")
        return cls(feature, threshold, leaf, start)


def fit_ridge(task: FitTask) -> tuple[RidgeBaseline, TrainConfig]:
    return RidgeBaseline.fit(task.table, task.config.model.quantile_levels), task.config


def fit_boosting(task: FitTask) -> tuple[BoostingBaseline, TrainConfig]:
    """Return the fitted baseline; where the time budget takes no more, of fewer windows."""
    levels, windows, budget = task.config.model.quantile_levels, task.table, task.config.time_budget

    def on_level(done: int) -> None:
        task.doing("fitting boosting, quantiles", done, len(levels))

    on_level(0)
    if budget is not None:
        part = every(windows, TIMED_PART)
        begin = time.perf_counter()
        BoostingBaseline.fit(part, levels[:1])
        seconds = (time.perf_counter() - begin) * len(levels) * TIMED_PART
        windows = every(windows, thinning(seconds, budget * BUDGET_SHARE))
    return BoostingBaseline.fit(windows, levels, on_level), task.config


def every(windows: Windows, n: int) -> Windows:
    """Return every n-th of the windows in which something is known."""
    return windows.take(np.flatnonzero(np.isfinite(windows.deviation).any(axis=1))[::n])


def thinning(seconds: float, budget: timedelta) -> int:
    """Return of how many windows one fits into a budget, if all take so many seconds.

    >>> thinning(12.0, timedelta(seconds=5)), thinning(2.0, timedelta(seconds=5))
    (3, 1)
    """
    return max(math.ceil(seconds / budget.total_seconds()), 1)


def _full_trees(
    forest: HistGradientBoostingRegressor,
) -> tuple[npt.NDArray[np.int64], Block, Block, Block]:
    """Return the fitted trees as full binary trees; a test compares them with ``forest.predict``.

    scikit-learn has no public access to these nodes; the private one is unchanged since 0.24.
    """
    depth = BOOSTING_SETTINGS["max_depth"]
    trees = [predictors[0].nodes for predictors in forest._predictors]
    inner = 2**depth - 1
    feature = np.zeros((len(trees), inner), dtype=np.int64)
    # Below a leaf of scikit-learn, all rows go left; inf is avoided, as stored numbers are finite.
    threshold = np.full((len(trees), inner), np.finfo(np.float32).max, dtype=np.float32)
    leaf = np.zeros((len(trees), inner + 1), dtype=np.float32)
    for t, nodes in enumerate(trees):
        places = [(0, 0)]  # (node of scikit-learn, node of the full tree)
        while places:
            old, new = places.pop()
            node = nodes[old]
            if new >= inner:
                leaf[t, new - inner] = node["value"]
            elif node["is_leaf"]:  # both children become the same leaf
                places += [(old, 2 * new + 1), (old, 2 * new + 2)]
            else:
                feature[t, new] = node["feature_idx"]
                threshold[t, new] = _at_most(node["num_threshold"])
                places += [(int(node["left"]), 2 * new + 1), (int(node["right"]), 2 * new + 2)]
    start = np.asarray(forest._baseline_prediction, dtype=np.float32).reshape(())
    return feature, threshold, leaf, start


def _at_most(threshold: float) -> np.float32:
    """Return the largest float32 not above ``threshold``; float32 rows then compare the same."""
    rounded = np.float32(threshold)
    return rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf))
