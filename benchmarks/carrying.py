"""What a tick of 10,000 forecasts costs with the anchors kept, beside computing them anew.

    OMP_NUM_THREADS=1 python -m benchmarks carrying

Processor time of one process, so that other work on the machine does not count. All histories have
eight days of minutes; the model is an ensemble of three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from benchmarks.speed import ITEM_DAYS, ITEMS, MODELS
from benchmarks.tables import markdown
from forecaster.adapters.carried_forecasts import CarriedForecasts
from forecaster.adapters.registry.loading import load_forecaster
from forecaster.data.series import History, Series
from forecaster.features.anchor_state import AnchorState, shape_offsets
from forecaster.features.windows import earlier_offsets
from forecaster.models.forecaster import Forecaster
from forecaster.models.lstm_ensemble import LSTM, Ensemble

TICKS = 5
SHAPES = 100  # different histories; each item has one of them
ANEW = 500  # items that are computed anew; their time is scaled up
DAYS = ITEM_DAYS * 1440


def carrying() -> None:
    """Print the table."""
    forecaster, shapes = _ensemble_of_three(), _shapes()
    anew = _seconds(lambda: forecaster.predict(History(tuple(_histories(shapes, 0)[:ANEW]))))
    anew *= ITEMS / ANEW
    carried = CarriedForecasts(forecaster)
    first = _seconds(lambda: carried.predict(_histories(shapes, 0)))
    tick = min(_seconds(partial(_tick, carried, shapes, k)) for k in range(1, TICKS + 1))
    given = min(_seconds(partial(_histories, shapes, k)) for k in range(TICKS))
    update, windows, network = _parts(forecaster, shapes)
    rows = [
        ("all anew from eight days", anew, anew / tick),
        ("the first tick with kept anchors", first, first / tick),
        ("a tick with kept anchors", tick, 1.0),
        ("of it: making the histories that are given", given, given / tick),
        ("of it: anchors", update, update / tick),
        ("of it: windows", windows, windows / tick),
        ("of it: networks", network, network / tick),
    ]
    print(f"\n## A tick of {ITEMS:,} forecasts\n")
    columns = ("", "CPU seconds", "beside a tick with kept anchors")
    print(markdown(columns, [(name, f"{seconds:.3f}", ratio) for name, seconds, ratio in rows]))


def _tick(carried: CarriedForecasts, shapes: np.ndarray, tick: int) -> None:
    carried.predict(_histories(shapes, tick))


def _ensemble_of_three() -> Forecaster:
    stored = load_forecaster(MODELS, "pretrained")
    ensemble = stored.candidates.learned[LSTM]
    assert isinstance(ensemble, Ensemble)
    three = Ensemble(stored.model, list(ensemble.networks[:1]) * 3)
    candidates = replace(stored.candidates, learned={**stored.candidates.learned, LSTM: three})
    default = replace(stored.default_model, source=LSTM)
    return replace(stored, candidates=candidates, default_model=default)


def _shapes() -> np.ndarray:
    """Return different histories with `TICKS` samples more, ``(SHAPES, time)``, read-only."""
    rng = np.random.default_rng(0)
    minutes = np.arange(DAYS + TICKS)
    shapes = np.array(
        [
            rng.poisson(60 * level * (1.5 + np.sin(2 * np.pi * (minutes / 1440 + phase)))) / 60
            for level, phase in zip(rng.lognormal(3, 1, SHAPES), rng.random(SHAPES), strict=True)
        ]
    )
    shapes.setflags(write=False)
    return shapes


def _histories(shapes: np.ndarray, tick: int) -> list[Series]:
    start, minute = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
    return [
        Series(f"ns/{i}", start + tick * minute, minute, shapes[i % SHAPES, tick : tick + DAYS])
        for i in range(ITEMS)
    ]


def _parts(forecaster: Forecaster, shapes: np.ndarray) -> tuple[float, float, float]:
    """Return the least seconds of an update of all anchors, of all windows, and of all networks."""
    model = forecaster.model
    values = shapes.astype(np.float32)
    first = AnchorState.of(values[:, :DAYS], model.timing, model.context_length)
    state = AnchorState.join([first] * (ITEMS // SHAPES))
    week, earlier = shape_offsets(model.timing), earlier_offsets(model.timing)
    ages = (
        np.broadcast_to(-week, (ITEMS, 1, *week.shape)),
        np.broadcast_to(-earlier, (ITEMS, *earlier.shape)),
    )
    found = []
    for newest in range(DAYS, DAYS + TICKS):
        samples = np.tile(values[:, [newest]], (ITEMS // SHAPES, 1))
        before = np.tile(values[:, newest + week], (ITEMS // SHAPES, 1))[:, None]
        begin = time.process_time()
        state = state.after(samples, before, ages[0])
        updated = time.process_time()
        older = np.tile(values[:, newest + earlier], (ITEMS // SHAPES, 1, 1))
        windows = state.windows(older, ages[1])
        cut = time.process_time()
        forecaster.candidates.learned[LSTM].predict(windows)
        found.append((updated - begin, cut - updated, time.process_time() - cut))
    update, windows_s, network = np.min(found, axis=0)
    return float(update), float(windows_s), float(network)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin
