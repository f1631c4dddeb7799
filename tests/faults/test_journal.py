"""A recorded run, with faults, gateways and a change of the leader, comes out again as it was."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from scaler.adapters.journal.reading import read_journal
from scaler.cli import main
from scaler.simulation.journal_replay import JournalFindings, replayed
from tests.faults.journal_gateways import gateways
from tests.faults.scene import query
from tests.forecaster.adapters.prometheus.server import failure
from tests.kube.faults import Fault, Harm
from tests.kube.waiting import eventually

pytestmark = pytest.mark.slow

CLASSES = {"classes": [{"name": "pay", "priority": 0, "guaranteed": 40}]}
SECRETS = ("hush-hush", "gw-token-1")


def wave(stamp: int) -> float:
    return 600.0 + 400.0 * math.sin(stamp / 7.0)


def found_in(folder: Path) -> JournalFindings:
    return replayed(read_journal(folder))


def test_two_leaders_journals_replay_without_a_difference(scene, tmp_path, capsys):
    scene.add("shop", wave)
    scene.add("calm", lambda _: 100.0)
    scene.ask_for("shop", limit=CLASSES)
    scene.ask_for("calm", mode="Recommend")
    first, second = tmp_path / "first", tmp_path / "second"
    with ExitStack() as stack:
        one = stack.enter_context(scene.scaler("one", "--journal", str(first)))
        url = [one.url]
        told = stack.enter_context(gateways(lambda: url[0], ("prod/shop", "prod/calm")))
        eventually(lambda: scene.guarded("shop"), 30.0)
        two = stack.enter_context(scene.scaler("two", "--journal", str(second)))
        # After a start, gateways say for a lease's length what they hold.
        eventually(lambda: 200 in told, 30.0)
        scene.prometheus.mood = lambda asked: (
            failure(500, "internal", "told to") if asked == query("shop") else None
        )
        time.sleep(2.0)
        scene.prometheus.mood = lambda _: None
        scene.server.faults.add(Fault("PATCH .*horizontalpodautoscalers/shop", Harm.DROP, times=4))
        scene.edit("shop", replicas={"min": 3, "max": 60, "leadTime": "4m"})
        time.sleep(3.0)
        one.stop()
        url[0] = two.url
        told.clear()
        eventually(lambda: scene.holder() == "two" and 200 in told, 60.0)
        time.sleep(3.0)
        two.stop()
    for folder in (first, second):
        found = found_in(folder)
        assert [str(one) for one in found.differences] == []
        assert found.ticks >= 10
        assert (found.skipped, found.cut, found.dropped) == (0, 0, 0)
        assert found.leases > 10
        assert main(["replay", "--journal", str(folder)]) == 0
        assert (
            main(["replay", "--journal", str(folder), "--service", "prod/shop", "--at", "-5s"]) == 0
        )
    printed = capsys.readouterr().out
    assert "0 differences" in printed
    assert "Gateways may admit" in printed
