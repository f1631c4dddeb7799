"""What an analyst does with the values: frames in and out, figures, tables in HTML."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecaster import FileHints, Forecaster, History, HistoryError, RegistryError, train
from forecaster.data.series import Forecast
from tests.forecaster.adapters.histories import MINUTE, START, assert_same, history
from tests.forecaster.evaluation.backtest_samples import HOSTILE, LEVELS, backtest_of, item
from tests.forecaster.evaluation.fitting_samples import TINY, assert_same_forecast

NIXTLA = history().to_nixtla()
UTC_NIXTLA = NIXTLA.assign(ds=NIXTLA["ds"].dt.tz_localize("UTC"))


def forecast_of(item_id: str = "shop/api") -> Forecast:
    values = np.arange(30.0).reshape(1, 6, 5)
    return Forecast((item_id,), (START,), MINUTE, LEVELS, values, ("lstm",))


def test_a_history_goes_out_in_nixtlas_columns_and_comes_back_to_the_last_bit():
    assert list(NIXTLA.columns) == ["unique_id", "ds", "y"]
    assert NIXTLA["ds"].dt.tz is None
    assert_same(History.from_frame(NIXTLA, timezone="UTC"), history())
    assert_same(History.from_frame(history().to_frame()), history())


def test_a_forecast_goes_out_in_nixtlas_columns():
    frame = forecast_of().to_nixtla()

    quantiles = [f"tidegate-q-{level}" for level in (10, 50, 90, 95, 99)]
    assert list(frame.columns) == ["unique_id", "ds", "cutoff", "tidegate", *quantiles]
    assert (frame["ds"] - frame["cutoff"]).tolist() == [pd.Timedelta(i, "min") for i in range(1, 7)]
    assert frame["tidegate"].tolist() == forecast_of().quantile(0.5)[0].tolist()
    assert frame["tidegate-q-99"].tolist() == forecast_of().quantile(0.99)[0].tolist()
    assert list(forecast_of().to_frame().columns[:2]) == ["item_id", "timestamp"]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        pytest.param([1.0, 2.0], "not of a list; wrap it", id="no frame"),
        pytest.param(NIXTLA["y"], "not of a Series; call its to_frame", id="a column"),
        pytest.param(pa.table({"y": [1.0]}), "not of a Table; call its to_pandas", id="of Arrow"),
        pytest.param(NIXTLA, "row 0: .*has no time zone.*timezone='UTC'", id="naive stamps"),
        pytest.param(NIXTLA.drop(columns="ds"), "'unique_id', 'y', but none for the time", id="ds"),
        pytest.param(
            NIXTLA.assign(ds=NIXTLA["ds"].dt.tz_localize("UTC"), y="many"),
            "row 0: 'many' ",
            id="text for traffic",
        ),
        pytest.param(
            NIXTLA.rename(columns={"y": "latency_ms"}).assign(errors=1.0),
            "'latency_ms', 'errors'.*by hints.value_columns",
            id="no traffic",
        ),
        pytest.param(NIXTLA.iloc[:0], "no rows; give one per item and time", id="empty"),
        pytest.param(UTC_NIXTLA.iloc[:1], "1 known samples are too few", id="one row"),
        pytest.param(
            UTC_NIXTLA.assign(unique_id=None),
            "no item in column 'unique_id', row 0",
            id="no item",
        ),
    ],
)
def test_a_wrong_frame_is_refused_with_the_value_the_rule_and_the_fix(frame, says):
    with pytest.raises(HistoryError, match=f"(?s){says}") as refused:
        History.from_frame(frame)
    assert "--" not in str(refused.value)  # a call has arguments, and no options


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(NIXTLA.set_index("ds"), id="times in the index"),
        pytest.param(NIXTLA.set_index("unique_id"), id="items in the index"),
        pytest.param(NIXTLA.set_index(["unique_id", "ds"]), id="both in the index"),
        pytest.param(
            NIXTLA.assign(row=range(len(NIXTLA))).set_index(["row", "unique_id"]),
            id="a level that is neither",
        ),
        pytest.param(
            NIXTLA.set_index(pd.PeriodIndex(NIXTLA["ds"], freq="min")).drop(columns="ds"),
            id="periods",
        ),
        pytest.param(NIXTLA.convert_dtypes(dtype_backend="pyarrow"), id="of Arrow"),
        pytest.param(NIXTLA.astype({"unique_id": "category"}), id="categories"),
        pytest.param(NIXTLA.astype(object), id="objects"),
        pytest.param(NIXTLA.astype(str), id="texts"),
        pytest.param(NIXTLA.sample(frac=1, random_state=0), id="in no order"),
    ],
)
def test_a_frame_is_understood_wherever_and_however_it_holds_them(frame):
    found = History.from_frame(frame, timezone="UTC")

    for series in history():
        assert_same(History((found[series.item_id],)), History((series,)))


def test_a_step_that_is_no_timedelta_is_refused():
    with pytest.raises(HistoryError, match=r"step is '1min'; give a timedelta"):
        History.from_frame(UTC_NIXTLA, step="1min")


def test_what_is_repaired_or_left_out_is_told_by_the_log(caplog):
    frame = pd.concat(
        [
            UTC_NIXTLA.assign(y=NIXTLA["y"].where(NIXTLA.index != 5, -1.0)),
            UTC_NIXTLA.iloc[:1].assign(unique_id="new/one"),
        ]
    )
    found = History.from_frame(frame)

    assert found.item_ids == history().item_ids
    assert "shop/api: " in caplog.text
    assert "1 negative values; set missing" in caplog.text
    assert "new/one: " in caplog.text


def test_what_a_frame_does_not_say_is_said_by_hints():
    frame = NIXTLA.rename(columns={"y": "a"}).assign(b=1.0)
    hints = FileHints(value_columns=("a",), item_column="unique_id")

    assert_same(History.from_frame(frame, timezone="UTC", hints=hints), history())
    indexed = frame.rename(columns={"unique_id": "Pod"}).set_index("Pod")
    hints = FileHints(value_columns=("a",), item_column="Pod")
    assert_same(History.from_frame(indexed, timezone="UTC", hints=hints), history())


def test_a_description_counts_what_is_missing_and_what_is_known():
    silent = replace(history().series[0], item_id="dead/one", values=np.full(40, np.nan))

    found = History((*history().series, silent)).describe()

    assert found.loc["shop/api", "missing"] == pytest.approx(2 / 40)
    assert found.loc["shop/api", "maximum"] == np.nanmax(history()["shop/api"].values)
    assert found.loc["dead/one", "missing"] == 1
    assert np.isnan(found.loc["dead/one", "mean"])


def test_a_backtest_goes_out_with_the_scores_of_every_item_and_candidate():
    result = backtest_of(item("shop/api"), item("pay/api"))

    frame = result.to_frame()

    assert len(frame) == 2 * len(result.summary)
    served = frame.loc[("pay/api", "served")]
    assert served["relative"] == result.items[1].scores["served"].relative
    assert served["crps"] == result.items[1].scores["served"].crps
    assert served["covered_0.99"] == result.items[1].scores["served"].coverage[-1]
    assert served["tops_covered_0.9"] == result.items[1].scores["served"].top_coverage[2]
    assert (served["covered_at_17"], served["worst_minute_hours"]) == (0.95, 24)


def test_the_findings_of_a_backtest_begin_with_the_verdict():
    first, *others = backtest_of(item("shop/api")).findings()

    assert first.startswith("The champion gate is passed")
    assert others


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(History((replace(history().series[0], item_id=HOSTILE),)), id="history"),
        pytest.param(forecast_of(HOSTILE), id="forecast"),
    ],
)
def test_a_table_in_html_escapes_what_it_is_given(value):
    html = value._repr_html_()

    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_a_table_in_html_stays_small():
    many = History(tuple(replace(history().series[0], item_id=f"n/{i}") for i in range(500)))

    assert "480 more rows" in many._repr_html_()
    assert len(many._repr_html_()) < 10_000
    assert "CRPS" in backtest_of(item("shop/api"))._repr_html_()


def test_every_value_is_drawn():
    result = backtest_of(item("shop/api"))
    row = forecast_of()

    assert history().plot().data
    assert "shop/api" in row.plot(history()).layout.title.text
    assert {trace.name for trace in result.plot().data} >= {"served", "LSTM"}
    assert "shop/api" in result.plot("shop/api", step_ahead=1).layout.title.text


def test_what_is_saved_is_what_is_loaded_and_serves(tmp_path, forecaster, history):
    assert forecaster.save(tmp_path, "web") == "v0001"
    again = Forecaster.load(tmp_path, "web")
    assert_same_forecast(again.predict(history), forecaster.predict(history))

    other = forecaster.served_by("last_value", "to tell it apart")
    assert other.save(tmp_path, "web", promote=False) == "v0002"
    assert Forecaster.load(tmp_path, "web").default_model.source == again.default_model.source
    assert Forecaster.load(tmp_path, "web", "v0002").default_model.source == "last_value"


def test_a_name_that_no_model_can_have_is_refused(tmp_path, forecaster):
    with pytest.raises(RegistryError, match="must start with a letter"):
        forecaster.save(tmp_path, "no/name")
    assert list(tmp_path.iterdir()) == []


def test_the_progress_of_a_training_is_printed_line_by_line(history, capsys):
    train(history, replace(TINY, members=1), report=print)

    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("member 1/1 epoch 1/2 loss ")
    assert last.startswith("member 1/1 epoch 2/2 loss ")
