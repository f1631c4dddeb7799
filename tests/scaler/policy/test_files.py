"""Reading policy files and directories, and reporting all their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaler.errors import PolicyError
from scaler.policy.files import examine_policies, read_policies
from tests.scaler.policy.samples import text


def named(name: str) -> str:
    return text().replace("name: checkout", f"name: {name}")


def refusal(path: Path) -> str:
    with pytest.raises(PolicyError) as refused:
        read_policies(path)
    return str(refused.value)


@pytest.fixture
def policy(tmp_path):
    return tmp_path / "policy.yaml"


def test_a_file_may_hold_several_policies(policy):
    policy.write_text("---\n".join(map(named, "abc")))

    found = read_policies(policy)

    assert [one.policy.item_id for one in found] == ["shop/a", "shop/b", "shop/c"]
    assert [one.where for one in found][1] == f"{policy}, document 2"


def test_the_only_policy_of_a_file_is_named_by_the_file(policy):
    policy.write_text(f"---\n{named('a')}---\n")

    assert [one.where for one in read_policies(policy)] == [str(policy)]


def test_all_yaml_files_of_a_directory_are_read_in_order_of_names(tmp_path):
    for file in ("b.yaml", "a.yml", "c.json", "README.md"):
        (tmp_path / file).write_text(named(file[0]))

    assert [one.policy.item_id for one in read_policies(tmp_path)] == ["shop/a", "shop/b"]


def test_the_faults_of_a_file_are_listed_below_its_name(policy):
    policy.write_text(text("mode: Off\ndemand: {risk: 2}"))

    assert refusal(policy) == (
        f"{policy} is wrong:\n"
        "  spec.mode: must be 'Recommend', 'Enforce' or 'Auto' (got false, line 7)\n"
        "  spec.demand.risk: must be above 0 and below 1 (got 2, line 8); 2 per cent is 0.02"
    )


def test_all_invalid_documents_of_all_files_are_reported_at_once(tmp_path):
    (tmp_path / "a.yaml").write_text(f"{named('a')}---\n{text('mode: Off')}---\n[]")
    (tmp_path / "b.yaml").write_text("a: [")

    message = refusal(tmp_path)

    assert f"{tmp_path / 'a.yaml'}, document 2 is wrong:\n  spec.mode" in message
    assert (
        f"{tmp_path / 'a.yaml'}, document 3 is wrong:\n  the document: must be a mapping" in message
    )
    assert f"{tmp_path / 'b.yaml'} is not YAML: line 1" in message


def test_valid_policies_are_returned_beside_the_faults_of_the_others(tmp_path):
    (tmp_path / "a.yaml").write_text(f"{named('a')}---\n{text('mode: Off')}---\n{named('c')}")

    good, wrong = examine_policies([tmp_path / "a.yaml", tmp_path / "none.yaml"])

    assert [one.policy.item_id for one in good] == ["shop/a", "shop/c"]
    assert len(wrong) == 2


def test_two_policies_of_one_service_are_refused_with_both_places(tmp_path):
    (tmp_path / "a.yaml").write_text(named("a"))
    (tmp_path / "b.yaml").write_text(named("a"))

    assert refusal(tmp_path) == (
        f"{tmp_path / 'b.yaml'} is wrong:\n"
        "  metadata: must name a service that no other policy names (got shop/a, line 3); "
        f"{tmp_path / 'a.yaml'} has it already"
    )


def test_a_file_named_twice_is_read_once(tmp_path):
    (tmp_path / "a.yaml").write_text(named("a"))

    good, wrong = examine_policies([tmp_path, tmp_path / "a.yaml"])

    assert (len(good), wrong) == (1, ())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="nothing"),
        pytest.param("# only a comment\n", id="a comment"),
        pytest.param("---\n---\n", id="documents of nothing"),
    ],
)
def test_an_empty_file_is_refused(policy, content):
    policy.write_text(content)

    assert refusal(policy) == f"{policy} is empty, but must hold a DemandPolicy"


def test_a_missing_file_is_refused(policy):
    assert refusal(policy) == (
        f"{policy} does not exist; give a policy file, or a directory of them"
    )


def test_a_directory_without_policies_is_refused(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path} holds no policy; its files must end in .yaml or .yml"


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "odd.yaml").mkdir()

    assert refusal(tmp_path) == f"{tmp_path / 'odd.yaml'} cannot be read: Is a directory"


def test_a_file_may_begin_with_a_byte_order_mark(policy):
    policy.write_bytes(b"\xef\xbb\xbf" + text().encode())

    assert len(read_policies(policy)) == 1


def test_a_key_that_nothing_obeys_any_more_is_told_with_its_place(policy, caplog):
    policy.write_text(text("limit: {perClient: {window: 5s, deviations: 4, leastClients: 20}}"))

    (found,) = read_policies(policy)

    assert found.policy.client_window_s == 5.0
    assert [one.getMessage() for one in caplog.records] == [
        f"{policy}: spec.limit.perClient.{key} has no effect since 0.2; remove it"
        for key in ("deviations", "leastClients")
    ]
