"""A killed saver, a full disk, savers in a crowd: the champion serves on and nothing is lost."""

import errno
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from forecaster.adapters.registry.files import encode
from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.adapters.registry.storage import LocalStorage, ObjectStorage
from forecaster.errors import RegistryError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MUCH_LATER = NOW + timedelta(hours=2)


def artifact(mark: int) -> Artifact:
    return Artifact({"mark": mark}, {"weights": np.full(1_000, mark, np.float32)}, {})


def worker(root: Path, action: str, number: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.forecaster.adapters.registry.worker", str(root), action]
    return subprocess.Popen(
        [*command, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def drafts(root: Path) -> list[Path]:
    return list(root.glob("web/.draft-*"))


def test_whenever_a_saver_is_killed_a_whole_champion_serves(tmp_path: Path):
    output, _ = worker(tmp_path, "kill").communicate()
    steps = int(output)
    assert steps > 10  # 1 draft, 4 files, 1 rename, 1 pointer, and what is read between
    for step in range(steps):
        registry = Registry(tmp_path / str(step))
        version, served, warning = registry.load_champion_or_previous("web")
        assert (version, served.config["mark"], warning) in {("v0001", 1, None), ("v0002", 2, None)}
        for version in registry.versions("web"):
            registry.load("web", version)
        expected = f"v{len(registry.versions('web')) + 1:04d}"
        assert registry.save("web", artifact(3), now=MUCH_LATER) == expected
        assert not drafts(tmp_path / str(step))


def test_a_young_draft_may_belong_to_a_living_saver_and_stays(tmp_path: Path):
    registry = Registry(tmp_path)
    registry.save("web", artifact(1), now=NOW)
    draft = tmp_path / f"web/.draft-{int(NOW.timestamp())}-0123"
    draft.mkdir()
    registry.save("web", artifact(2), now=NOW + timedelta(minutes=59))
    assert drafts(tmp_path) == [draft]
    registry.save("web", artifact(3), now=NOW + timedelta(minutes=61))
    assert drafts(tmp_path) == []


def test_many_processes_saving_at_once_get_a_version_each_and_lose_no_promotion(tmp_path: Path):
    workers = [worker(tmp_path, "save", 5) for _ in range(4)]
    outputs = [process.communicate() for process in workers]
    assert [errors for _, errors in outputs] == [""] * 4
    versions = sorted(version for output, _ in outputs for version in output.split())
    assert versions == [f"v{number:04d}" for number in range(1, 21)]  # 4 processes x 5 saves
    pointer = json.loads((tmp_path / "web/champion.json").read_text())
    assert sorted([pointer["champion"], *pointer["history"]]) == versions


@pytest.mark.parametrize("room", [0, 100, 2_000], ids=lambda room: f"{room} bytes left")
def test_on_a_full_disk_a_save_fails_with_a_clear_message_and_changes_nothing(
    tmp_path: Path, room: int
):
    registry = Registry(tmp_path)
    registry.promote("web", registry.save("web", artifact(1), now=NOW))
    process = worker(tmp_path, "full", room)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert f"cannot save {tmp_path}/web: File too large; nothing stored has changed; free" in errors
    assert registry.versions("web") == ("v0001",)
    assert registry.load_champion_or_previous("web").warning is None
    assert not drafts(tmp_path)


@pytest.mark.parametrize("room", [0, 10], ids=lambda room: f"{room} bytes left")
def test_on_a_full_disk_a_promotion_leaves_the_champion(tmp_path: Path, room: int):
    registry = Registry(tmp_path)
    registry.promote("web", registry.save("web", artifact(1), now=NOW))
    registry.save("web", artifact(2), now=NOW)
    process = worker(tmp_path, "promote", room)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "champion.json: File too large; the champion is unchanged; free" in errors
    assert registry.champion("web") == "v0001"


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


class FailingStore(MemoryFileSystem):
    """An object store that takes so many puts, then is full or kills whoever uses it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(global_store=False, **kwargs)
        self.puts_left = 1_000
        self.failure: BaseException = OSError(errno.ENOSPC, "No space left on device")
        self._dead = False
        self.reads: list[str] = []

    def cat_file(self, path: str, **kwargs: Any) -> bytes:
        self.reads.append(path)
        return bytes(super().cat_file(path, **kwargs))

    def revive(self) -> None:
        self.puts_left, self._dead = 1_000, False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._breathe()
        if self.puts_left == 0:
            self._dead = isinstance(self.failure, Killed)
            raise self.failure
        self.puts_left -= 1
        super().pipe_file(path, value, mode=mode, **kwargs)

    def rm_file(self, path: str) -> None:
        self._breathe()
        super().rm_file(path)

    def _breathe(self) -> None:
        if self._dead:
            raise self.failure


@pytest.fixture
def store() -> FailingStore:
    return FailingStore(skip_instance_cache=True)


@pytest.fixture
def objects(store: FailingStore) -> Registry:
    registry = Registry("bucket://models", ObjectStorage(store, "/models"))
    registry.promote("web", registry.save("web", artifact(1), now=NOW))
    return registry


# A save puts a claim and four files; a promotion puts one pointer.
PUTS_OF_A_SAVE = 5


@pytest.mark.parametrize("puts", range(PUTS_OF_A_SAVE))
def test_a_full_object_store_keeps_nothing_of_a_failed_save(
    objects: Registry, store: FailingStore, puts: int
):
    before = store.find("/models")
    store.puts_left = puts
    with pytest.raises(RegistryError, match="cannot save bucket://models/web: No space left on"):
        objects.save("web", artifact(2), now=NOW)
    assert store.find("/models") == before
    assert objects.load_champion_or_previous("web").version == "v0001"


@pytest.mark.parametrize("puts", range(PUTS_OF_A_SAVE))
def test_a_saver_killed_at_an_object_store_leaves_no_version_and_is_swept_later(
    objects: Registry, store: FailingStore, puts: int
):
    before = store.find("/models")
    store.puts_left, store.failure = puts, Killed()
    with pytest.raises(Killed):
        objects.save("web", artifact(2), now=NOW)
    store.revive()
    assert objects.versions("web") == ("v0001",)
    assert objects.load_champion_or_previous("web").warning is None
    young = objects.save("web", artifact(3), now=NOW + timedelta(minutes=1))
    assert young == ("v0002" if puts == 0 else "v0003")  # the claim on v0002 still holds
    objects.save("web", artifact(4), now=MUCH_LATER)
    saves = {file.split("/")[3] for file in store.find("/models") if file not in before}
    assert saves == set(objects.versions("web")) - {"v0001"}


def test_a_failed_promotion_leaves_the_champion(objects: Registry, store: FailingStore):
    objects.save("web", artifact(2), now=NOW)
    store.puts_left = 0
    with pytest.raises(RegistryError, match=r"cannot write .*champion.json: No space .*; free"):
        objects.promote("web", "v0002")
    assert objects.champion("web") == "v0001"


def test_a_version_claimed_by_another_saver_is_not_taken(objects: Registry, store: FailingStore):
    store.pipe_file("/models/web/.claims/v0002", NOW.isoformat().encode())
    assert objects.save("web", artifact(3), now=NOW) == "v0003"


def test_a_whole_version_whose_claim_was_not_released_survives_the_sweep(
    objects: Registry, store: FailingStore
):
    store.pipe_file("/models/web/.claims/v0001", NOW.isoformat().encode())
    objects.save("web", artifact(2), now=MUCH_LATER)
    assert objects.load("web", "v0001").config == {"mark": 1}
    assert not [file for file in store.find("/models") if ".claims" in file]


def test_a_claim_with_a_nonsense_stamp_does_not_hold_up_saving(
    objects: Registry, store: FailingStore
):
    store.pipe_file("/models/web/.claims/v0002", b"\xff soon")
    assert objects.save("web", artifact(2), now=MUCH_LATER) == "v0003"


@pytest.mark.parametrize("kind", ["directory", "objects"])
def test_a_version_that_appears_meanwhile_is_not_overwritten(
    tmp_path: Path, store: FailingStore, kind: str
):
    storage = LocalStorage(tmp_path) if kind == "directory" else ObjectStorage(store, "/models")
    first, second = encode(artifact(1), NOW), encode(artifact(2), NOW)
    names = [storage.commit("web", files, 1, NOW) for files in (first, second)]  # both look for 1
    assert names == ["v0001", "v0002"]
    assert storage.read("web/v0001/config.json") == first["config.json"]


def test_a_pickle_is_refused_by_name_before_anything_is_read(
    objects: Registry, store: FailingStore
):
    store.pipe_file("/models/web/v0001/model.pt", b"\x80\x04.")
    store.reads.clear()
    with pytest.raises(RegistryError, match=r"bucket://models/web/v0001/model.pt is a pickle"):
        objects.load("web", "v0001")
    assert store.reads == []
