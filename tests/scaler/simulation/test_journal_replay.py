"""What was recorded comes out again: from the beginning, and from the beginning of any file."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scaler.adapters.journal.events import Reported
from scaler.adapters.journal.plain_values import from_plain_value, to_plain_value
from scaler.adapters.journal.reading import read_journal
from scaler.control.memory import LoopMemory
from scaler.decision.demand import DemandReason
from scaler.simulation.journal_ports import JournalPorts
from scaler.simulation.journal_replay import replayed
from tests.scaler.adapters.journal.recorded import RecordedScene

TICKS = 60


def recorded(folder, seed, ticks=TICKS, *, elects=False):
    scene = RecordedScene(seed, folder, elects=elects)
    scene.run(ticks)
    scene.journal.close()
    return scene


def reasons_of(snapshot):
    return {one.reason for view in snapshot.services.values() for one in view.conditions}


def told(findings):
    return [str(one) for one in findings.differences]


@pytest.mark.parametrize("elects", [False, True], ids=["alone", "in an election"])
@settings(max_examples=2, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_happens_comes_out_again(seed, elects, tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    recorded(folder, seed, elects=elects)
    files = read_journal(folder)
    reasons: set[str] = set()
    whole = replayed(files, lambda tick: reasons.update(reasons_of(tick.snapshot)))
    assert told(whole) == []
    assert "Implausible" in reasons  # what was doubted then is doubted again
    assert any(isinstance(event, Reported) for file in files for event in file.events())
    assert (whole.ticks, whole.skipped, whole.cut, whole.dropped) == (TICKS, 0, 0, 0)
    assert len(files) > 2
    # The oldest files may be gone: each begins with all that is needed.
    for first in range(1, len(files), 6):
        later = replayed(files[first:])
        assert told(later) == []
        assert later.ticks == TICKS + 1 - files[first].head.first_tick


def test_what_the_loop_remembers_survives_a_file_to_the_last_bit(tmp_path):
    scene = recorded(tmp_path, seed=3, ticks=60)
    plain = to_plain_value(scene.loop.memory())
    read = from_plain_value(LoopMemory, json.loads(json.dumps(plain)))
    assert to_plain_value(read) == plain


@pytest.fixture(scope="module")
def seventh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seventh")
    recorded(folder, seed=7)
    return folder


@pytest.fixture
def journal(seventh, tmp_path):
    return Path(shutil.copytree(seventh, tmp_path / "journal"))


def edit(folder, kind, change):
    """Change the first line of a kind that ``change`` returns something else for."""
    for path in sorted(folder.glob("*.gz")):
        lines = gzip.decompress(path.read_bytes()).splitlines()
        for place, line in enumerate(lines):
            plain = json.loads(line)
            if plain["k"] == kind and change(plain):
                lines[place] = json.dumps(plain).encode()
                path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
                return
    raise AssertionError(f"there is no {kind}")


def put(plain, value, *path):
    *way, last = path
    for key in way:
        plain = plain.get(key, {})
    if last not in plain:
        return False
    plain[last] = value
    return True


@pytest.mark.parametrize(
    ("kind", "path", "value", "what"),
    [
        pytest.param("decide", ("items", "prod/plain", "floor"), 57, "floor", id="a floor"),
        pytest.param(
            "decide", ("items", "prod/plain", "floor_reason"), "x", "floor_reason", id="a reason"
        ),
        pytest.param("decide", ("items", "prod/rich", "limit_qps"), 1.0, "limit_qps", id="a limit"),
        pytest.param(
            "measure", ("items", "prod/plain", "observed_qps"), 777.0, "observed_qps", id="an input"
        ),
        pytest.param("lease", ("refused",), "503 no", "refusal", id="a refusal"),
    ],
)
def test_what_comes_out_otherwise_is_told(journal, kind, path, value, what):
    edit(journal, kind, lambda plain: put(plain, value, *path))
    assert what in {one.what for one in replayed(read_journal(journal)).differences}


def test_a_lease_that_comes_out_otherwise_is_told(journal):
    def other(plain):
        if not plain.get("told") or isinstance(plain["told"][0], str):
            return False
        plain["told"][0]["body"] = "0123"
        return True

    edit(journal, "lease", other)
    (found, *_) = replayed(read_journal(journal)).differences
    assert (found.what, "gateway gw-" in found.whom) == ("lease", True)


def test_what_is_remembered_between_two_files_is_held_to_what_was(journal):
    second = read_journal(journal)[1].head.first_tick

    def forgetful(plain):
        return plain["memory"]["ticks"] == second - 1 and put(plain, 0.0, "memory", "renewed_at")

    edit(journal, "loop", forgetful)
    assert "memory of renewed_at" in {
        one.what for one in replayed(read_journal(journal)).differences
    }


def test_the_end_of_a_file_that_was_cut_is_left_out(journal):
    files = read_journal(journal)
    lasts = [after.head.first_tick for after in files[1:]]
    longest = max(range(len(lasts)), key=lambda i: lasts[i] - files[i].head.first_tick)
    path = files[longest].path
    data = gzip.decompress(path.read_bytes())
    path.unlink()
    path.with_suffix("").write_bytes(data[: len(data) // 2])
    found = replayed(read_journal(journal))
    assert told(found) == []
    assert 0 < found.ticks < TICKS


def test_a_file_that_is_missing_leaves_the_others(journal):
    files = read_journal(journal)
    files[1].path.unlink()
    found = replayed(read_journal(journal))
    assert told(found) == []
    assert found.ticks == TICKS - (files[2].head.first_tick - files[1].head.first_tick)


def test_a_journal_of_before_seasonal_lows_knows_none():
    ports = JournalPorts()
    ports.begin(1, [])
    assert np.isnan(ports.seasonal_lows(np.zeros((2, 7, 31)))).tolist() == [True, True]
    ports.end()
    assert ports.differences == []


def test_what_is_held_comes_out_again_from_any_file(tmp_path):
    scene = RecordedScene(11, tmp_path, calm=True)
    scene.run(20)
    scene.whims.upstream_is_away = True
    scene.run(60)
    scene.journal.close()
    files, reasons = read_journal(tmp_path), []

    def note(tick):
        views = tick.snapshot.services.values()
        reasons.extend(v.decision.demand.reason for v in views if v.decision is not None)

    for first in (0, len(files) - 1):
        reasons.clear()
        assert told(replayed(files[first:], note)) == []
        assert DemandReason.HELD in reasons
