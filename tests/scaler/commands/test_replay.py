"""`scaler replay`: one recorded day beside the user's autoscaler, and what it refuses."""

import io
import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster.adapters.tables.history_files import write_history
from forecaster.commands.terminal import Terminal
from forecaster.data.series import History, Series, utc
from forecaster.data.synthetic import MONDAY, SERVICES, generate
from scaler.cli import main
from scaler.commands.replay_output import print_contest
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.scaler.simulation.contest_samples import small_contest

POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: checkout}
spec:
  capacity: {requestsPerReplica: 10, targetUtilization: 0.9}
  replicas: {min: 2, max: 60}
"""


@pytest.fixture(scope="module")
def quiet():
    """Five days of a shop at five minutes, without events."""
    spec = replace(SERVICES[0], promotions=0.0, flash_crowds=0.0, deploys=0.0, outages=0.0)
    step = timedelta(minutes=5)
    return generate((spec,), MONDAY, timedelta(days=5), step=step, seed=2).history


@pytest.fixture
def replayed(tmp_path, quiet, capsys):
    """Run the command on a history and a policy; return exit code, stdout and stderr."""

    def run(*options, history=quiet, policy=POLICY):
        write_history(tmp_path / "history.parquet", history, ())
        (tmp_path / "policy.yaml").write_text(policy)
        files = "--history", str(tmp_path / "history.parquet")
        code = main(["replay", *files, "--policy", str(tmp_path / "policy.yaml"), *options])
        shown = capsys.readouterr()
        return code, " ".join(shown.out.split()), " ".join(shown.err.split())

    return run


def test_a_replay_prints_a_table_and_writes_a_page_and_a_record(replayed, tmp_path):
    page, figures = tmp_path / "replay.html", tmp_path / "replay.json"
    options = "--from", "-1d", "--no-frontier", "--workers", "1"
    code, out, _ = replayed(*options, "--report", str(page), "--json", str(figures))
    assert code == 0
    found = json.loads(figures.read_text())["contenders"]
    for name in (
        *("HPA", "KEDA prometheus", "KEDA + offset 7d", "KEDA + offset 1d", "Holt-Winters"),
        *("tidegate", "predictive scaling", "clairvoyant"),
    ):
        assert name in found
        assert name in out
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert found["clairvoyant"]["replica_hours"] < found["tidegate"]["replica_hours"]
    assert found["tidegate"]["replica_hours"] < found["HPA"]["replica_hours"]


def test_without_a_model_it_says_which_forecast_is_used(replayed):
    code, _, err = replayed("--from", "-6h", "--no-frontier", "--workers", "1")
    assert code == 0
    assert "no model is named, so Holt-Winters forecasts" in err


def test_before_the_policy_s_model_is_trained_the_one_that_ships_forecasts(replayed, tmp_path):
    history = generate(SERVICES[:1], MONDAY, timedelta(days=2), seed=2).history
    options = "--from", "-2h", "--no-frontier", "--workers", "1", "--models", str(tmp_path / "no")
    policy = POLICY.replace("spec:", "spec:\n  demand: {model: web}")
    code, _, err = replayed(*options, policy=policy, history=history)
    assert code == 0
    assert "no model 'web'" in err
    assert "The pretrained one forecasts, as in `scaler run`" in err
    assert replayed(*options, "--model", "web", history=history)[0] == 2  # it was asked for


def test_the_policy_s_model_is_used_and_a_replay_of_its_training_data_is_marked(
    models, history, tmp_path, capsys
):
    item = history.item_ids[0]
    namespace, name = item.split("/")
    policy = POLICY.replace("shop", namespace).replace("checkout", name)
    (tmp_path / "policy.yaml").write_text(
        policy.replace("spec:\n", "spec:\n  demand: {model: web}\n")
    )
    write_history(tmp_path / "history.parquet", history, ())
    code = main(
        [
            "replay", "--history", str(tmp_path / "history.parquet"), "--models", str(models),
            "--policy", str(tmp_path / "policy.yaml"), "--from", "-10d",
            "--to", "-9d", "--skip-gaps", "--no-frontier", "--workers", "1",
        ]
    )  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0
    assert "these figures flatter tidegate" in shown.err
    assert "Holt-Winters forecasts" not in shown.err


CLASSES = """
  limit: {classes: [{name: pay, priority: 0}, {name: browse, priority: 1}]}
