"""`scaler check-config` as its user meets it."""

from __future__ import annotations

import json

import pytest
import yaml

from scaler.cli import main
from tests.paths import ROOT
from tests.scaler.policy.samples import bare, text

EXAMPLES = ROOT / "examples" / "policies"


@pytest.fixture
def policy(tmp_path):
    return tmp_path / "policy.yaml"


def test_the_examples_are_right(capsys):
    assert main(["check-config", str(EXAMPLES)]) == 0

    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out == (
        "shop/checkout: Recommend, 2 to 60 replicas, 55 requests/s each, risk 0.05 "
        f"({EXAMPLES / 'checkout.yaml'})\n"
        "shop/search: Recommend, 3 to 40 replicas, 120 requests/s each, risk 0.05, 2 events, "
        f"3 classes ({EXAMPLES / 'search.yaml'})\n"
    )


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_document_holds_what_is_right_and_what_is_wrong(policy, capsys, form, read):
    policy.write_text(text("demand: {query: up}") + "---\n" + text("nonsense: 1"))
    code = main(["check-config", str(policy), "-o", form, "--enforce-namespace-label", "ns"])
    shown = capsys.readouterr()
    found = read(shown.out)
    (one,), (fault,) = found["policies"], found["faults"]
    assert (code, one["service"], found["tokens"]) == (2, "shop/checkout", None)
    assert one["asked_as"] == {"spec.demand.query": 'up{ns="shop"}'}
    assert one["warnings"][0].startswith("spec.demand.model names no forecaster")
    assert "nonsense" in fault
    assert fault in shown.err


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        pytest.param("{query: up}", "spec.demand.model names no forecaster", id="no model"),
        pytest.param(
            "{model: web, query: 'sum(rate(x_total[1m])'}",
            "spec.demand.query is no valid PromQL: ", id="no PromQL",
        ),
        pytest.param(
            "{model: web, query: sum(x_total)}",
            "spec.demand.query asks for the raw counter x_total; ask for its rate: rate(x_tot",
            id="a raw counter",
        ),
        pytest.param(
            "{model: web, query: up, maskQuery: max(ALERTS}",
            "spec.demand.maskQuery is no valid PromQL: ", id="a mask that is no PromQL",
        ),
    ],
)  # fmt: skip
def test_what_can_hardly_be_meant_is_warned_of(policy, demand, words, capsys):
    policy.write_text(text(f"demand: {demand}"))
    assert main(["check-config", str(policy)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {policy}: {words}")


def test_what_a_policy_leaves_open_is_printed(policy, capsys):
    policy.write_text(bare("slo: {query: up}\nreplicas: {max: 9}\nmode: Enforce"))

    assert main(["check-config", str(policy)]) == 0
    assert capsys.readouterr().out == (
        "shop/checkout: Enforce, 1 to 9 replicas, learned capacity, risk 0.05, "
        f"replay only (no demand.query) ({policy})\n"
    )


def test_a_wrong_policy_is_reported_with_every_fault(policy, capsys):
    policy.write_text(bare("capacity: {requestsPerReplica: -1}\nreplicas: {min: 5, max: 2}"))

    code, shown = main(["check-config", str(policy)]), capsys.readouterr()

    assert code == 2
    assert shown.out == ""
    assert shown.err == (
        f"scaler check-config: {policy} is wrong:\n"
        "  spec.capacity.requestsPerReplica: must be above 0 (got -1, line 5)\n"
        "  spec.replicas.max: must be at least min, which is 5 (got 2, line 6); swap the two?\n"
    )


def test_valid_policies_are_printed_beside_invalid_ones(tmp_path, policy, capsys):
    policy.write_text(f"{text('demand: {model: web}')}---\n{text('mode: Off')}")
    missing = tmp_path / "missing.yaml"

    code, shown = main(["check-config", str(policy), str(missing)]), capsys.readouterr()

    assert code == 2
    assert shown.out.startswith("shop/checkout: Recommend")
    assert shown.err.startswith("scaler check-config: 2 of 3 cannot be used\n")
    assert f"{policy}, document 2 is wrong:\n  spec.mode" in shown.err
    assert f"{missing} does not exist" in shown.err


def test_nothing_is_written(tmp_path, policy):
    policy.write_text(text())
    main(["check-config", str(tmp_path)])

    assert [*tmp_path.iterdir()] == [policy]


def test_a_token_file_is_checked_beside_policies(tmp_path, policy, capsys):
    policy.write_text(text())
    tokens = tmp_path / "tokens"
    tokens.write_text("secret role=read\ncert:gw role=gateway\nsecond\n")
    tokens.chmod(0o644)

    assert main(["check-config", str(policy), "--token-file", str(tokens)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{tokens}: 3 tokens and certificates\nshop/checkout: ")
    first, second = shown.err.splitlines()[:2]
    assert first.startswith(
        f"warning: tokens can be read by everybody on this machine path={tokens}"
    )
    assert second.startswith(f"warning: tokens without a role path={tokens} lines=3: ")
    assert "secret" not in shown.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("secret rol=read\n", "line 1: word 2 must be one of", id="a wrong line"),
        pytest.param("# none\n", "holds no token", id="none"),
        pytest.param(None, "tokens cannot be read from", id="no file"),
    ],
)
def test_a_wrong_token_file_is_reported(tmp_path, capsys, content, words):
    tokens = tmp_path / "tokens"
    if content is not None:
        tokens.write_text(content)

    assert main(["check-config", "--token-file", str(tokens)]) == 2
    assert words in capsys.readouterr().err


def test_with_nothing_to_check_it_says_so(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check-config"])
    assert stop.value.code == 2
    assert "nothing to check; give a PATH, or --token-file" in capsys.readouterr().err


def test_it_says_what_becomes_of_a_query_that_is_held_to_its_namespace(tmp_path, policy, capsys):
    policy.write_text(bare("demand: {query: sum(up)}\nslo: {query: p99}\nreplicas: {max: 9}"))
    label = ["--enforce-namespace-label", "namespace"]
    assert main(["check-config", *label, str(policy)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        '  spec.demand.query is asked as: sum(up{namespace="shop"})',
        '  spec.slo.query is asked as: p99{namespace="shop"}',
    ]

    policy.write_text(bare("demand: {query: 'up{namespace=\"x\"}'}\nslo: {query: p99}\n"
                           "replicas: {max: 9}"))  # fmt: skip
    assert main(["check-config", *label, str(policy)]) == 2
    assert (
        f"{policy}: spec.demand.query: the query is held to its namespace by the label namespace"
        in capsys.readouterr().err
    )
