"""A recorded run, with faults, gateways and a change of the leader, comes out again as it was."""

from __future__ import annotations

import gzip
import math
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress

import pytest

from scaler.adapters.journal.events import Reported
from scaler.adapters.journal.reading import read_journal
from scaler.cli import main
from scaler.simulation.journal_replay import replayed
from tests.faults.journal_gateways import gateways
from tests.faults.scene import OWN_FLOOR, query
from tests.forecaster.adapters.prometheus.server import failure
from tests.kube.faults import Fault, Harm
from tests.waiting import eventually

CLASSES = {"classes": [{"name": "pay", "priority": 0, "guaranteed": 40}]}
ROOM = 1 << 30


def wave(stamp: int) -> float:
    return 600.0 + 400.0 * math.sin(stamp / 7.0)


def after_ticks(running, count: int, *, more: bool = True) -> None:
    """Wait until it has had so many ticks, or so many more: a busy machine has fewer a second."""
    until = count + (ticks(running) if more else 0)
    eventually(lambda: ticks(running) >= until)


def ticks(running) -> int:
    told = running.ask("/metrics")[1].partition("\ntidegate_tick_duration_seconds_count ")[2]
    return int(float(told.split()[0]))


def test_two_leaders_journals_replay_without_a_difference(scene, tmp_path, capsys):
    scene.add("shop", wave)
    scene.add("calm", lambda _: 100.0)
    scene.ask_for("shop", limit=CLASSES)
    scene.ask_for("calm", mode="Recommend")
    first, second = tmp_path / "first", tmp_path / "second"
    with ExitStack() as stack:
        one = stack.enter_context(scene.scaler("one", "--journal", str(first), file_bytes=ROOM))
        url = [one.url]
        told = stack.enter_context(gateways(lambda: url[0], ("prod/shop", "prod/calm")))
        eventually(lambda: scene.guarded("shop"))
        two = stack.enter_context(scene.scaler("two", "--journal", str(second), file_bytes=ROOM))
        # After a start, gateways say for a lease's length what they hold.
        eventually(lambda: 200 in told)
        scene.prometheus.mood = lambda asked: (
            failure(500, "internal", "told to") if asked == query("shop") else None
        )
        after_ticks(one, 2)
        scene.prometheus.mood = lambda _: None
        scene.server.faults.add(Fault("PATCH .*horizontalpodautoscalers/shop", Harm.DROP, times=4))
        scene.edit("shop", replicas={"min": 3, "max": 60, "leadTime": "4m"})
        after_ticks(one, 3)
        after_ticks(one, 10, more=False)
        one.stop()
        url[0] = two.url
        told.clear()
        eventually(lambda: scene.holder() == "two" and 200 in told)
        after_ticks(two, 3)
        after_ticks(two, 10, more=False)
        two.stop()
    for folder in (first, second):
        found = replayed(read_journal(folder))
        assert [str(one) for one in found.differences] == []
        assert found.ticks >= 10
        assert (found.skipped, found.cut, found.dropped) == (0, 0, 0)
        assert found.leases > 10
        events = [one for file in read_journal(folder) for one in file.events()]
        assert any(isinstance(one, Reported) and "prod/shop" in one.items for one in events)
        assert main(["replay", "--journal", str(folder)]) == 0
        assert (
            main(["replay", "--journal", str(folder), "--service", "prod/shop", "--at", "-5s"]) == 0
        )
    printed = capsys.readouterr().out
    assert "0 differences" in printed
    assert "Gateways may admit" in printed


@pytest.mark.parametrize("file_bytes", [0, 3_000])
def test_on_a_full_disk_the_journal_says_so_once_and_decisions_go_on(scene, tmp_path, file_bytes):
    scene.add("shop", lambda _: 900.0)
    scene.ask_for("shop")
    folder = tmp_path / "journal"
    with scene.scaler("one", "--journal", str(folder), file_bytes=file_bytes) as running:
        eventually(lambda: scene.floor("shop") == (23, str(OWN_FLOOR)))
        eventually(lambda: "tidegate_journal_written 0.0" in running.ask("/metrics")[1])
        ticks = "tidegate_tick_duration_seconds_count"
        before = running.ask("/metrics")[1].partition(f"{ticks} ")[2].split()[0]
        eventually(lambda: f"{ticks} {before}" not in running.ask("/metrics")[1])
        stopped = running.stop()
    assert stopped.code == 0
    assert sum("no journal is written" in line for line in running.lines) == 1


def test_no_secret_of_a_run_is_in_its_journal(scene, tmp_path):
    scene.add("shop", lambda _: 900.0)
    scene.ask_for("shop")
    folder, token, gateways_ = tmp_path / "journal", tmp_path / "token", tmp_path / "gateways"
    token.write_text("prom-hush-hush-token\n")
    gateways_.write_text("gateway-hush-hush-token\n")
    said = "https://me:user-hush-hush@elsewhere:9090 refused Authorization: Bearer abc-hush-hush"
    scene.prometheus.mood = lambda _: failure(500, "internal", said)
    options = ("--bearer-token-file", str(token), "--token-file", str(gateways_))
    with scene.scaler("one", "--journal", str(folder), *options, file_bytes=ROOM) as running:
        eventually(lambda: "DataFresh" in scene.conditions("shop"))
        request = urllib.request.Request(f"{running.url}/v1/limits/prod/shop?instance=gw-1")
        request.add_header("Authorization", "Bearer gateway-hush-hush-token")
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=10)
        running.stop()
    written = b"".join(gzip.decompress(path.read_bytes()) for path in folder.glob("*.gz"))
    assert b"prod/shop" in written
    assert b"hush-hush" not in written
