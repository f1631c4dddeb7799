"""Models of a registry: what they forecast, tick after tick, and what a fault leaves standing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.registry.loading import load_forecaster
from forecaster.adapters.registry.registry import Registry
from forecaster.data.series import History, Series, utc
from scaler.adapters.registry_models import RegistryModels
from tests.forecaster.evaluation.fitting_samples import DAY, changed, traffic

START = 8 * DAY


@pytest.fixture(scope="module")
def items() -> list[Series]:
    return list(traffic(4, 9, seed=5))


def until(items: Sequence[Series], newest: int) -> list[Series]:
    return [one.between(one.start, one.start + (newest + 1) * one.step) for one in items]


def loaded(models: Path, anchors: Path | None = None) -> RegistryModels:
    found = RegistryModels(models, anchors)
    found.reload(["web"])
    return found


def assert_same(found, expected) -> None:
    assert set(found.forecast.item_ids) == set(expected.item_ids)
    for item in expected.item_ids:
        mine, theirs = found.rows[item], expected.item_ids.index(item)
        np.testing.assert_array_equal(found.forecast.values[mine], expected.values[theirs])
        assert found.forecast.origins[mine] == expected.origins[theirs]


def test_tick_after_tick_the_forecast_is_that_of_the_whole_history(models, items):
    served, forecaster = loaded(models), load_forecaster(models, "web")
    for newest in range(START, START + 5):
        series = until(items, newest)
        found = served.predict("web", series)
        assert_same(found, forecaster.predict(History(tuple(series))))
        assert found.faults == {}


def test_an_item_without_a_known_sample_says_so_and_the_others_have_theirs(models, items):
    unknown = changed(replace(items[0], item_id="a/unknown"), lambda values: values * np.nan)
    found = loaded(models).predict("web", until([unknown, *items[1:]], START))
    assert found.faults == {"a/unknown": "its history holds no known sample yet"}
    assert set(found.rows) == {one.item_id for one in items[1:]}


def test_histories_of_another_step_are_faults_and_no_more(models, items):
    served = loaded(models)
    hourly = [one.resampled(timedelta(hours=1)) for one in items]
    found = served.predict("web", hourly)
    assert found.forecast is None
    assert set(found.faults) == {one.item_id for one in items}
    series = until(items, START)
    assert_same(
        served.predict("web", series),
        load_forecaster(models, "web").predict(History(tuple(series))),
    )


def test_a_new_champion_forecasts_from_the_next_tick_on(models, items, artifact):
    served = loaded(models)
    served.predict("web", until(items, START))
    registry = Registry(models)
    config = {
        **artifact.config,
        "services": [dict(s, source="ridge") for s in artifact.config["services"]],
    }
    other = replace(artifact, config=config)
    registry.promote("web", registry.save("web", other, now=utc("2026-05-01T00:00:00Z")))
    served.reload(["web"])
    found = served.predict("web", until(items, START + 1))
    assert set(found.forecast.sources) == {"ridge"}
    assert served.version("web") == "v0002"


def test_models_that_no_policy_names_any_more_are_forgotten(models, items):
    served = loaded(models)
    served.reload(["web", "no-such-model"])
    assert "no-such-model" in served.predict("no-such-model", items).faults[items[0].item_id]
    served.reload([])
    assert served.version("web") is None
    served.reload(["web"])
    assert served.predict("web", until(items, START)).faults == {}


def test_what_was_kept_goes_on_after_a_restart(models, items, tmp_path):
    first = loaded(models, tmp_path / "anchors")
    for newest in range(START - 20, START + 1):
        first.predict("web", until(items, newest))
    first.close()
    second = loaded(models, tmp_path / "anchors")
    days = 8 * DAY
    recent = [one.between(one.end - days * one.step, one.end) for one in until(items, START + 2)]
    found = second.predict("web", recent)
    whole = load_forecaster(models, "web").predict(History(tuple(until(items, START + 2))))
    assert_same(found, whole)


def test_without_a_directory_nothing_is_written(models, items, tmp_path):
    before = set(tmp_path.rglob("*"))
    served = loaded(models)
    for newest in range(START, START + 6):
        served.predict("web", until(items, newest))
    served.close()
    assert set(tmp_path.rglob("*")) == before
