"""Speed and memory beside neuralforecast's LSTM and scikit-learn's boosting, as ratios.

Each contestant runs in a process of its own, one after the other on the same cores, and reports the
seconds of its work, imports and generated input aside, and its peak memory.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.tables import markdown
from forecaster.data.series import History, Series
from forecaster.data.synthetic import generate_history
from forecaster.models.config import QUANTILE_LEVELS, TrainConfig

SERVICES, DAYS = 3, 28
ITEMS, ITEM_DAYS, SHORT_DAYS = 10_000, 8, 3
HORIZON, CONTEXT = 30, 60
MODELS = Path(__file__).parent.parent / "models"
BUDGET = timedelta(seconds=40)  # for the networks; windows, boosting and calibration come on top
RIVALS = ("tidegate", "neuralforecast", "boosting")
Measured = tuple[float, str]


def speed() -> None:
    """Print both tables."""
    if importlib.util.find_spec("neuralforecast") is None:
        raise SystemExit("speed needs neuralforecast; install it: pip install '.[bench]'")
    _compare(
        "training",
        f"Training {SERVICES} generated services of {DAYS} days, 1-minute samples",
        RIVALS,
    )
    title = f"Predicting {ITEMS:,} items x {HORIZON} steps x 5 quantiles"
    _compare("predicting", title, (*RIVALS, "tidegate_short"))


def _compare(work: str, title: str, names: Sequence[str]) -> None:
    rows = []
    for name in names:
        command = [sys.executable, "-m", "benchmarks.speed", work, name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], file=sys.stderr, flush=True)
    ours = rows[0]["seconds"]
    print(f"\n## {title}\n")
    columns = ("contestant", "seconds", "seconds / ours", "peak memory, MB", "what it did")
    print(
        markdown(
            columns,
            [
                (
                    r["name"],
                    f"{r['seconds']:.1f}",
                    r["seconds"] / ours,
                    f"{r['megabytes']:.0f}",
                    r["did"],
                )
                for r in rows
            ],
        )
    )


def train_tidegate() -> Measured:
    from forecaster.evaluation.selection import train

    history = generate_history(SERVICES, DAYS, step=timedelta(minutes=1), seed=7).history
    config = TrainConfig(time_budget=BUDGET, device="cpu")
    begin = time.perf_counter()
    done = train(history, config).config
    steps = done.members * done.epochs * done.steps_per_epoch
    return (
        time.perf_counter() - begin,
        f"{done.members} LSTMs, {steps} steps of 256 windows, all baselines, calibration",
    )


def train_neuralforecast() -> Measured:
    frame, model = (
        _long_frame(generate_history(SERVICES, DAYS, step=timedelta(minutes=1), seed=7).history),
        _nixtla(1000),
    )
    begin = time.perf_counter()
    model.fit(frame, val_size=0)
    return time.perf_counter() - begin, "1 LSTM (64 units, 1 layer), its default of 1000 steps"


def train_boosting() -> Measured:
    history = generate_history(SERVICES, DAYS, step=timedelta(minutes=1), seed=7).history
    rows = np.concatenate([_lag_rows(series.values, stride=5) for series in history])
    begin = time.perf_counter()
    _boosted(rows)
    return (
        time.perf_counter() - begin,
        f"1 model per level on {len(rows):,} rows of lags and step ahead",
    )


def predict_tidegate(days: int = ITEM_DAYS) -> Measured:
    from forecaster.adapters.registry.loading import load_forecaster
    from forecaster.models.lstm_ensemble import LSTM, Ensemble

    stored = load_forecaster(MODELS, "pretrained")
    ensemble = stored.candidates.learned[LSTM]
    assert isinstance(ensemble, Ensemble)
    three = Ensemble(stored.model, ensemble.networks[:1] * 3)
    learned = {**stored.candidates.learned, LSTM: three}
    candidates = replace(stored.candidates, learned=learned)
    forecaster = replace(
        stored, candidates=candidates, default_model=replace(stored.default_model, source=LSTM)
    )
    history = _many(samples=days * 1440)
    begin = time.perf_counter()
    forecast = forecaster.predict(history)
    seconds = time.perf_counter() - begin
    assert forecast.values.shape == (ITEMS, HORIZON, len(QUANTILE_LEVELS))
    return seconds, f"3 LSTMs, anchors from {days} days of history, calibration"


def predict_tidegate_short() -> Measured:
    return predict_tidegate(SHORT_DAYS)


def predict_neuralforecast() -> Measured:
    model = _nixtla(20)
    model.fit(
        _long_frame(generate_history(SERVICES, 3, step=timedelta(minutes=1), seed=7).history),
        val_size=0,
    )
    frame = _long_frame(_many(samples=CONTEXT * 2))
    begin = time.perf_counter()
    model.predict(frame)
    return time.perf_counter() - begin, f"1 LSTM on the last {CONTEXT} samples"


def predict_boosting() -> Measured:
    history = generate_history(SERVICES, 3, step=timedelta(minutes=1), seed=7).history
    forests = _boosted(np.concatenate([_lag_rows(series.values, stride=5) for series in history]))
    values = np.stack([series.values for series in _many(samples=CONTEXT)])
    rows = np.repeat(values, HORIZON, axis=0)
    rows = np.column_stack([rows, np.tile(np.arange(1, HORIZON + 1), len(values))])
    begin = time.perf_counter()
    for forest in forests:
        forest.predict(rows)
    return time.perf_counter() - begin, f"5 models on the last {CONTEXT} samples"


def _many(samples: int = ITEM_DAYS * 1440) -> History:
    """Return the items, each a shifted copy of one of a hundred random days."""
    rng = np.random.default_rng(0)
    start, minutes = datetime(2026, 1, 1, tzinfo=UTC), np.arange(samples)
    shapes = [
        rng.poisson(60 * level * (1.5 + np.sin(2 * np.pi * (minutes / 1440 + phase)))) / 60
        for level, phase in zip(rng.lognormal(3, 1, 100), rng.random(100), strict=True)
    ]
    return History(
        tuple(Series(f"ns/{i}", start, timedelta(minutes=1), shapes[i % 100]) for i in range(ITEMS))
    )


def _long_frame(history: History) -> object:
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "unique_id": series.item_id,
                "ds": pd.to_datetime(series.stamps, unit="s"),
                "y": pd.Series(series.values).interpolate(limit_direction="both"),
            }
        )
        for series in history
    ]
    return pd.concat(parts, ignore_index=True)


def _nixtla(steps: int):  # noqa: ANN202
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import LSTM

    model = LSTM(
        h=HORIZON, input_size=CONTEXT, loss=MQLoss(quantiles=list(QUANTILE_LEVELS)),
        encoder_n_layers=1, encoder_hidden_size=64, decoder_hidden_size=64, max_steps=steps,
        scaler_type="robust", accelerator="cpu", enable_progress_bar=False, logger=False,
        enable_checkpointing=False,
    )  # fmt: skip
    return NeuralForecast(models=[model], freq="1min")


def _lag_rows(values: np.ndarray, stride: int) -> np.ndarray:
    """Return rows of the last samples, the step ahead and, last, what happened then."""
    origins = np.arange(CONTEXT, len(values) - HORIZON, stride)
    ahead = 1 + np.arange(len(origins)) % HORIZON
    lags = values[origins[:, None] - np.arange(CONTEXT)[::-1]]
    return np.column_stack([lags, ahead, values[origins + ahead]])


def _boosted(rows: np.ndarray) -> list:
    from sklearn.ensemble import HistGradientBoostingRegressor

    rows = rows[np.isfinite(rows[:, -1])]
    return [
        HistGradientBoostingRegressor(loss="quantile", quantile=level).fit(
            rows[:, :-1], rows[:, -1]
        )
        for level in QUANTILE_LEVELS
    ]


def _report(name: str, work: Callable[[], Measured]) -> None:
    seconds, did = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"name": name, "seconds": seconds, "megabytes": peak, "did": did}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    verb = {"training": "train", "predicting": "predict"}[sys.argv[1]]
    _report(sys.argv[2], globals()[f"{verb}_{sys.argv[2]}"])