"""


@pytest.fixture
def sparse(quiet):
    """A hundredth of the requests."""
    return History(tuple(replace(one, values=one.values / 100) for one in quiet))


def test_the_busiest_hour_goes_through_gateways_when_asked(replayed, sparse, tmp_path):
    page, figures = tmp_path / "replay.html", tmp_path / "replay.json"
    options = "--from", "-6h", "--no-frontier", "--workers", "1", "--rate-limits"
    files = "--report", str(page), "--json", str(figures)
    code, out, _ = replayed(*options, *files, history=sparse, policy=POLICY.rstrip() + CLASSES)
    assert code == 0
    found = json.loads(figures.read_text())["rate_limits"]
    assert found["seconds"] == 3600.0
    assert found["gateways"] == 2
    assert set(found["classes"]) == {"pay", "browse"}
    assert sum(one["offered"] for one in found["classes"].values()) == found["total"]["offered"]
    assert "Rate limits: 2026-" in out
    assert f"all {found['total']['offered']:,}" in out
    assert "<h2>Rate limits</h2>" in page.read_text()


MASK = 'max(ALERTS{alertname="CheckoutDown", alertstate="firing"})'
MASKED = POLICY.replace("spec:", f"spec:\n  demand: {{maskQuery: '{MASK}'}}")
DOWN = utc("2026-01-09T12:00:00Z"), utc("2026-01-09T20:00:00Z")


@pytest.fixture
def fallen(quiet):
    """Next to nothing comes in an incident of eight hours."""
    (one,) = quiet
    values = one.values.copy()
    is_down = (one.stamps >= DOWN[0].timestamp()) & (one.stamps < DOWN[1].timestamp())
    values[is_down] *= 0.1
    return History((replace(one, values=values),))


def tidegate_hours(tmp_path):
    found = json.loads((tmp_path / "replay.json").read_text())["contenders"]
    return {name: one["replica_hours"] for name, one in found.items()}


def test_what_demand_s_mask_query_marks_is_not_followed_down(replayed, fallen, tmp_path):
    options = "--from", "-1d", "--no-frontier", "--workers", "1"
    written = "--json", str(tmp_path / "replay.json")
    told, hours = {}, {}
    fires = FakeSeries(
        {}, lambda at: "1" if DOWN[0].timestamp() <= at < DOWN[1].timestamp() else None
    )
    with serving(PrometheusServer({MASK: [fires]})) as server:
        sources = {
            "nothing": (),
            "spans": ("--mask", "/".join(one.isoformat() for one in DOWN)),
            "query": ("--prometheus", server.url),
        }
        for name, given in sources.items():
            code, _, told[name] = replayed(
                *options, *given, *written, history=fallen, policy=MASKED
            )
            assert code == 0
            hours[name] = tidegate_hours(tmp_path)
    assert "a file does not hold what demand.maskQuery marks" in told["nothing"]
    assert "maskQuery" not in told["spans"] + told["query"]
    assert hours["query"] == hours["spans"]
    assert hours["spans"]["HPA"] == hours["nothing"]["HPA"]
    assert hours["spans"]["tidegate"] > 1.1 * hours["nothing"]["tidegate"]


def test_gateways_are_left_out_unless_asked_for(replayed, tmp_path):
    figures = tmp_path / "replay.json"
    options = "--from", "-6h", "--no-frontier", "--workers", "1"
    code, out, _ = replayed(*options, "--json", str(figures))
    assert code == 0
    assert json.loads(figures.read_text())["rate_limits"] is None
    assert "Rate limits" not in out


def with_gap(history, *, samples: int = 10):
    (series,) = history
    values = series.values.copy()
    values[-20 : samples - 20] = np.nan
    return History((Series(series.item_id, series.start, series.step, values),))


@pytest.mark.parametrize(
    ("options", "changes", "told"),
    [
        pytest.param(
            (),
            {"policy": POLICY.replace("checkout", "search")},
            "the history holds no item 'shop/search', which the policy is of; it holds "
            "shop/checkout",
            id="the policy is of another item",
        ),
        pytest.param(
            (),
            {"policy": POLICY + "---" + POLICY.replace("checkout", "search")},
            "holds 2 policies (shop/checkout, shop/search), but a replay is of one",
            id="two policies",
        ),
        pytest.param(
            ("--from", "2026-02-01T00:00:00Z"),
            {},
            "--from is 2026-02-01 00:00:00+00:00, but the history of shop/checkout reaches from",
            id="the history ends before the replay",
        ),
        pytest.param(
            ("--to", "2026-02-01T00:00:00Z"),
            {},
            "--to is 2026-02-01 00:00:00+00:00, but the",
            id="the history ends before the end of the replay",
        ),
        pytest.param(
            ("--from", "-1h", "--to", "-2h"), {}, "but must be before --to", id="a negative replay"
        ),
        pytest.param(
            ("--capacity", "-3"), {}, "--capacity is -3.0, but must be above 0", id="capacity < 0"
        ),
        pytest.param(("--workers", "0"), {}, "--workers is 0", id="no workers"),
        pytest.param(
            ("--model", "absent", "--models", "/nonexistent"), {}, "absent", id="no such model"
        ),
        pytest.param(
            (),
            {"policy": POLICY.replace("requestsPerReplica: 10, ", "")},
            "requestsPerReplica",
            id="nothing says what a replica sustains",
        ),
    ],
)
def test_what_cannot_be_replayed_is_named_and_nothing_is_written(
    replayed, tmp_path, options, changes, told
):
    page = tmp_path / "replay.html"
    code, out, err = replayed(*options, "--report", str(page), **changes)
    assert code == 2
    assert told in err
    assert out == ""
    assert not page.exists()


def test_a_gap_is_named_unless_it_is_to_be_skipped(replayed, quiet):
    options = "--from", "-6h", "--no-frontier", "--workers", "1"
    code, _, err = replayed(*options, history=with_gap(quiet))
    assert code == 2
    assert "the history has a gap of 0:50:00 in what is to be replayed: 10 of" in err
    assert "--skip-gaps" in err
    assert replayed(*options, "--skip-gaps", history=with_gap(quiet))[0] == 0


def test_a_gap_of_up_to_half_an_hour_is_named_and_stepped_over(replayed, quiet):
    options = "--from", "-6h", "--no-frontier", "--workers", "1"
    code, _, err = replayed(*options, history=with_gap(quiet, samples=6))
    assert code == 0
    first = quiet.series[0].end - 20 * quiet.step - quiet.step  # a sample is of the time before it
    told = f"{first:%Y-%m-%dT%H:%MZ} to {first + timedelta(minutes=30):%Y-%m-%dT%H:%MZ}"
    assert f"gaps that are stepped over, and in no figure: {told}" in err


def test_a_replay_may_end_before_the_history_does(replayed, tmp_path, quiet):
    figures = tmp_path / "replay.json"
    options = "--from", "-6h", "--to", "-4h", "--no-frontier", "--workers", "1"
    code, out, _ = replayed(*options, "--json", str(figures), history=with_gap(quiet))
    assert code == 0  # the gap lies after it
    assert "Replay: 2026-01-09 17:55 to 2026-01-09 19:55 UTC" in out


def test_the_tables_fit_into_80_columns_with_whole_names():
    console = Terminal(width=80, file=io.StringIO())
    print_contest(small_contest(), console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for found in small_contest().table:
        assert any(line.startswith(f"{found.name}  ") for line in lines)


def test_a_document_on_stdout_is_alone_there(replayed, tmp_path):
    figures, page = tmp_path / "replay.json", tmp_path / "replay.html"
    options = ("--from", "-6h", "--no-frontier", "--workers", "1", "-o", "yaml")
    code, out, err = replayed(*options, "--json", str(figures), "--report", str(page))
    assert code == 0
    assert out.startswith("extent: ")
    assert "report:" not in out
    assert f"report: {page}" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--mask", "-1d"], "--mask is '-1d'", id="mask"),
        pytest.param(
            ["--mask", "2026-01-09T12:00Z/2026-01-09T13:00Z", "--prometheus", "http://localhost"],
            "--mask and --prometheus exclude each other",
            id="two masks",
        ),
        pytest.param(["--workers", "0"], "--workers is 0", id="workers"),
        pytest.param(["--capacity", "-1"], "--capacity is -1.0", id="capacity"),
        pytest.param(["--json", "."], "--json: . cannot be written: it is a folder", id="file"),
    ],
)
def test_what_is_wrong_with_the_options_is_told_before_a_file_is_read(options, words, capsys):
    assert main(["replay", "--history", __file__, "--policy", "no.yaml", *options]) == 2
    assert words in capsys.readouterr().err
