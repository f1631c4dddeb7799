"""One range query against a Prometheus that works, one that fails, and servers that are none."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid
from forecaster.adapters.prometheus.client import PrometheusSource
from forecaster.adapters.prometheus.settings import Pacing, PrometheusSettings
from forecaster.errors import PrometheusError
from tests.forecaster.adapters.prometheus.server import (
    FakeSeries,
    PrometheusServer,
    Reply,
    failure,
    serving,
    success,
)

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
GRID = QueryGrid(first=1_774_742_400, step=60, count=5)
QUERY = "sum by (service) (rate(requests_total[5m]))"
SHOP = FakeSeries({"service": "shop"}, lambda stamp: str(stamp // 60 % 10))
TRUTH = {QUERY: [SHOP]}


def source(url: str, waits: list[float] | None = None, **settings: object) -> PrometheusSource:
    """A source that notes its waits instead of sleeping, without jitter."""
    noted = [] if waits is None else waits
    pacing = Pacing(sleep=noted.append, jitter=lambda: 0.0, now=lambda: NOW)
    settings = {"retries": 2, "timeout": timedelta(seconds=10), **settings}
    return PrometheusSource(PrometheusSettings(url, **settings), pacing)  # type: ignore[arg-type]


def ask(
    script: Sequence[Reply | None], waits: list[float] | None = None, **settings: object
) -> tuple[PrometheusAnswer, int]:
    """The answer to one query after the scripted replies, and how often was asked."""
    server = PrometheusServer(TRUTH, script)
    with serving(server), source(server.url, waits, **settings) as prometheus:
        return prometheus.query_range(QUERY, GRID), len(server.asked)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        pytest.param(
            failure(400, "bad_data", "1:5: parse error: unexpected <by>"),
            ["400", "1:5: parse error: unexpected <by>", QUERY, "correct the PromQL"],
            id="400 shows Prometheus's own message",
        ),
        pytest.param(
            Reply(401, b"Unauthorized\n"), ["401", "--bearer-token-file"], id="401 names the option"
        ),
        pytest.param(Reply(403, b"no\n"), ["403", "tenant"], id="403 names the tenant"),
        pytest.param(Reply(404, b"no\n"), ["404", "base URL"], id="404 asks for the base URL"),
        pytest.param(
            failure(422, "execution", "query processing would load too many samples into memory"),
            ["422", "too many samples", "--chunk-points"],
            id="422 says how to load less",
        ),
        pytest.param(Reply(418, b""), ["418", "no explanation"], id="an empty body says so"),
        pytest.param(
            Reply(200, b"<html>\x1b[31mSign in</html>"),
            ["not JSON", "Sign in", "login page"],
            id="a login page is no Prometheus",
        ),
        pytest.param(
            Reply(200, b'{"hello": 1}'), ["not a Prometheus range result"], id="other JSON"
        ),
        pytest.param(
            success({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "x"]]}]}),
            ["not a Prometheus range result"],
            id="text in place of a number",
        ),
        pytest.param(
            success({"result": [{"metric": {"a": "b"}, "histograms": []}]}),
            ["histogram", "_count"],
            id="a native histogram",
        ),
        pytest.param(
            success({"result": [{"metric": {}, "values": [[GRID.first + 30, "1"]]}]}),
            ["which is not", "multiple of the step"],
            id="a stamp off the grid",
        ),
        pytest.param(
            Reply(302, headers={"Location": "http://127.0.0.2:1/api"}),
            ["redirects to another server, http://127.0.0.2:1", "no credentials"],
            id="a redirect to another host",
        ),
    ],
)
def test_a_permanent_failure_is_not_retried(reply: Reply, words: list[str]) -> None:
    server = PrometheusServer(TRUTH, [reply])
    with serving(server), source(server.url) as prometheus:
        with pytest.raises(PrometheusError) as caught:
            prometheus.query_range(QUERY, GRID)
        assert len(server.asked) == 1
    assert [word for word in words if word not in str(caught.value)] == []
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(failure(429, "too_many", "slow down"), id="429"),
        pytest.param(failure(500, "internal", "boom"), id="500"),
        pytest.param(failure(503, "timeout", "query timed out"), id="503"),
        pytest.param(Reply(502, b"<html>Bad Gateway</html>"), id="a proxy's 502"),
        pytest.param(Reply(200, b'{"status": "success", "data": {}}', cut=15), id="half a body"),
        pytest.param(Reply(200, b'{"status": "success", "da'), id="truncated JSON"),
    ],
)
def test_a_transient_failure_is_retried(reply: Reply) -> None:
    answer, asked = ask([reply, None])
    assert (len(answer.series), asked) == (1, 2)


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("Sun, 29 Mar 2026 01:00:30 GMT", 30.0, id="a date"),
        pytest.param("Sun, 29 Mar 2026 00:00:00 GMT", 0.0, id="a date in the past"),
        pytest.param("soon", 0.0, id="nonsense counts as absent"),
    ],
)
def test_retry_after_is_honoured(field: str, seconds: float) -> None:
    waits: list[float] = []
    ask([failure(429, "too_many", "slow down", Retry_After=field)], waits)
    assert waits == [seconds]


def test_a_retry_after_that_is_too_long_ends_the_fetch_and_says_when_to_come_back() -> None:
    waits: list[float] = []
    with pytest.raises(PrometheusError, match=r"come back in 3600 s.*longest wait is 120 s"):
        ask([failure(429, "too_many", "slow down", Retry_After="3600")], waits)
    assert waits == []


def test_attempts_end_and_the_message_says_how_many_there_were() -> None:
    with pytest.raises(PrometheusError, match=r"500 .*boom \(attempt 3 of 3\)"):
        ask([failure(500, "internal", "boom")] * 3)


@given(
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 40),
    st.floats(0, 120),
)
def test_a_wait_never_passes_its_bounds(drawn: float, failures: int, retry_after_s: float) -> None:
    pacing = Pacing(jitter=lambda: drawn)
    assert retry_after_s <= pacing.wait_s(failures, retry_after_s) <= retry_after_s + 30.0


def test_a_server_that_does_not_answer_is_given_up_at_the_timeout() -> None:
    with pytest.raises(PrometheusError, match=r"no answer within 0\.2 s \(attempt 1 of 1\)"):
        ask([Reply(hold=True)], retries=0, timeout=timedelta(seconds=0.2))


def test_prometheus_gets_the_timeout_too() -> None:
    server = PrometheusServer(TRUTH)
    with serving(server), source(server.url) as prometheus:
        prometheus.query_range(QUERY, GRID)
    assert server.asked[0].params["timeout"] == "10000ms"


def test_a_closed_port_is_named_after_all_attempts() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound, but not listening: nobody else can take it
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with (
            source(url) as prometheus,
            pytest.raises(PrometheusError, match=rf"{url}: .*refused.*attempt 3 of 3"),
        ):
            prometheus.query_range(QUERY, GRID)


def test_a_host_that_does_not_exist_is_named() -> None:
    with (
        source("http://prometheus.invalid:9090", retries=0) as prometheus,
        pytest.raises(PrometheusError, match=r"prometheus\.invalid.*check the address"),
    ):
        prometheus.query_range(QUERY, GRID)


def test_samples_are_placed_by_their_stamp_and_missing_ones_are_nan() -> None:
    texts = {GRID.first + 60: "NaN", GRID.first + 120: "+Inf", GRID.first + 240: "2.5e1"}
    server = PrometheusServer({QUERY: [FakeSeries({"service": "shop"}, texts.get)]})
    with serving(server), source(server.url) as prometheus:
        (series,) = prometheus.query_range(QUERY, GRID).series
    np.testing.assert_array_equal(series.values, [np.nan, np.nan, np.inf, np.nan, 25.0])


AWAY = "receive series from Addr: 10.0.0.9:10901: context deadline exceeded"
NO_COUNTER = 'PromQL info: metric might not be a counter, name does not end in _total: "qps"'
QUANTILE = "PromQL warning: quantile value should be between 0 and 1, got 95 (1:20)"
MIXED = 'PromQL warning: encountered a mix of histograms and floats for metric name "qps"'
CORTEX = "Query result may contain partial data."
REMOTE_READ = "remote_read: remote server http://other/api/v1/read returned HTTP status 503"


@pytest.mark.parametrize(
    ("beside", "warnings", "partial"),
    [
        pytest.param({}, (), (), id="nothing"),
        pytest.param({"warnings": None, "isPartial": False}, (), (), id="nothing, at length"),
        pytest.param({"warnings": [AWAY]}, (AWAY,), (AWAY,), id="Thanos: a store is away"),
        pytest.param({"warnings": [CORTEX]}, (CORTEX,), (CORTEX,), id="Cortex"),
        pytest.param({"warnings": [REMOTE_READ]}, (REMOTE_READ,), (REMOTE_READ,), id="remote read"),
        pytest.param({"warnings": AWAY}, (AWAY,), (AWAY,), id="one that is no list"),
        pytest.param({"isPartial": True}, ("isPartial",), ("isPartial",), id="VictoriaMetrics"),
        pytest.param({"infos": [NO_COUNTER]}, (), (), id="an info of Prometheus 3"),
        pytest.param({"warnings": [NO_COUNTER]}, (NO_COUNTER,), (), id="an info of Prometheus 2"),
        pytest.param({"warnings": [QUANTILE]}, (QUANTILE,), (), id="a warning about the query"),
        pytest.param({"warnings": [MIXED]}, (MIXED,), (MIXED,), id="one that series are left out"),
        pytest.param(
            {"warnings": [NO_COUNTER, AWAY]}, (NO_COUNTER, AWAY), (AWAY,), id="one of each"
        ),
    ],
)
def test_a_partial_answer_is_told_from_remarks_on_the_query(beside, warnings, partial) -> None:
    answer, _ = ask([success({"resultType": "matrix", "result": []}, **beside)])
    assert (answer.warnings, answer.partial) == (warnings, partial)


def test_a_label_with_the_name_of_a_remark_is_none() -> None:
    found = [{"metric": {"warnings": "x", "isPartial": "true"}, "values": [[GRID.first, "1"]]}]
    answer, _ = ask([success({"resultType": "matrix", "result": found})])
    assert (len(answer.series), answer.warnings, answer.partial) == (1, (), ())


def test_a_redirect_on_the_same_server_is_followed_with_credentials(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    moved = Reply(307, headers={"Location": "/api/v1/query_range?" + _parameters()})
    server = PrometheusServer(TRUTH, [moved])
    with serving(server), source(server.url, bearer_token_file=token) as prometheus:
        answer = prometheus.query_range(QUERY, GRID)
    assert len(answer.series) == 1
    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer s3cret"] * 2


def test_a_redirect_to_another_server_carries_nothing_there() -> None:
    with serving(PrometheusServer(TRUTH)) as other:
        elsewhere = Reply(302, headers={"Location": f"{other.url}/api/v1/query_range"})
        with pytest.raises(PrometheusError, match=rf"another server, {other.url}"):
            ask([elsewhere], headers=(("X-Scope-OrgID", "team-a"),))
        assert other.asked == []


def test_a_redirect_loop_ends() -> None:
    moved = Reply(302, headers={"Location": "/api/v1/query_range"})
    with pytest.raises(PrometheusError, match="redirects"):
        ask([moved] * 60)


def _parameters() -> str:
    return f"query={QUERY}&start={GRID.first}&end={GRID.last}&step=60".replace(" ", "%20")


LONG = 'sum(rate(requests_total{pod=~"' + "|".join(f"shop-{n:06d}" for n in range(800)) + '"}[5m]))'


def test_a_query_that_is_too_long_for_a_url_is_asked_in_the_body() -> None:
    server = PrometheusServer({LONG: [SHOP]})
    with serving(server), source(server.url) as prometheus:
        assert len(prometheus.query_range(LONG, GRID).series) == 1
    (asked,) = server.asked
    assert (asked.length < 100, asked.params["query"]) == (True, LONG)


@pytest.mark.parametrize("status", [405, 414])
def test_a_long_query_that_is_refused_is_named_by_its_length(status: int) -> None:
    server = PrometheusServer(script=[Reply(status, b"<html>no</html>")])
    words = rf"\({len(LONG)} characters\).*query"
    with (
        serving(server),
        source(server.url) as prometheus,
        pytest.raises(PrometheusError, match=words) as caught,
    ):
        prometheus.query_range(LONG, GRID)
    assert len(str(caught.value)) < 500


def test_a_range_that_is_too_long_is_not_blamed_on_the_promql() -> None:
    with pytest.raises(PrometheusError, match=r"32 days; lower --chunk-points"):
        ask([failure(400, "Bad Request", "time range cannot exceed 32 days")])


def test_an_error_with_the_status_200_is_told_in_the_servers_words_and_retried() -> None:
    said = Reply(200, b'{"status": "error", "errorType": "timeout", "error": "query timed out"}')
    assert ask([said, None])[1] == 2
    with pytest.raises(PrometheusError, match="query timed out"):
        ask([said] * 3)
    refused = b'{"status": "error", "errorType": "bad_data", "error": "1:2: parse error"}'
    with pytest.raises(PrometheusError, match="parse error; correct the PromQL"):
        ask([Reply(200, refused)])
