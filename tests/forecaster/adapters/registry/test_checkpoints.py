"""The state of a run on disk: whole or not there, and of this run alone."""

import logging
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.registry.checkpoints import FileCheckpoints, fingerprint
from forecaster.data.series import History
from forecaster.errors import ConfigError
from tests.forecaster.evaluation.fitting_samples import TINY, changed, traffic

STATE = {
    "counters": np.array([1, 2, 0, np.inf]),  # before the first good epoch the best loss is inf
    "network.out.bias": np.float32([1.5, -2.0]),
    "adam.0.step": np.float32(7.0),
}


def checkpoints(path: Path, run: str = "this run", *, resume: bool = True) -> FileCheckpoints:
    return FileCheckpoints(path / "deep" / "er" / "run.safetensors", run, resume=resume)


def test_a_state_reads_back_as_it_was_saved(tmp_path):
    checkpoints(tmp_path).save(STATE)
    loaded = checkpoints(tmp_path).load()
    assert loaded.keys() == STATE.keys()
    for name, array in STATE.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name].ravel(), array.ravel())


def test_the_newest_state_replaces_the_one_before_and_leaves_no_draft(tmp_path):
    store = checkpoints(tmp_path)
    store.save(STATE)
    store.save({"counters": np.zeros(4)})
    assert store.load().keys() == {"counters"}
    assert [path.name for path in store.path.parent.iterdir()] == [store.path.name]


@pytest.mark.parametrize("resume", [True, False])
def test_without_a_state_a_run_starts_from_the_beginning(tmp_path, resume):
    assert checkpoints(tmp_path, resume=resume).load() is None


def test_a_state_is_used_only_when_asked_for(tmp_path):
    checkpoints(tmp_path).save(STATE)
    assert checkpoints(tmp_path, "any run", resume=False).load() is None


def test_the_state_of_a_finished_run_is_deleted(tmp_path):
    store = checkpoints(tmp_path)
    store.save(STATE)
    store.remove()
    store.remove()
    assert store.load() is None


def test_a_state_of_another_run_is_refused_with_the_fix(tmp_path):
    checkpoints(tmp_path).save(STATE)
    with pytest.raises(ConfigError, match=r"run.safetensors is of another run .* leave --resume"):
        checkpoints(tmp_path, "that run").load()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-5], id="cut off at the end"),
        pytest.param(lambda data: data[:20], id="cut off in the header"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\x80\x04" + data, id="a pickle"),
        pytest.param(lambda data: b"\xff" * 8 + data[8:], id="an impossible header"),
    ],
)
def test_a_truncated_state_is_refused_with_the_fix(tmp_path, damage):
    store = checkpoints(tmp_path)
    store.save(STATE)
    store.path.write_bytes(damage(store.path.read_bytes()))
    with pytest.raises(ConfigError, match=r"run.safetensors cannot be read .* remove it to begin"):
        store.load()


def test_a_folder_that_cannot_be_made_only_warns(tmp_path, caplog):
    (tmp_path / "deep").write_text("a file")
    with caplog.at_level(logging.WARNING):
        checkpoints(tmp_path).save(STATE)
    assert "no checkpoint: " in caplog.text


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from forecaster.adapters.registry.checkpoints import FileCheckpoints

store = FileCheckpoints(Path(sys.argv[1]), "this run", resume=True)
store.save({"counters": np.zeros(4)})
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
store.save({"counters": np.ones(4), "big": np.ones(10_000)})
print(store.load()["counters"].sum())
"""


def test_a_full_disk_only_warns_and_keeps_the_state_before(tmp_path):
    path = tmp_path / "run.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0.0\n"
    assert f"no checkpoint: {path}: [Errno 27] File too large" in done.stderr
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert resource.getrlimit(resource.RLIMIT_FSIZE) != (2_000, 2_000)


def test_every_sample_and_every_setting_makes_another_run():
    history = traffic(2, 2)
    first, second = history
    later = replace(first, start=first.start + first.step)
    renamed = replace(first, item_id="other/name")

    def missing(values):
        values[17] = np.nan

    runs = [
        fingerprint(history, TINY),
        fingerprint(history, replace(TINY, seed=1)),
        fingerprint(history, replace(TINY, model=replace(TINY.model, hidden_size=9))),
        *(
            fingerprint(History(items), TINY)
            for items in (
                (first,), (second, first), (later, second), (renamed, second),
                (changed(first, missing), second), (changed(first, lambda v: v[:-1]), second),
            )
        ),
    ]  # fmt: skip
    assert len(set(runs)) == len(runs)
    assert fingerprint(traffic(2, 2), TINY) == runs[0]
