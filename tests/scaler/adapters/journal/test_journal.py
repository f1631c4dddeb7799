"""A journal is bounded, is written by a thread of its own, and never costs a decision."""

from __future__ import annotations

import errno
import gzip
import logging
import random
import threading

import pytest

from scaler.adapters.journal.events import Dropped, JournalHead, LoopRemembers, Measured, TickEnded
from scaler.adapters.journal.files import LEAST_BYTES, JournalFiles, journal_files
from scaler.adapters.journal.journal import RETRY_S, Journal
from scaler.adapters.journal.lines import FORMAT
from scaler.adapters.journal.reading import read_journal
from scaler.control.memory import HistoryMemory, LoopMemory
from scaler.control.observations import ServiceMetrics
from scaler.control.snapshot import Condition, ConditionKind, PlanOutcome
from scaler.errors import JournalError
from tests.scaler.adapters.journal.recorded import RecordedScene
from tests.waiting import eventually

NOTHING = LoopMemory(0, {}, HistoryMemory({}, {}, {}), {}, {}, 0.0)


def head(first_tick=1):
    return JournalHead(FORMAT, "0", "run", first_tick, 0.0, 60.0, 15.0, 45.0, True)


def noise(i, length=6000):
    """Return an event that hardly gets shorter when it is compressed."""
    text = random.Random(i).randbytes(length // 2).hex()
    return Measured({f"prod/{i}": ServiceMetrics(float(i), fault=text)})


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class SlowFiles(JournalFiles):
    """Files that are written when they are told to go on."""

    def __init__(self, folder):
        super().__init__(folder, LEAST_BYTES)
        self.goes_on = threading.Event()

    def write(self, data):
        self.goes_on.wait(30.0)
        super().write(data)


class FullDisk(JournalFiles):
    """A disk on which so many bytes are left."""

    def __init__(self, folder, left):
        super().__init__(folder, LEAST_BYTES)
        self.left = left

    def write(self, data):
        if len(data) > self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= len(data)
        super().write(data)


def kinds(folder):
    return [[type(one) for one in file.events()] for file in read_journal(folder)]


def test_all_files_together_stay_within_the_size_and_the_latest_are_kept(tmp_path):
    files = JournalFiles(tmp_path, LEAST_BYTES)
    journal = Journal(files, rest_s=0.0)
    for i in range(500):
        if journal.due():
            journal.begin(head(i + 1), NOTHING)
        journal.put(noise(i))
        eventually(lambda: not journal.waiting)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= LEAST_BYTES
    journal.close()
    kept = read_journal(tmp_path)
    assert kept[0].head.first_tick > 1
    (*_, last) = kept[-1].events()
    assert list(last.items) == ["prod/499"]


def test_whole_files_are_compressed_and_a_killed_process_s_too(tmp_path):
    first = JournalFiles(tmp_path, LEAST_BYTES)
    first.begin()
    first.write(b"{}\n")
    first.unlock()  # killed: it has not ended its file
    second = JournalFiles(tmp_path, LEAST_BYTES)
    second.begin()
    names = [path.name for path in journal_files(tmp_path)]
    assert names == ["journal-00000001.jsonl.gz", "journal-00000002.jsonl"]
    assert gzip.decompress((tmp_path / names[0]).read_bytes()) == b"{}\n"
    second.close()


def test_two_processes_cannot_write_to_one_folder(tmp_path):
    first = JournalFiles(tmp_path, LEAST_BYTES)
    with pytest.raises(JournalError, match="another process"):
        JournalFiles(tmp_path, LEAST_BYTES)
    first.close()
    JournalFiles(tmp_path, LEAST_BYTES).close()


def test_what_comes_faster_than_it_can_be_written_leaves_a_gap_that_is_told(tmp_path, caplog):
    files, clock = SlowFiles(tmp_path), Clock()
    journal = Journal(files, clock, most_waiting=10, rest_s=0.0)
    assert journal.due()
    journal.begin(head(), NOTHING)
    with caplog.at_level(logging.WARNING):
        for i in range(40):
            journal.put(noise(i, 20))
    assert caplog.text.count("the journal has a gap") == 1
    assert journal.health() == (False, 32)  # the beginning counts too
    assert not journal.due()
    files.goes_on.set()
    eventually(lambda: not journal.waiting)
    clock.now += RETRY_S
    assert journal.due()
    journal.begin(head(9), NOTHING)
    journal.put(TickEnded(9, True, 0.1))
    assert journal.health() == (True, 32)
    journal.close()
    first, second = kinds(tmp_path)
    assert first == [LoopRemembers, *[Measured] * 8, Dropped]
    assert second == [LoopRemembers, TickEnded]
    (*_, gap) = read_journal(tmp_path)[0].events()
    assert gap.events == 32


def test_a_full_disk_is_told_once_and_tried_again(tmp_path, caplog):
    files, clock = FullDisk(tmp_path, left=3000), Clock()
    journal = Journal(files, clock, rest_s=0.0)
    for i in range(5):
        if journal.due():
            journal.begin(head(i + 1), NOTHING)
        journal.put(noise(i))
        eventually(lambda: not journal.waiting)
        clock.now += RETRY_S
    assert caplog.text.count("No space left") == 1
    assert not journal.health()[0]
    files.left = 10**6
    assert journal.due()
    journal.begin(head(6), NOTHING)
    journal.put(TickEnded(6, True, 0.1))
    journal.close()
    assert kinds(tmp_path)[-1] == [LoopRemembers, TickEnded]


def test_where_the_disk_is_full_the_oldest_file_makes_room(tmp_path):
    files = FullDisk(tmp_path, left=10**6)
    for _ in range(3):
        files.begin()
        files.write(b"{}\n")
    files.give_up(OSError(errno.ENOSPC, "full"))
    assert [path.name for path in journal_files(tmp_path)] == [
        "journal-00000002.jsonl.gz",
        "journal-00000003.jsonl",
    ]
    files.close()


@pytest.mark.parametrize(
    ("size", "words"),
    [pytest.param(1000, "needs at least", id="too small to hold anything")],
)
def test_a_size_that_holds_nothing_is_refused(tmp_path, size, words):
    with pytest.raises(JournalError, match=words):
        JournalFiles(tmp_path, size)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="no journal can be kept"):
        JournalFiles(tmp_path / "file" / "journal", LEAST_BYTES)


