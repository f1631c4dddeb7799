"""`scaler get` as its user meets it: against an endpoint, a cluster and a journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.kube.policy_records import policy_record
from scaler.cli import main
from scaler.commands import get
from scaler.commands.get_output import COLUMNS, RecordTable, with_totals
from tests.kube.conftest import Playground, connect, install_crd
from tests.kube.grants import shipped_grants
from tests.kube.objects import policy
from tests.kube.server import serving
from tests.paths import ROOT
from tests.scaler.adapters.http.conftest import served
from tests.scaler.adapters.http.snapshots import AT, snapshot, view

POLICIES = """\
NAMESPACE  NAME           MODE     FLOOR  PLAN  DEMAND  LIMIT  TRUSTED  AGE
pay        ledger         Enforce  3      3     118.1   150    false    0s
shop       checkout-page  Enforce  8      8     976.5   1,240  true     0s
"""
LIMITS = """\
NAMESPACE  NAME           LIMIT  BOUND-BY  READY  PER-REPLICA  SAFE   AGE
pay        ledger         150    capacity  3      50           150    0s
shop       checkout-page  1,240  capacity  8      155          1,240  0s
"""
FORECASTS = """\
NAMESPACE  NAME           MODEL   TRUST    COVERED  P50     P90     AGE
pay        ledger         <none>  <none>   <none>   <none>  <none>  <unknown>
shop       checkout-page  lstm/3  trusted  95%      1,100   1,460   0s
"""
TWO = (
    view("shop/checkout-page"),
    replace(view("pay/ledger", ready=3, each_qps=50.0), forecast=None),
)


@pytest.fixture(scope="module")
def endpoint():
    with served() as running:
        running.holder.publish(snapshot(*TWO))
        yield running


@pytest.fixture
def got(endpoint, capsys):
    """Run the command against the endpoint; return exit code, stdout and stderr."""

    def run(*options: str) -> tuple[int, str, str]:
        code = main(["get", *options, "--endpoint", endpoint.server.url])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        pytest.param([], POLICIES, id="policies unless another kind is named"),
        pytest.param(["policies"], POLICIES, id="policies"),
        pytest.param(["dp", "-A"], POLICIES, id="kubectl's short name"),
        pytest.param(["limits"], LIMITS, id="limits"),
        pytest.param(["limit"], LIMITS, id="the singular"),
        pytest.param(["forecasts"], FORECASTS, id="forecasts"),
    ],
)
def test_a_kind_is_a_table_of_80_columns_as_kubectl_prints_it(got, kind, table):
    assert got(*kind) == (0, table, "")
    assert max(map(len, table.splitlines())) <= 80


def test_savings_end_in_what_all_have_saved_in_each_currency():
    def record(name, amount, low, high, currency):
        saved = {"amount": amount, "low": low, "high": high, "currency": currency, "days": 9}
        return {"service": f"shop/{name}", "saved": saved}

    shown = with_totals(
        [
            record("a", 5.0, 4.0, 6.0, "EUR"),
            record("b", -2.0, -3.0, -1.0, "EUR"),
            record("c", 1.0, None, None, "USD"),
            {"service": "shop/d", "saved": None},
        ]
    )
    assert [one["service"] for one in shown[4:]] == ["*/total", "*/total"]
    assert [one["saved"] for one in shown[4:]] == [
        {"currency": "EUR", "amount": 3.0, "low": 1.0, "high": 5.0},
        {"currency": "USD", "amount": 1.0, "low": None, "high": None},
    ]


def lines(table: str, *places: int) -> str:
    return "".join(line.rstrip() + "\n" for line in map(table.splitlines().__getitem__, places))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["policies", "-n", "shop"], id="a namespace"),
        pytest.param(["policies", "shop/checkout-page"], id="one"),
        pytest.param(["policies", "checkout-page", "-n", "shop"], id="one, as kubectl has it"),
        pytest.param(["policies", "checkout-page"], id="by its name alone"),
    ],
)
def test_what_is_asked_for_is_shown_alone(got, options):
    assert got(*options) == (0, lines(POLICIES, 0, 2), "")


def test_a_long_name_is_whole_and_the_line_is_as_long_as_it_has_to_be():
    name = "a-rather-long-namespace/a-service-whose-name-is-long-too"
    table = RecordTable(COLUMNS["policies"])
    _, line = table.lines([{"service": name, "mode": "Enforce"}], AT)
    assert line.split() == [*name.split("/"), "Enforce", *["<none>"] * 5, "<unknown>"]


def test_a_namespace_without_any_is_told_beside_an_empty_table(got):
    assert got("-n", "nowhere") == (0, "", "no policies found in nowhere\n")
    assert got("-n", "nowhere", "-o", "json")[:2] == (0, "[]\n")


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_document_holds_what_the_endpoint_tells(got, endpoint, form, read):
    _, out, _ = got("limits", "-o", form)
    assert read(out) == [
        endpoint.client.get(f"/v1/services/{name}").json()
        for name in ("pay/ledger", "shop/checkout-page")
    ]


def test_of_one_that_is_named_the_document_is_no_list(got):
    _, out, _ = got("dp", "pay/ledger", "-o", "json")
    assert json.loads(out)["service"] == "pay/ledger"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(
            ["dp", "shop/none"], "there is no 'shop/none'; there is pay/ledger", id="no such"
        ),
        pytest.param(["dp", "shop/a", "-n", "pay"], "which is not in -n pay", id="two namespaces"),
        pytest.param(
            ["--kubeconfig", "x"], "--endpoint and --kubeconfig exclude", id="two sources"
        ),
        pytest.param(["--at", "03:12"], "--at needs --journal", id="the past"),
        pytest.param(["--token-file", "none"], "no token can be read", id="no token file"),
    ],
)
def test_what_cannot_be_shown_is_refused(got, options, words):
    code, out, err = got(*options)
    assert (code, out) == (2, "")
    assert words in err


class Redirecting(BaseHTTPRequestHandler):
    """Sends everybody away."""

    def do_GET(self) -> None:
        self.send_response(301)
        self.send_header("Location", "http://elsewhere.example/login")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_redirect_is_told_and_not_followed(capsys):
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert main(["get", "--endpoint", f"http://127.0.0.1:{server.server_port}"]) == 2
        server.shutdown()
    err = capsys.readouterr().err
    assert "301 " in err
    assert "redirects to http://elsewhere.example/login; if that is tidegate's, give it as" in err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("http://127.0.0.1:1", "does not answer: ", id="nobody there"),
        pytest.param("127.0.0.1:8080", "must look like http://127.0.0.1:8080", id="no URL"),
        pytest.param("http://[", "must look like", id="a broken URL"),
    ],
)
def test_an_endpoint_that_does_not_answer_is_told_with_what_to_check(url, words, capsys):
    assert main(["get", "--endpoint", url]) == 2
    assert words in capsys.readouterr().err


def test_a_token_is_asked_for_and_shows_its_namespaces_alone(tmp_path, capsys):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{'a' * 32} role=read namespaces=shop\n{'b' * 32} role=metrics\n")
    with served(ApiSettings(learns_shares=False, tokens=tokens)) as running:
        running.holder.publish(snapshot(*TWO))

        def run(*options: str) -> tuple[int, str, str]:
            code = main(["get", "--endpoint", running.server.url, *options])
            return code, *capsys.readouterr()

        def with_token(text: str) -> tuple[int, str, str]:
            (tmp_path / "token").write_text(text)
            return run("--token-file", str(tmp_path / "token"))

        code, _, err = run()
        assert code == 2
        assert "401 " in err
        assert "give --token-file" in err
        assert with_token("a" * 32) == (0, lines(POLICIES, 0, 2), "")
        code, _, err = with_token("b" * 32)
        assert code == 2
        assert "403 " in err


class Interrupted:
    """In place of sleep: publishes the next snapshot, and interrupts when there is none left."""

    def __init__(self, endpoint, *snapshots):
        self._endpoint, self._snapshots = endpoint, iter(snapshots)

    def __call__(self, _seconds: float) -> None:
        try:
            self._endpoint.holder.publish(next(self._snapshots))
        except StopIteration:
            raise KeyboardInterrupt from None


def watched(endpoint, sleep, *options):
    parser = get.argparse.ArgumentParser()
    get.add_arguments(parser)
    args = parser.parse_args(["-w", "--endpoint", endpoint.server.url, *options])
    with pytest.raises(KeyboardInterrupt):
        get.run(args, sleep=sleep)


def test_a_watch_prints_a_line_for_what_has_changed_alone(capsys):
    with served() as running:
        running.holder.publish(snapshot(*TWO))
        more = replace(TWO[0], floor=9)
        older = snapshot(*TWO, tick=2)  # the same, decided anew
        watched(running, Interrupted(running, older, snapshot(more, TWO[1], tick=3)))
    assert capsys.readouterr().out == (
        POLICIES + "shop       checkout-page  Enforce  9      8     976.5   1,240  true     0s\n"
    )


def test_a_watch_prints_documents_one_by_one(capsys):
    with served() as running:
        running.holder.publish(snapshot(*TWO))
        more = snapshot(replace(TWO[0], floor=9), TWO[1], tick=2)
        watched(running, Interrupted(running, more), "-o", "yaml")
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [(one["service"], one["floor"]) for one in found] == [
        ("pay/ledger", 3),
        ("shop/checkout-page", 8),
        ("shop/checkout-page", 9),
    ]


def test_a_watch_ends_on_an_interrupt_with_130():
    with served() as running:
        running.holder.publish(snapshot(*TWO))
        command = [sys.executable, "-m", "scaler", "get", "-w", "--endpoint", running.server.url]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # A shell that starts the tests in the background has them ignore interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
        ) as process:  # fmt: skip
            assert process.stdout is not None
            first = [process.stdout.readline() for _ in range(3)]
            running.holder.publish(snapshot(replace(TWO[0], floor=9), TWO[1], tick=2))
            changed = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
    assert "".join(first) == POLICIES
    assert changed.split()[:4] == ["shop", "checkout-page", "Enforce", "9"]
    assert (process.returncode, said) == (130, "scaler get: interrupted\n")


STATUS = {
    "observedGeneration": 1,
    "floor": 6,
    "plan": 7,
    "demandQps": 263.0,
    "limitQps": 300.0,
    "trusted": True,
    "reasons": {"demand": "forecast", "plan": "stabilized", "limit": "ceiling"},
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Recommending",
            "message": "",
            "lastTransitionTime": "2026-03-02T09:00:00Z",
        },
        {
            "type": "DataFresh",
            "status": "False",
            "reason": "NoSample",
            "message": "the query has no sample now",
            "lastTransitionTime": "2026-03-02T09:00:00Z",
        },
    ],
}


@pytest.fixture
def cluster(tmp_path):
    """Yield the options that name a cluster with two policies, one of them not decided on."""
    with serving(shipped_grants()) as server:
        admin = connect(server, tmp_path, "admin")
        install_crd(admin)
        ground = Playground(admin, admin, "prod", server)
        listing = ground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1")
        ground.put(listing, policy("web"))
        ground.put(listing, {**policy("shop"), "status": STATUS})
        connect(server, tmp_path)
        yield "--kubeconfig", str(tmp_path / "tidegate.kubeconfig")


def test_a_cluster_is_shown_by_the_status_of_its_policies(cluster, capsys):
    assert main(["get", *cluster, "-n", "prod"]) == 0
    head, shop, web = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == POLICIES.split("\n", 1)[0].split()
    assert shop[:-1] == ["prod", "shop", "Recommend", "6", "7", "263", "300", "true"]
    assert shop[-1] != "<unknown>"  # since it was created
    assert web[:-1] == ["prod", "web", "Recommend", *["<none>"] * 5]


def test_what_a_cluster_does_not_know_is_none(cluster, capsys):
    assert main(["get", "limits", "shop", *cluster]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        *("prod", "shop", "300", "ceiling", "<none>", "<none>", "<none>", "<unknown>")
    ]


def test_a_document_of_a_cluster_holds_the_reasons(cluster, capsys):
    assert main(["get", "dp", "prod/shop", *cluster, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reasons"], found["binding"]) == (STATUS["reasons"], "ceiling")


def test_why_tells_what_a_cluster_knows_and_its_reasons(cluster, capsys):
    assert main(["why", "shop", "-n", "prod", *cluster]) == 0
    told = capsys.readouterr().out
    assert [line.rstrip() for line in told.splitlines()] == [
        "prod/shop",
        "Be ready for 263 requests per second: the forecast of the highest demand over",
        "the lead time.",
        "The plan is 7 replicas: more were wanted within the stabilization window.",
        "The floor that stands is 6 replicas: in mode Recommend it is left as it is.",
        "Gateways may admit 300 requests per second: the policy's ceiling.",
        "The forecast is acted on.",
        "DataFresh is False, NoSample: the query has no sample now",
    ]
    assert main(["why", "prod/web", *cluster]) == 0
    assert "No decision: its status is empty" in capsys.readouterr().out
    assert main(["why", "prod/none", *cluster]) == 2
    assert "404" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "sentences"),
    [
        pytest.param(
            {"plan": 7, "floor": 6, "demandQps": 263.0, "limitQps": 300.0},
            [
                "Be ready for 263 requests per second.",
                "The plan is 7 replicas.",
                "The floor that stands is 6 replicas.",
                "Gateways may admit 300 requests per second.",
            ],
            id="of a version that kept no reasons",
        ),
        pytest.param(
            {"plan": 7, "reasons": {"demand": "stars", "plan": "moonlight"}},
            [
                "The demand to be ready for is not known: stars.",
                "The plan is 7 replicas: moonlight.",
            ],
            id="an unknown demand, and reasons of a newer version",
        ),
    ],
)
def test_a_status_of_another_version_is_told_too(status, sentences):
    assert policy_record({**policy("shop"), "status": status})["words"] == sentences


@pytest.fixture
def journal(recorded):
    return str(recorded)


def test_a_journal_is_shown_at_a_moment(journal, capsys):
    assert main(["get", "--journal", journal, "--at", "09:08", "-n", "prod"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in shown[1:]] == ["blind", "learns", "plain", "rich"]
    assert main(["get", "limits", "plain", "--journal", journal]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("prod       plain  ")
    assert main(["get", "-w", "--journal", journal]) == 2
    assert "--watch and --journal exclude each other" in capsys.readouterr().err


def test_help_of_what_asks_loads_nothing_heavy():
    code = (
        "import contextlib, io, sys; from scaler.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['get', '--endpoint', 'http://127.0.0.1:1'])\n"
        "heavy = {'fastapi', 'kubernetes', 'numpy', 'pandas', 'pydantic', 'torch', 'yaml'}\n"
        "print(heavy & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # noqa: TID251 - of the process that runs it
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "set()\n"
