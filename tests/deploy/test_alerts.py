"""Alerts fire when they should and no sooner: played through by Prometheus' own promtool.

A case gives series as promtool writes them, a sample each minute: ``1x60`` stays 1 for an hour.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_monitoring import RULES, panel_queries
from tests.missing import missing
from tests.peers.install import NotOfferedError, installed

pytestmark = pytest.mark.prometheus

TICKS = {'tidegate_tick_timestamp_seconds{instance="a"}': "0+60x900"}
LEADS = {'tidegate_leader{instance="a"}': "1x900"}
FOLLOWS = {'tidegate_leader{instance="a"}': "0x900"}

EXPIRY = 'tidegate_certificate_expiry_timestamp_seconds{use="server",instance="a"}'


def of_shop(name: str, values: str, labels: str = "") -> dict[str, str]:
    return {f'{name}{{instance="a",item="prod/shop"{labels}}}': values}


def slow(seconds: str) -> dict[str, str]:
    """All ticks, four a minute, took between half of that and all of it."""
    name = "tidegate_tick_duration_seconds_bucket"
    bounds = ("5", "10", "15", "+Inf")
    least = bounds.index(seconds)
    return {
        f'{name}{{instance="a",le="{bound}"}}': "0+4x60" if index >= least else "0x60"
        for index, bound in enumerate(bounds)
    }


@pytest.fixture(scope="module")
def promtool(tmp_path_factory) -> tuple[Path, Path]:
    """Return the program, and a folder that holds the rules as a file of Prometheus."""
    try:
        program = installed("prometheus", "promtool")
    except NotOfferedError as reason:
        missing(f"the real promtool is not offered here: {reason}")
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": RULES}))
    return program, folder


def run(program: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def count(
    promtool: tuple[Path, Path], alert: str, series: dict[str, str], expected: dict[int, int]
) -> None:
    """Assert how many alerts of this name fire after so many minutes."""
    program, folder = promtool
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "promql_expr_test": [
            {
                "expr": f"count({firing}) or vector(0)",
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for minute, value in expected.items()
        ],
    }
    file = folder / "test.yaml"
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]}
    file.write_text(yaml.safe_dump(whole))
    done = run(program, "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_every_rule(promtool):
    program, folder = promtool
    done = run(program, "check", "rules", folder / "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_every_query_of_the_dashboard(promtool, tmp_path):
    queries = [query for query in panel_queries() if not query.startswith("label_values")]
    rules = [{"record": f"panel:{index}", "expr": query} for index, query in enumerate(queries)]
    (tmp_path / "panels.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]})
    )
    done = run(promtool[0], "check", "rules", tmp_path / "panels.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("alert", "series", "minutes"),
    [
        pytest.param("TidegateDown", {}, 5, id="nothing is exposed: after 5 min"),
        pytest.param(
            "TidegateNoTick",
            # The last tick began at 600 s; at 720 s it is 120 > 90 s old, and 2 min later it fires.
            {'tidegate_tick_timestamp_seconds{instance="a"}': "0+60x10 600x60"},
            14,
            id="ticks end: 90 s, seen at the next minute, and 2 min",
        ),
        pytest.param("TidegateNoLeader", FOLLOWS, 2, id="nobody leads"),
        pytest.param(
            "TidegateTwoLeaders",
            LEADS | {'tidegate_leader{instance="b"}': "0x9 1x60"},
            12,  # the second from the 10th minute on
            id="two lead",
        ),
        pytest.param(
            "TidegateCertificateExpires",
            # 7 days (604,800 s) and 10 minutes after promtool's clock begins at 0; then an hour.
            {EXPIRY: "605400x90"},
            71,
            id="a certificate that ends within a week",
        ),
        pytest.param(
            "TidegateConnectionsRefused",
            {'tidegate_refused_connections_total{instance="a"}': "0 0+60x60"},
            7,  # the first of them is seen at the 2nd minute
            id="connections are refused",
        ),
        pytest.param("TidegateTickSlow", slow("15"), 11, id="ticks take 10 to 15 s"),
        pytest.param(
            "TidegateApiErrors",
            # A failure each 30 s: 0.033/s > 0.03 once five minutes are full, and 10 min.
            {'tidegate_api_errors_total{api="kubernetes",reason="x",instance="a"}': "0+2x60"},
            15,
            id="every second tick fails",
        ),
        pytest.param(
            "TidegateForecastStale",
            LEADS | of_shop("tidegate_forecast_age_seconds", "0+60x60"),
            16,  # 660 s > 600 s at the 11th minute, and 5 min
            id="no forecast for 10 min",
        ),
        pytest.param(
            "TidegateModelBenched",
            LEADS | of_shop("tidegate_forecast_standing", "1x900", ',standing="benched"'),
            360,
            id="benched for 6 h",
        ),
        pytest.param(
            "TidegateCoverageLow",
            LEADS | of_shop("tidegate_forecast_coverage_ratio", "0.84x900"),
            120,
            id="coverage of 0.84 for 2 h",
        ),
        pytest.param(
            "TidegateRetrainingFails",
            # 10 minutes less than 15 days (1,296,000 s) before promtool's clock begins at 0.
            {'kube_cronjob_status_last_successful_time{cronjob="tidegate-retrain"}': "-1295400x60"},
            11,
            id="no success for 15 days",
        ),
        pytest.param(
            "TidegatePolicyFails",
            LEADS | of_shop("tidegate_policy_error", "1x60"),
            10,
            id="a policy that cannot be decided on",
        ),
        pytest.param(
            "TidegatePolicyFails",
            LEADS | of_shop("tidegate_condition", "0x60", ',kind="Ready"'),
            10,
            id="a policy that is not carried out",
        ),
        pytest.param(
            "TidegateDataStale",
            LEADS | of_shop("tidegate_condition", "0x60", ',kind="DataFresh"'),
            10,
            id="no data",
        ),
        pytest.param(
            "TidegateClockApart",
            {'tidegate_clock_offset_seconds{instance="a"}': "-31x60"},
            5,
            id="a clock half a minute behind",
        ),
        pytest.param(
            "TidegateClockSet",
            {'tidegate_clock_steps_total{instance="a"}': "0x9 1x60"},
            10,
            id="a clock that was set",
        ),
        pytest.param(
            "TidegateLimitUnknown",
            LEADS | of_shop("tidegate_condition", "0x60", ',kind="LimitKnown"'),
            10,
            id="no limit is handed out",
        ),
        pytest.param(
            "TidegateFloorContested",
            LEADS | of_shop("tidegate_condition", "1x60", ',kind="FloorContested"'),
            5,
            id="a floor that is reverted",
        ),
        pytest.param(
            "TidegatePlanAboveMax",
            LEADS | of_shop("tidegate_condition", "0x60", ',kind="PlanFits"'),
            15,
            id="more is asked for than the autoscaler allows",
        ),
        pytest.param(
            "TidegateDemandHeld",
            LEADS | of_shop("tidegate_condition", "0x60", ',kind="DemandUsual"'),
            10,
            id="demand that is implausibly low",
        ),
        pytest.param(
            "TidegateLimitedByOverload",
            LEADS | of_shop("tidegate_limit_binding", "1x60", ',reason="overload"'),
            15,
            id="a limit held back for 15 min",
        ),
    ],
)
def test_an_alert_fires_after_its_time_and_not_a_minute_before(promtool, alert, series, minutes):
    count(promtool, alert, series, {minutes - 1: 0, minutes: 1})


@pytest.mark.parametrize(
    ("alert", "series"),
    [
        pytest.param("TidegateDown", TICKS, id="it ticks"),
        pytest.param(
            "TidegateClockApart",
            {'tidegate_clock_offset_seconds{instance="a"}': "29x60"},
            id="clocks that are little apart",
        ),
        pytest.param(
            "TidegateClockSet",
            {'tidegate_clock_steps_total{instance="a"}': "3x60"},
            id="no clock was set of late",
        ),
        pytest.param("TidegateNoTick", TICKS, id="it ticks each minute"),
        pytest.param("TidegateNoLeader", LEADS, id="one leads"),
        pytest.param("TidegateTwoLeaders", LEADS, id="only one leads"),
        pytest.param(
            "TidegateCertificateExpires",
            {EXPIRY: "7e5x900"},
            id="a certificate that ends in eight days",
        ),
        pytest.param(
            "TidegateConnectionsRefused",
            {'tidegate_refused_connections_total{instance="a"}': "99x900"},
            id="connections were refused once",
        ),
        pytest.param("TidegateTickSlow", slow("10"), id="ticks take 5 to 10 s"),
        pytest.param(
            "TidegateFloorContested",
            FOLLOWS | of_shop("tidegate_condition", "1x900", ',kind="FloorContested"'),
            id="a follower's view is not asked for",
        ),
        pytest.param(
            "TidegateCoverageLow",
            LEADS | of_shop("tidegate_forecast_coverage_ratio", "0.86x900"),
            id="coverage of 0.86",
        ),
        pytest.param(
            "TidegateLimitedByOverload",
            LEADS | of_shop("tidegate_limit_binding", "1x900", ',reason="capacity"'),
            id="a limit bound by capacity",
        ),
    ],
)
def test_an_alert_is_silent_when_all_is_well(promtool, alert, series):
    count(promtool, alert, series, {30: 0, 600: 0})


def test_an_alert_goes_on_when_another_replica_takes_over(promtool):
    series = {
        'tidegate_leader{instance="a"}': "1x4 0x60",
        'tidegate_leader{instance="b"}': "0x4 1x60",
        'tidegate_condition{instance="a",item="prod/shop",kind="DataFresh"}': "0x60",
        'tidegate_condition{instance="b",item="prod/shop",kind="DataFresh"}': "0x60",
    }
    count(promtool, "TidegateDataStale", series, {9: 0, 10: 1})
