"""What every registry promises, on a local directory and on an object store."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import fsspec
import numpy as np
import pytest

from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.errors import RegistryError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def artifact(mark: int = 0) -> Artifact:
    return Artifact(
        config={"mark": mark, "quantile_levels": [0.5, 0.9]},
        tensors={"lstm.weight": np.arange(6, dtype=np.float32).reshape(2, 3) + mark},
        report={"summary": {"relative_pinball": 0.6}},
    )


class Files:
    """A registry's files, to be damaged."""

    def __init__(self, root: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(root)

    def read(self, path: str) -> bytes:
        return bytes(self._fs.cat_file(f"{self._root}/{path}"))

    def write(self, path: str, data: bytes) -> None:
        target = f"{self._root}/{path}"
        self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        self._fs.pipe_file(target, data)

    def remove(self, path: str) -> None:
        self._fs.rm(f"{self._root}/{path}", recursive=True)


@pytest.fixture(params=["directory", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "models") if request.param == "directory" else f"memory:/{tmp_path}"


@pytest.fixture
def registry(root: str) -> Registry:
    return Registry(root)


@pytest.fixture
def files(root: str) -> Files:
    return Files(root)


def saved(registry: Registry, count: int, promote: bool = True) -> Registry:
    """Return the registry after ``count`` saves of ``web``, each promoted."""
    for mark in range(1, count + 1):
        version = registry.save("web", artifact(mark), now=NOW)
        if promote:
            registry.promote("web", version)
    return registry


def test_a_loaded_artifact_is_what_was_saved(registry: Registry):
    version = registry.save("web", artifact(7), now=NOW)
    loaded = registry.load("web", version)
    assert loaded.config == artifact(7).config
    assert loaded.report == artifact(7).report
    np.testing.assert_array_equal(loaded.tensors["lstm.weight"], artifact(7).tensors["lstm.weight"])


def test_a_stored_artifact_knows_when_it_was_saved_and_how_big_it_is(
    registry: Registry, files: Files
):
    stored = saved(registry, 1).stored("web")
    assert stored.created == NOW
    assert stored.sizes["config.json"] == len(files.read("web/v0001/config.json"))


def test_versions_are_numbered_in_the_order_of_saving(registry: Registry):
    assert saved(registry, 3).versions("web") == ("v0001", "v0002", "v0003")


def test_after_version_9999_the_order_is_still_that_of_saving(registry: Registry, files: Files):
    files.write("web/v9999/checksums.json", b"{}")
    assert registry.save("web", artifact(), now=NOW) == "v10000"
    assert registry.versions("web") == ("v9999", "v10000")


def test_names_lists_every_model_that_has_a_version(registry: Registry, files: Files):
    assert registry.names() == ()
    registry.save("web", artifact(), now=NOW)
    registry.save("api.v2", artifact(), now=NOW)
    files.write("README.md", b"# Models")
    assert registry.names() == ("api.v2", "web")


def test_saving_does_not_change_the_champion(registry: Registry):
    saved(registry, 1).save("web", artifact(2), now=NOW)
    assert registry.champion("web") == "v0001"
    assert registry.load("web").config["mark"] == 1


def test_rollback_goes_back_one_promotion_at_a_time(registry: Registry):
    saved(registry, 3)
    assert [registry.rollback("web"), registry.rollback("web")] == ["v0002", "v0001"]
    with pytest.raises(RegistryError, match="no earlier champion that can be loaded; versions are"):
        registry.rollback("web")
    assert registry.champion("web") == "v0001"


def test_promoting_the_champion_again_leaves_nothing_extra_to_roll_back(registry: Registry):
    saved(registry, 2).promote("web", "v0002")
    assert registry.rollback("web") == "v0001"


def test_a_version_that_was_champion_and_then_removed_keeps_its_number(
    registry: Registry, files: Files
):
    saved(registry, 2)
    files.remove("web/v0002")
    assert registry.save("web", artifact(3), now=NOW) == "v0003"


def test_rollback_passes_over_a_former_champion_that_is_gone(
    registry: Registry, files: Files, caplog: pytest.LogCaptureFixture
):
    saved(registry, 3)
    files.remove("web/v0002")
    assert registry.rollback("web") == "v0001"
    assert "no version 'v0002' of model 'web'" in caplog.text


def test_an_intact_champion_is_served_without_a_warning(registry: Registry):
    version, served, warning = saved(registry, 2).load_champion_or_previous("web")
    assert (version, served.config["mark"], warning) == ("v0002", 2, None)


@pytest.mark.parametrize("damaged", [("v0003",), ("v0003", "v0002")], ids=["one", "two"])
def test_the_newest_intact_champion_serves_and_the_warning_names_the_fault(
    registry: Registry, files: Files, damaged: tuple[str, ...]
):
    saved(registry, 3)
    for version in damaged:
        files.write(f"web/{version}/config.json", b"{}")
    version, served, warning = registry.load_champion_or_previous("web")
    assert served.config["mark"] == int(version.removeprefix("v")) == 3 - len(damaged)
    for version in damaged:
        assert f"{version}/config.json is truncated" in str(warning)


def test_with_no_intact_champion_every_reason_is_given(registry: Registry, files: Files):
    saved(registry, 2)
    files.remove("web/v0001/config.json")
    files.remove("web/v0002/report.json")
    with pytest.raises(RegistryError, match=r"v0002/report.json is missing.*v0001/config.json is"):
        registry.load_champion_or_previous("web")


def test_hidden_files_such_as_those_of_nfs_do_no_harm(registry: Registry, files: Files):
    saved(registry, 1)
    files.write("web/v0001/.nfs0001", b"open elsewhere")
    assert registry.load("web").config["mark"] == 1


def test_a_broken_version_is_not_promoted(registry: Registry, files: Files):
    saved(registry, 1).save("web", artifact(2), now=NOW)
    files.write("web/v0002/report.json", b"edited")
    with pytest.raises(RegistryError, match=r"report.json is truncated"):
        registry.promote("web", "v0002")
    assert registry.champion("web") == "v0001"


POINTER = "web/champion.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "champion.json is not valid JSON", id="empty"),
        pytest.param(b'{"format_version": 1, "cham', "is not valid JSON", id="truncated"),
        pytest.param(b"[]", "holds list, but must hold an object", id="no object"),
        pytest.param(b'{"champion": "v0001"}', "format_version None", id="no format"),
        pytest.param(b'{"format_version": 2}', "reads up to 1; upgrade", id="newer"),
        pytest.param(
            b'{"format_version": 1, "champion": "../x", "history": []}', "must name", id="a path"
        ),
    ],
)
def test_a_champion_file_that_cannot_be_trusted_is_refused_and_left_as_it_is(
    registry: Registry, files: Files, content: bytes, message: str
):
    saved(registry, 1)
    files.write(POINTER, content)
    for use in (registry.champion, registry.load_champion_or_previous, registry.rollback):
        with pytest.raises(RegistryError, match=message):
            use("web")
    with pytest.raises(RegistryError, match=message):
        registry.promote("web", "v0001")
    assert files.read(POINTER) == content
    assert registry.save("web", artifact(), now=NOW) == "v0002"  # training is not held up


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", ".hidden", "a b", "é", "x" * 101])
def test_a_name_that_could_leave_the_registry_is_refused(registry: Registry, name: str):
    for use in (registry.versions, registry.champion, registry.load, registry.rollback):
        with pytest.raises(RegistryError, match="is no model name: it must start with a letter"):
            use(name)
    with pytest.raises(RegistryError, match="is no model name"):
        registry.save(name, artifact(), now=NOW)


