"""What a long command says while it works."""

import threading

import pytest

from forecaster.commands.progress import working
from tests.waiting import PATIENCE_S, eventually


@pytest.fixture
def told(capsys):
    """Return all that has been said on stderr so far."""
    said = []

    def so_far():
        said.append(capsys.readouterr().err)
        return "".join(said)

    return so_far


def test_what_lasts_is_said_again_and_again(told):
    with working("fitting", silent_s=0.01):
        eventually(lambda: told().count("fitting (") >= 3)


def test_how_much_is_done_is_said_with_it(told):
    with working("reading", silent_s=0.01) as work:
        work.now("replayed KEDA", 2, 46)
        eventually(lambda: "replayed KEDA: 2 of 46 (" in told())


def test_what_is_done_soon_is_not_worth_a_line(told):
    with working("reading", PATIENCE_S) as work:
        work.now("replayed KEDA", 2, 46)
    assert told() == ""


def test_a_line_of_its_own_is_said_at_once(told):
    with working("fitting", PATIENCE_S) as work:
        work.now("fitting", 1, 3, line="epoch 1/3")
        assert told() == "epoch 1/3\n"


def test_nothing_is_said_once_it_is_over(told):
    with working("fitting", silent_s=0.001):
        eventually(told)
    assert "progress" not in {thread.name for thread in threading.enumerate()}
