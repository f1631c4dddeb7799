"""The image is what the manifests run: not root, nothing written but below /tmp."""

from __future__ import annotations

import re

import pytest

from tests.deploy.manifests import BASE, ROOT, container_of, resources, template_of

TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
LINES = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
LAST = max(index for index, (word, *_) in enumerate(LINES) if word == "FROM")
OBJECTS = resources(BASE)


def said(word: str, *, final: bool = True) -> list[str]:
    return [rest for name, rest in LINES[LAST if final else 0 :] if name == word]


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


def test_everything_installed_is_pinned():
    installs = [line for line in said("RUN", final=False) if "pip install" in line]
    assert installs
    assert all("--constraint constraints.txt" in line for line in installs)


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
    (python,) = (one for one in said("ARG", final=False) if one.startswith("PYTHON="))
    least = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert least
    assert int(python.removeprefix("PYTHON=3.")) >= int(least[1])