def test_an_event_without_a_form_costs_the_journal_not_the_caller(tmp_path, caplog):
    journal = Journal(JournalFiles(tmp_path, LEAST_BYTES))
    journal.begin(head(), NOTHING)
    journal.put(object())
    journal.close()
    assert "no journal is written" in caplog.text


def test_no_secret_of_the_world_is_in_the_files(tmp_path):
    scene = RecordedScene(11, tmp_path)
    scene.run(30)
    scene.journal.close()
    data = b"".join(gzip.decompress(path.read_bytes()) for path in journal_files(tmp_path))
    assert b"away.example" in data  # what was said is there
    for secret in (b"hush-hush", b"gw-token-1"):
        assert secret not in data


def test_a_folder_that_holds_no_journal_is_told_as_such(tmp_path):
    with pytest.raises(JournalError, match="holds no journal"):
        read_journal(tmp_path)
    with pytest.raises(JournalError, match="is no folder"):
        read_journal(tmp_path / "nowhere")


def test_a_journal_of_another_version_is_refused(tmp_path):
    journal = Journal(JournalFiles(tmp_path, LEAST_BYTES))
    journal.begin(JournalHead(99, "9.9", "r", 1, 0.0, 60.0, 15.0, 45.0, True), NOTHING)
    journal.close()
    with pytest.raises(JournalError, match=r"tidegate 9\.9 in format 99"):
        read_journal(tmp_path)


def test_whatever_fails_in_recording_costs_the_journal_alone(tmp_path, caplog):
    scene = RecordedScene(3, tmp_path, calm=True)
    scene.run(2)
    unfit = Condition(ConditionKind.READY, True, "Acted", object())
    scene.whims.apply = lambda views, now: {view.item_id: PlanOutcome((unfit,)) for view in views}
    scene.run(2)  # it cannot be written
    eventually(lambda: not scene.journal.waiting)
    scene.journal.put = None  # nor recorded, by the loop or for gateways
    snapshot = scene.tick()
    assert any(view.decision is not None for view in snapshot.services.values())
    scene.ask_for(15.0)
    scene.journal.close()
    # Once, or once more where the writer began a waiting file between two failures.
    assert caplog.text.count("no journal is written") in (1, 2)
