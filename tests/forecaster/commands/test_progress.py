"""What a long command says while it works."""

import sys

import pytest

from forecaster.commands.progress import working
from tests.waiting import eventually


class Lines:
    """A stream that keeps what is written to it."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return False


@pytest.fixture
def told(monkeypatch):
    stream = Lines()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_what_lasts_is_said_again_and_again(told):
    with working("fitting", silent_s=0.01):
        eventually(lambda: told.text.count("fitting (") >= 3)


def test_how_much_is_done_is_said_with_it(told):
    with working("reading", silent_s=0.01) as work:
        work.now("replayed KEDA", 2, 46)
        eventually(lambda: "replayed KEDA: 2 of 46 (" in told.text)


def test_what_is_done_soon_is_not_worth_a_line(told):
    with working("reading") as work:
        work.now("replayed KEDA", 2, 46)
    assert told.text == ""


def test_a_line_of_its_own_is_said_at_once(told):
    with working("fitting") as work:
        work.now("fitting", 1, 3, line="epoch 1/3")
        assert told.text == "epoch 1/3\n"


def test_nothing_is_said_once_it_is_over(told):
    with working("fitting", silent_s=0.001):
        eventually(lambda: told.text)
    before = told.text
    with pytest.raises(AssertionError):
        eventually(lambda: told.text != before, within_s=0.05)
