"""A body is read up to its bounds, and what is over them is left where it is."""

from __future__ import annotations

import gzip

import pytest

from forecaster.adapters.prometheus.answers import QueryGrid
from forecaster.adapters.prometheus.bodies import (
    PIECE,
    AnswerBounds,
    LateBodyError,
    LongBodyError,
    read_body,
)
from forecaster.adapters.prometheus.client import PrometheusSource
from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.errors import PrometheusError
from tests.forecaster.adapters.prometheus.server import PrometheusServer, Reply, serving

GRID = QueryGrid(first=1_774_742_400, step=60, count=5)


class Received:
    """A body that comes in pieces, one a second by a clock of its own."""

    def __init__(self, *pieces: bytes):
        self.pieces = list(pieces)
        self.now = 0.0

    def read1(self, amt, decode_content):
        self.now += 1.0
        return self.pieces.pop(0) if self.pieces else b""


def read(raw, max_bytes=10, until=float("inf")):
    return read_body(raw, max_bytes, until, clock=lambda: raw.now)


def test_a_body_within_its_bounds_is_whole():
    assert read(Received(b"abc", b"defg", b"hij")) == b"abcdefghij"


def test_a_body_that_is_too_long_is_left_unread():
    raw = Received(b"abc", b"defghijk", b"lm", b"no")
    with pytest.raises(LongBodyError, match="longer than 10 bytes"):
        read(raw)
    assert raw.pieces == [b"lm", b"no"]


def test_a_body_that_drips_ends_in_time():
    raw = Received(*[b"a"] * 100)
    with pytest.raises(LateBodyError, match="not complete after 4 bytes"):
        read(raw, max_bytes=1000, until=3.0)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_answer_over_its_bounds_is_refused_with_the_fix_and_asked_for_once(packed):
    body = b'{"data": "' + b"a" * (50 * PIECE) + b'"}'
    headers = {"Content-Encoding": "gzip"} if packed else {}
    reply = Reply(body=gzip.compress(body) if packed else body, headers=headers)
    server = PrometheusServer(script=[reply])
    with serving(server):
        settings = PrometheusSettings(server.url, retries=3)
        with PrometheusSource(settings) as source:
            with pytest.raises(PrometheusError, match=r"longer than 100000 bytes; sum it by fewer"):
                source.query_range("qps", GRID, AnswerBounds(max_bytes=100_000))
            assert source.query_range("qps", GRID).series == ()  # the next answer is its own
    assert len(server.asked) == 2
