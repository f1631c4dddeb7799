"""The text log: no text from elsewhere makes a record of its own, and a flood is counted."""

from __future__ import annotations

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.commands.log_lines import PERIOD_S, LineFormatter, RepeatFilter, printable
from scaler.adapters.logs import JsonFormatter

HOSTILE = (
    "shop\n2026-11-30 12:00:00,000 CRITICAL scaler all is lost",
    "shop\r\nERROR",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m\x85\x0b\x0c",
    "a\u2028b\u2029c",
    "\u202eevil\u2066",
    "\ud800",
    "\x00\x7f",
)
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ \S+ ")


def logged(message: str, *given: object, fault: Exception | None = None, stack: str | None = None):
    info = (type(fault), fault, fault.__traceback__) if fault else None
    return logging.LogRecord(
        "scaler.x", logging.WARNING, "x.py", 1, message, given, info, sinfo=stack
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_from_elsewhere_stays_in_its_line(text):
    line = LineFormatter().format(logged("service=%s query failed", text))
    assert RECORD.match(line)
    assert line.isprintable()
    assert line.endswith(" query failed")


@given(st.text(alphabet=st.characters()))
def test_no_text_at_all_leaves_its_line(text):
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()
    assert len(LineFormatter().format(logged("%s", text)).splitlines()) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_traceback_is_no_record_whatever_its_error_says(text):
    try:
        try:
            raise ValueError(text)
        except ValueError as inner:
            raise RuntimeError(text) from inner
    except RuntimeError as error:
        found = LineFormatter().format(logged("a tick failed", fault=error, stack=f"Stack\n{text}"))
    first, *others = found.split("\n")
    assert RECORD.match(first)
    assert all(line.startswith("  | ") and line.isprintable() for line in others)
    assert "RuntimeError" in found
    assert "Stack" in found


@pytest.mark.parametrize("text", HOSTILE)
def test_json_stays_in_its_line_too_and_can_be_read(text):
    record = logged("service=%s", text, fault=ValueError(text))
    record.fields = {"service": text}
    line = JsonFormatter().format(record)
    assert line.isprintable()
    assert json.loads(line)["service"] == text


class Log(logging.Handler):
    """Keeps the messages that pass the filter, whose clock is ours."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.told = 0.0, []
        self.addFilter(RepeatFilter(self, lambda: self.now))

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())

    def log(self, name: str, message: str, *given: object) -> None:
        self.handle(logging.LogRecord(name, logging.ERROR, "x.py", 7, message, given, None))


FULL = "socket.accept() out of system resource\nsocket: <fd=%d>"


def test_a_flood_is_one_record_and_a_count():
    log = Log()
    for number in range(98_259):
        log.log("asyncio", FULL, number)
    assert log.told == [FULL % 0]
    log.now = PERIOD_S
    log.log("scaler.decisions", "any other record")
    count = "98258 more in 60 s: socket.accept() out of system resource"
    assert log.told[1:] == [count, "any other record"]
    log.now += PERIOD_S
    log.log("scaler.decisions", "the next one")
    assert log.told[3:] == ["the next one"]


def test_a_flood_that_goes_on_is_told_of_in_each_period():
    log = Log()
    for second in range(600):
        log.now = float(second)
        for _ in range(10):
            log.log("uvicorn.error", "Invalid HTTP request received.")
    assert len(log.told) == 19  # 10 records, and 9 counts between them
    assert log.told[1] == "599 more in 60 s: Invalid HTTP request received."


def test_what_differs_is_told_beside_the_flood():
    log = Log()
    for _ in range(3):
        log.log("asyncio", FULL, 1)
        log.log("asyncio", "Task exception was never retrieved\nfuture: %s", "x")
        log.log("grpc._cython.cygrpc", "Unexpected")
    assert len(log.told) == 3


def test_records_of_ours_are_never_left_out():
    log = Log()
    for _ in range(1000):
        log.log("scaler.control", "a tick failed")
    assert len(log.told) == 1000