@pytest.mark.parametrize("version", ["v0009", "../web/v0001", "1", "", "v0001/"])
def test_an_unknown_version_is_refused_with_those_that_exist(registry: Registry, version: str):
    saved(registry, 2)
    for use in (registry.load, registry.promote):
        with pytest.raises(RegistryError, match=r"no version .* there are: v0001, v0002"):
            use("web", version)


def test_an_unknown_model_is_refused_with_those_that_exist(registry: Registry):
    with pytest.raises(RegistryError, match=r"no model 'api' in .*; there are: none; train one"):
        registry.load("api")
    saved(registry, 1)
    with pytest.raises(RegistryError, match=r"no model 'api' in .*; there are: web; train one"):
        registry.load("api", "v0001")


def test_a_model_without_champion_says_what_can_be_promoted(registry: Registry):
    saved(registry, 2, promote=False)
    for use in (registry.load, registry.champion, registry.load_champion_or_previous):
        command = r"forecaster models promote web v0002 --models \S+"
        with pytest.raises(RegistryError, match=rf"no champion; .*: v0001, v0002; .*{command}"):
            use("web")


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(NOW.replace(tzinfo=None), id="naive"),
        pytest.param(NOW.astimezone(timezone(timedelta(hours=2))), id="not UTC"),
    ],
)
def test_only_utc_is_taken_as_the_stamp_of_a_version(registry: Registry, now: datetime):
    with pytest.raises(ValueError, match="must be aware UTC"):
        registry.save("web", artifact(), now=now)


@pytest.mark.parametrize(
    ("root", "message"),
    [
        pytest.param("", "path is empty; name a directory", id="nothing"),
        pytest.param("nope://models", "cannot open nope://models: Protocol not known", id="scheme"),
    ],
)
def test_a_registry_that_cannot_exist_is_refused(root: str, message: str):
    with pytest.raises(RegistryError, match=message):
        Registry(root)


def test_a_file_is_no_registry(tmp_path: Path):
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(RegistryError, match=r"model.pt is a file, but a registry is a directory"):
        Registry(tmp_path / "model.pt")
