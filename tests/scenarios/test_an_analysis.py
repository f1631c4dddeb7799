"""The whole way of an analyst: frame, forecast, backtest, stored model, replay, what-if."""

from dataclasses import replace
from datetime import timedelta

import pytest

from forecaster import Forecaster, History, backtest, train
from scaler import Policy, ReplayError, ReplaySettings, ScalePolicy, Sweep, replay, sweep
from tests.forecaster.evaluation.fitting_samples import TINY, traffic

POLICY = Policy(
    item_id="shop/checkout", target="checkout", scale=ScalePolicy(2, 60), capacity_qps=9.0
)


@pytest.fixture(scope="module")
def history() -> History:
    """As it comes out of another library."""
    return History.from_frame(traffic().to_nixtla(), timezone="UTC")


def test_from_a_frame_to_what_if(tmp_path, history, capsys):
    model = train(history, replace(TINY, members=1), report=print).forecaster
    assert "epoch 1/2" in capsys.readouterr().out

    forecast = model.predict(history).to_nixtla()
    assert set(forecast["unique_id"]) == set(history.describe().index)

    scores = backtest(model, history).to_frame()
    assert (scores.loc["shop/checkout", "crps"] > 0).all()
    assert scores.loc[("shop/checkout", "last_value"), "relative"] == 1

    model.save(tmp_path / "models", "web")
    model = Forecaster.load(tmp_path / "models", "web")

    start = history["shop/checkout"].end - timedelta(hours=3)
    found = replay(history, POLICY, forecaster=model, start=start, targets=())
    assert found.to_frame().loc["tidegate", "replica_hours"] > 0
    assert found.findings()[0].startswith("tidegate: ")
    assert found.plot().data
    assert "<td>tidegate</td>" in found._repr_html_()

    risks = sweep(history, POLICY, "trust.risk", (0.2, 0.01), forecaster=model, start=start)
    hours = risks.to_frame()["replica_hours"].xs("tidegate", level="name")
    assert hours["trust.risk = 0.01"] >= hours["trust.risk = 0.2"]
    assert hours["trust.risk = 0.01"] > 0
    assert [trace.name for trace in risks.plot().data] == ["HPA", *risks.contests]


def test_a_field_of_the_service_is_swept_as_well(history):
    start = history["shop/checkout"].end - timedelta(hours=1)

    found = sweep(history, POLICY, "start_up_s", (30.0, 300.0), start=start, targets=(0.6, 0.9))

    assert isinstance(found, Sweep)
    seconds = [one.setting.scene.model.start_up_s for one in found.contests.values()]
    assert seconds == [30.0, 300.0]
    assert len(found.plot().data) == 3  # a curve each, beside the HPA
    assert "<td>start_up_s = 300.0</td>" in found._repr_html_()


@pytest.mark.parametrize(
    ("field", "values", "says"),
    [
        pytest.param("riks", (0.1,), "'riks' is no field of a policy.*: .*trust", id="name"),
        pytest.param("trust.riks", (0.1,), "'riks' is no field of TrustRules", id="inner name"),
        pytest.param("trust.risk", (5,), "risk cannot be 5: .*", id="value"),
        pytest.param(
            "start_up_s",
            (-1.0,),
            "start_up_s is -1.0, but must be at least 0",
            id="value of the service",
        ),
        pytest.param("trust.risk", (), "no values of trust.risk", id="no values"),
    ],
)
def test_a_sweep_of_what_cannot_be_is_refused(history, field, values, says):
    start = history["shop/checkout"].end - timedelta(hours=1)
    with pytest.raises(ReplayError, match=says):
        sweep(history, POLICY, field, values, start=start)


def test_an_item_that_the_history_does_not_hold_and_a_figure_that_there_is_not_are_refused(history):
    with pytest.raises(ReplayError, match=r"no item 'no/one'.* it holds .*shop/checkout"):
        replay(history, replace(POLICY, item_id="no/one"))
    start = history["shop/checkout"].end - timedelta(hours=1)
    found = replay(history, POLICY, ReplaySettings(), start=start, targets=())
    with pytest.raises(ReplayError, match="no figure is called 'rate'; there are replicas"):
        found.plot("rate")
    with pytest.raises(ReplayError, match="no target was swept"):
        found.plot("frontier")
