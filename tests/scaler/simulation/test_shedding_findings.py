"""The words for what limiters came to, and figures that JSON can hold."""

import json
import math

import pytest

from scaler.simulation.interception import InterceptionResult
from scaler.simulation.shedding_findings import COLUMNS, record, row

FIGURES = InterceptionResult(
    name="AIMD",
    goodput=0.9,
    served=0.8,
    critical=0.85,
    false_rejects=0.12,
    abuse_blocked=math.nan,
    accuracy=0.88,
    attainable=0.95,
    p99_s=math.inf,
    settling_s=math.inf,
    violations=0.004,
    replica_hours=12.0,
)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        pytest.param("limiter", "AIMD", id="the name"),
        pytest.param("goodput", "0.900", id="goodput"),
        pytest.param("false rejects", "12 %", id="a share in per cent"),
        pytest.param("abuse blocked", "", id="no abuse, nothing to block"),
        pytest.param("p99", "dropped", id="more than 1 % were never answered"),
        pytest.param("settles", "never", id="it does not settle"),
        pytest.param("violations", "0.4 %", id="a small share"),
    ],
)
def test_a_limiter_s_row_says_what_it_came_to(column, told):
    assert row(FIGURES)[COLUMNS.index(column)] == told


def test_a_row_has_a_cell_for_every_column():
    assert len(row(FIGURES)) == len(COLUMNS)


def test_the_record_is_json_and_what_is_not_finite_is_null():
    found = json.loads(json.dumps(record({"flash crowd": (FIGURES,)}), allow_nan=False))
    assert found["flash crowd"]["AIMD"]["p99_s"] is None
    assert found["flash crowd"]["AIMD"]["accuracy"] == 0.88
    assert "name" not in found["flash crowd"]["AIMD"]
