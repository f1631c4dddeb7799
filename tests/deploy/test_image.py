"""The image is what the manifests run: not root, nothing written but below /tmp."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.deploy.manifests import BASE, ROOT, container_of, resources, template_of

TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
LINES = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
RUNTIME = LINES.index(["FROM", "${BASE} AS runtime"])
OBJECTS = resources(BASE)


def said(word: str, *, final: bool = True) -> list[str]:
    return [rest for name, rest in LINES[RUNTIME if final else 0 :] if name == word]


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_the_image_and_the_manifests_name_the_same_user(kind):
    pod = template_of(OBJECTS, kind)["spec"]["securityContext"]
    assert said("USER") == [f"{pod['runAsUser']}:{pod['runAsGroup']}"]
    assert pod["fsGroup"] == pod["runAsGroup"]


def test_the_image_runs_scaler_on_the_port_of_the_manifest():
    assert said("ENTRYPOINT") == ['["scaler"]']
    (port,) = container_of(OBJECTS, "Deployment")["ports"]
    assert said("EXPOSE") == [str(port["containerPort"])]


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_home_and_caches_lie_where_the_pod_may_write(kind):
    (env,) = (line for line in said("ENV") if "HOME" in line)
    homes = {word.split("=")[1] for word in env.split() if word.startswith(("HOME", "MPL"))}
    assert homes == {"/tmp"} == set(said("WORKDIR"))
    mounts = {m["name"]: m["mountPath"] for m in container_of(OBJECTS, kind)["volumeMounts"]}
    assert mounts["tmp"] == "/tmp"


def test_what_is_installed_is_in_the_lock_by_its_hash_or_comes_with_the_source():
    installs = [line for line in said("RUN", final=False) if "pip install" in line]
    for lock, from_lock, from_source in zip(
        ("image.lock", "service.lock"), installs[::2], installs[1::2], strict=True
    ):
        assert f"--require-hashes --only-binary :all: --requirement {lock}" in from_lock
        assert "--no-deps --no-index --no-build-isolation ." in from_source


def test_the_base_is_given_by_digest_and_all_stages_stand_on_it():
    stages = said("FROM", final=False)
    assert [one for one in stages if one.startswith("${BASE}")] == [
        "${BASE} AS source",
        "${BASE} AS runtime",
    ]
    assert stages[-2:] == ["runtime AS service", "runtime"]  # the last one is built by default
    assert said("ARG", final=False)[0] == "BASE"  # nobody's digest is a default for ever
    check = next(line for line in said("RUN", final=False) if "$BASE" in line)
    for base, fits in (("python:3.11-slim", False), (f"python@sha256:{64 * 'a'}", True)):
        done = subprocess.run(["sh", "-c", check], env={"BASE": base}, check=False)
        assert (done.returncode == 0) is fits


def test_no_package_index_is_named():
    """Where packages come from is pip's own configuration, handed in when the image is built."""
    assert "://" not in TEXT


def test_what_is_copied_is_there_and_is_let_through():
    copied = [
        word
        for line in said("COPY", final=False)
        if not line.startswith("--from")
        for word in line.split()[:-1]
    ]
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert {line[1:] for line in ignored if line.startswith("!")} == set(copied)
    assert "*" in ignored


def test_the_image_has_a_python_that_the_package_supports():
    python = re.search(r"^IMAGE_PYTHON := 3\.(\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    least = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert python
    assert least
    assert int(python[1]) >= int(least[1])
