"""`scaler demo`: the loop itself over one recorded day, and what it refuses."""

import json
import threading
from argparse import ArgumentParser
from datetime import timedelta

import pytest

from forecaster.adapters.tables.history_files import write_history
from forecaster.data.synthetic import generate_history
from scaler.cli import main
from scaler.commands import demo as demo_command
from scaler.commands.demo import AHEAD, BEFORE, DAY, DemoDay, demo_services, hours_of
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy
from tests.paths import ROOT

POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: NAMESPACE, name: NAME}
spec:
  capacity: {requestsPerReplica: 10, targetUtilization: 0.9}
  replicas: {min: 2, max: 60}
"""


def demo(tmp_path, history, models, *options, item=None, policy=POLICY):
    write_history(tmp_path / "history.parquet", history, ())
    namespace, name = (item or history.item_ids[0]).split("/")
    text = policy.replace("NAMESPACE", namespace).replace("NAME", name)
    (tmp_path / "policy.yaml").write_text(text)
    return main(
        [
            "demo", "--history", str(tmp_path / "history.parquet"), "--models", str(models),
            "--model", "web", "--policies", str(tmp_path / "policy.yaml"), *options,
        ]
    )  # fmt: skip


@pytest.mark.parametrize("hours", [1, pytest.param(24, marks=pytest.mark.nightly)])
def test_a_simulated_day_ends_with_a_table(tmp_path, history, models, capsys, monkeypatch, hours):
    monkeypatch.setattr(demo_command, "DAY", timedelta(hours=hours))
    assert demo(tmp_path, history, models, "--once") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert history.item_ids[0] in told
    assert "replica-hours" in told


def test_a_simulated_day_as_a_document(tmp_path, history, models, capsys, monkeypatch):
    monkeypatch.setattr(demo_command, "DAY", timedelta(minutes=15))
    assert demo(tmp_path, history, models, "--once", "-q", "-o", "json") == 0
    shown = capsys.readouterr()
    (one,) = json.loads(shown.out)
    assert (one["service"], one["seconds"], shown.err) == (history.item_ids[0], 885.0, "")
    assert one["replica_hours"] > 0


@pytest.mark.parametrize(
    ("options", "changes", "told"),
    [
        pytest.param(("--speed", "0"), {}, "--speed is 0.0, but must be above 0", id="speed"),
        pytest.param(
            ("--once",),
            {"item": "shop/nowhere"},
            "the history holds no item 'shop/nowhere'",
            id="item",
        ),
        pytest.param(("-o", "json"), {}, "-o json is of --once", id="a document of no end"),
        pytest.param(("--listen", "nowhere"), {}, "--listen is 'nowhere'", id="address"),
    ],
)
def test_what_cannot_be_shown_is_named(tmp_path, models, capsys, options, changes, told):
    history = generate_history(1, 3, step=timedelta(minutes=5), seed=1).history
    assert demo(tmp_path, history, models, *options, **changes) == 2
    assert told in capsys.readouterr().err


@pytest.fixture(scope="module")
def week():
    return generate_history(1, 7, step=timedelta(minutes=5), seed=1).history


def announced(end, *hours_before_the_end):
    stamps = [(end - timedelta(hours=hours)).timestamp() for hours in hours_before_the_end]
    return [AnnouncedEvent(f"at {at}", at, at + 3600.0, multiplier=2.0) for at in stamps]


@pytest.mark.parametrize(
    ("events", "opens"),
    [
        pytest.param((), 24.0, id="none: with the last day"),
        pytest.param((13.0,), 13.5, id="half an hour before it"),
        pytest.param((5.0, 13.0), 13.5, id="before the first"),
        pytest.param((30.0, 13.0), 13.5, id="one before the last day is over"),
        pytest.param((24.0,), 24.0, id="too early in the day"),
    ],
)
def test_the_page_opens_before_the_event_with_a_full_chart_behind_it(week, events, opens):
    end = week[week.item_ids[0]].end - week.step
    policy = Policy(
        item_id="shop/web", target="web", scale=ScalePolicy(1, 60), capacity_qps=10.0,
        events=tuple(announced(end, *events)),
    )  # fmt: skip
    hours = hours_of(week, [policy], all_at_once=False)
    assert (end - hours.opening).total_seconds() / 3600 == opens
    assert (hours.opening - hours.start, hours.end) == (BEFORE, end)


def test_all_at_once_is_the_last_day(week):
    start, opening, end = hours_of(week, [], all_at_once=True)
    assert (end - start, opening) == (DAY, end)


def test_the_floor_and_the_limit_rise_before_the_announced_traffic(tmp_path, history, models):
    """As on the demo's page, by its own policy; the event is moved into this history."""
    end = min(series.end for series in history) - history.step
    starts = end - timedelta(hours=13)
    moved = {
        "2026-02-01T11:00:00Z": starts.isoformat(),
        "2026-02-01T14:24:00Z": (starts + timedelta(hours=3)).isoformat(),
    }
    text = (ROOT / "examples/demo.yaml").read_text()
    for old, new in moved.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "demo.yaml").write_text(text)
    write_history(tmp_path / "history.parquet", history, ())
    parser = ArgumentParser()
    demo_command.add_arguments(parser)
    files = [
        "--history",
        str(tmp_path / "history.parquet"),
        "--policies",
        str(tmp_path / "demo.yaml"),
    ]
    read, services = demo_services(parser.parse_args([*files, "--model", "web"]))
    hours = hours_of(read, [one.watched.policy for one in services], all_at_once=False)
    assert hours.opening == starts - AHEAD

    day = DemoDay(str(models), read, services, hours)
    opened = day.live_until(hours.opening, threading.Event()).services["shop/checkout"]
    begun = day.live_until(starts, threading.Event()).services["shop/checkout"]
    assert begun.observed_qps < 1.3 * opened.observed_qps  # the traffic has not come yet
    assert begun.floor > 1.8 * opened.floor  # 2.4 times the demand is announced
    assert begun.published_limit.limit.qps > 1.8 * opened.published_limit.limit.qps
    chart = opened.recent.stamps
    assert chart[-1] - chart[0] == BEFORE.total_seconds() - 15.0  # of a tick
