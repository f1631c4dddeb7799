"""What proves who we are may change while we run: a token, a plugin's output, a kubeconfig."""

from __future__ import annotations

import sys

import pytest

from scaler.adapters.kube.client import Request, connected
from scaler.errors import ClusterRefusedError
from tests.kube.conftest import QUICK, connect

HPAS = "/apis/autoscaling/v2/horizontalpodautoscalers"


class Credentials:
    """A kubeconfig of one kind of user, and the way in which its token is changed."""

    def __init__(self, server, folder, kind):
        self.server, self.kind = server, kind
        self.file, self.token_file = folder / "kubeconfig", folder / "token"
        self.runs = folder / "runs"
        self.rotate("old")

    def rotate(self, token):
        if self.kind == "token":
            self.file.write_text(self.server.kubeconfig(token))
        elif self.kind == "tokenFile":
            self.token_file.write_text(f"{token}\n")
            user = {"tokenFile": "token", "token": "stale"}  # a path beside the kubeconfig
            self.file.write_text(self.server.kubeconfig("", user))
        else:
            self.token_file.write_text(token)
            self.file.write_text(self.server.kubeconfig("", {"exec": self.plugin()}))

    def plugin(self):
        """Return a plugin that prints the token, and counts how often it is run."""
        answer = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1"}
        code = (
            "import json, pathlib; "
            f"open({str(self.runs)!r}, 'a').write('.'); "
            f"token = pathlib.Path({str(self.token_file)!r}).read_text(); "
            f"print(json.dumps({{**{answer!r}, 'status': {{'token': token}}}}))"
        )
        return {"apiVersion": answer["apiVersion"], "command": sys.executable, "args": ["-c", code]}

    def connected(self):
        return connected(self.file, retry_policy=QUICK)


@pytest.fixture(params=["token", "tokenFile", "exec"])
def credentials(request, server, tmp_path):
    return Credentials(server, tmp_path, request.param)


def test_a_token_that_is_rotated_is_used_without_a_restart(server, credentials):
    api = credentials.connected()
    assert api.get(HPAS)["items"] == []

    credentials.rotate("new")
    server.revoked.add("old")

    assert api.get(HPAS)["items"] == []
    assert api.stream(HPAS, 5.0, watch="true").status == 200


def test_a_watch_asks_again_too(server, credentials):
    api = credentials.connected()
    credentials.rotate("new")
    server.revoked.add("old")

    assert api.stream(HPAS, 5.0, watch="true").status == 200


def test_what_stays_refused_is_told_and_not_asked_again(server, credentials):
    api = credentials.connected()
    server.revoked.add("old")

    for _ in range(3):
        with pytest.raises(ClusterRefusedError, match="401 Unauthorized"):
            api.get(HPAS)

    assert server.count(f"GET {HPAS}") == 3
    if credentials.kind == "exec":
        assert len(credentials.runs.read_text()) == 2  # not for each request


def test_a_write_that_is_refused_is_made_once(server, credentials, tmp_path):
    api, admin = credentials.connected(), connect(server, tmp_path, "admin")
    server.grants = None
    credentials.rotate("new")
    server.revoked.add("old")
    path = "/apis/coordination.k8s.io/v1/namespaces/prod/leases"

    api.call(Request("POST", path, body=_lease("one")))

    assert len(admin.get(path)["items"]) == 1


def _lease(name):
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "prod"},
        "spec": {},
    }


def test_a_token_file_is_followed_before_the_old_token_is_refused(server, tmp_path):
    credentials = Credentials(server, tmp_path, "tokenFile")
    api = credentials.connected()
    seen = _tokens(api)
    credentials.token_file.write_text("new")

    assert (seen, _tokens(api)) == ("Bearer old", "Bearer new")


@pytest.mark.parametrize("broken", ["", None], ids=["empty", "gone"])
def test_while_a_token_file_is_being_written_the_last_token_stays(server, tmp_path, broken):
    credentials = Credentials(server, tmp_path, "tokenFile")
    api = credentials.connected()
    _tokens(api)
    if broken is None:
        credentials.token_file.unlink()
    else:
        credentials.token_file.write_text(broken)

    assert _tokens(api) == "Bearer old"


def test_a_kubeconfig_that_is_broken_when_it_is_read_again_changes_nothing(server, tmp_path):
    credentials = Credentials(server, tmp_path, "token")
    api = credentials.connected()
    credentials.file.write_text("{")
    server.revoked.add("old")
    with pytest.raises(ClusterRefusedError, match="401"):
        api.get(HPAS)

    server.revoked.discard("old")
    assert api.get(HPAS)["items"] == []


def test_a_client_certificate_is_read_again(server, tmp_path):
    """Each connection reads the files; a new client begins with new connections."""
    credentials = Credentials(server, tmp_path, "token")
    api = credentials.connected()
    before = api.api
    server.revoked.add("old")
    credentials.rotate("new")

    api.get(HPAS)

    assert api.api is not before
    assert api.api.rest_client.pool_manager is not before.rest_client.pool_manager


def _tokens(api):
    """Return the header that the next request says."""
    return api.api.configuration.auth_settings()["BearerToken"]["value"]
